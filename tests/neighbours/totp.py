"""Users' TOTP devices of django-otp, and the codes that they show."""

from __future__ import annotations

import time
from typing import Any

from django.contrib.auth import get_user_model


def device_of(name: str) -> Any:
    return get_user_model().objects.get(username=name).totpdevice_set.get()


def enrol(name: str = "ada") -> None:
    get_user_model().objects.get(username=name).totpdevice_set.create(name="default")


def code_of(name: str = "ada", wrong: int = 0) -> str:
    """Return the code that the device shows now, plus ``wrong``."""
    from django_otp.oath import TOTP

    device = device_of(name)
    totp = TOTP(device.bin_key, device.step, device.t0, device.digits)
    totp.time = time.time()
    return f"{(totp.token() + wrong) % 10**6:06}"
