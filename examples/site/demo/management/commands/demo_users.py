"""Creates the people of the demo site and says who can sign in."""

from django.contrib.auth import get_user_model
from django.core.management.base import BaseCommand

PEOPLE = {"ada": {}, "admin": {"is_staff": True, "is_superuser": True}}


class Command(BaseCommand):
    help = "Creates the people of the demo site and says who can sign in."

    def handle(self, *args, **options):
        self.stdout.write("These can sign in:")
        for name, rights in PEOPLE.items():
            password = f"{name}-demo-pass"
            user, _ = get_user_model().objects.update_or_create(username=name, defaults={"is_active": True, **rights})
            if not user.check_password(password):  # a new one, or a visitor has changed it: what is printed is so
                user.set_password(password)
                user.save()
            about = ", who sees the admin as well" if rights else ""
            self.stdout.write(f"    {name} / {password}{about}")
