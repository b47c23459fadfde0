"""The bytes of a cached session and of the wheel, and the time to import the package, as JSON."""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median

ROOT = Path(__file__).resolve().parent.parent
SESSIONS = 65_536

REMEMBER = f"""
import resource
from jwtauth import _engine
def peak(): return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
memory, before = _engine.VerifiedSessions({SESSIONS}), None
def remember():
    sid = _engine.Sid.generate(0)
    claims = _engine.Claims(subject="123456", sid=sid, generation=1, issued_at=0, expires_at=1)
    memory.remember(claims, memory.asking(sid.session_id, scope=1, now=0))
remember()
before = peak()
for _ in range(4 * {SESSIONS}): remember()
print((peak() - before) / {SESSIONS})
"""

IMPORT = """
import time
started = time.perf_counter()
from django.conf import settings
settings.configure(
    SECRET_KEY="a key for benchmarks only, long enough for SHA-256",
    INSTALLED_APPS=["django.contrib.auth", "django.contrib.contenttypes", "rest_framework", *APPS],
)
import django
django.setup()
import django.core.handlers.wsgi, rest_framework.views, rest_framework.authentication
for name in MODULES: __import__(name)
print((time.perf_counter() - started) * 1000)
"""


# As installed: compiled once, not at each start.
ENVIRONMENT = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}


def run(source: str) -> float:
    return float(subprocess.check_output([sys.executable, "-c", source], text=True, env=ENVIRONMENT))


def import_ms() -> float:
    """Return how much longer a site takes to start with the app, its models, middleware and authentication."""
    without = f"APPS = MODULES = []\n{IMPORT}"
    within = f"APPS, MODULES = ['jwtauth'], ['jwtauth.middleware', 'jwtauth.authentication']\n{IMPORT}"
    pairs = [(run(without), run(within)) for _ in range(21)]
    # Take the minimum of each: other load can only add time.
    return min(longer for _, longer in pairs) - min(shorter for shorter, _ in pairs)


def wheel_bytes() -> int:
    with tempfile.TemporaryDirectory() as folder:
        command = [str(Path(sys.executable).with_name("maturin")), "build", "--release", "--quiet", "--out", folder]
        subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
        (wheel,) = Path(folder).glob("*.whl")
        return wheel.stat().st_size


print(
    json.dumps(
        {
            "session_bytes": median(run(REMEMBER) for _ in range(5)),
            "wheel_bytes": wheel_bytes(),
            "import_ms": import_ms(),
        }
    )
)
