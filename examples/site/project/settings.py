"""Settings of the demo site: what `startproject` makes, plus jwtauth. Lines that are for the demo only say so."""

import os
from datetime import timedelta
from pathlib import Path

BASE_DIR = Path(__file__).resolve().parent.parent

# For the demo only: a key that every reader knows, and the debug pages.
SECRET_KEY = "every reader of this file knows this key, so it is for the demo site only"
DEBUG = True
ALLOWED_HOSTS = ["127.0.0.1", "localhost", "[::1]"]

INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "rest_framework",
    "drf_spectacular",
    "jwtauth",
    "demo",
]

MIDDLEWARE = [
    "demo.request_log.RequestLogMiddleware",  # for the demo only: what the page's table shows
    "django.middleware.security.SecurityMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "jwtauth.middleware.JWTAuthMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]

REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": ["jwtauth.JWTAuthentication"],
    "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAuthenticated"],
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
}

SPECTACULAR_SETTINGS = {"TITLE": "The demo site", "VERSION": "1", "SERVE_INCLUDE_SCHEMA": False}

# For the demo only: so short that a visitor sees a refresh, or a stolen token found, within half a minute. Leave these
# out of a real site. Their check warns that slow requests may outlast such a token.
JWTAUTH = {
    "ACCESS_TOKEN_LIFETIME": timedelta(seconds=20),
    "REFRESH_TOKEN_GRACE_PERIOD": timedelta(seconds=5),
}
SILENCED_SYSTEM_CHECKS = ["jwtauth.W001"]

# For the demo only: the path of the Rust service beside it, if there is one, and the file that says what became of it
# until it answers.
DEMO_SERVICE = os.environ.get("DEMO_SERVICE", "")
DEMO_SERVICE_STATE = os.environ.get("DEMO_SERVICE_STATE", "")

# For the demo only: the page shows what jwtauth logs about its session, and the terminal shows nothing else.
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"line": {"format": "{levelname} {name}: {message}", "style": "{"}},
    "handlers": {
        "page": {"class": "demo.security_log.PageHandler", "formatter": "line"},
        "terminal": {"class": "logging.StreamHandler", "formatter": "line"},
    },
    "loggers": {
        "jwtauth.security": {"handlers": ["page", "terminal"], "level": "WARNING"},
        "django.request": {"level": "ERROR"},
        "django.server": {"level": "ERROR"},
    },
}

ROOT_URLCONF = "project.urls"
LOGIN_URL = "sign-in"

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

DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": os.environ.get("DEMO_DATABASE", BASE_DIR / "db.sqlite3"),
        # Writers wait for each other instead of failing. Readers never wait.
        "OPTIONS": {
            "transaction_mode": "IMMEDIATE",
            "timeout": 20,
            "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;",
        },
    }
}

TIME_ZONE = "UTC"
USE_TZ = True
STATIC_URL = "static/"
