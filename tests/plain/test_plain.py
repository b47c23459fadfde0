"""Sites without Django REST Framework: nothing imports it, and the package works if it is not installed."""

import ast
import json
import os
import re
import subprocess
import sys

import pytest

from tests.test_package import MODULES, PACKAGE, ROOT

# The parts of the package that are for DRF.
OF_DRF = {
    "jwtauth.authentication",
    "jwtauth.contrib.old_logins.allauth",
    "jwtauth.contrib.old_logins.dj_rest_auth",
    "jwtauth.contrib.spectacular",
    "jwtauth.internal.drf",
    "jwtauth.serializers",
    "jwtauth.urls",
    "jwtauth.views",
}
# These need the packages whose logins they read, and are imported only if a setting names them.
SOURCES = {module for module in MODULES if module.startswith("jwtauth.contrib.old_logins.")}
OTHERS = sorted({*MODULES} - OF_DRF)


def run(source, without="", **environment):
    """Return the finished process of a new interpreter in which the modules of ``without`` cannot be imported."""
    inherited = {name: value for name, value in os.environ.items() if name != "DJANGO_SETTINGS_MODULE"}
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", source],
        cwd=ROOT,
        env={**inherited, "WITHOUT": without, **environment},
        capture_output=True,
        text=True,
    )


@pytest.mark.parametrize("without", ["", "rest_framework drf_spectacular ua_parser"], ids=["unused", "missing"])
def test_site_without_drf_works_and_does_not_import_it(tmp_path, without):
    done = run(
        "import django; django.setup(); from tests.plain import site; site.main()",
        without=without,
        DATABASE=str(tmp_path / "db.sqlite3"),
        DJANGO_SETTINGS_MODULE="tests.plain.settings",
        MODULES=" ".join(OTHERS),
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {
        "login": "ada",
        "refresh": {"user": "ada", "refreshed": True},
        "devices": ["Firefox on Linux"],
        "admin": 200,
        "cross_origin": "cross_origin",
        "bearer": "token_not_valid",
        "landing": 200,
        "password": "ada",
        "logout": "AnonymousUser",
        "after": "AnonymousUser",
        "async": "ada",
        "left": 0,
        "imported": [],
    }


def imports_drf(module):
    """Return whether the source of this module imports DRF, also inside functions unless it is of `SOURCES`."""
    path = PACKAGE.parent.joinpath(*module.split("."))
    file = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    tree = ast.parse(file.read_text())
    nodes = tree.body if module in SOURCES else list(ast.walk(tree))
    names = [name.name for node in nodes if isinstance(node, ast.Import) for name in node.names]
    names += [node.module or "" for node in nodes if isinstance(node, ast.ImportFrom)]
    return any(name.split(".")[0] == "rest_framework" for name in names)


@pytest.mark.parametrize("module", MODULES)
def test_only_the_parts_for_drf_import_it(module):
    assert imports_drf(module) == (module in OF_DRF)


CONFIGURED = """
import os, sys
for hidden in os.environ["WITHOUT"].split():
    sys.modules[hidden] = None
import django
from django.conf import settings
settings.configure(
    SECRET_KEY="k" * 50,
    ROOT_URLCONF="jwtauth.urls",
    INSTALLED_APPS=["django.contrib.auth", "django.contrib.contenttypes", "jwtauth"],
    MIDDLEWARE=["jwtauth.middleware.JWTAuthMiddleware"],
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}},
    JWTAUTH=SETTINGS,
)
django.setup()
from django.core.management import call_command
"""


def test_urls_without_drf_are_explained_by_the_system_check():
    done = run(CONFIGURED.replace("SETTINGS", "{}") + "call_command('check')", without="rest_framework")
    assert done.returncode == 1
    assert "ImproperlyConfigured: jwtauth.urls needs Django REST Framework: install" in done.stderr


def test_serializer_that_the_project_has_set_is_still_checked_without_drf():
    source = CONFIGURED.replace("SETTINGS", '{"LOGIN_SERIALIZER": "jwtauth.serializers.LoginSerializer"}')
    done = run(source + "call_command('check', tags=['jwtauth'])", without="rest_framework")
    assert done.returncode == 1
    assert re.search(r"\(jwtauth\.E014\) JWTAUTH\['LOGIN_SERIALIZER'\]: .*\brest_framework\b", done.stderr)


@pytest.mark.parametrize(
    ("statement", "error"),
    [
        ("from jwtauth import JWTAuthentication", r"ModuleNotFoundError: .*\brest_framework\b"),
        (
            "jwtauth.JwtAuthentication",
            r"AttributeError: jwtauth\.JwtAuthentication needs Django REST Framework: install",
        ),
    ],
)
def test_authentication_class_without_drf_is_explained(statement, error):
    source = CONFIGURED.replace("SETTINGS", "{}") + f"import jwtauth\n{statement}"
    done = run(source, without="rest_framework")
    assert done.returncode == 1
    assert re.search(error, done.stderr)


def test_import_hook_that_raises_counts_as_missing():
    hook = """
class Refuse:
    def find_spec(self, name, *args):
        if name == "rest_framework":
            raise ImportError("no DRF here")
sys.meta_path.insert(0, Refuse())
import inspect, jwtauth
print(*sorted(set(jwtauth.__all__) - set(dir(jwtauth)) - set(dict(inspect.getmembers(jwtauth)))))
"""
    done = run(CONFIGURED.replace("SETTINGS", "{}") + hook)
    assert done.stdout.split() == ["JWTAuthentication", "JwtAuthentication"], done.stderr
