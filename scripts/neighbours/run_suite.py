"""Run the test suite of another project, alone or with jwtauth, and write the outcome of each test as JSON.

``run_suite.py baseline|beside RESULTS pytest ARGUMENT...`` or ``... script FILE ARGUMENT...`` or ``... module NAME
ARGUMENT...``. In ``beside`` mode, the app and the middleware are in the settings, in the order that the documentation
recommends, ``jwtauth.JWTAuthentication`` is the first of REST framework's authentication classes, and Django's test
clients log in with jwtauth in addition to Django.
"""

from __future__ import annotations

import json
import os
import runpy
import sys
import unittest
from contextlib import contextmanager
from pathlib import Path
from typing import Any

APP = "jwtauth"
DJANGO_MIDDLEWARE = "django.contrib.auth.middleware.AuthenticationMiddleware"
MIDDLEWARE = "jwtauth.middleware.JWTAuthMiddleware"
AUTHENTICATION = "jwtauth.JWTAuthentication"
REST_FRAMEWORK_DEFAULTS = ["rest_framework.authentication.SessionAuthentication"]
REST_FRAMEWORK_DEFAULTS += ["rest_framework.authentication.BasicAuthentication"]
KEY = "a key for the suites of other projects, 64 bytes long for SHA-512"

outcomes: dict[str, str] = {}


def record(test: str, outcome: str) -> None:
    """Keep the worst outcome of this test: of its set-up, its body, its subtests and its clean-up."""
    order = ("passed", "skipped", "failed")
    outcomes[test] = max(outcomes.get(test, "passed"), outcome, key=order.index)


class PytestRecorder:
    """A pytest plugin that records outcomes."""

    def pytest_runtest_logreport(self, report: Any) -> None:
        outcome = "failed" if report.outcome == "failed" else report.outcome
        record(report.nodeid, outcome)

    def pytest_collectreport(self, report: Any) -> None:
        if report.outcome == "failed":
            record(f"{report.nodeid} (collected)", "failed")


def record_unittest() -> None:
    """Record outcomes in unittest and in Django's runner, which also reports its subprocesses through this class."""
    result = unittest.TextTestResult
    for name, outcome in {
        "addSuccess": "passed",
        "addExpectedFailure": "passed",
        "addSkip": "skipped",
        "addFailure": "failed",
        "addError": "failed",
        "addUnexpectedSuccess": "failed",
    }.items():
        setattr(result, name, recording(getattr(result, name), outcome))
    add_subtest = result.addSubTest

    def record_subtest(self: Any, test: Any, subtest: Any, error: Any) -> None:
        record(test.id(), "passed" if error is None else "failed")
        add_subtest(self, test, subtest, error)

    result.addSubTest = record_subtest  # type: ignore[method-assign]


def recording(original: Any, outcome: str) -> Any:
    def add(self: Any, test: Any, *args: Any) -> None:
        record(test.id(), outcome)
        original(self, test, *args)

    return add


def change_set_up(mode: str) -> None:
    """Change Django so that every site set up from now on hashes quickly and, in ``beside`` mode, has jwtauth."""
    import django
    from django.apps import apps
    from django.conf import global_settings, settings

    set_up = django.setup

    def changed(*args: Any, **options: Any) -> None:
        if apps.ready:
            set_up(*args, **options)
            return
        if settings.PASSWORD_HASHERS == global_settings.PASSWORD_HASHERS:
            settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher", *settings.PASSWORD_HASHERS]
        if mode == "beside":
            add_to(settings)
        set_up(*args, **options)
        if mode == "beside":
            add_to_handlers()
            sign_in_by_both()

    django.setup = changed


def add_to(settings: Any) -> None:
    """Add jwtauth to these settings."""
    settings.INSTALLED_APPS = with_apps(settings.INSTALLED_APPS)
    settings.MIDDLEWARE = with_middleware(settings.MIDDLEWARE)
    if "NEIGHBOURS_NO_AUTHENTICATION" not in os.environ:
        rest_framework = dict(getattr(settings, "REST_FRAMEWORK", {}))
        others = rest_framework.get("DEFAULT_AUTHENTICATION_CLASSES", REST_FRAMEWORK_DEFAULTS)
        settings.REST_FRAMEWORK = {**rest_framework, "DEFAULT_AUTHENTICATION_CLASSES": [AUTHENTICATION, *others]}
    settings.JWTAUTH = {"SIGNING_KEY": KEY, **json.loads(os.environ.get("NEIGHBOURS_JWTAUTH", "{}"))}
    # If the tables of auth are created without migrations, jwtauth's must be too, because they refer to them.
    without = settings.MIGRATION_MODULES
    if isinstance(without, dict) and without.get("auth", "") is None:
        settings.MIGRATION_MODULES = {**without, APP: None}


def with_apps(installed: Any) -> list[str]:
    needed = ["django.contrib.contenttypes", "django.contrib.auth", "rest_framework", APP]
    return [*installed, *(app for app in needed if app not in installed)]


def with_middleware(middleware: Any) -> list[str]:
    """Insert jwtauth's middleware right after Django's, or last if Django's is missing."""
    names = list(middleware)
    if MIDDLEWARE not in names:
        after = names.index(DJANGO_MIDDLEWARE) + 1 if DJANGO_MIDDLEWARE in names else len(names)
        names.insert(after, MIDDLEWARE)
    return names


def add_to_handlers() -> None:
    """Add the middleware also if a test overrides MIDDLEWARE."""
    from django.apps import apps
    from django.conf import settings
    from django.core.handlers.base import BaseHandler

    load_middleware = BaseHandler.load_middleware

    def load(self: Any, is_async: bool = False) -> None:
        before = settings.MIDDLEWARE
        if not apps.is_installed(APP):
            load_middleware(self, is_async=is_async)
            return
        with replaced(settings, "MIDDLEWARE", before, with_middleware(before)):
            load_middleware(self, is_async=is_async)

    BaseHandler.load_middleware = load  # type: ignore[method-assign]


@contextmanager
def replaced(settings: Any, name: str, before: Any, value: Any) -> Any:
    setattr(settings, name, value)
    try:
        yield
    finally:
        setattr(settings, name, before)


def sign_in_by_both() -> None:
    """Make `login` and `force_login` of Django's test clients log in with jwtauth too."""
    from asgiref.sync import sync_to_async
    from django.apps import apps
    from django.contrib.auth import get_user_model
    from django.test.client import ClientMixin

    from jwtauth.models import Session
    from jwtauth.test import force_login

    login, alogin = ClientMixin._login, ClientMixin._alogin  # type: ignore[attr-defined]
    user_model = get_user_model()  # the target of jwtauth's foreign key; tests may replace AUTH_USER_MODEL

    def can_sign_in(user: Any) -> bool:
        return apps.is_installed(APP) and isinstance(user, user_model) and user.is_active

    def login_by_both(self: Any, user: Any, backend: Any = None) -> None:
        login(self, user, backend)
        if can_sign_in(user):
            force_login(self, user)

    async def alogin_by_both(self: Any, user: Any, backend: Any = None) -> None:
        await alogin(self, user, backend)
        if can_sign_in(user):
            await sync_to_async(force_login)(self, user)

    assert Session._meta.get_field("user").related_model is user_model
    ClientMixin._login, ClientMixin._alogin = login_by_both, alogin_by_both  # type: ignore[attr-defined]


def main(mode: str, results: str, kind: str, *arguments: str) -> int:
    sys.path[0] = str(Path.cwd())
    if "NEIGHBOURS_NO_DJANGO" not in os.environ:
        change_set_up(mode)
    status: Any = 0
    try:
        if kind == "pytest":
            import pytest

            status = pytest.main([*arguments], plugins=[PytestRecorder()])
        else:
            record_unittest()
            sys.argv = [*arguments]
            if kind == "script":
                sys.path[0] = str(Path(arguments[0]).resolve().parent)
                runpy.run_path(arguments[0], run_name="__main__")
            else:
                runpy.run_module(arguments[0], run_name="__main__", alter_sys=True)
    except SystemExit as end:
        status = end.code
    Path(results).write_text(json.dumps(outcomes))
    return int(status) if isinstance(status, int) else 1


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
