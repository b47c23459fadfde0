"""List the configured keys."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.exceptions import ImproperlyConfigured
from django.core.management.base import BaseCommand, CommandError

from jwtauth.conf import get_config


class Command(BaseCommand):
    """Run ``manage.py jwtauth_keys [--jwks]``."""

    help = "Lists the id, algorithm and use of each configured key. Secrets are never shown."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--jwks", action="store_true", help="Print the public keys as a JWK Set.")

    def handle(self, *args: Any, jwks: bool, **options: Any) -> None:
        try:
            keyring = get_config().keyring
        except ImproperlyConfigured as error:
            raise CommandError(str(error)) from None
        if jwks:
            self.stdout.write(keyring.jwk_set)
            return
        for position, key in enumerate(keyring.keys):
            state = "verifies" if position else "signs and verifies"
            published = "a secret" if key.public_jwk is None else "in the JWK Set"
            self.stdout.write(f"{key.id}  {key.algorithm}  {state}, {published}")
