"""The clock: one place that asks what time it is."""

import time
from datetime import datetime, timezone

from django.conf import settings


def now() -> int:
    """Unix seconds (``NumericDate``, RFC 7519 section 2)."""
    return int(time.time())


def monotonic_ms() -> int:
    """Milliseconds that only ever rise."""
    return int(time.monotonic() * 1000)


def to_datetime(timestamp: int) -> datetime:
    """What a ``DateTimeField`` of ours holds: UTC, aware where ``USE_TZ`` asks for it."""
    moment = datetime.fromtimestamp(timestamp, timezone.utc)
    return moment if settings.USE_TZ else moment.replace(tzinfo=None)


def from_datetime(moment: datetime) -> int:
    """The reverse of `to_datetime`, whatever ``USE_TZ`` is now."""
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=timezone.utc)
    return int(moment.timestamp())
