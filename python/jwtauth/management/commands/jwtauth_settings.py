"""Print the settings for a Rust service beside this site, as TOML."""

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
    """Run ``manage.py jwtauth_settings [--public] [--output FILE | --check FILE]``.

    The output contains the keys. ``--output FILE`` writes it to a new file that only its owner can read. ``--public``
    leaves the keys out, for a service that verifies with the keys of ``jwks.json``. ``--check FILE`` compares the file
    with the settings instead, and fails if a line differs.
    """

    help = "Prints the effective settings as TOML for jwtauth-axum. The output contains keys, so keep it secret."

    def add_arguments(self, parser: CommandParser) -> None:
        """Add ``--public``, ``--check FILE`` and ``--output FILE``."""
        parser.add_argument("--public", action="store_true", help="Leave the keys out.")
        where = parser.add_mutually_exclusive_group()
        where.add_argument("--check", metavar="FILE", type=Path, help="Show which lines of this file to change.")
        where.add_argument(
            "--output", metavar="FILE", type=Path, help="Create this file, which only its owner can read."
        )

    def handle(self, *args: Any, public: bool, check: Path | None, output: Path | None, **options: Any) -> None:
        """Print, write or check the settings.

        Raises ``CommandError`` if jwtauth-axum does not support these settings, or the checked file differs.
        """
        conf.get_config()  # raises the message of the first failing check
        values = conf.values()
        if values["USER_ID_FIELD"] not in (None, "pk"):
            raise CommandError("JWTAUTH['USER_ID_FIELD']: jwtauth-axum only supports the primary key.")
        lines = {
            name: f"{name} = {_toml(value)}"
            for name, value in self._named(values).items()
            if (value is not None or name in _MAY_BE_NONE) and not (public and name in _KEYS)
        }
        if check is not None:
            self._check(check, lines)
            return
        about = "It contains no keys." if public else "It contains keys."
        text = "\n".join([f"# Made by manage.py jwtauth_settings. {about}", *lines.values(), ""])
        if output is None:
            self.stdout.write(text, ending="")
        else:
            private_files.create(output, text)
        if values["ACCESS_TOKEN_CLAIMS"] is not None:
            self.stderr.write("JWTAUTH['ACCESS_TOKEN_CLAIMS'] is a Python function. Give AuthLayer an equivalent one.")

    def _check(self, path: Path, lines: dict[str, str]) -> None:
        """Report the names of settings that differ, but not the values, which may be keys."""
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
                    what = "differs from the settings" if name in lines else "is not in the settings"
                    found.append(f"{path}:{number}: {name} {what}.")
        found += [f"{path}: {name} is missing." for name in lines if name not in there]
        if found:
            raise CommandError("\n".join([*found, "manage.py jwtauth_settings prints the current settings."]))
        self.stdout.write(f"{path} matches the current settings.")

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
    """Return the value as TOML, in which strings, numbers and lists are written as in JSON."""
    if value is None:
        return '"none"'
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(_toml(item) for item in value)}]"
    if isinstance(value, (bytes, str)):
        # TOML requires this escape, JSON does not.
        return json.dumps(force_str(value), ensure_ascii=False).replace("\x7f", "\\u007f")
    return json.dumps(value)
