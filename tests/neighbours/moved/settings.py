"""Settings of the sites whose logins move in: every package is installed, and each case names the source."""

SECRET_KEY = "a key for tests only, as long as SHA-512 needs an HMAC key to be: 64 bytes"
ALLOWED_HOSTS = ["testserver"]
ROOT_URLCONF = "tests.neighbours.moved.urls"
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}}
INSTALLED_APPS = [
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "rest_framework",
    "rest_framework.authtoken",
    "rest_framework_simplejwt.token_blacklist",
    "knox",
    "dj_rest_auth",
    "jwtauth",
]
MIDDLEWARE = [
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "jwtauth.middleware.JWTAuthMiddleware",
]
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]  # quick
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
USE_TZ = True
REST_FRAMEWORK = {"DEFAULT_AUTHENTICATION_CLASSES": ["jwtauth.JWTAuthentication"]}
REST_AUTH = {
    "USE_JWT": True,
    "SESSION_LOGIN": False,
    "TOKEN_MODEL": None,
    "JWT_AUTH_COOKIE": "old-access",
    "JWT_AUTH_REFRESH_COOKIE": "old-refresh",
}
JWTAUTH = {"COOKIE_SECURE": False}
