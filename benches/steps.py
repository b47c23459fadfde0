"""`python steps.py [ROUNDS]`: the microseconds that each step of the strict check adds to a request on SQLite, as JSON.

The requests of the steps take turns.
"""

import json
import sys
from statistics import median

ROUNDS = int(sys.argv[1]) if len(sys.argv) > 1 else 1500
sys.argv[1:] = ["jwtauth"]

import variant  # noqa: E402
from django.conf import settings  # noqa: E402

settings.ROOT_URLCONF = "variant"

from django.core.handlers.wsgi import WSGIHandler  # noqa: E402
from django.core.management import call_command  # noqa: E402
from django.db import connection  # noqa: E402
from django.urls import path  # noqa: E402
from rest_framework.authentication import BaseAuthentication  # noqa: E402
from rest_framework.decorators import api_view, authentication_classes, permission_classes  # noqa: E402
from rest_framework.permissions import IsAuthenticated  # noqa: E402
from rest_framework.response import Response  # noqa: E402

from jwtauth.internal.store import sessions  # noqa: E402
from jwtauth.models import Session  # noqa: E402


def view(authenticate):
    """Return a view whose authentication class calls ``authenticate``, then reports the user."""

    class Step(BaseAuthentication):
        def authenticate(self, request):
            authenticate()
            return variant.bench_user(), None

    @api_view(["GET"])
    @authentication_classes([Step])
    @permission_classes([IsAuthenticated])
    def me(request):
        return Response({"id": request.user.pk})

    return me


def main():
    call_command("migrate", verbosity=0)
    variant.get_user_model().objects.create(username="ada")
    headers = variant.sign_in()
    session_id = Session.objects.get().pk
    sessions.find(session_id)
    ((_manager, statement),) = sessions._lookup._statements.values()
    parameters = statement._parameters | {statement._place: session_id.hex}
    sql = statement._sql % {name: f":{name}" for name in parameters}

    def by_cursor():
        with connection.cursor() as cursor:
            cursor.execute(statement._sql, parameters)
            return cursor.fetchone()

    bare, full = [], settings.MIDDLEWARE
    steps = {
        "nothing": (bare, view(lambda: None), {}),
        "the statement, by Python's sqlite3 alone": (
            bare,
            view(lambda: connection.connection.execute(sql, parameters).fetchone()),
            {},
        ),
        "the statement, by Django's cursor": (bare, view(by_cursor), {}),
        "session and user found and checked": (bare, view(lambda: sessions.find(session_id)), {}),
        "the user alone, by an ORM query": (
            bare,
            view(lambda: variant.get_user_model().objects.get(pk=variant.bench_user().pk)),
            {},
        ),
        "cookies verified, by the floor in Python": (["floor.Middleware"], view(lambda: None), headers),
        "cookies verified, the user is not needed": (full, view(lambda: None), headers),
        "the strict check": (full, variant.me, headers),
    }
    handlers = {}
    for number, (name, (middleware, found, sent)) in enumerate(steps.items()):
        settings.MIDDLEWARE = middleware
        variant.urlpatterns.append(path(str(number), found))
        handlers[name] = WSGIHandler(), f"/{number}", sent
    took = {name: [] for name in steps}
    for _ in range(ROUNDS):
        for name, (handler, url, sent) in handlers.items():
            variant.application = handler
            took[name].append(variant.send("get", url, sent)[0] * 1e6)
    medians = {name: median(values) for name, values in took.items()}
    floor = medians.pop("nothing")
    print(json.dumps({name: found - floor for name, found in medians.items()}))


main()
