"""Run a site beside another package, in its own process: ``python -m tests.neighbours.site NAME``.

Each case of ``sites/NAME.py`` runs with a sign-in by Django's session and with one by jwtauth, through WSGI and ASGI,
in each order of the middleware that it names; with jwtauth also without a check of the session in every request. The
last line printed is JSON: what each case expected and saw.
"""

from __future__ import annotations

import importlib
import json
import shutil
import sys
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from typing import Any

import django
from asgiref.sync import async_to_sync
from django.apps import apps
from django.conf import settings
from django.core.cache import cache
from django.core.management import call_command
from django.db import connection, transaction
from django.test import AsyncClient, Client, override_settings
from django.test.utils import setup_test_environment

from tests.neighbours.settings import BY_JWTAUTH, BY_SESSION, SITES
from tests.neighbours.settings import settings as site_settings

CASES: dict[str, Case] = {}
PASSWORD = "correct horse battery"
# How every token of jwtauth begins: '{"alg":'. Less of it also occurs in random text, such as a CSRF token.
TOKEN_START = "eyJhbGciOi"
USERS = ("ada", "bob", "eve")
ACCESS_LIFETIME = 300
# How the running case signs in: Django's session or jwtauth.
signed_in_by = BY_SESSION


@dataclass
class Case:
    function: Callable[..., Any]
    expected: Any
    orders: tuple[str, ...] = ()
    ways: tuple[str, ...] = (BY_SESSION, BY_JWTAUTH)
    protocols: tuple[str, ...] = ("wsgi", "asgi")
    settings: dict[str, Any] = field(default_factory=dict)


def case(expected: Any, **options: Any) -> Callable[..., Any]:
    """Declare a case: a function that takes a `Browser` and returns what it saw, the same for each way to sign in."""

    def declare(function: Callable[..., Any]) -> Callable[..., Any]:
        CASES[function.__name__] = Case(function, expected, **options)
        return function

    return declare


class Browser:
    """Wrap Django's sync or async test client, so that cases use both the same way."""

    def __init__(self, protocol: str, clock: Any) -> None:
        self.is_async, self._clock = protocol == "asgi", clock
        self.by_jwtauth = signed_in_by == BY_JWTAUTH
        client = AsyncClient if self.is_async else Client
        self.client = client(raise_request_exception=False)

    def enforce_origin(self) -> None:
        """Have requests checked as a browser's are: by default, Django's client sends them as already checked."""
        self.client.handler.enforce_csrf_checks = True

    def request(self, method: str, path: str, data: Any = None, **options: Any) -> Any:
        call = getattr(self.client, method)
        call = async_to_sync(call) if self.is_async else call
        return call(path, *(() if data is None else (data,)), **options)

    def get(self, path: str, **options: Any) -> Any:
        return self.request("get", path, **options)

    def post(self, path: str, data: Any = None, **options: Any) -> Any:
        return self.request("post", path, data, **options)

    def post_json(self, path: str, data: Any = None, **options: Any) -> Any:
        return self.request("post", path, data or {}, content_type="application/json", **options)

    def see(self, path: str, **options: Any) -> Any:
        """Return what a page answers: its JSON, or else its status."""
        return said(self.get(path, **options))

    def sign_in(self, name: str = "ada") -> None:
        response = self.post(f"/sign-in/{name}/")
        assert response.status_code == 200, response.content

    def sign_out(self) -> None:
        response = self.post("/sign-out/")
        assert response.status_code == 200, response.content

    def outlive_access_token(self) -> None:
        """Let the access token expire: the next request refreshes the session."""
        self._clock.advance(ACCESS_LIFETIME + 1)

    def tokens(self) -> list[str]:
        """Return every secret cookie of this browser."""
        names = ("access_token", "refresh_token", "sessionid")
        found = {name: self.client.cookies[name].value for name in names if name in self.client.cookies}
        assert all(value.startswith(TOKEN_START) for name, value in found.items() if name != "sessionid")
        return list(found.values())


def said(response: Any) -> Any:
    if response.status_code == 200 and response.get("Content-Type", "").startswith("application/json"):
        return json.loads(response.content)
    return response.status_code


def run(name: str) -> dict[str, dict[str, Any]]:
    """Run every case of this site, and return what each expected and saw."""
    seen = {}
    for title, one in CASES.items():
        orders = one.orders or (next(iter(settings.ORDERS)),)
        for order, protocol, way in product(orders, one.protocols, one.ways):
            options = {"MIDDLEWARE": settings.ORDERS[order], **one.settings}
            label = f"{title}, signed in by {way}, {protocol}, order: {order}"
            seen[label] = run_case(one, protocol, way, options)
            if way == BY_JWTAUTH and order == orders[0]:
                options["JWTAUTH"] = {**settings.JWTAUTH, "SESSION_CHECK_INTERVAL": ACCESS_LIFETIME}
                seen[f"{label}, with SESSION_CHECK_INTERVAL"] = run_case(one, protocol, way, options)
    return seen


def run_case(one: Case, protocol: str, way: str, options: dict[str, Any]) -> dict[str, Any]:
    from jwtauth.test import stopped_clock

    with override_settings(**options), stopped_clock() as clock:
        _start_afresh(way)
        try:
            seen = one.function(Browser(protocol, clock))
        except Exception as error:
            traceback.print_exc()
            seen = f"{type(error).__name__}: {error}"
    return {"expected": one.expected, "seen": seen}


def _start_afresh(way: str) -> None:
    from django.contrib.auth import get_user_model
    from django.contrib.auth.models import Permission
    from django.contrib.contenttypes.models import ContentType

    global signed_in_by
    signed_in_by = way
    cache.clear()
    with transaction.atomic():
        for model in apps.get_models(include_auto_created=True):
            if model not in (Permission, ContentType) and model._meta.managed and not model._meta.proxy:
                with connection.cursor() as cursor:
                    cursor.execute(f"DELETE FROM {connection.ops.quote_name(model._meta.db_table)}")
    users = get_user_model().objects
    for name in USERS:
        users.create_user(name, f"{name}@example.com", PASSWORD)
    users.create_superuser("chief", "chief@example.com", PASSWORD)


def main(name: str) -> None:
    settings.configure(**site_settings(name, **SITES[name]))
    try:
        django.setup()
        setup_test_environment()
        importlib.import_module(settings.ROOT_URLCONF)
        call_command("migrate", verbosity=0, run_syncdb=True)
        call_command("check", fail_level="ERROR", stdout=sys.stderr)
        print(json.dumps(run(name)))
    finally:
        connection.close()
        shutil.rmtree(Path(settings.DATABASES["default"]["NAME"]).parent, ignore_errors=True)


if __name__ == "__main__":
    from tests.neighbours.site import main as _main  # not the module `__main__`, which the sites would import again

    _main(sys.argv[1])
