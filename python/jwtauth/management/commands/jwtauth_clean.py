"""The former name of ``jwtauth_clearsessions``."""

from __future__ import annotations

from jwtauth.management.commands.jwtauth_clearsessions import Command as ClearSessions


class Command(ClearSessions):
    """Run ``manage.py jwtauth_clean``, an alias of ``jwtauth_clearsessions``."""
