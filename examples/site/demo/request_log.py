"""For the demo only: remembers, in this process, the last requests of each session, so that the page can show them."""

import time
from collections import OrderedDict, deque
from threading import Lock

from django.db import connection

_MAX_SESSIONS = 200
_MAX_REQUESTS = 40
# The browser loads nothing from another host and runs no inline script.
_POLICY = "default-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
# DRF's pages have inline scripts.
_WITH_SCRIPTS = ("/api/", "/auth/")
_NOT_SHOWN = ("/api/log/", "/static/", "/admin/jsi18n/", "/rust/")

_lock = Lock()
_sessions = OrderedDict()


def entries(session_id):
    """Return the last requests of a session, newest first."""
    with _lock:
        return list(_sessions.get(session_id, ()))


class RequestLogMiddleware:
    """Time each request and count its SQL statements. Outermost, so that they are those of the whole request."""

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
        if not request.path.startswith(_WITH_SCRIPTS):
            response.headers.setdefault("Content-Security-Policy", _POLICY)
        auth = getattr(request, "jwtauth", None)  # Django refuses a request for another host before that is set
        claims = auth and auth.claims
        if claims is not None and not request.path.startswith(_NOT_SHOWN):
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
    """Return what happened to this request's tokens, in the words of the page."""
    auth = request.jwtauth
    if request.path == "/sign-in/":
        return "signed in"
    if auth.refreshed:
        return "refreshed"
    return "got the new tokens" if auth.renewed else "token still valid"
