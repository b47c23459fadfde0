"""Show the effective settings and run the system checks."""

from __future__ import annotations

from typing import Any

from django.core.checks import run_checks
from django.core.management.base import BaseCommand, CommandError
from django.template.defaultfilters import pluralize

from jwtauth import conf
from jwtauth.models import database


class Command(BaseCommand):
    """Run ``manage.py jwtauth_check``, which fails if a check reports an error."""

    help = "Shows the effective JWTAUTH settings, including defaults but not keys, and runs jwtauth's system checks."
    requires_system_checks = ()

    def handle(self, *args: Any, verbosity: int, **options: Any) -> None:
        if verbosity:
            for name, value in conf.values().items():
                self.stdout.write(f"{name} = {self._shown(name, value)}")
        found = run_checks(tags=["jwtauth"], include_deployment_checks=True, databases=[database()])
        messages = [message for message in found if not message.is_silenced()]
        for message in messages:
            self.stderr.write(str(message))
        if any(message.is_serious() for message in messages):
            raise CommandError("jwtauth is not configured correctly.")

    def _shown(self, name: str, value: Any) -> str:
        if not conf.SETTINGS[name].secret:
            return repr(value)
        return f"<{len(value)} key{pluralize(len(value))}>" if isinstance(value, list) else "<a key>"
