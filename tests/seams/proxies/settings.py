"""The test project behind a proxy: what docs/guides/deployment.md says, and the middleware of a new project."""

import os

from tests.databases.settings import *  # noqa: F403
from tests.databases.settings import JWTAUTH, MIDDLEWARE

ROOT_URLCONF = "tests.seams.proxies.urls"
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
# Each proxy in front of the site that has this set sends X-Forwarded-Host.
USE_X_FORWARDED_HOST = os.environ.get("JWTAUTH_TEST_FORWARDED_HOST") == "yes"
MIDDLEWARE = [
    "tests.seams.proxies.urls.number_responses",
    "django.middleware.security.SecurityMiddleware",
    "django.middleware.http.ConditionalGetMiddleware",
    *MIDDLEWARE,
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]
JWTAUTH = {**JWTAUTH, "COOKIE_SECURE": True, "NUM_PROXIES": 1, "ACCESS_TOKEN_CLAIMS": "tests.seams.proxies.urls.claims"}
