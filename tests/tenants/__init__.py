"""A site of two tenants, a and b, each at its host, in a separate process: tokens of a are tried at both."""

import json
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TOKENS = int(os.environ.get("JWTAUTH_TEST_TOKENS", "10"))
"""The number of tokens for each order of the middleware, way to run it, and interval."""


def tried(kind, databases):
    """Return what happened to `TOKENS` tokens: see `tests/tenants/__main__.py`."""
    environment = {
        **os.environ,
        "DJANGO_SETTINGS_MODULE": "tests.tenants.settings",
        "JWTAUTH_TEST_TENANTS": kind,
        "JWTAUTH_TEST_DATABASES": json.dumps(databases),
    }
    command = [sys.executable, "-W", "error", "-m", "tests.tenants", str(TOKENS)]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(done.stdout)


def assert_tokens_stay_with_their_tenant(found, *, remembers=True, refreshes_after=True):
    """Assert that every token of a is accepted at a and none at b, and that remembered sessions need no second query.

    ``refreshes_after``: whether a refresh works although the tenant's middleware comes after it.
    """
    assert len(found) == 12
    for name, ways_in in found.items():
        order, _way, interval = name.split(", ")
        for way_in, of in ways_in.items():
            where, count = f"{name}: {way_in}", of.pop("tokens")
            assert of.pop("at the other") == 0, where
            without_query = of.pop("again, without a query", None)
            if way_in.startswith("refresh") and order == "after" and not refreshes_after:
                continue
            assert set(of.values()) == {count}, where
            if way_in == "cookie, flag":
                assert without_query == (count if remembers and interval != "0" else 0), where
