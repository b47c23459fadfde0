"""Count the logins of other packages that have moved in."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.core.management.base import BaseCommand
from django.db.models import Count, Q

from jwtauth.internal.store import clock, old_logins
from jwtauth.models import OldLogin, database


class Command(BaseCommand):
    """Run ``manage.py jwtauth_moved``."""

    help = (
        "Counts the logins of other packages (ACCEPT_LOGINS_OF): how many have moved in, how many clients have used "
        "the new tokens, and how many old credentials were shown in the last day. Credentials that could not be made "
        "invalid in the other package are tried again."
    )

    def handle(self, *args: Any, **options: Any) -> None:
        OldLogin.objects.using(database()).filter(seen_at__isnull=False).spend()
        since = clock.to_datetime(clock.now()) - timedelta(days=1)
        moved = Q(session_id__isnull=False)
        rows = (
            OldLogin.objects.using(database())
            .exclude(source__in=[old_logins.PASSWORD, old_logins.SIGNED_OUT])
            .values("source")
            .annotate(
                moved=Count("pk", filter=moved),
                seen=Count("pk", filter=moved & Q(seen_at__isnull=False)),
                shown=Count("pk", filter=Q(last_shown_at__gt=since)),
            )
            .order_by("source")
        )
        for row in rows:
            self.stdout.write(
                f"{row['source']}: {row['moved']} moved in, {row['seen']} of them in use; "
                f"{row['shown']} old credentials shown in the last day"
            )
        if not rows:
            self.stdout.write("No login of another package has been shown yet.")
