"""The test project for separate processes, whose databases are named in the environment."""

import json
import os

from tests.settings import *  # noqa: F403
from tests.settings import ALLOWED_HOSTS, DATABASES, INSTALLED_APPS, REST_FRAMEWORK

ALLOWED_HOSTS = [*ALLOWED_HOSTS, ".localhost"]
# Many tests sign in at one site. How many of them do so in a minute depends on the machine.
REST_FRAMEWORK = {**REST_FRAMEWORK, "DEFAULT_THROTTLE_RATES": {"jwtauth_login": None}}

if "JWTAUTH_TEST_USER" in os.environ:
    AUTH_USER_MODEL = os.environ["JWTAUTH_TEST_USER"]
    INSTALLED_APPS = [*INSTALLED_APPS, "tests.others"]

JWTAUTH = {"COOKIE_SECURE": False} | json.loads(os.environ.get("JWTAUTH_TEST_SETTINGS", "{}"))


class ReadsFromReplica:
    def db_for_read(self, model, **hints):
        return "replica"

    def db_for_write(self, model, **hints):
        return "default"


DATABASE_ROUTERS = [ReadsFromReplica()] if "replica" in DATABASES else []
