"""Middleware after jwtauth's that replaces ``request.user``: every kind of view sees the replacement.

Each case runs the same site twice: with Django's own login, and with jwtauth's.
"""

import pytest
from asgiref.sync import iscoroutinefunction, markcoroutinefunction, sync_to_async
from django.contrib.auth import authenticate, get_user_model
from django.contrib.auth.decorators import login_required
from django.contrib.auth.models import AnonymousUser
from django.http import HttpResponse
from django.test import AsyncClient, Client, override_settings
from django.urls import path
from django.utils.functional import SimpleLazyObject
from rest_framework.authentication import SessionAuthentication
from rest_framework.decorators import api_view, authentication_classes, permission_classes
from rest_framework.permissions import AllowAny
from rest_framework.response import Response

from jwtauth import JWTAuthentication
from jwtauth.models import Session
from jwtauth.test import force_login

SESSIONS = "django.contrib.sessions.middleware.SessionMiddleware"
DJANGO = "django.contrib.auth.middleware.AuthenticationMiddleware"
JWTAUTH = "jwtauth.middleware.JWTAuthMiddleware"
REMOTE = "django.contrib.auth.middleware.RemoteUserMiddleware"
REMOTE_BACKENDS = ["django.contrib.auth.backends.RemoteUserBackend", "django.contrib.auth.backends.ModelBackend"]

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.urls(__name__)]


class Later:
    """Change ``request.user`` in middleware, sync and async."""

    sync_capable = async_capable = True

    def __init__(self, get_response):
        self.get_response = get_response
        if iscoroutinefunction(get_response):
            markcoroutinefunction(self)

    def __call__(self, request):
        if iscoroutinefunction(self):
            return self.acall(request)
        self.change(request)
        return self.get_response(request)

    async def acall(self, request):
        await sync_to_async(self.change)(request)
        return await self.get_response(request)


class Decorating(Later):
    """Decorate the user, as django-otp does."""

    def change(self, request):
        request.user = SimpleLazyObject(lambda user=request.user: self.decorated(user))

    def decorated(self, user):
        user.mark = "decorated"
        return user


class Marking(Later):
    """Set an attribute on the user, as django-hijack does."""

    def change(self, request):
        request.user.mark = "marked"


class Impersonating(Later):
    """Replace the user, as django-impersonate does."""

    def change(self, request):
        if request.user.is_authenticated:
            request.user = get_user_model().objects.get(username="bob")


class Gate(Later):
    """Make the request anonymous: a second factor is missing, terms are not accepted, or the account is locked."""

    def change(self, request):
        if request.user.is_authenticated:
            request.user = AnonymousUser()


class ViewGate(Later):
    """Make the request anonymous right before the view."""

    def change(self, request):
        pass

    def process_view(self, request, *args):
        request.user = AnonymousUser()


class OwnRemoteUser(Later):
    """Sign in with Django's login from a header, without Django's RemoteUserMiddleware."""

    def change(self, request):
        from django.contrib.auth import login

        user = authenticate(request, remote_user=request.META.get("HTTP_REMOTE", "bob"))
        login(request, user)


def described(user):
    return f"{user.get_username() or 'anonymous'} {getattr(user, 'mark', '')}".strip()


def plain(request):
    return HttpResponse(described(request.user))


@login_required(login_url="/login/")
def private(request):
    return HttpResponse(described(request.user))


async def through_auser(request):
    return HttpResponse(described(await request.auser()))


async def asynchronous(request):
    return HttpResponse(await sync_to_async(lambda: described(request.user))())


@api_view(["GET"])
@authentication_classes([JWTAuthentication, SessionAuthentication])
@permission_classes([AllowAny])
def of_drf(request):
    return Response(described(request.user))


urlpatterns = [
    path("plain/", plain),
    path("private/", private),
    path("auser/", through_auser),
    path("async/", asynchronous),
    path("drf/", of_drf),
]

URLS = ["/plain/", "/private/", "/drf/", "/async/", "/auser/"]


def answer(response):
    return str(response.status_code) if response.status_code != 200 else response.content.decode().strip('"')


def by_django(client, user):
    client.force_login(user, backend="django.contrib.auth.backends.ModelBackend")


def asked(sign_in, user, url, middleware, **headers):
    with override_settings(MIDDLEWARE=middleware, AUTHENTICATION_BACKENDS=REMOTE_BACKENDS):
        client = Client()
        sign_in(client, user)
        return answer(client.get(url, **headers))


def stack(*names):
    return [SESSIONS, *(name if "." in name else f"{__name__}.{name}" for name in names)]


@pytest.mark.parametrize("url", URLS[:-1])
@pytest.mark.parametrize(
    ("later", "seen"),
    [
        ("Decorating", "ada decorated"),
        ("Marking", "ada marked"),
        ("Impersonating", "bob"),
        ("Gate", "anonymous"),
        ("ViewGate", "anonymous"),
    ],
)
def test_user_set_by_later_middleware_is_kept(ada, bob, url, later, seen):
    answers = [asked(how, ada, url, stack(DJANGO, JWTAUTH, later)) for how in (by_django, force_login)]
    expected = "302" if seen == "anonymous" and url == "/private/" else seen
    assert answers == [expected, expected]


@pytest.mark.parametrize(
    ("later", "seen"), [("Impersonating", "bob"), ("Gate", "anonymous"), ("Decorating", "ada decorated")]
)
def test_auser_returns_the_user_set_by_later_middleware(ada, bob, later, seen):
    assert asked(force_login, ada, "/auser/", stack(DJANGO, JWTAUTH, later)) == seen


@pytest.mark.parametrize("url", URLS)
@pytest.mark.parametrize("interval", [0, 10])
@pytest.mark.parametrize("later", ["Decorating", "Impersonating", "Gate"])
def test_user_set_by_later_middleware_is_kept_under_asgi_and_within_the_check_interval(
    ada, bob, url, interval, later, settings
):
    from asgiref.sync import async_to_sync

    settings.JWTAUTH = {"SESSION_CHECK_INTERVAL": interval}
    seen = {"Decorating": "ada decorated", "Impersonating": "bob", "Gate": "anonymous"}[later]
    expected = "302" if seen == "anonymous" and url == "/private/" else seen
    with override_settings(MIDDLEWARE=stack(DJANGO, JWTAUTH, later)):
        client = AsyncClient()
        force_login(client, ada)
        assert [answer(async_to_sync(client.get)(url)) for _ in range(2)] == [expected] * 2


@pytest.mark.parametrize("url", URLS)
def test_later_middleware_can_make_a_bearer_request_anonymous(ada, url):
    with override_settings(MIDDLEWARE=stack(DJANGO, JWTAUTH, "Gate")):
        client = Client()
        force_login(client, ada)
        token = client.cookies["access_token"].value
        seen = answer(Client().get(url, headers={"authorization": f"Bearer {token}"}))
    assert seen == ("302" if url == "/private/" else "anonymous")


@pytest.mark.parametrize("url", URLS)
@pytest.mark.parametrize("names", [(JWTAUTH, DJANGO), (DJANGO, JWTAUTH), (JWTAUTH,)])
def test_user_is_signed_in_with_the_middleware_before_after_or_without_django_s(ada, url, names):
    assert asked(force_login, ada, url, stack(*names)) == "ada"


@pytest.mark.parametrize("url", URLS[:-1])
@pytest.mark.parametrize(("later", "seen"), [("Gate", "ada"), ("ViewGate", "anonymous")])
def test_with_jwtauth_s_middleware_first_only_a_gate_right_before_the_view_applies(ada, url, later, seen):
    # A gate's ``__call__`` does not see jwtauth's users in this order; its ``process_view`` runs last.
    expected = "302" if seen == "anonymous" and url == "/private/" else seen
    assert asked(force_login, ada, url, stack(JWTAUTH, DJANGO, later)) == expected


# --- RemoteUserMiddleware


@pytest.mark.parametrize("url", URLS)
@pytest.mark.parametrize("names", [(DJANGO, JWTAUTH, REMOTE), (DJANGO, REMOTE, JWTAUTH), (JWTAUTH, DJANGO, REMOTE)])
def test_user_stays_signed_in_beside_remote_user_middleware(ada, url, names):
    for _ in range(2):
        assert asked(force_login, ada, url, stack(*names)) == "ada"
    assert Session.objects.count() == 2


@pytest.mark.parametrize("names", [(DJANGO, JWTAUTH, REMOTE), (DJANGO, REMOTE, JWTAUTH)])
@pytest.mark.parametrize("url", ["/plain/", "/private/", "/drf/"])
def test_another_user_in_the_remote_user_header_replaces_the_session(ada, bob, url, names):
    with override_settings(MIDDLEWARE=stack(*names), AUTHENTICATION_BACKENDS=REMOTE_BACKENDS):
        client = Client()
        force_login(client, ada)
        seen = [answer(client.get(url, REMOTE_USER="bob")) for _ in range(2)]
        assert seen == ["bob", "bob"]
        assert not Session.objects.exists()
        assert client.cookies["access_token"].value == ""


@pytest.mark.parametrize("names", [(DJANGO, JWTAUTH, REMOTE), (DJANGO, REMOTE, JWTAUTH)])
def test_same_user_in_the_remote_user_header_keeps_the_session(ada, names):
    with override_settings(MIDDLEWARE=stack(*names), AUTHENTICATION_BACKENDS=REMOTE_BACKENDS):
        client = Client()
        force_login(client, ada)
        assert [answer(client.get("/plain/", REMOTE_USER="ada")) for _ in range(2)] == ["ada", "ada"]
        assert Session.objects.get().user == ada


@pytest.mark.parametrize("names", [(DJANGO, JWTAUTH, "OwnRemoteUser"), (DJANGO, "OwnRemoteUser", JWTAUTH)])
def test_middleware_that_signs_in_with_django_s_login_replaces_the_session(ada, bob, names):
    with override_settings(MIDDLEWARE=stack(*names), AUTHENTICATION_BACKENDS=REMOTE_BACKENDS):
        client = Client()
        force_login(client, ada)
        assert [answer(client.get(url)) for url in URLS] == ["bob"] * len(URLS)
        assert not Session.objects.exists()
