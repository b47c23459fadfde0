"""A project with another user model or other databases than the test project. `test_users.py` starts it.

python tests/project_of_others.py --user MODEL FOLDER
python tests/project_of_others.py --router primary FOLDER
"""

import sys
from pathlib import Path

from django.conf import settings

option, value, folder = sys.argv[1:]
folder = Path(folder)


def database(name):
    return {"ENGINE": "django.db.backends.sqlite3", "NAME": str(folder / name)}


class Router:
    """Send writes to ``primary``, and reads of other apps to ``replica``, which is empty."""

    def db_for_read(self, model, **hints):
        return "replica"

    def db_for_write(self, model, **hints):
        return "primary"

    def allow_relation(self, *args, **hints):
        return True


routed = option == "--router"
settings.configure(
    SECRET_KEY="a key for tests only, long enough for SHA-256",
    ALLOWED_HOSTS=["testserver"],
    ROOT_URLCONF="tests.urls",
    DATABASES={
        "default": database("default.sqlite3"),
        **({"primary": database("primary.sqlite3"), "replica": database("replica.sqlite3")} if routed else {}),
    },
    DATABASE_ROUTERS=[Router()] if routed else [],
    INSTALLED_APPS=[
        "django.contrib.contenttypes",
        *(["django.contrib.auth"] if routed else ["django.contrib.auth", "tests.others"]),
        "rest_framework",
        "jwtauth",
    ],
    AUTH_USER_MODEL="auth.User" if routed else f"others.{value}",
    MIDDLEWARE=["jwtauth.middleware.JWTAuthMiddleware"],
    REST_FRAMEWORK={"DEFAULT_AUTHENTICATION_CLASSES": ["jwtauth.JWTAuthentication"]},
    TEMPLATES=[{"BACKEND": "django.template.backends.django.DjangoTemplates"}],
    USE_TZ=True,
)

import django  # noqa: E402

django.setup()

from django.contrib.auth import get_user_model  # noqa: E402
from django.core.management import call_command  # noqa: E402
from django.db import connections  # noqa: E402
from django.test.utils import CaptureQueriesContext  # noqa: E402

from jwtauth.internal.store import clock as _clock  # noqa: E402
from jwtauth.models import Session  # noqa: E402
from tests.conftest import Browser, Clock  # noqa: E402

alias = "primary" if routed else "default"
call_command("migrate", database=alias, run_syncdb=True, verbosity=0)

clock = Clock()
_clock.now = lambda: clock.now
manager = get_user_model()._base_manager.using(alias)
user = manager.create(username="ada") if routed else manager.create(name="ada/é")
name = str(user)
browser = Browser()
browser.sign_in(user)
with CaptureQueriesContext(connections[alias]) as captured:
    assert browser.who() == name
assert len(captured) == 1
clock.advance(301)
assert browser.who() == name
assert Session.objects.using(alias).get().generation == 2
assert browser.who() == name
assert Session.objects.using(alias).get().acknowledged_at is not None
assert browser.post("/logout/").status_code == 200
assert browser.who() is None
assert not Session.objects.using(alias).exists()
print("signed in, refreshed, acknowledged, signed out")
