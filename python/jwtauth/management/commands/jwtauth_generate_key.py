"""Generate a new key."""

from __future__ import annotations

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from jwtauth import _engine
from jwtauth.exceptions import EngineConfigurationError
from jwtauth.internal import private_files


class Command(BaseCommand):
    """Run ``manage.py jwtauth_generate_key [ALGORITHM] [--format pem|jwk] [--key-id ID] [--output FILE]``."""

    help = (
        "Generates a new key for JWTAUTH['SIGNING_KEY']. Prints the private key to standard output, or writes it to a "
        "new file. Prints the public key to standard error: add it to VERIFYING_KEYS before the key signs tokens."
    )
    requires_system_checks = ()  # the checks fail before a key exists

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "algorithm", nargs="?", default="EdDSA", help="The JWS algorithm. Default: EdDSA.", metavar="ALGORITHM"
        )
        parser.add_argument("--format", choices=("pem", "jwk"), help="Default: pem, or jwk for HMAC secrets.")
        parser.add_argument("--key-id", help="The kid of the JWK. Default: the thumbprint of the key (RFC 7638).")
        parser.add_argument(
            "--output", metavar="FILE", type=Path, help="Create this file, which only its owner can read."
        )

    def handle(
        self,
        *args: Any,
        algorithm: str,
        format: str | None,
        key_id: str | None,
        output: Path | None,
        verbosity: int,
        **options: Any,
    ) -> None:
        if algorithm not in _engine.algorithms():
            raise CommandError(f"ALGORITHM must be one of {', '.join(_engine.algorithms())}.")
        try:
            pem, jwk, public = _engine.generate_key(algorithm, key_id=key_id)
        except EngineConfigurationError as error:
            raise CommandError(f"{error}.") from None
        if format == "pem" and pem is None:
            raise CommandError(f"{algorithm} uses a secret, which has no PEM form. Use --format jwk.")
        if format != "jwk" and pem is not None:
            if key_id is not None:
                raise CommandError("A PEM has no key id. Use --format jwk.")
            text = pem
        else:
            text = f"{jwk}\n"
        if output is None:
            self.stdout.write(text, ending="")
        else:
            private_files.create(output, text)
        if public is not None and verbosity:
            self.stderr.write(f"The public key, as a JWK for VERIFYING_KEYS:\n{public}")
