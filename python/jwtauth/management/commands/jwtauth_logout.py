"""Ends the sessions of some users, or of everybody."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.contrib.auth import get_user_model
from django.core.management.base import BaseCommand, CommandError

from jwtauth.models import Session, SessionQuerySet, database

# So many sessions in a statement.
_BATCH = 1000


class Command(BaseCommand):
    """``manage.py jwtauth_logout USERNAME... | --all [--dry-run]``."""

    help = "Signs users out on all their devices, now: ends the sessions of these, or of everybody."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("username", nargs="*", help="By the field USERNAME_FIELD of the user model.")
        parser.add_argument("--all", action="store_true", help="Everybody.")
        parser.add_argument("--dry-run", action="store_true", help="Only count them.")

    def handle(self, *args: Any, username: list[str], all: bool, dry_run: bool, verbosity: int, **options: Any) -> None:
        if bool(username) == all:
            raise CommandError("Name users, or say --all.")
        chosen: SessionQuerySet = Session.objects.using(database())
        if username:
            chosen = chosen.filter(user__in=[self._user(name) for name in username])
        if dry_run:
            self.stdout.write(f"{chosen.count()} sessions would be ended.")
            return
        ended = self._end(chosen, verbosity)
        if verbosity:
            self.stdout.write(f"Ended {ended} sessions.")

    def _user(self, name: str) -> Any:
        model = get_user_model()
        try:
            return model._base_manager.using(database()).get(**{model.USERNAME_FIELD: name}).pk
        except model.DoesNotExist:
            raise CommandError(f"There is no user {name!r}.") from None

    def _end(self, chosen: SessionQuerySet, verbosity: int) -> int:
        """In batches, so that nobody waits for one large statement."""
        shows_progress = verbosity and self.stderr.isatty()
        total = chosen.count() if shows_progress else 0
        ended, waiting = 0, chosen.order_by("pk").values_list("pk", flat=True)
        keys = list(waiting[:_BATCH])
        while keys:
            batch: SessionQuerySet = Session.objects.filter(pk__in=keys)
            ended += batch.end()
            if shows_progress:
                self.stderr.write(f"\r{ended} of {max(total, ended)}", ending="")
            keys = list(waiting.filter(pk__gt=keys[-1])[:_BATCH])
        if shows_progress and ended:
            self.stderr.write("")
        return ended
