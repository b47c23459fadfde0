"""End the sessions of the given users, or of all users."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.contrib.auth import get_user_model
from django.core.management.base import BaseCommand, CommandError
from django.utils.translation import ngettext

from jwtauth.conf import get_config
from jwtauth.internal.store.old_logins import refuse_older
from jwtauth.models import Session, SessionQuerySet, database

# Sessions ended by one statement.
_BATCH = 1000


class Command(BaseCommand):
    """Run ``manage.py jwtauth_logout USERNAME... | --all [--dry-run]``."""

    help = "Signs the given users, or all users, out on all their devices by ending their sessions immediately."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("username", nargs="*", help="The value of the user model's USERNAME_FIELD.")
        parser.add_argument("--all", action="store_true", help="End the sessions of all users.")
        parser.add_argument("--dry-run", action="store_true", help="Only show how many sessions would be ended.")

    def handle(self, *args: Any, username: list[str], all: bool, dry_run: bool, verbosity: int, **options: Any) -> None:
        if bool(username) == all:
            raise CommandError("Give either usernames or --all.")
        chosen: SessionQuerySet = Session.objects.using(database())
        keys = [self._user(name) for name in username]
        if username:
            chosen = chosen.filter(user__in=keys)
        if dry_run:
            count = chosen.count()
            message = ngettext("%(count)d session would be ended.", "%(count)d sessions would be ended.", count)
            self.stdout.write(message % {"count": count})
            return
        ended = self._end(chosen, verbosity)
        if get_config().accept_logins_of:
            for key in keys:
                refuse_older(key)
            if all:
                self.stderr.write("Logins of other packages are still accepted: remove ACCEPT_LOGINS_OF to end them.")
        if verbosity:
            message = ngettext("Ended %(count)d session.", "Ended %(count)d sessions.", ended)
            self.stdout.write(message % {"count": ended})

    def _user(self, name: str) -> Any:
        model = get_user_model()
        try:
            return model._base_manager.using(database()).get(**{model.USERNAME_FIELD: name}).pk
        except model.DoesNotExist:
            raise CommandError(f"User {name!r} does not exist.") from None

    def _end(self, chosen: SessionQuerySet, verbosity: int) -> int:
        """End the sessions in batches, so that other writers do not wait for one large statement."""
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
