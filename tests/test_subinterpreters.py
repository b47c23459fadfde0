"""Sub-interpreters, one for each site as with mod_wsgi: the first may import the engine, others are refused."""

import json
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from tests.waiting import PATIENCE

ROOT = Path(__file__).resolve().parents[1]

# `run` runs code in a sub-interpreter that shares the process's GIL, as those of mod_wsgi do.
SUBINTERPRETERS = """
import json, sys

try:
    import _interpreters as interpreters
    make = lambda: interpreters.create("legacy")
except ImportError:
    import _xxsubinterpreters as interpreters
    make = interpreters.create if sys.version_info < (3, 12) else lambda: interpreters.create(isolated=False)
kept = []  # as a server keeps them

def create():
    kept.append(make())
    return kept[-1]

def run(interpreter, code):
    error = interpreters.run_string(interpreter, f"import sys; sys.path[:] = {sys.path!r}\\n{code}")
    if error is not None:  # from Python 3.13 it is returned
        raise RuntimeError(error)
"""
SITE = """
import json, logging, types
import django
from django.conf import settings

settings.configure(
    SECRET_KEY="a key for tests only, as long as SHA-256 needs it to be",
    ALLOWED_HOSTS=["testserver"],
    ROOT_URLCONF="site_urls",
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}},
    INSTALLED_APPS=["django.contrib.auth", "django.contrib.contenttypes", "jwtauth"],
    MIDDLEWARE=["jwtauth.middleware.JWTAuthMiddleware"],
)
urls = sys.modules["site_urls"] = types.ModuleType("site_urls")
django.setup()
logging.disable(logging.CRITICAL)

from django.contrib.auth import get_user_model
from django.core.management import call_command
from django.http import HttpResponse
from django.test import Client
from django.urls import path
from jwtauth import login
from jwtauth.internal.store import clock

def sign_in(request):
    login(request, get_user_model().objects.get())
    return HttpResponse()

urls.urlpatterns = [
    path("", lambda request: HttpResponse(str(request.user))),
    path("in/", sign_in),
]
call_command("migrate", verbosity=0)
get_user_model().objects.create_user("ada")
client, said = Client(enforce_csrf_checks=True, raise_request_exception=False), {}

def who(name, **headers):
    answer = client.get("/", headers=headers)
    said[name] = f"{answer.status_code} {answer.content.decode()}"

def post(name, **headers):
    said[name] = client.post("/in/", headers=headers).status_code

who("stale cookie", cookie="access_token=stale")
said["stale bearer"] = client.get("/", headers={"authorization": "Bearer stale"}).status_code
post("sign in", origin="http://testserver")
who("signed in")
now = clock.now
clock.now = lambda: now() + 301
who("refreshed")
post("own origin", origin="http://testserver")
post("foreign origin", origin="https://evil.example")
print(json.dumps(said), flush=True)
"""
ANSWERS = {
    "stale cookie": "200 AnonymousUser",
    "stale bearer": 401,
    "sign in": 200,
    "signed in": "200 ada",
    "refreshed": "200 ada",
    "own origin": 200,
    "foreign origin": 403,
}


def process(code):
    """Return the lines that this code prints in its own process."""
    # Do not end the interpreters: CPython 3.10's sqlite3 hangs when it closes a connection in one of them.
    script = f"{SUBINTERPRETERS}{textwrap.dedent(code)}\nimport os; sys.stdout.flush(); os._exit(0)"
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, timeout=PATIENCE)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.splitlines()


def test_site_works_in_the_interpreter_that_imported_the_engine():
    [said] = process(f"run(create(), {SITE!r})")
    assert json.loads(said) == ANSWERS


@pytest.mark.parametrize("algorithm", ["HS256", "EdDSA"])
def test_own_origin_callback_runs_in_the_interpreter_of_the_request(algorithm):
    # The engine releases the GIL while it verifies a signature.
    code = f"""
import sys
from jwtauth import _engine

_pem, jwk, _public = _engine.generate_key({algorithm!r})
tokens = _engine.Tokens(_engine.Keyring(_engine.SigningKey.read(jwk.encode(), algorithm={algorithm!r})))
policy = _engine.RotationPolicy(access=300, idle=1000, absolute=None, grace=30)
origins = _engine.OriginPolicy([])
secrets = _engine.RenderSecrets([])
site = _engine.Site(tokens, policy, origins, secrets, access_name="a", refresh_name="r", bearer=True)
sid = _engine.Sid.generate(0)
claims = _engine.Claims(subject="1", sid=sid, generation=1, issued_at=0, expires_at=300)
token = tokens.issue(_engine.TokenKind.ACCESS, claims)
asked = []

def own():
    import sys as current
    asked.append(current is sys)
    return "https://own.example"

meta = {{"HTTP_COOKIE": f"a={{token}}", "HTTP_ORIGIN": "https://own.example"}}
identity = site.identify(meta, method="POST", version="HTTP/1.1", cookies=None, is_trusted=False, own=own, now=1)
print(identity.access.subject, asked)
"""
    assert process(f"run(create(), {code!r})") == ["1 [True]"]


def test_second_interpreter_is_refused_and_the_first_keeps_working():
    second = "try:\n    import jwtauth._engine\nexcept ImportError as error:\n    print(error)"
    again = "import sys\ndel sys.modules['jwtauth._engine']\nimport jwtauth._engine\nprint('again')"
    lines = process(
        f"""
        first, other = create(), create()
        run(first, {SITE!r})
        run(other, {second!r})
        run(other, {second!r})
        run(first, {again!r})
        exec({second!r})
        """
    )
    assert json.loads(lines[0]) == ANSWERS
    refusals = [lines[1], lines[2], lines[4]]
    assert lines[3] == "again"
    assert len(set(refusals)) == 1
    for cure in ("WSGIApplicationGroup %{GLOBAL}", "WSGIDaemonProcess", "in its own process"):
        assert cure in refusals[0]


def test_engine_is_refused_after_its_first_interpreter_has_ended():
    # Its classes still exist, and the next interpreter would share them.
    second = "try:\n    import jwtauth._engine\nexcept ImportError:\n    print('refused')"
    lines = process(
        f"""
        first = create()
        run(first, "import jwtauth._engine")
        interpreters.destroy(first)
        for _ in range(20):
            run(create(), {second!r})
        """
    )
    assert lines == ["refused"] * 20


@pytest.mark.skipif(sys.version_info < (3, 12), reason="interpreters had no GIL of their own before")
def test_interpreter_with_its_own_gil_is_refused_by_python():
    second = "try:\n    import jwtauth._engine\nexcept ImportError:\n    print('refused')"
    assert process(f"run(interpreters.create(), {second!r})") == ["refused"]
