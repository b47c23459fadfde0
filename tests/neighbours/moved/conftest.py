"""Fixtures of all cases."""

from datetime import datetime, timezone

import pytest
from django.test import Client
from freezegun import freeze_time

from tests.neighbours.moved.cases import make_user


@pytest.fixture
def clock():
    """Stop the time: `clock.tick(seconds)` lets it pass."""
    with freeze_time(datetime.now(timezone.utc).replace(microsecond=0)) as frozen:
        yield frozen


@pytest.fixture
def ada(db):
    return make_user()


@pytest.fixture
def client():
    return Client(enforce_csrf_checks=True)
