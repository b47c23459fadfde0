"""Settings of a site with allauth's headless API for apps. The cases choose between its session and JWT strategies."""

from tests.neighbours.moved import settings

SECRET_KEY = settings.SECRET_KEY
ALLOWED_HOSTS = settings.ALLOWED_HOSTS
ROOT_URLCONF = settings.ROOT_URLCONF
DATABASES = settings.DATABASES
INSTALLED_APPS = [
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "rest_framework",
    "allauth",
    "allauth.account",
    "allauth.headless",
    "jwtauth",
]
MIDDLEWARE = [*settings.MIDDLEWARE, "allauth.account.middleware.AccountMiddleware"]
AUTHENTICATION_BACKENDS = [
    "django.contrib.auth.backends.ModelBackend",
    "allauth.account.auth_backends.AuthenticationBackend",
]
PASSWORD_HASHERS = settings.PASSWORD_HASHERS
DEFAULT_AUTO_FIELD = settings.DEFAULT_AUTO_FIELD
USE_TZ = True
REST_FRAMEWORK = settings.REST_FRAMEWORK
ACCOUNT_EMAIL_VERIFICATION = "none"
ACCOUNT_RATE_LIMITS = False
HEADLESS_ONLY = True
HEADLESS_JWT_ALGORITHM = "HS256"
JWTAUTH = settings.JWTAUTH
