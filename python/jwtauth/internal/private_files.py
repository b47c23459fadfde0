"""Files that contain keys."""

from __future__ import annotations

import os
from pathlib import Path

from django.core.management.base import CommandError


def create(path: Path, text: str) -> None:
    """Create a file that only its owner can read. Raises ``CommandError`` if it exists or cannot be created."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        raise CommandError(f"{path} already exists and is not overwritten.") from None
    except OSError as error:
        raise CommandError(f"{path}: {error.strerror}.") from None
    with open(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
