"""Shows the settings that are in force, and what is wrong with them."""

from __future__ import annotations

from typing import Any

from django.core.checks import Tags, run_checks
from django.core.management.base import BaseCommand, CommandError

from jwtauth import conf


class Command(BaseCommand):
    """``manage.py jwtauth_check``. Fails where a check is an error."""

    help = "Shows the JWTAUTH settings in force, defaults included and keys not, and runs jwtauth's system checks."
    requires_system_checks = ()

    def handle(self, *args: Any, verbosity: int, **options: Any) -> None:
        if verbosity:
            for name, value in conf.values().items():
                self.stdout.write(f"{name} = {self._shown(name, value)}")
        found = run_checks(tags=[Tags.security, "jwtauth"], include_deployment_checks=True)
        ours = [message for message in found if str(message.id).startswith("jwtauth.")]
        for message in ours:
            self.stderr.write(str(message))
        if any(message.is_serious() for message in ours):
            raise CommandError("jwtauth is not configured correctly.")

    def _shown(self, name: str, value: Any) -> str:
        if not conf.SETTINGS[name].secret:
            return repr(value)
        return f"<{len(value)} keys>" if isinstance(value, list) else "<a key>"
