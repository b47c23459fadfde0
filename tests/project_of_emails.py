"""A project whose users sign in by email address. `test_hooks.py` starts it; it prints the responses of both logins.

python tests/project_of_emails.py
"""

import json

from django.conf import settings

settings.configure(
    SECRET_KEY="a key for tests only, long enough for SHA-256",
    ALLOWED_HOSTS=["testserver"],
    ROOT_URLCONF=__name__,
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}},
    INSTALLED_APPS=[
        "django.contrib.contenttypes",
        "django.contrib.auth",
        "django.contrib.sessions",
        "tests.others",
        "rest_framework",
        "jwtauth",
    ],
    AUTH_USER_MODEL="others.EmailUser",
    MIDDLEWARE=[
        "django.contrib.sessions.middleware.SessionMiddleware",
        "django.contrib.auth.middleware.AuthenticationMiddleware",
        "jwtauth.middleware.JWTAuthMiddleware",
    ],
    PASSWORD_HASHERS=["django.contrib.auth.hashers.MD5PasswordHasher"],
    REST_FRAMEWORK={
        "DEFAULT_AUTHENTICATION_CLASSES": ["jwtauth.JWTAuthentication"],
        "DEFAULT_THROTTLE_RATES": {"jwtauth_login": None},
    },
    USE_TZ=True,
)

import django  # noqa: E402

django.setup()

from django.contrib.auth import get_user_model  # noqa: E402
from django.contrib.auth import login as django_login  # noqa: E402
from django.contrib.auth.backends import BaseBackend, ModelBackend  # noqa: E402
from django.contrib.auth.forms import AuthenticationForm  # noqa: E402
from django.core.management import call_command  # noqa: E402
from django.db import connection  # noqa: E402
from django.http import HttpResponse  # noqa: E402
from django.test import Client, override_settings  # noqa: E402
from django.test.utils import CaptureQueriesContext  # noqa: E402
from django.urls import include, path  # noqa: E402

from tests.others.models import EmailUser, Team  # noqa: E402

PASSWORD = "correct horse"


class Documented(ModelBackend):
    """Authenticate with the signature in Django's documentation."""

    def authenticate(self, request, username=None, password=None):
        user = EmailUser.objects.filter(email=username).first()
        return user if user is not None and user.check_password(password) else None


class Credentials(ModelBackend):
    """Take any credentials, as allauth's backend does."""

    def authenticate(self, request, **credentials):
        email = credentials.get("email", credentials.get("username"))
        return super().authenticate(request, username=email, password=credentials["password"])


class NeedsRequest(BaseBackend):
    """Refuse a locked account by the request, as django-axes does."""

    def authenticate(self, request, username=None, password=None, **kwargs):
        if request.META["REMOTE_ADDR"] != "127.0.0.1":
            raise AssertionError("not the request of this client")


class ByField(ModelBackend):
    """Take a keyword named after the field, which Django's forms do not pass."""

    def authenticate(self, request, email, password):
        raise AssertionError("Django's form does not reach this backend")


BACKENDS = {
    "Django's": ["django.contrib.auth.backends.ModelBackend"],
    "documented": [f"{__name__}.Documented"],
    "any credentials": [f"{__name__}.Credentials"],
    "several": [f"{__name__}.{name}" for name in ("ByField", "NeedsRequest", "Documented")],
}


def form_view(request):
    form = AuthenticationForm(request, request.POST)
    if not form.is_valid():
        return HttpResponse(status=401)
    django_login(request, form.get_user())
    return HttpResponse()


def team(request):
    return HttpResponse(request.user.team.name)


urlpatterns = [path("auth/", include("jwtauth.urls")), path("form/", form_view), path("team/", team)]

call_command("migrate", run_syncdb=True, verbosity=0)
ada = EmailUser(email="ada@site.example", team=Team.objects.create(name="red"))
ada.set_password(PASSWORD)
ada.save()
assert get_user_model() is EmailUser


def answers(url, field):
    """Return the statuses of valid, full-width, wrong and inactive credentials, then the team and its queries."""
    found, client = [], Client()
    for email, password, is_active in (
        ("ada@site.example", PASSWORD, True),
        (" \N{FULLWIDTH LATIN SMALL LETTER A}da@site.example", PASSWORD, True),
        ("ada@site.example", "wrong", True),
        ("ada@site.example", PASSWORD, False),
    ):
        EmailUser.objects.update(is_active=is_active)
        found.append(Client().post(url, {field: email, "password": password}).status_code)
    EmailUser.objects.update(is_active=True)
    tokens = client.post(url, {field: "ada@site.example", "password": PASSWORD})
    headers = {"Authorization": f"Bearer {tokens.json()['access']}"} if "token" in url else {}
    with CaptureQueriesContext(connection) as captured:
        name = client.get("/team/", headers=headers).content.decode()
    about_teams = sum("others_team" in query["sql"] for query in captured)
    return [*found, name, about_teams]


ways = {"django": ("/form/", "username"), "login": ("/auth/login/", "email"), "token": ("/auth/token/", "email")}
result = {}
for backend, paths in BACKENDS.items():
    with override_settings(AUTHENTICATION_BACKENDS=paths):
        result[backend] = {way: answers(*of) for way, of in ways.items()}
other_name = Client().post("/auth/login/", {"username": "ada@site.example", "password": PASSWORD})
print(json.dumps({"backends": result, "username": [other_name.status_code, sorted(other_name.json())]}))
