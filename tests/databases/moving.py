"""Threads that show one credential of another package at once. Prints what they and the database saw, as JSON."""

import json
import os
from threading import Barrier, Thread

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.databases.settings")

from jwtauth.contrib.old_logins import Login, OldLogins, Place, Shown

THREADS, ROUNDS = 6, 5


class Names(OldLogins):
    """Accept a cookie that is the name of the user, by which it can be spent."""

    def shown(self, request):
        name = request.COOKIES.get("old")
        return [Shown(name, Place.COOKIE, is_renewable=True)] if name else []

    def verify(self, request, shown):
        from django.contrib.auth import get_user_model

        user = get_user_model().objects.filter(username=shown.secret, is_active=True).first()
        return None if user is None else Login(user, issued_at=0, slides=True, reference=shown.secret)

    def spend(self, reference, user_id):
        from django.contrib.auth import get_user_model

        get_user_model().objects.filter(username=reference).update(first_name="spent")


def main():
    django.setup()
    from django.contrib.auth import get_user_model
    from django.core.management import call_command
    from django.db import connections
    from django.test import Client

    from jwtauth.models import OldLogin, Session

    call_command("migrate", verbosity=0)
    users = get_user_model().objects
    seen = []

    def ask(name, barrier, answers):
        client = Client()
        client.cookies["old"] = name
        barrier.wait()
        try:
            response = client.get("/me/")
            cookie = response.cookies.get("refresh_token")
            answers.append([response.status_code, client, "" if cookie is None else cookie.value])
        finally:
            connections.close_all()

    for number in range(ROUNDS):
        name = f"user{number}"
        user = users.create_user(name, password="a secret")
        answers, barrier = [], Barrier(THREADS)
        threads = [Thread(target=ask, args=(name, barrier, answers)) for _ in range(THREADS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        client = answers[0][1]
        back = client.get("/me/").status_code
        spent = users.get(pk=user.pk).first_name
        other = Client()
        other.cookies["old"] = name
        user.set_password("another secret")
        user.save()
        row = OldLogin.objects.get(session_id__isnull=False, user=user)
        seen.append(
            {
                "statuses": [status for status, _, _ in answers],
                "tokens": len({token for _, _, token in answers}),
                "sessions": Session.objects.filter(user=user).count(),
                "back": back,
                "spent": [spent, row.reference, row.seen_at is not None],
                "after": [one.get("/me/").status_code for one in (client, other)],
            }
        )
    call_command("jwtauth_clearsessions", verbosity=0)
    print(json.dumps(seen))


if __name__ == "__main__":
    main()
