"""Settings of a site of two tenants, which are separated in the way that the environment names."""

import json
import os

# By a database for each (tenant a's is the default one), by a manager that filters, by an authentication backend that
# checks the host, or by a schema for each, with django-tenants.
KIND = os.environ["JWTAUTH_TEST_TENANTS"]

SECRET_KEY = "a key for tests only, as long as SHA-256 needs it to be"
ALLOWED_HOSTS = [".example"]
ROOT_URLCONF = "tests.tenants.site"
DATABASES = json.loads(os.environ["JWTAUTH_TEST_DATABASES"])
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
INSTALLED_APPS = [
    "django.contrib.contenttypes",
    "django.contrib.auth",
    "django.contrib.sessions",
    "rest_framework",
    "jwtauth",
]
MIDDLEWARE = [
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "jwtauth.middleware.JWTAuthMiddleware",
]
TENANT_MIDDLEWARE = "tests.tenants.site.TenantMiddleware"
REST_FRAMEWORK = {"DEFAULT_AUTHENTICATION_CLASSES": ["jwtauth.JWTAuthentication"]}
USE_TZ = True

if KIND == "database":
    DATABASE_ROUTERS = ["tests.tenants.site.Router"]
elif KIND == "manager":
    INSTALLED_APPS = ["tests.tenants", *INSTALLED_APPS]
    AUTH_USER_MODEL = "tenants.Member"
elif KIND == "host":
    AUTHENTICATION_BACKENDS = ["tests.tenants.site.Backend"]
elif KIND == "schema":
    TENANT_APPS = INSTALLED_APPS
    SHARED_APPS = ["django_tenants", "tests.tenants.customers", "django.contrib.contenttypes"]
    INSTALLED_APPS = [*SHARED_APPS[:2], *TENANT_APPS]
    TENANT_MODEL, TENANT_DOMAIN_MODEL = "customers.Customer", "customers.Domain"
    TENANT_MIDDLEWARE = "django_tenants.middleware.main.TenantMainMiddleware"
    DATABASE_ROUTERS = ["django_tenants.routers.TenantSyncRouter"]
else:
    raise ValueError(KIND)
