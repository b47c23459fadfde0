"""The test project behind a proxy: the settings of docs/guides/deployment.md, and a new project's middleware."""

import os

from tests.databases.settings import *  # noqa: F403
from tests.databases.settings import JWTAUTH, MIDDLEWARE

ROOT_URLCONF = "tests.seams.proxies.urls"
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
# A site with this set is behind proxies that all send X-Forwarded-Host.
USE_X_FORWARDED_HOST = os.environ.get("JWTAUTH_TEST_FORWARDED_HOST") == "yes"
MIDDLEWARE = [
    "tests.seams.proxies.urls.number_responses",
    "django.middleware.security.SecurityMiddleware",
    "django.middleware.http.ConditionalGetMiddleware",
    *MIDDLEWARE,
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]
JWTAUTH = {**JWTAUTH, "COOKIE_SECURE": True, "NUM_PROXIES": 1, "ACCESS_TOKEN_CLAIMS": "tests.seams.proxies.urls.claims"}
