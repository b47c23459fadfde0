"""Settings of the simulated site."""

import os

SECRET_KEY = "a key for simulations only, as long as SHA-512 needs an HMAC key: 64 bytes"
ALLOWED_HOSTS = ["site.test"]
ROOT_URLCONF = "tests.simulation.site"
DATABASES = {
    "default": {
        "ENGINE": "tests.simulation.sqlite",
        "NAME": os.environ.get("JWTAUTH_SIMULATION_DATABASE", ""),
        "CONN_MAX_AGE": None,
    }
}
INSTALLED_APPS = [
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "rest_framework",
    "jwtauth",
]
MIDDLEWARE = [
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "jwtauth.middleware.JWTAuthMiddleware",
]
REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": ["jwtauth.JWTAuthentication"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_THROTTLE_RATES": {"jwtauth_login": None},
}
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]  # quick
MIGRATION_MODULES = {"auth": None, "contenttypes": None, "sessions": None}
USE_TZ = True
USE_I18N = False

PASSWORD = "correct horse battery staple"  # every user's
