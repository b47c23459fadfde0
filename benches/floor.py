"""The floor in Python: the minimum work of each operation, without the rules that a real site needs.

It reads the raw header once, verifies each cookie once, runs jwtauth's statements on Django's cursor, creates one
instance of the user, and sets one ``Vary``. A login and a logout send Django's signals. The additional time of jwtauth
is the cost of its rules: other headers, origins, refreshes, hooks, tenants, rollbacks.
"""

import time

from django.contrib.auth import get_user_model
from django.contrib.auth.signals import user_logged_in, user_logged_out
from django.db import connection
from rest_framework.authentication import BaseAuthentication

from jwtauth import _engine
from jwtauth.conf import get_config
from jwtauth.internal.store import clock, sessions
from jwtauth.internal.store.admission import auth_hash
from jwtauth.models import Session, writes

KINDS = {"access_token": _engine.TokenKind.ACCESS, "refresh_token": _engine.TokenKind.REFRESH}
LIFETIMES = {"access_token": 300, "refresh_token": 14 * 86_400}
PLAIN = {field.attname: None for field in Session._meta.concrete_fields} | {
    "end_is_fixed": False,
    "remember": True,
    "backend": "",
    "user_agent": "",
    "amr": "pwd",
    "ip_address": "127.0.0.1",
}


class Middleware:
    def __init__(self, get_response):
        self.get_response, self.verify = get_response, get_config().tokens.verify

    def __call__(self, request):
        found, now = {}, int(time.time())
        for pair in request.META.get("HTTP_COOKIE", "").split("; "):
            name, _, value = pair.partition("=")
            if name in KINDS:
                found[name] = self.verify(KINDS[name], value, now)
        request.claims, request.cookies = found.get("access_token"), {}
        if request.claims is None and "refresh_token" in found:
            refresh(request, found["refresh_token"], now)
        response = self.get_response(request)
        response.headers["Vary"] = "Accept, Cookie"
        for name, token in request.cookies.items():
            age = LIFETIMES[name] if token else 0
            response.set_cookie(name, token, max_age=age, httponly=True, secure=True, samesite="Strict")
        return response


class Authentication(BaseAuthentication):
    def authenticate(self, request):
        inner = request._request
        if inner.claims is None:
            return None
        user = getattr(inner, "found", None) or find(inner.claims.session_id)
        return (user, inner.claims) if user.is_active else None


def find(session_id):
    """Return the user of this session, by jwtauth's own statement, which its first lookup has prepared."""
    if not sessions._lookup._statements:
        sessions.find(session_id)
    ((_manager, statement),) = sessions._lookup._statements.values()
    id = statement._key.get_db_prep_value(session_id, connection, prepared=True)
    with connection.cursor() as cursor:
        cursor.execute(statement._sql, [id] if statement._place == 0 else {statement._place: id})
        row = cursor.fetchone()
    return get_user_model().from_db("default", statement._attributes, row[statement._fields])


def grant(request, subject, sid, generation, now):
    """Give the request both tokens of this generation."""
    tokens = get_config().tokens
    for name, lifetime in LIFETIMES.items():
        claims = _engine.Claims(
            subject=subject, sid=sid, generation=generation, issued_at=now, expires_at=now + lifetime
        )
        request.cookies[name] = tokens.issue(KINDS[name], claims)
        request.claims = request.claims or claims


def login(request, user):
    now = int(time.time())
    sid, at = _engine.Sid.generate(now), clock.to_datetime(now)
    row = PLAIN | {
        "id": sid.session_id,
        "user_id": user.pk,
        "generation": 1,
        "auth_hash": auth_hash(user),
        "acknowledged_at": at,
        "rotated_at": at,
        "created_at": at,
        "last_seen_at": at,
        "expires_at": clock.to_datetime(now + LIFETIMES["refresh_token"]),
    }
    writes.insert("default", row)
    grant(request, str(user.pk), sid, 1, now)
    user_logged_in.send(sender=type(user), request=request, user=user)


def refresh(request, claims, now):
    request.found = find(claims.session_id)
    at, end = clock.to_datetime(now), clock.to_datetime(now + LIFETIMES["refresh_token"])
    changes = {"generation": claims.generation + 1, "acknowledged_at": None}
    changes |= {"rotated_at": at, "last_seen_at": at, "expires_at": end}
    writes.update("default", changes, {"pk": claims.session_id, "generation": claims.generation})
    grant(request, claims.subject, claims.sid, claims.generation + 1, now)


def logout(request, user):
    writes.delete("default", {"pk": request.claims.session_id})
    request.cookies = dict.fromkeys(KINDS, "")
    user_logged_out.send(sender=type(user), request=request, user=user)
