"""Creates the people of the demo site and says who can sign in."""

from django.contrib.auth import get_user_model
from django.core.management.base import BaseCommand

PEOPLE = {"ada": {}, "admin": {"is_staff": True, "is_superuser": True}}


class Command(BaseCommand):
    help = "Creates the people of the demo site and says who can sign in."

    def handle(self, *args, **options):
        self.stdout.write("These can sign in:")
        for name, rights in PEOPLE.items():
            user, created = get_user_model().objects.get_or_create(username=name, defaults=rights)
            if created:
                user.set_password(f"{name}-demo-pass")
                user.save()
            about = ", who sees the admin as well" if rights else ""
            self.stdout.write(f"    {name} / {name}-demo-pass{about}")
