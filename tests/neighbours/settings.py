"""Settings of each site: the other package's apps, its middleware, and what else its documentation requires."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

BY_SESSION, BY_JWTAUTH = "session", "jwtauth"

APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.messages",
    "django.contrib.sessions",
    "django.contrib.staticfiles",
    "rest_framework",
    "jwtauth",
    "tests.neighbours",
]
BEFORE = [
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
]
DJANGO, JWTAUTH = "django.contrib.auth.middleware.AuthenticationMiddleware", "jwtauth.middleware.JWTAuthMiddleware"
REMOTE_USER = "django.contrib.auth.middleware.RemoteUserMiddleware"
AFTER = ["django.contrib.messages.middleware.MessageMiddleware"]
# The documented order, and that of 0.0.8.
ORDERS = {"recommended": [*BEFORE, DJANGO, JWTAUTH, *AFTER], "0.0.8": [JWTAUTH, *BEFORE, DJANGO, *AFTER]}

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    },
]


def settings(
    name: str,
    *,
    apps: list[str] | None = None,
    before: list[str] | None = None,
    middleware: list[str] | None = None,
    orders: dict[str, list[str]] = ORDERS,
    **others: Any,
) -> dict[str, Any]:
    """Return the settings of a site with these apps and middleware: ``before`` is listed first, ``middleware`` last."""
    folder = tempfile.mkdtemp(prefix="neighbours-")
    orders = {order: [*(before or []), *stack, *(middleware or [])] for order, stack in orders.items()}
    return {
        "SECRET_KEY": "a key for tests only, as long as SHA-512 needs an HMAC key to be: 64 bytes",
        "ALLOWED_HOSTS": ["testserver", "localhost"],
        "ROOT_URLCONF": f"tests.neighbours.sites.{name}",
        "DATABASES": {
            "default": {
                "ENGINE": "django.db.backends.sqlite3",
                "NAME": str(Path(folder, "db.sqlite3")),
                "OPTIONS": {"init_command": "PRAGMA synchronous = OFF; PRAGMA journal_mode = MEMORY"},
            },
        },
        "INSTALLED_APPS": [*APPS, *(apps or [])],
        "MIDDLEWARE": next(iter(orders.values())),
        "ORDERS": orders,
        "TEMPLATES": TEMPLATES,
        "STATIC_URL": "/static/",
        "DEFAULT_AUTO_FIELD": "django.db.models.BigAutoField",
        "PASSWORD_HASHERS": ["django.contrib.auth.hashers.MD5PasswordHasher"],  # quick
        "LOGIN_URL": "/login/",
        "LOGIN_REDIRECT_URL": "/who/",
        "USE_TZ": True,
        "REST_FRAMEWORK": {"DEFAULT_AUTHENTICATION_CLASSES": ["jwtauth.JWTAuthentication"]},
        "JWTAUTH": {"COOKIE_SECURE": False},
        **others,
    }


def _second_factor(name: str) -> dict[str, Any]:
    """Return the settings of jwtauth in a site that names the enrolled factors of its users."""
    return {"COOKIE_SECURE": False, "SECOND_FACTOR": f"tests.neighbours.sites.second_factor_{name}.enrolled"}


SITES: dict[str, dict[str, Any]] = {
    "otp": {
        "apps": ["django_otp", "django_otp.plugins.otp_static"],
        "middleware": ["django_otp.middleware.OTPMiddleware"],
        "OTP_LOGIN_URL": "/otp/",
    },
    "impersonate": {
        "apps": ["impersonate"],
        "middleware": ["impersonate.middleware.ImpersonateMiddleware"],
    },
    "hijack": {
        "apps": ["hijack"],
        "middleware": ["hijack.middleware.HijackUserMiddleware"],
    },
    "auditlog": {
        "apps": ["auditlog"],
        "middleware": ["auditlog.middleware.AuditlogMiddleware"],
    },
    "history": {
        "apps": ["simple_history"],
        "middleware": ["simple_history.middleware.HistoryRequestMiddleware"],
    },
    "guardian": {
        "apps": ["guardian"],
        "AUTHENTICATION_BACKENDS": [
            "django.contrib.auth.backends.ModelBackend",
            "guardian.backends.ObjectPermissionBackend",
        ],
    },
    "polymorphic": {
        "apps": ["polymorphic", "tests.neighbours.members"],
        "AUTH_USER_MODEL": "members.Member",
    },
    "axes": {
        "apps": ["axes"],
        "middleware": ["axes.middleware.AxesMiddleware"],
        "AUTHENTICATION_BACKENDS": ["axes.backends.AxesBackend", "django.contrib.auth.backends.ModelBackend"],
        "AXES_FAILURE_LIMIT": 3,
        "AXES_HTTP_RESPONSE_CODE": 429,
    },
    "debug_toolbar": {
        "apps": ["debug_toolbar"],
        "before": ["debug_toolbar.middleware.DebugToolbarMiddleware"],
        "DEBUG": True,
        "INTERNAL_IPS": ["127.0.0.1"],
        "DEBUG_TOOLBAR_CONFIG": {"IS_RUNNING_TESTS": False},
    },
    "silk": {
        "apps": ["silk"],
        "before": ["silk.middleware.SilkyMiddleware"],
        "SILKY_PERMISSIONS": None,
    },
    "sentry": {},
    "opentelemetry": {},
    "channels": {"apps": ["channels"], "CHANNEL_LAYERS": {}},
    "adrf": {"apps": ["adrf"]},
    "spectacular": {
        "apps": ["drf_spectacular"],
        "REST_FRAMEWORK": {
            "DEFAULT_AUTHENTICATION_CLASSES": ["jwtauth.JWTAuthentication"],
            "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
            "DEFAULT_VERSIONING_CLASS": "rest_framework.versioning.URLPathVersioning",
            "ALLOWED_VERSIONS": ["v1", "v2"],
        },
    },
    "cors": {
        "apps": ["corsheaders"],
        "before": ["corsheaders.middleware.CorsMiddleware"],
        "CORS_ALLOWED_ORIGINS": ["https://app.example"],
        "CORS_ALLOW_CREDENTIALS": True,
    },
    "two_factor": {
        "apps": [
            "django_otp",
            "django_otp.plugins.otp_static",
            "django_otp.plugins.otp_totp",
            "two_factor",
        ],
        "middleware": ["django_otp.middleware.OTPMiddleware"],
        "LOGIN_URL": "two_factor:login",
    },
    "allauth": {
        "apps": ["allauth", "allauth.account"],
        "middleware": ["allauth.account.middleware.AccountMiddleware"],
        "AUTHENTICATION_BACKENDS": [
            "django.contrib.auth.backends.ModelBackend",
            "allauth.account.auth_backends.AuthenticationBackend",
        ],
        "ACCOUNT_EMAIL_VERIFICATION": "none",
        "ACCOUNT_RATE_LIMITS": False,
    },
    "second_factor_otp": {
        "apps": ["django_otp", "django_otp.plugins.otp_totp"],
        "middleware": ["django_otp.middleware.OTPMiddleware"],
        "JWTAUTH": _second_factor("otp"),
    },
    "second_factor_wizard": {
        "apps": [
            "django_otp",
            "django_otp.plugins.otp_static",
            "django_otp.plugins.otp_totp",
            "two_factor",
        ],
        "middleware": ["django_otp.middleware.OTPMiddleware"],
        "LOGIN_URL": "two_factor:login",
        "JWTAUTH": _second_factor("wizard"),
    },
    "second_factor_allauth": {
        "apps": ["allauth", "allauth.account", "allauth.mfa"],
        "middleware": ["allauth.account.middleware.AccountMiddleware"],
        "AUTHENTICATION_BACKENDS": [
            "django.contrib.auth.backends.ModelBackend",
            "allauth.account.auth_backends.AuthenticationBackend",
        ],
        "ACCOUNT_EMAIL_VERIFICATION": "none",
        "ACCOUNT_RATE_LIMITS": False,
        "JWTAUTH": _second_factor("allauth"),
    },
    "dj_rest_auth": {
        "apps": ["rest_framework.authtoken", "dj_rest_auth"],
        "REST_AUTH": {"USE_JWT": True, "JWT_AUTH_COOKIE": "their-auth", "JWT_AUTH_REFRESH_COOKIE": "their-refresh"},
    },
    "gate": {"middleware": ["tests.neighbours.sites.gate.Gate"]},
    "remote_user": {
        "AUTHENTICATION_BACKENDS": [
            "django.contrib.auth.backends.ModelBackend",
            "django.contrib.auth.backends.RemoteUserBackend",
        ],
        "orders": {
            "before jwtauth's": [*BEFORE, DJANGO, REMOTE_USER, JWTAUTH, *AFTER],
            "after jwtauth's": [*BEFORE, DJANGO, JWTAUTH, REMOTE_USER, *AFTER],
            "0.0.8": [JWTAUTH, *BEFORE, DJANGO, REMOTE_USER, *AFTER],
        },
    },
}
