"""Removes expired sessions, all of them, now."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand

from jwtauth.internal.store import cleanup


class Command(BaseCommand):
    """``manage.py jwtauth_clearsessions [--dry-run]``."""

    help = (
        "Removes sessions that expired more than an hour ago. Logins and refreshes do so too, a few at a time; this is "
        "for cron, where many people sign in and few come back."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--dry-run", action="store_true", help="Only count them.")

    def handle(self, *args: Any, dry_run: bool, verbosity: int, **options: Any) -> None:
        total = cleanup.expired().count() if dry_run or self._shows_progress(verbosity) else 0
        if dry_run:
            self.stdout.write(f"{total} expired sessions would be removed.")
            return
        removed = 0
        for removed in cleanup.remove_all():
            if self._shows_progress(verbosity):
                self.stderr.write(f"\r{removed} of {max(total, removed)}", ending="")
        if self._shows_progress(verbosity) and removed:
            self.stderr.write("")
        if verbosity:
            self.stdout.write(f"Removed {removed} expired sessions.")

    def _shows_progress(self, verbosity: int) -> bool:
        return bool(verbosity and self.stderr.isatty())
