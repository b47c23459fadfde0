"""A process of racers: threads with a connection each, controlled by lines of JSON on standard input.

`racing.Race` starts it as a fork. It answers each line with a line of JSON.
"""

import json
import os
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import django

os.environ["DJANGO_SETTINGS_MODULE"] = "tests.databases.settings"
django.setup()

from django.contrib.auth import get_user_model  # noqa: E402
from django.core.management import call_command  # noqa: E402
from django.core.signals import request_started  # noqa: E402
from django.db import close_old_connections, connection  # noqa: E402
from django.test import Client  # noqa: E402

from jwtauth.internal.store import cleanup, retries  # noqa: E402
from jwtauth.internal.store import clock as _clock  # noqa: E402
from tests.waiting import PATIENCE  # noqa: E402

# Which racer is first must not depend on when a process has read its orders.
HEAD_START = 0.01

writes = threading.local()


def set_time(now):
    _clock.now = lambda: now
    cleanup.is_due = lambda: False
    retries._PATIENCE = PATIENCE  # only the number of attempts limits them, not the speed of this machine


def watch(execute, sql, params, many, context):
    """Count the statements that changed a session's row."""
    result = execute(sql, params, many, context)
    if sql.startswith("UPDATE") and "jwtauth_session" in sql and "generation" in sql.partition("WHERE")[0]:
        writes.count += context["cursor"].rowcount
    return result


def request(url, cookies):
    """Serve a request as a server does: close old connections before and after, unless they persist."""
    writes.count = 0
    client = Client(raise_request_exception=False)
    for name, value in cookies.items():
        client.cookies[name] = value
    close_old_connections()
    if watch not in connection.execute_wrappers:
        connection.execute_wrappers.append(watch)
    started = time.perf_counter()
    response = client.get(url) if not url.startswith("/log") else client.post(url)
    took = time.perf_counter() - started
    close_old_connections()
    try:
        body = response.json()
    except ValueError:
        body = {}
    return {
        "url": url,
        "status": response.status_code,
        "body": body,
        "cookies": {name: morsel.value for name, morsel in response.cookies.items()},
        "writes": writes.count,
        "took": took,
        "error": repr(response.exc_info[1].__cause__ or response.exc_info[1]) if response.exc_info else None,
    }


def main():
    request_started.disconnect(close_old_connections)
    threads = int(sys.argv[1])
    barrier = threading.Barrier(threads)
    pool = ThreadPoolExecutor(threads)

    def race(url, cookies, start_at):
        barrier.wait()
        time.sleep(max(0.0, start_at - time.time()))
        return request(url, cookies)

    for line in sys.stdin:
        order = json.loads(line)
        set_time(order["now"])
        if order["do"] == "prepare":
            call_command("migrate", verbosity=0)
            user = get_user_model().objects.create_user("ada")
            answer = request(f"/login/?user={user.pk}", {})
        elif order["do"] == "request":
            answer = request(order["url"], order["cookies"])
        else:
            start_at = time.time() + HEAD_START
            answer = list(pool.map(lambda url: race(url, order["cookies"], start_at), order["urls"]))  # noqa: B023
        print(json.dumps(answer), flush=True)
