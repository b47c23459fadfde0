"""For the demo only: a thief, who copies the visitor's refresh token and uses it when the browser has a newer one."""

import base64
import http.client
import json
import time
from collections import OrderedDict
from threading import Lock
from typing import NamedTuple

from django.conf import settings
from django.urls import reverse
from drf_spectacular.utils import extend_schema
from rest_framework.decorators import api_view
from rest_framework.response import Response

from demo import security_log

COOKIE = "refresh_token"
GRACE = settings.JWTAUTH["REFRESH_TOKEN_GRACE_PERIOD"].total_seconds()
# The table has whole seconds, so wait a little longer than the grace period.
MARGIN = 2
_MAX_COPIES = 200

_lock = Lock()
_copies = OrderedDict()


@extend_schema(exclude=True)
@api_view(["POST"])
def copy(request):
    """Keep a copy of the refresh token, as a thief would: no script in the page can read it."""
    token = request.COOKIES.get(COOKIE)
    if token is None:
        return Response({"detail": "The request has no refresh token to copy."}, status=409)
    with _lock:
        _copies[request.auth.session_id] = token
        while len(_copies) > _MAX_COPIES:
            _copies.popitem(last=False)
    return Response({"generation": generation_of(token)})


@extend_schema(exclude=True)
@api_view(["POST"])
def use(request):
    """Send the copy from another client as soon as it can be told from a late request, and show what came of it."""
    session = request.jwtauth.session
    with _lock:
        token = _copies.get(session.pk)
    if token is None:
        return Response({"detail": "There is no copy of this session's token."}, status=409)
    if (wait := seconds_to_wait(session, generation_of(token))) != 0:
        return Response({"wait": wait}, status=409)
    path = reverse("jwtauth:me")
    answer = ask_as_thief(request.META["SERVER_PORT"], path, request.get_host(), {COOKIE: token})
    with _lock:
        _copies.pop(session.pk, None)
    return Response(
        {
            "request": f"GET {path}",
            "status": answer.status,
            "body": answer.body,
            "log": security_log.lines(session.pk),
        }
    )


def seconds_to_wait(session, copied):
    """Return for how long the copy counts as a late request, or ``None`` until the browser has used a newer token."""
    if session.generation > copied + 1:
        return 0
    if session.generation == copied or session.acknowledged_at is None:
        return None
    since = time.time() - session.acknowledged_at.timestamp()
    return max(0, round(GRACE + MARGIN - since, 1))


class Answer(NamedTuple):
    """Hold what a thief gets."""

    status: int
    body: str
    sets_cookies: bool


def ask_as_thief(port, path, host, cookies):
    """Send a request that has nothing but copied cookies, and return its answer."""
    connection = http.client.HTTPConnection("127.0.0.1", int(port), timeout=30)
    sent = "; ".join(f"{name}={value}" for name, value in cookies.items())
    headers = {"Host": host, "Cookie": sent, "User-Agent": "A thief", "Accept": "application/json"}
    try:
        connection.request("GET", path, headers=headers)
        answer = connection.getresponse()
        return Answer(answer.status, answer.read().decode(), "Set-Cookie" in answer.headers)
    finally:
        connection.close()


def generation_of(token):
    """Read the generation in a token, as any holder of the token can."""
    payload = token.split(".")[1]
    return json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))["gen"]
