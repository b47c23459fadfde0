"""Create the users of the demo site and print how to sign in as each."""

from django.contrib.auth import get_user_model
from django.core.management.base import BaseCommand

USERS = {"ada": {}, "admin": {"is_staff": True, "is_superuser": True}}


class Command(BaseCommand):
    help = "Create the users of the demo site and print how to sign in as each."

    def handle(self, *args, **options):
        self.stdout.write("Sign in as one of these users:")
        for name, rights in USERS.items():
            password = f"{name}-demo-pass"
            user, _ = get_user_model().objects.update_or_create(username=name, defaults={"is_active": True, **rights})
            if not user.check_password(password):  # the user is new, or a visitor has changed the password
                user.set_password(password)
                user.save()
            about = ", who also sees the admin" if rights else ""
            self.stdout.write(f"    {name} / {password}{about}")
