"""The package as a whole: its exports, imports without side effects, and a complete reference."""

import ast
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import jwtauth
from jwtauth import middleware

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "python" / "jwtauth"
MODULES = sorted(
    ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts).removesuffix(".__init__")
    for path in PACKAGE.rglob("*.py")
    if "migrations" not in path.parts
)


# The parts of the package. Modules at its top level are public, except these.
PRIVATE = {"internal", "contrib", "management", "migrations"}
PUBLIC = [name for name in MODULES if name != "jwtauth" and name.split(".")[1] not in PRIVATE]


def imported(module):
    """Return the modules of the package that this one imports, also inside functions, but not for type checkers."""
    path = PACKAGE.parent.joinpath(*module.split("."))
    file = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    found, nodes = set(), [ast.parse(file.read_text())]
    while nodes:
        node = nodes.pop()
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            nodes += node.orelse
            continue
        nodes += ast.iter_child_nodes(node)
        if isinstance(node, ast.Import):
            found |= {name.name for name in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module} has a relative import"
            both = {name.name: f"{node.module}.{name.name}" for name in node.names}
            found |= {both[name] if both[name] in MODULES else node.module for name in both}
    return found & set(MODULES) - {module}


def run_python(source, **environment):
    """Return the standard output of a new interpreter that runs this source, without settings unless given."""
    inherited = {name: value for name, value in os.environ.items() if name != "DJANGO_SETTINGS_MODULE"}
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", source],
        cwd=ROOT,
        env={**inherited, **environment},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


def test_package_does_not_import_sqlite_on_a_site_without_it():
    source = """
import sys
sys.modules["sqlite3"] = sys.modules["_sqlite3"] = None
import django
from django.conf import settings
settings.configure(
    SECRET_KEY="k" * 50,
    INSTALLED_APPS=["django.contrib.auth", "django.contrib.contenttypes", "jwtauth"],
    DATABASES={"default": {"ENGINE": "django.db.backends.dummy"}},
)
django.setup()
import jwtauth.middleware, jwtauth.views
print(*(name for name in sys.modules if name.startswith("django.db.backends.sqlite3")), "imported")
"""
    assert run_python(source) == ["imported"]


@pytest.mark.parametrize("name", jwtauth.__all__)
def test_every_name_in_all_exists(name):
    assert callable(getattr(jwtauth, name))
    assert name in dir(jwtauth)


def test_names_of_0_0_8_are_aliases():
    assert jwtauth.JwtAuthentication is jwtauth.JWTAuthentication
    assert middleware.AuthenticationMiddleware is middleware.JWTAuthMiddleware


def test_unknown_name_raises_attribute_error():
    with pytest.raises(AttributeError, match="module 'jwtauth' has no attribute 'sign_in'"):
        _ = jwtauth.sign_in


def test_importing_the_package_needs_no_settings_and_no_models():
    source = (
        "import sys, jwtauth; dir(jwtauth); print(jwtauth.__version__);"
        "print([n for n in ('django.contrib.auth.models', 'rest_framework', 'jwtauth.models') if n in sys.modules])"
    )
    assert run_python(source) == [jwtauth.__version__, "[]"]


# Projects in which the package is installed but not in use, or not yet.
BARE = "import jwtauth"
NO_APP = """
import django, jwtauth
from django.conf import settings
settings.configure(INSTALLED_APPS=["django.contrib.auth", "django.contrib.contenttypes"], SECRET_KEY="k" * 50)
"""
NOT_READY = NO_APP.replace('"django.contrib.contenttypes"', '"django.contrib.contenttypes", "jwtauth"')
PROJECTS = {
    "no settings": BARE,
    "settings, no setup": NO_APP,
    "not the app": NO_APP + "django.setup()",
    "not ready": NOT_READY,
}


@pytest.mark.parametrize("project", PROJECTS.values(), ids=PROJECTS)
def test_inspecting_the_package_loads_no_models_and_raises_no_error(project):
    source = """
import inspect, pydoc, sys
members = dict(inspect.getmembers(jwtauth))
found = [name for name in jwtauth.__all__ if hasattr(jwtauth, name) or name in members or name in dir(jwtauth)]
help_text = pydoc.render_doc(jwtauth)
models = [name for name in sys.modules if name in ("jwtauth.models", "rest_framework")]
print(found, models, "rotating" in help_text, jwtauth.__version__)
"""
    assert run_python(project + source) == ["[]", "[]", "True", jwtauth.__version__]


@pytest.mark.parametrize(
    ("project", "reason"),
    [
        ("no settings", "ImproperlyConfigured: Requested setting INSTALLED_APPS"),
        ("not the app", "RuntimeError: Model class jwtauth.models.Session doesn't declare an explicit app_label"),
        ("not ready", "AppRegistryNotReady: Apps aren't loaded yet"),
    ],
)
@pytest.mark.parametrize("statement", ["from jwtauth import login", "from jwtauth import *"])
def test_import_before_setup_explains_the_error(project, statement, reason):
    source = f"""
{PROJECTS[project]}
try:
    {statement}
except Exception as error:
    print(f"{{type(error).__name__}}: {{error}}")
"""
    assert " ".join(run_python(source)).startswith(reason)


def test_attribute_access_before_setup_explains_the_error():
    source = PROJECTS["not the app"] + "\njwtauth.login"
    with pytest.raises(AssertionError, match=r"jwtauth\.login needs Django's apps"):
        run_python(source)


def test_star_import_works_on_a_site_with_the_app():
    source = (
        NOT_READY
        + """
django.setup()
listed = set(jwtauth.__all__) <= set(dir(jwtauth))
from jwtauth import *
print(listed, all(name in globals() for name in jwtauth.__all__))
"""
    )
    assert run_python(source) == ["True", "True"]


def test_every_module_can_be_imported_first():
    # A new interpreter takes a second, so one interpreter forks for each import.
    source = f"""
import importlib, os, sys, warnings
import django
django.setup()
from django.contrib import admin
from jwtauth.models import Session
loaded = [name for name in sys.modules if name.split(".")[0] == "jwtauth"]
for module in {MODULES!r}:
    child = os.fork()
    if child == 0:
        for name in loaded:
            if not name.startswith(("jwtauth._engine", "jwtauth.models")):
                del sys.modules[name]
        admin.site.unregister(Session)
        importlib.import_module(module)
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0, module
    print(module)
"""
    assert run_python(source, DJANGO_SETTINGS_MODULE="tests.settings") == MODULES


def test_package_has_no_import_cycles():
    graph = {module: imported(module) for module in MODULES}
    assert "jwtauth.request" in graph["jwtauth.internal.flow"]
    while leaves := [module for module, needed in graph.items() if not needed & graph.keys()]:
        for module in leaves:
            del graph[module]
    assert graph == {}, "these modules import each other, or import such modules"


@pytest.mark.parametrize("module", PUBLIC)
def test_reference_names_every_public_module(module):
    pages = " ".join(page.read_text() for page in (ROOT / "docs/reference").glob("*.md"))
    assert re.search(rf"(?<![\w.]){re.escape(module)}(?!\w)", pages), "name it in docs/reference, or make it internal"


def test_pytest_plugin_imports_no_django_module():
    source = """
import sys, jwtauth.contrib.pytest_plugin
print(*sorted(name for name in sys.modules if name.split(".")[0] in ("django", "jwtauth", "rest_framework")))
"""
    assert run_python(source) == ["jwtauth", "jwtauth.contrib", "jwtauth.contrib.pytest_plugin"]


def test_package_has_py_typed():
    assert (PACKAGE / "py.typed").is_file()
    assert (PACKAGE / "_engine.pyi").is_file()


def test_version_equals_cargo_s():
    cargo = (ROOT / "Cargo.toml").read_text()
    version = re.search(r'^\[workspace\.package\]\n(?:.+\n)*?version = "(.+)"$', cargo, re.M)
    assert jwtauth.__version__ == version[1]
