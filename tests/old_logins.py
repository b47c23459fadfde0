"""A stand-in for another package: its credentials name a user, and it can renew them and make them invalid."""

from __future__ import annotations

from django.contrib.auth import get_user_model

from jwtauth.contrib.old_logins import Login, OldLogins, Place, Shown


class Tickets(OldLogins):
    """Accept the cookie ``ticket``, and the headers ``Ticket`` (renewable) and ``Pass`` (not)."""

    package = "django"
    # What tests change: the login's end and whether use extends it, and spent tickets.
    expires_at, slides, issued_at = None, False, 0
    spent: list[str] = []
    ended: list[str] = []
    fails = False

    def shown(self, request):
        kind, _, name = request.META.get("HTTP_AUTHORIZATION", "").partition(" ")
        if kind in ("Ticket", "Pass"):
            return [Shown(name, Place.HEADER, is_renewable=kind == "Ticket")]
        name = request.COOKIES.get("ticket")
        return [Shown(name, Place.COOKIE, is_renewable=True)] if name else []

    def shown_as_refresh_token(self, text):
        return Shown(text, Place.BODY, is_renewable=True) if text.startswith("ticket") else None

    def verify(self, request, shown):
        name = shown.secret.partition("-")[2]
        user = get_user_model().objects.filter(username=name).first()
        if user is None or shown.secret in Tickets.spent:
            return None
        return Login(
            user,
            issued_at=Tickets.issued_at,
            expires_at=Tickets.expires_at,
            slides=Tickets.slides,
            reference=shown.secret if shown.is_renewable else "",
            auth={"ticket": name},
        )

    def renew(self, request, shown):
        return {"access": "renewed by the other package"}

    def spend(self, reference, user_id):
        if Tickets.fails:
            raise RuntimeError("the other package is not there")
        Tickets.spent.append(reference)

    def end(self, request):
        Tickets.ended.append(request.path)
