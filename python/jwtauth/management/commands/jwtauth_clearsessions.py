"""Remove all expired sessions."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand
from django.utils.translation import ngettext

from jwtauth.internal.store import cleanup, old_logins


class Command(BaseCommand):
    """Run ``manage.py jwtauth_clearsessions [--dry-run]``."""

    help = (
        "Removes sessions that expired more than an hour ago. Logins and refreshes also remove a few at a time. Run "
        "this command from cron if many users sign in and few return."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--dry-run", action="store_true", help="Only show how many sessions would be removed.")

    def handle(self, *args: Any, dry_run: bool, verbosity: int, **options: Any) -> None:
        total = cleanup.expired().count() if dry_run or self._shows_progress(verbosity) else 0
        if dry_run:
            message = ngettext(
                "%(count)d expired session would be removed.", "%(count)d expired sessions would be removed.", total
            )
            self.stdout.write(message % {"count": total})
            return
        old_logins.remove_expired()
        removed = 0
        for removed in cleanup.remove_all():
            if self._shows_progress(verbosity):
                self.stderr.write(f"\r{removed} of {max(total, removed)}", ending="")
        if self._shows_progress(verbosity) and removed:
            self.stderr.write("")
        if verbosity:
            message = ngettext("Removed %(count)d expired session.", "Removed %(count)d expired sessions.", removed)
            self.stdout.write(message % {"count": removed})

    def _shows_progress(self, verbosity: int) -> bool:
        return bool(verbosity and self.stderr.isatty())
