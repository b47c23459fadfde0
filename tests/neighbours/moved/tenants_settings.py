"""Two tenants with a database each; the middleware that chooses the tenant comes after jwtauth's."""

from tests.neighbours.moved.settings import *  # noqa: F403

DATABASES = {
    name: {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": ":memory:",
        "TEST": {"NAME": f"file:{name}?mode=memory&cache=shared"},
    }
    for name in ("default", "b")
}
DATABASE_ROUTERS = ["tests.neighbours.moved.tenants_cases.Router"]
MIDDLEWARE = [*MIDDLEWARE, "tests.neighbours.moved.tenants_cases.choose"]  # noqa: F405
