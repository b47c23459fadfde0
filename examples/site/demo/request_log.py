"""For the demo only: remembers the last requests of each session, in this process, so that the page can show them."""

import time
from collections import OrderedDict, deque
from threading import Lock

from django.db import connection

_MAX_SESSIONS = 200
_MAX_REQUESTS = 40

_lock = Lock()
_sessions = OrderedDict()


def entries(session_id):
    """The last requests of a session, newest first."""
    with _lock:
        return list(_sessions.get(session_id, ()))


class RequestLogMiddleware:
    """Stands outermost, so that time and statements are those of the whole request."""

    def __init__(self, get_response):
        self.get_response = get_response

    def __call__(self, request):
        statements = 0

        def count(execute, *args):
            nonlocal statements
            statements += 1
            return execute(*args)

        started = time.perf_counter()
        with connection.execute_wrapper(count):
            response = self.get_response(request)
        duration = time.perf_counter() - started
        # Nothing of this page comes from another host, and the browser sees to it. DRF's pages have scripts in them.
        if not request.path.startswith(("/api/", "/auth/")):
            response.headers.setdefault("Content-Security-Policy", "default-src 'self'; frame-ancestors 'none'")
        auth = getattr(request, "jwtauth", None)  # a request for a foreign host does not come that far
        claims = auth and auth.claims
        if claims is not None and not request.path.startswith(("/api/log/", "/static/", "/admin/jsi18n/")):
            self.remember(request, response, claims, duration, statements)
        return response

    def remember(self, request, response, claims, duration, statements):
        entry = {
            "at": time.time(),
            "method": request.method,
            "path": request.path,
            "status": response.status_code,
            "outcome": outcome(request),
            "generation": claims.generation,
            "milliseconds": round(duration * 1000, 1),
            "statements": statements,
        }
        with _lock:
            log = _sessions.setdefault(claims.session_id, deque(maxlen=_MAX_REQUESTS))
            log.appendleft(entry)
            _sessions.move_to_end(claims.session_id)
            while len(_sessions) > _MAX_SESSIONS:
                _sessions.popitem(last=False)


def outcome(request):
    """What became of this request's tokens, in the words of the page."""
    auth = request.jwtauth
    if request.path == "/sign-in/":
        return "signed in"
    if auth.refreshed:
        return "refreshed"
    return "got the new tokens" if auth.renewed else "token still good"
