"""Count how many tokens of one tenant are accepted at the other.

python -m tests.tenants TOKENS

Writes JSON. For each order of the middleware, way to run it and interval, for each way in and URL, it has the number of
tokens of tenant a for which each statement is true. Settings: `tests/tenants/settings.py`.
"""

import json
import sys
from collections import defaultdict
from contextlib import redirect_stdout

import django
from asgiref.sync import async_to_sync
from django.conf import settings
from django.core.handlers.base import BaseHandler
from django.core.management import call_command
from django.db import connections
from django.test import AsyncRequestFactory, RequestFactory, override_settings

ORDERS, WAYS, INTERVALS = ("before", "after"), ("sync", "async"), (0, 10, None)
URLS = ("flag", "key", "plain", "drf", "loaded")


class Site:
    """A handler that answers requests, without a server, by these middleware in this way."""

    def __init__(self, order, way):
        middleware = list(settings.MIDDLEWARE)
        middleware.insert(0 if order == "before" else len(middleware), settings.TENANT_MIDDLEWARE)
        self.is_async, self.handler = way == "async", BaseHandler()
        with override_settings(MIDDLEWARE=middleware):
            self.handler.load_middleware(is_async=self.is_async)

    def accepts(self, tenant, url, **headers):
        factory = AsyncRequestFactory() if self.is_async else RequestFactory()
        request = factory.get(f"/{url}/", headers=headers)
        request.META["HTTP_HOST"] = f"{tenant}.example"
        answer = async_to_sync(self.handler.get_response_async) if self.is_async else self.handler.get_response
        response = answer(request)
        response.close()
        if response.status_code not in (200, 401, 403):
            raise RuntimeError(f"{response.status_code}: {response.content!r}")
        return response.status_code == 200


class SessionQueries:
    """Count the statements about sessions."""

    count = 0

    def __call__(self, execute, sql, params, many, context):
        self.count += "jwtauth_session" in sql
        return execute(sql, params, many, context)


def migrate():
    if settings.KIND == "schema":
        from tests.tenants.customers.models import Customer, Domain

        call_command("migrate_schemas", shared=True, run_syncdb=True, verbosity=0)
        for name in "ab":
            customer = Customer.objects.create(schema_name=name, name=name)
            Domain.objects.create(domain=f"{name}.example", tenant=customer, is_primary=True)
        return
    for alias in settings.DATABASES:
        enter(alias if settings.KIND == "database" else "a")
        call_command("migrate", database=alias, run_syncdb=True, verbosity=0)


def make_user(tenant):
    from django.contrib.auth import get_user_model

    enter(tenant)
    fields = {"tenant": tenant} if settings.KIND == "manager" else {}
    return get_user_model().objects.create_user(f"of {tenant}", **fields)


def make_tokens(user, count):
    """Return token pairs of this many new sessions of a user of tenant a."""
    enter("a")
    request = RequestFactory().get("/")
    return [tokens.pair(start_token_session(request, user), get_config()) for _ in range(count)]


def tried(site, pairs, queries):
    found = defaultdict(lambda: defaultdict(int))
    for index, pair in enumerate(pairs):
        url, is_bearer = URLS[index % len(URLS)], index // len(URLS) % 2
        if is_bearer:
            headers = {"authorization": f"Bearer {pair['access']}"}
        else:
            headers = {"cookie": f"access_token={pair['access']}"}
        of = found[f"{'bearer' if is_bearer else 'cookie'}, {url}"]
        of["tokens"] += 1
        of["at its own"] += site.accepts("a", url, **headers)
        before = queries.count
        of["at its own again"] += site.accepts("a", url, **headers)
        of["again, without a query"] += queries.count == before
        of["at the other"] += site.accepts("b", url, **headers)
        of["at its own afterwards"] += site.accepts("a", url, **headers)
        headers = {"cookie": f"refresh_token={pair['refresh']}"}
        of = found[f"refresh, {url}"]
        of["tokens"] += 1
        of["at the other"] += site.accepts("b", url, **headers)
        of["at its own afterwards"] += site.accepts("a", url, **headers)
    return found


def main():
    clock.monotonic_ms = lambda: 0  # no interval passes, however slow the machine is
    with redirect_stdout(sys.stderr):
        migrate()
    user, queries, found = make_user("a"), SessionQueries(), {}
    make_user("b")
    for alias in settings.DATABASES:
        connections[alias].execute_wrappers.append(queries)
    for order in ORDERS:
        for way in WAYS:
            for interval in INTERVALS:
                with override_settings(JWTAUTH={"SESSION_CHECK_INTERVAL": interval}):
                    pairs = make_tokens(user, int(sys.argv[1]))
                    found[f"{order}, {way}, {interval}"] = tried(Site(order, way), pairs, queries)
    json.dump(found, sys.stdout)


if __name__ == "__main__":
    django.setup()
    from jwtauth.conf import get_config
    from jwtauth.internal import tokens
    from jwtauth.internal.login import start_token_session
    from jwtauth.internal.store import clock
    from tests.tenants.site import enter

    main()
