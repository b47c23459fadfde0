"""Settings, URLs and the application of one worker of a site that switches to jwtauth, and of its old and later ones.

The environment names the package (``SOURCE``), the database (``DATABASE``, as JSON) and the part that this worker
plays (``PART``): "old", as before jwtauth; "new", with jwtauth, for which ``SINCE`` is when logins begin to move in; or
"back", on the way back to the other package, when no more logins move in.
"""

import json
import os
from datetime import timedelta

import django
from django.conf import settings

SOURCE, PART, UNTIL = os.environ["SOURCE"], os.environ["PART"], "2999-01-01"
SINCE = UNTIL if PART == "back" else os.environ.get("SINCE", "2000-01-01")
# Seconds. Long enough for a slow request, short enough for many refreshes.
ACCESS, REFRESH = 3, 7 * 24 * 3600

OLD_CLASS = {
    "simplejwt": "rest_framework_simplejwt.authentication.JWTAuthentication",
    "dj_rest_auth": "dj_rest_auth.jwt_auth.JWTCookieAuthentication",
    "knox": "knox.auth.TokenAuthentication",
    "django_sessions": "rest_framework.authentication.SessionAuthentication",
}[SOURCE]
JWTAUTH_CLASS = "jwtauth.JWTAuthentication"

settings.configure(
    SECRET_KEY="a key for tests only, as long as SHA-512 needs an HMAC key to be: 64 bytes",
    ALLOWED_HOSTS=["127.0.0.1"],
    ROOT_URLCONF=__name__,
    DATABASES={"default": json.loads(os.environ["DATABASE"])},
    INSTALLED_APPS=[
        "django.contrib.auth",
        "django.contrib.contenttypes",
        "django.contrib.sessions",
        "rest_framework",
        "rest_framework_simplejwt.token_blacklist",
        "knox",
        "dj_rest_auth",
        "jwtauth",  # its table exists before the switch
    ],
    MIDDLEWARE=[
        "django.contrib.sessions.middleware.SessionMiddleware",
        "django.contrib.auth.middleware.AuthenticationMiddleware",
        *(["jwtauth.middleware.JWTAuthMiddleware"] if PART != "old" else []),
    ],
    REST_FRAMEWORK={
        "DEFAULT_AUTHENTICATION_CLASSES": {
            "old": [OLD_CLASS],
            "new": [JWTAUTH_CLASS],
            "back": [JWTAUTH_CLASS, OLD_CLASS],
        }[PART]
    },
    SIMPLE_JWT={
        "ACCESS_TOKEN_LIFETIME": timedelta(seconds=ACCESS),
        "REFRESH_TOKEN_LIFETIME": timedelta(seconds=REFRESH),
        "ROTATE_REFRESH_TOKENS": True,
        "BLACKLIST_AFTER_ROTATION": SOURCE == "dj_rest_auth",
    },
    REST_AUTH={
        "USE_JWT": True,
        "SESSION_LOGIN": False,
        "TOKEN_MODEL": None,
        "JWT_AUTH_COOKIE": "old-access",
        "JWT_AUTH_REFRESH_COOKIE": "old-refresh",
    },
    REST_KNOX={"TOKEN_TTL": timedelta(seconds=REFRESH)},
    JWTAUTH={
        "COOKIE_SECURE": False,
        "ACCESS_TOKEN_LIFETIME": ACCESS,
        "REFRESH_TOKEN_LIFETIME": REFRESH,
        "REFRESH_TOKEN_GRACE_PERIOD": ACCESS,
        **({} if PART == "old" else {"ACCEPT_LOGINS_OF": [{"source": SOURCE, "since": SINCE, "until": UNTIL}]}),
    },
    PASSWORD_HASHERS=["django.contrib.auth.hashers.MD5PasswordHasher"],  # quick
    DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
    USE_TZ=True,
    LOGGING_CONFIG=None,
)
django.setup()

from django.core.wsgi import get_wsgi_application  # noqa: E402
from django.urls import include, path  # noqa: E402
from rest_framework.decorators import api_view, permission_classes  # noqa: E402
from rest_framework.permissions import IsAuthenticated  # noqa: E402
from rest_framework.response import Response  # noqa: E402


@api_view(["GET"])
@permission_classes([IsAuthenticated])
def who(request):
    return Response({"user": request.user.pk})


def refresh_view():
    """Return the view at the URL at which the old package refreshes, as the guides say."""
    if SOURCE == "dj_rest_auth" and PART == "old":
        from dj_rest_auth.jwt_auth import get_refresh_view

        return get_refresh_view().as_view()
    if PART == "old":
        from rest_framework_simplejwt.views import TokenRefreshView

        return TokenRefreshView.as_view()
    if SOURCE == "dj_rest_auth":
        from jwtauth.contrib.old_logins.dj_rest_auth import TokenRefreshView as CookieRefreshView

        return CookieRefreshView.as_view()
    from jwtauth.views import TokenRefreshView as OwnRefreshView

    return OwnRefreshView.as_view()


urlpatterns = [
    path("who/", who),
    path("token/refresh/", refresh_view()),
    path("auth/", include("jwtauth.urls")),
]
application = get_wsgi_application()
