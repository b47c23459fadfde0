"""The floor in Python: the minimum work of the strict check, without the rules that a real site needs.

It reads the raw header once, verifies each cookie once, runs the strict check's statement on Django's cursor, creates
one instance and sets one ``Vary``. The additional time of jwtauth is the cost of its rules: other headers, origins,
refreshes, hooks, tenants.
"""

import time

from django.contrib.auth import get_user_model
from django.db import connection
from rest_framework.authentication import BaseAuthentication

from jwtauth import _engine
from jwtauth.conf import get_config
from jwtauth.internal.store import sessions

KINDS = {"access_token": _engine.TokenKind.ACCESS, "refresh_token": _engine.TokenKind.REFRESH}


class Middleware:
    def __init__(self, get_response):
        self.get_response, self.verify = get_response, get_config().tokens.verify

    def __call__(self, request):
        found, now = {}, int(time.time())
        for pair in request.META.get("HTTP_COOKIE", "").split("; "):
            name, _, value = pair.partition("=")
            if name in KINDS:
                found[name] = self.verify(KINDS[name], value, now)
        request.claims = found.get("access_token")
        response = self.get_response(request)
        response.headers["Vary"] = "Accept, Cookie"
        return response


class Authentication(BaseAuthentication):
    def authenticate(self, request):
        claims = request._request.claims
        statement = prepared(claims.session_id)
        id = statement._key.get_db_prep_value(claims.session_id, connection, prepared=True)
        with connection.cursor() as cursor:
            cursor.execute(statement._sql, [id] if statement._place == 0 else {statement._place: id})
            row = cursor.fetchone()
        user = get_user_model().from_db("default", statement._attributes, row[statement._fields])
        return (user, claims) if user.is_active else None


def prepared(session_id):
    """Return jwtauth's own statement, which its first lookup of a session has prepared."""
    if not sessions._lookup._statements:
        sessions.find(session_id)
    ((_manager, statement),) = sessions._lookup._statements.values()
    return statement
