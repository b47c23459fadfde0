"""``python -m tests.databases.cleaning ROWS``: measure how the environment's database is cleaned; print JSON.

Half of the table's rows are live, and they are in no order of key, user or end, as in a real site. For comparison,
Django's `clearsessions` cleans a table of Django's sessions of the same size.
"""

import json
import os
import random
import resource
import select
import statistics
import subprocess
import sys
import time
from contextlib import contextmanager
from importlib import import_module
from io import StringIO
from itertools import islice
from subprocess import PIPE

import django

os.environ["DJANGO_SETTINGS_MODULE"] = "tests.databases.settings"
django.setup()

from django.conf import settings  # noqa: E402
from django.contrib.auth import get_user_model  # noqa: E402
from django.core.handlers.wsgi import WSGIHandler  # noqa: E402
from django.core.management import call_command  # noqa: E402
from django.db import connection  # noqa: E402
from django.test import RequestFactory  # noqa: E402

from jwtauth import _engine  # noqa: E402
from jwtauth.internal.store import cleanup  # noqa: E402
from jwtauth.internal.store import clock as _clock  # noqa: E402
from jwtauth.models import Session  # noqa: E402

DAY = 86_400
USERS = 10_000
LOGINS = 400
CHUNK = 50_000

application = WSGIHandler()

Clearsessions = import_module(settings.SESSION_ENGINE).SessionStore.get_model_class()


def new_session(user, began, ends):
    """Return a session of a user who did not return."""
    times = {"created_at": began, "rotated_at": began, "last_seen_at": began, "expires_at": ends}
    return Session(
        id=_engine.Sid.generate(began).session_id,
        user_id=user,
        generation=1,
        remember=True,
        auth_hash="h" * 64,
        user_agent="u" * 100,
        **{name: _clock.to_datetime(time) for name, time in times.items()},
    )


def times(now, is_live):
    """Return when a session began and when it ends; neither predicts the other."""
    began = now - random.randrange(2 * 3600, 60 * DAY)
    return began, now + random.randrange(DAY, 30 * DAY) if is_live else random.randrange(began, now - 3600)


def fill(rows, share):
    """Add this many sessions in random order, of which this share is live."""
    now, users = _clock.now(), list(get_user_model().objects.values_list("pk", flat=True))
    made_rows = (new_session(random.choice(users), *times(now, random.random() < share)) for _ in range(rows))
    while chunk := list(islice(made_rows, CHUNK)):
        Session.objects.bulk_create(chunk, batch_size=2_000)


def fill_django_sessions(rows):
    """Add this many of Django's sessions, half of them live."""
    now = _clock.now()
    ends = (times(now, random.random() < 0.5)[1] for _ in range(rows))
    made_rows = (
        Clearsessions(session_key=f"{random.getrandbits(160):032x}"[:32], session_data="d" * 200, expire_date=end)
        for end in map(_clock.to_datetime, ends)
    )
    while chunk := list(islice(made_rows, CHUNK)):
        Clearsessions.objects.bulk_create(chunk, batch_size=2_000)


def analyze():
    # Autovacuum does this while a table grows.
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE TABLE jwtauth_session" if connection.vendor == "mysql" else "ANALYZE")
        if connection.vendor == "sqlite":
            cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def milliseconds(seconds):
    return round(seconds * 1000, 1)


def percentile(values, share):
    return sorted(values)[int((len(values) - 1) * share)]


def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def login(user):
    """Return the time until the response to a login, and the time until the process can take another request."""
    environ, statuses = RequestFactory().post(f"/login/?user={user.pk}").environ, []
    started = time.perf_counter()
    response = application(environ, lambda status, headers: statuses.append(status))
    content = b"".join(response)
    answered = time.perf_counter()
    response.close()
    assert statuses == ["200 OK"], content
    return answered - started, time.perf_counter() - started


@contextmanager
def others():
    """Run other users' writes in another process; yield a list that receives each write's time when they end."""
    took = []
    with subprocess.Popen([sys.executable, "-m", __spec__.name], stdin=PIPE, stdout=PIPE, text=True) as process:
        try:
            assert process.stdout.readline() == "ready\n"
            yield took
        finally:
            process.stdin.close()
            took += json.loads(process.stdout.read())


def write_as_others():
    """Start a session and refresh it every few milliseconds, until standard input is closed."""
    took, user = [], get_user_model().objects.first().pk
    print("ready", flush=True)
    while not select.select([sys.stdin], [], [], 0.01)[0]:
        session = new_session(user, _clock.now(), _clock.now() + 3 * DAY)
        started = time.perf_counter()
        session.save(force_insert=True)
        assert Session.objects.filter(pk=session.pk, generation=1).update(generation=2)
        took.append(time.perf_counter() - started)
    print(json.dumps(took))


def timed(work):
    """Return the seconds that this work took, and those of each of its statements."""
    statements = []

    def watch(execute, *args):
        started = time.perf_counter()
        result = execute(*args)
        statements.append(time.perf_counter() - started)
        return result

    with connection.execute_wrapper(watch):
        started = time.perf_counter()
        work()
        return time.perf_counter() - started, statements


def command():
    """Run the command: measure it, each of its statements, and the waits of other users' writes meanwhile."""
    with others() as alone:
        time.sleep(5)
    before, said = peak(), StringIO()
    with others() as meanwhile:
        seconds, statements = timed(lambda: call_command("jwtauth_clearsessions", stdout=said))
    removed = int(said.getvalue().split()[1])
    return {
        "seconds": round(seconds, 1),
        "removed": removed,
        "row_us": round(seconds / removed * 1e6, 1),
        "kept": Session.objects.count() - len(alone) - len(meanwhile),
        "others": len(meanwhile),
        "others_alone_p99_ms": milliseconds(percentile(alone, 0.99)),
        "others_p50_ms": milliseconds(percentile(meanwhile, 0.5)),
        "others_p99_ms": milliseconds(percentile(meanwhile, 0.99)),
        "others_slowest_ms": milliseconds(max(meanwhile)),
        "statements": len(statements),
        "slowest_ms": milliseconds(max(statements)),
        "p99_ms": milliseconds(percentile(statements, 0.99)),
        "grown_mib": round((peak() - before) / 1024, 1),
    }


def clearsessions(rows):
    """Run Django's command on Django's sessions, and measure it."""
    fill_django_sessions(rows)
    before = Clearsessions.objects.count()
    seconds, statements = timed(lambda: call_command("clearsessions"))
    removed = before - Clearsessions.objects.count()
    return {
        "clearsessions_row_us": round(seconds / removed * 1e6, 1),
        "clearsessions_ms": milliseconds(max(statements)),
    }


def beside_logins(count):
    """Measure logins without and with upkeep, alternately."""
    user = get_user_model().objects.first()
    without, beside = [], []
    before = cleanup.expired().count()
    never, due = (_engine.CleanupSchedule(now, random=0) for now in (2**63, 0))
    for _ in range(count):
        cleanup._schedule = never
        without.append(login(user))
        cleanup._schedule = due  # it stays due while batches are full
        beside.append(login(user))
    (alone, alone_done), (answered, done) = zip(*without, strict=True), zip(*beside, strict=True)
    return {
        "logins": count,
        "beside_logins": before - cleanup.expired().count(),
        "login_ms": milliseconds(statistics.median(alone)),
        "login_more_ms": milliseconds(statistics.median(answered) - statistics.median(alone)),
        "login_more_p99_ms": milliseconds(percentile(answered, 0.99) - percentile(alone, 0.99)),
        "process_more_ms": milliseconds(statistics.median(done) - statistics.median(alone_done)),
        "process_more_p99_ms": milliseconds(percentile(done, 0.99) - percentile(alone_done, 0.99)),
    }


def main(rows):
    call_command("migrate", verbosity=0)
    model = get_user_model()
    model.objects.bulk_create(model(username=f"user {number}") for number in range(USERS))
    random.seed(18)
    fill(rows, share=0.5)
    analyze()
    found = beside_logins(min(LOGINS, rows // 800))
    analyze()
    print(json.dumps(found | command() | clearsessions(rows)))


if __name__ == "__main__":
    if len(sys.argv) > 1:
        main(int(sys.argv[1]))
    else:
        write_as_others()
