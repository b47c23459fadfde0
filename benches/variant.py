"""One way to authenticate, in a process of its own: `run.py` starts it and asks it for one measurement at a time.

    python variant.py NAME

Reads lines `OPERATION COUNT` and answers each with a line of JSON: microseconds a request, and statements.
"""

import json
import os
import sys
import tempfile
import time
from functools import partial

NAME = sys.argv[1]
DATABASE = os.path.join(tempfile.mkdtemp(prefix="jwtauth-bench-"), "db.sqlite3")
AUTHENTICATION = {
    "none": [],
    "jwtauth": ["jwtauth.JwtAuthentication"],
    "jwtauth, interval 10 s": ["jwtauth.JwtAuthentication"],
    "prototype 0.0.8": ["jwtauth.JwtAuthentication"],
    "simplejwt": ["rest_framework_simplejwt.authentication.JWTAuthentication"],
    "Django sessions": ["rest_framework.authentication.SessionAuthentication"],
}[NAME]
OURS = AUTHENTICATION == ["jwtauth.JwtAuthentication"]
SESSIONS = NAME == "Django sessions"

from django.conf import settings  # noqa: E402

settings.configure(
    SECRET_KEY="a key for benchmarks only, long enough for SHA-256",
    ALLOWED_HOSTS=["*"],
    ROOT_URLCONF=__name__,
    USE_TZ=True,
    DATABASES={
        "default": {
            "ENGINE": "django.db.backends.sqlite3",
            "NAME": DATABASE,
            "OPTIONS": {"init_command": "PRAGMA journal_mode=wal; PRAGMA synchronous=normal;"},
            "CONN_MAX_AGE": None,
        }
    },
    INSTALLED_APPS=[
        "django.contrib.auth",
        "django.contrib.contenttypes",
        "django.contrib.sessions",
        "rest_framework",
        *(["jwtauth"] if OURS else []),
    ],
    MIDDLEWARE=[
        *(["django.contrib.sessions.middleware.SessionMiddleware"] if SESSIONS else []),
        *(["django.contrib.auth.middleware.AuthenticationMiddleware"] if SESSIONS else []),
        *(["jwtauth.middleware.AuthenticationMiddleware"] if OURS else []),
    ],
    REST_FRAMEWORK={"DEFAULT_AUTHENTICATION_CLASSES": AUTHENTICATION},
    JWTAUTH={"SESSION_CHECK_INTERVAL": 10} if "interval" in NAME else {},
    LOGGING_CONFIG=None,
)

import django  # noqa: E402

django.setup()

from django.contrib.auth import get_user_model  # noqa: E402
from django.core.handlers.wsgi import WSGIHandler  # noqa: E402
from django.core.management import call_command  # noqa: E402
from django.db import connection  # noqa: E402
from django.test.client import RequestFactory  # noqa: E402
from django.test.utils import CaptureQueriesContext  # noqa: E402
from django.urls import path  # noqa: E402
from rest_framework.decorators import api_view, permission_classes  # noqa: E402
from rest_framework.permissions import AllowAny, IsAuthenticated  # noqa: E402
from rest_framework.response import Response  # noqa: E402

call_command("migrate", verbosity=0)
USER = get_user_model().objects.create_user("ada", password="not used")


@api_view(["GET"])
@permission_classes([AllowAny if NAME == "none" else IsAuthenticated])
def me(request):
    return Response({"id": request.user.pk})


@api_view(["POST"])
@permission_classes([AllowAny])
def login_view(request):
    if OURS:
        from jwtauth import login

        login(request, USER)
    elif SESSIONS:
        from django.contrib.auth import login

        login(request._request, USER)
    elif NAME == "simplejwt":
        from rest_framework_simplejwt.tokens import RefreshToken

        token = RefreshToken.for_user(USER)
        return Response({"refresh": str(token), "access": str(token.access_token)})
    return Response({})


@api_view(["GET"])  # so that DRF's session authentication asks for no CSRF token
@permission_classes([AllowAny])
def logout_view(request):
    if OURS:
        from jwtauth import logout

        logout(request)
    elif SESSIONS:
        from django.contrib.auth import logout

        logout(request._request)
    return Response({})


urlpatterns = [path("me", me), path("login", login_view), path("logout", logout_view)]
handler, factory = WSGIHandler(), RequestFactory()
Headers = dict[str, str]


def send(method: str, url: str, headers: Headers) -> tuple[float, object]:
    environ = getattr(factory, method)(url).environ | headers
    start = time.perf_counter()
    response = handler(environ, lambda status, headers: None)
    body = b"".join(response)
    response.close()
    elapsed = time.perf_counter() - start
    assert response.status_code == 200, (NAME, url, response.status_code, body)
    return elapsed, response


def sign_in() -> Headers:
    _, response = send("post", "/login", {})
    if NAME == "simplejwt":
        return {"HTTP_AUTHORIZATION": f"Bearer {response.data['access']}"}
    return {"HTTP_COOKIE": "; ".join(f"{name}={morsel.value}" for name, morsel in response.cookies.items())}


def measure(operation: str, headers: Headers) -> float:
    if operation == "request":
        return send("get", "/me", headers)[0]
    if operation == "login":
        return send("post", "/login", {})[0]
    return send("get", "/logout", sign_in())[0]


def count_statements(action) -> int:
    with CaptureQueriesContext(connection) as captured:
        action()
    return len(captured)


def main() -> None:
    headers = sign_in()
    for line in sys.stdin:
        operation, count = line.split()
        measure(operation, headers)  # what is done once is no cost of a request
        statements = count_statements(partial(measure, operation, headers))
        if operation == "logout":
            statements -= count_statements(sign_in)
        elapsed = sorted(measure(operation, headers) for _ in range(int(count)))
        answer = {"us": elapsed[len(elapsed) // 2] * 1e6, "statements": statements}
        print(json.dumps(answer), flush=True)


main()
