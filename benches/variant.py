"""One way to authenticate, in a separate process: `run.py` starts it and requests one measurement at a time.

    python variant.py NAME

Reads lines `OPERATION COUNT`, and answers each with a line of JSON: the microseconds of each repetition, and the number
of statements. `headers 0` returns the headers of a signed-in user. The environment variable JWTAUTH_BENCH_DATABASE is
an entry of Django's `DATABASES`; under a WSGI server, JWTAUTH_BENCH_VARIANT is the name.
"""

import asyncio
import json
import os
import sys
import time
from collections.abc import Callable
from datetime import timedelta

NAME = os.environ.get("JWTAUTH_BENCH_VARIANT") or sys.argv[1]
AUTHENTICATION = {
    "none": [],
    "jwtauth": ["jwtauth.JwtAuthentication"],
    "jwtauth, interval 10 s": ["jwtauth.JwtAuthentication"],
    "jwtauth, prepared": ["jwtauth.JwtAuthentication"],
    "the floor in Python": ["floor.Authentication"],
    "prototype 0.0.8": ["jwtauth.JwtAuthentication"],
    "simplejwt": ["rest_framework_simplejwt.authentication.JWTAuthentication"],
    "dj-rest-auth cookies": ["dj_rest_auth.jwt_auth.JWTCookieAuthentication"],
    "knox": ["knox.auth.TokenAuthentication"],
    "Django sessions": ["rest_framework.authentication.SessionAuthentication"],
}[NAME]
PROTOTYPE = NAME == "prototype 0.0.8"
IS_JWTAUTH = AUTHENTICATION == ["jwtauth.JwtAuthentication"]
FLOOR = NAME == "the floor in Python"
SIMPLEJWT = NAME in ("simplejwt", "dj-rest-auth cookies")
SESSIONS = NAME == "Django sessions"
# Seconds. Under valgrind, ten may pass between two requests.
INTERVAL = int(os.environ.get("JWTAUTH_BENCH_INTERVAL", "10"))

from django.conf import settings  # noqa: E402

settings.configure(
    SECRET_KEY="a key for benchmarks only, long enough for SHA-256",
    ALLOWED_HOSTS=["*"],
    ROOT_URLCONF=__name__,
    USE_TZ=True,
    DATABASES={"default": {"CONN_MAX_AGE": None} | json.loads(os.environ["JWTAUTH_BENCH_DATABASE"])},
    INSTALLED_APPS=[
        "django.contrib.auth",
        "django.contrib.contenttypes",
        "django.contrib.sessions",
        "rest_framework",
        *(["jwtauth"] if IS_JWTAUTH or FLOOR else []),
        *(["knox"] if NAME == "knox" else []),
        *(["dj_rest_auth"] if NAME == "dj-rest-auth cookies" else []),
    ],
    MIDDLEWARE=[
        *(["django.contrib.sessions.middleware.SessionMiddleware"] if SESSIONS else []),
        *(["django.contrib.auth.middleware.AuthenticationMiddleware"] if SESSIONS else []),
        *(["jwtauth.middleware.AuthenticationMiddleware"] if IS_JWTAUTH else []),
        *(["floor.Middleware"] if FLOOR else []),
    ],
    REST_FRAMEWORK={"DEFAULT_AUTHENTICATION_CLASSES": AUTHENTICATION},
    REST_AUTH={
        "USE_JWT": True,
        "SESSION_LOGIN": False,
        "TOKEN_MODEL": None,
        "JWT_AUTH_COOKIE": "access",
        "JWT_AUTH_REFRESH_COOKIE": "refresh",
    },
    # Without a grace, so that refreshes can follow each other immediately.
    JWTAUTH={}
    if PROTOTYPE
    else {"REFRESH_TOKEN_GRACE_PERIOD": 0, "SESSION_CHECK_INTERVAL": INTERVAL if "interval" in NAME else 0},
    LOGGING_CONFIG=None,
)

import django  # noqa: E402

django.setup()

from django.contrib.auth import get_user_model  # noqa: E402
from django.contrib.auth.models import update_last_login  # noqa: E402
from django.contrib.auth.signals import user_logged_in, user_logged_out  # noqa: E402
from django.core.handlers.asgi import ASGIHandler  # noqa: E402
from django.core.handlers.wsgi import WSGIHandler  # noqa: E402
from django.core.management import call_command  # noqa: E402
from django.db import connection  # noqa: E402
from django.http import JsonResponse  # noqa: E402
from django.test.client import AsyncRequestFactory, RequestFactory  # noqa: E402
from django.test.utils import CaptureQueriesContext  # noqa: E402
from django.urls import path  # noqa: E402
from rest_framework.decorators import api_view, permission_classes  # noqa: E402
from rest_framework.permissions import AllowAny, IsAuthenticated  # noqa: E402
from rest_framework.response import Response  # noqa: E402


@api_view(["GET"])
@permission_classes([AllowAny if NAME == "none" else IsAuthenticated])
def me(request):
    return Response({"id": request.user.pk})


@api_view(["POST"])
@permission_classes([AllowAny])
def login_view(request):
    """Sign the user in. Checking a password takes the same configured time in every variant, so it is skipped."""
    response = Response({})
    user = bench_user()
    if IS_JWTAUTH:
        from jwtauth import login

        login(request, user)
        if PROTOTYPE:
            update_last_login(None, user)
    elif FLOOR:
        from floor import login

        login(request._request, user)
    elif SESSIONS:
        from django.contrib.auth import login

        login(request._request, user)
    elif NAME == "knox":
        from knox.models import AuthToken

        response.data = {"token": AuthToken.objects.create(user)[1]}
        user_logged_in.send(sender=user.__class__, request=request, user=user)
    elif SIMPLEJWT:
        from rest_framework_simplejwt.tokens import RefreshToken

        token = RefreshToken.for_user(user)
        update_last_login(None, user)
        response.data = {"refresh": str(token), "access": str(token.access_token)}
        if NAME != "simplejwt":
            from dj_rest_auth.jwt_auth import set_jwt_cookies

            set_jwt_cookies(response, str(token.access_token), str(token))
    return response


@api_view(["GET"])  # so that DRF's session authentication requires no CSRF token
@permission_classes([AllowAny])
def logout_view(request):
    if IS_JWTAUTH:
        from jwtauth import logout

        logout(request)
    elif FLOOR:
        from floor import logout

        logout(request._request, request.user)
    elif SESSIONS:
        from django.contrib.auth import logout

        logout(request._request)
    elif NAME == "knox":
        request.auth.delete()
        user_logged_out.send(sender=type(request.user), request=request, user=request.user)
    return Response({})


async def async_me(request):
    user = None if NAME == "none" else await request.auser()
    return JsonResponse({"id": user and user.pk})


async def async_key(request):
    """Return the user's key, which jwtauth knows without a query within SESSION_CHECK_INTERVAL."""
    return JsonResponse({"id": request.user.pk})


async def async_login(request):
    from jwtauth import alogin

    await alogin(request, bench_user())
    return JsonResponse({})


async def async_logout(request):
    from jwtauth import alogout

    await alogout(request)
    return JsonResponse({})


urlpatterns = [
    path("me", me),
    path("login", login_view),
    path("logout", logout_view),
    path("async-me", async_me),
    path("async-key", async_key),
    path("async-login", async_login),
    path("async-logout", async_logout),
]
if NAME == "simplejwt":
    from rest_framework_simplejwt.views import TokenRefreshView

    urlpatterns.append(path("refresh", TokenRefreshView.as_view()))
elif NAME == "dj-rest-auth cookies":
    from dj_rest_auth.jwt_auth import get_refresh_view

    urlpatterns.append(path("refresh", get_refresh_view().as_view()))

application, factory = WSGIHandler(), RequestFactory()
asgi_application, async_factory, loop = ASGIHandler(), AsyncRequestFactory(), asyncio.new_event_loop()
Headers = dict[str, str]
ASYNC_VIEWS = {
    "async view": "/async-me",
    "async view, the key alone": "/async-key",
    "async login": "/async-login",
    "async refresh": "/async-me",
    "async logout": "/async-logout",
}
_bench_user = []


def bench_user():
    if not _bench_user:
        _bench_user.append(get_user_model().objects.get(username="ada"))
    return _bench_user[0]


def send(method: str, url: str, headers: Headers, data: object = None) -> tuple[float, object]:
    body = {"data": data, "content_type": "application/json"} if data is not None else {}
    environ = getattr(factory, method)(url, **body).environ | headers
    start = time.perf_counter()
    response = application(environ, lambda status, headers: None)
    content = b"".join(response)
    response.close()
    elapsed = time.perf_counter() - start
    assert response.status_code == 200, (NAME, url, response.status_code, content)
    return elapsed, response


def send_async(url: str, headers: Headers) -> float:
    """Send a GET request to the ASGI application, and return the seconds."""
    names = {name.removeprefix("HTTP_").title(): value for name, value in headers.items()}
    scope = async_factory.get(url, headers=names).scope | {"http_version": "1.1"}
    incoming = [{"type": "http.request", "body": b"", "more_body": False}]
    statuses = []

    async def receive():
        return incoming.pop() if incoming else await asyncio.Future()  # the client waits for the response

    async def answer(message):
        statuses.append(message.get("status"))

    start = time.perf_counter()
    loop.run_until_complete(asgi_application(scope, receive, answer))
    elapsed = time.perf_counter() - start
    assert statuses[0] == 200, (NAME, url, statuses)
    return elapsed


def cookies(response: object, *names: str) -> Headers:
    jar = {name: morsel.value for name, morsel in response.cookies.items() if not names or name in names}
    return {"HTTP_COOKIE": "; ".join(f"{name}={value}" for name, value in jar.items())}


def sign_in() -> Headers:
    if NAME == "none":
        return {}
    _, response = send("post", "/login", {})
    if NAME == "simplejwt":
        return {"HTTP_AUTHORIZATION": f"Bearer {response.data['access']}"}
    if NAME == "knox":
        return {"HTTP_AUTHORIZATION": f"Token {response.data['token']}"}
    return cookies(response)


def stale() -> tuple[object, ...]:
    """Return the arguments of `send` for a refresh of a session whose access token has expired."""
    if NAME == "simplejwt":
        return "post", "/refresh", {}, {"refresh": send("post", "/login", {})[1].data["refresh"]}
    if SIMPLEJWT:
        return "post", "/refresh", cookies(send("post", "/login", {})[1]), {}
    if PROTOTYPE:
        from jwtauth import tokens

        lifetime = tokens.api_settings.ACCESS_TOKEN_LIFETIME
        tokens.api_settings.ACCESS_TOKEN_LIFETIME = timedelta(seconds=-1)
        headers = sign_in()
        tokens.api_settings.ACCESS_TOKEN_LIFETIME = lifetime
        return "get", "/me", headers
    return "get", "/me", cookies(send("post", "/login", {})[1], "refresh_token")


def prepare(operation: str, headers: Headers) -> Callable[[], float]:
    """Prepare an operation, and return the function that runs it and returns the seconds."""
    if operation in ASYNC_VIEWS:
        if operation in ("async refresh", "async logout"):
            headers = cookies(send("post", "/login", {})[1], *(["refresh_token"] if "refresh" in operation else []))
        return lambda: send_async(ASYNC_VIEWS[operation], {} if operation == "async login" else headers)
    if operation == "request":
        arguments: tuple[object, ...] = ("get", "/me", headers)
    elif operation == "login":
        arguments = ("post", "/login", {})
    elif operation == "refresh":
        arguments = stale()
    else:
        arguments = ("get", "/logout", sign_in())
    return lambda: send(*arguments)[0]


def statements(action: Callable[[], object]) -> int:
    with CaptureQueriesContext(connection) as captured:
        action()
    return len(captured)


def main() -> None:
    call_command("migrate", verbosity=0)
    get_user_model().objects.get_or_create(username="ada")
    headers = sign_in()
    for line in sys.stdin:
        operation, count = line.split()
        if operation == "headers":
            print(json.dumps(sign_in()), flush=True)
            continue
        prepare(operation, headers)()  # warm up: one-time work is not part of a request
        answer = {"statements": statements(prepare(operation, headers))}
        answer["us"] = sorted(prepare(operation, headers)() * 1e6 for _ in range(int(count)))
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    # Django looks up the views in the module of this name.
    sys.modules["variant"] = sys.modules["__main__"]
    settings.ROOT_URLCONF = "variant"
    main()
