"""The former name of ``jwtauth_logout``."""

from __future__ import annotations

from jwtauth.management.commands.jwtauth_logout import Command as Logout


class Command(Logout):
    """Run ``manage.py jwtauth_end``, an alias of ``jwtauth_logout``."""
