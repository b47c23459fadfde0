"""Prints the settings that a Rust service beside this site needs, as TOML."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils.encoding import force_str

from jwtauth import conf
from jwtauth.internal import private_files

_KEYS = {"SECRET_KEY", "SECRET_KEY_FALLBACKS", *(name for name, one in conf.SETTINGS.items() if one.secret)}
_MAY_BE_NONE = {name for name, one in conf.SETTINGS.items() if one.none_differs}


class Command(BaseCommand):
    """``manage.py jwtauth_settings``. What it prints holds the keys. ``--output FILE`` creates a file that its owner
    alone can read.

    With ``--public`` it leaves them out, for a service that verifies by the keys of ``jwks.json``. With ``--check
    FILE`` it says instead which lines of that file are not so, and fails where any is.
    """

    help = "Prints the settings in force as the TOML that jwtauth-axum reads. It holds keys: keep it as secret."

    def add_arguments(self, parser: CommandParser) -> None:
        """``--public``, ``--check FILE``, ``--output FILE``."""
        parser.add_argument("--public", action="store_true", help="Leaves the keys out.")
        where = parser.add_mutually_exclusive_group()
        where.add_argument("--check", metavar="FILE", type=Path, help="Says which lines of this file to change.")
        where.add_argument(
            "--output", metavar="FILE", type=Path, help="Creates this file, which its owner alone can read."
        )

    def handle(self, *args: Any, public: bool, check: Path | None, output: Path | None, **options: Any) -> None:
        """Raises ``CommandError`` where the Rust side cannot have these settings, or the file differs."""
        conf.get_config()  # with the words of the first check that fails
        values = conf.values()
        if values["USER_ID_FIELD"] not in (None, "pk"):
            raise CommandError("JWTAUTH['USER_ID_FIELD']: jwtauth-axum knows users by their primary key only.")
        lines = {
            name: f"{name} = {_toml(value)}"
            for name, value in self._named(values).items()
            if (value is not None or name in _MAY_BE_NONE) and not (public and name in _KEYS)
        }
        if check is not None:
            self._check(check, lines)
            return
        about = "It holds no keys." if public else "It holds keys."
        text = "\n".join([f"# Made by manage.py jwtauth_settings. {about}", *lines.values(), ""])
        if output is None:
            self.stdout.write(text, ending="")
        else:
            private_files.create(output, text)
        if values["ACCESS_TOKEN_CLAIMS"] is not None:
            self.stderr.write("JWTAUTH['ACCESS_TOKEN_CLAIMS'] is a function of this site: give AuthLayer its equal.")

    def _check(self, path: Path, lines: dict[str, str]) -> None:
        """What differs is named, and not shown: it may be a key."""
        try:
            text = path.read_text()
        except (OSError, ValueError) as error:
            raise CommandError(f"{path}: {error}") from None
        there, found = {}, []
        for number, line in enumerate(text.splitlines(), 1):
            name, is_setting, _value = line.partition(" = ")
            if is_setting and not line.startswith("#"):
                there[name] = line
                if line != lines.get(name):
                    found.append(f"{path}:{number}: {name} is {'another here' if name in lines else 'not set here'}.")
        found += [f"{path}: {name} is missing." for name in lines if name not in there]
        if found:
            raise CommandError("\n".join([*found, "manage.py jwtauth_settings prints them all."]))
        self.stdout.write(f"{path} has the settings in force.")

    def _named(self, values: dict[str, Any]) -> dict[str, Any]:
        found = {name: value for name, value in values.items() if conf.SETTINGS[name].rust}
        interval = found["SESSION_CHECK_INTERVAL"]
        return {
            "SECRET_KEY": settings.SECRET_KEY,
            "SECRET_KEY_FALLBACKS": settings.SECRET_KEY_FALLBACKS,
            "CSRF_TRUSTED_ORIGINS": settings.CSRF_TRUSTED_ORIGINS,
            **found,
            "SESSION_CHECK_INTERVAL": None if interval is None else interval / 1000,
        }


def _toml(value: Any) -> str:
    """A value as TOML, whose strings, numbers and lists are JSON's."""
    if value is None:
        return '"none"'
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(_toml(item) for item in value)}]"
    if isinstance(value, (bytes, str)):
        # What JSON need not escape and TOML must.
        return json.dumps(force_str(value), ensure_ascii=False).replace("\x7f", "\\u007f")
    return json.dumps(value)
