"""freezegun and time-machine: jwtauth uses the time that a test travels to, although the database does not."""

import os
import subprocess
import sys
import time
from contextlib import contextmanager
from datetime import datetime, timedelta, timezone

import freezegun
import pytest
import time_machine
from django.test import Client

from jwtauth import _engine
from jwtauth.internal.store import cleanup, clock
from jwtauth.models import Session
from jwtauth.test import force_login
from tests.conftest import ACCESS_LIFETIME, GRACE, IDLE, Browser, only_session

pytestmark = pytest.mark.django_db

THEN = datetime(2031, 5, 6, 7, 8, 9, tzinfo=timezone.utc)
LONG_AGO = datetime(2012, 1, 14, 3, 21, 34, tzinfo=timezone.utc)
DAY = timedelta(days=1)


@contextmanager
def frozen(moment, ticks=False):
    with freezegun.freeze_time(moment, tick=ticks) as travel:
        yield travel.move_to


@contextmanager
def travelled(moment, ticks=False):
    with time_machine.travel(moment, tick=ticks) as travel:
        yield travel.move_to


@pytest.fixture(params=[frozen, travelled], ids=["freezegun", "time-machine"])
def travel(request):
    return request.param


@pytest.mark.parametrize("moment", [THEN, LONG_AGO])
@pytest.mark.parametrize("ticks", [False, True])
def test_jwtauth_uses_the_time_travelled_to(travel, ada, moment, ticks):
    browser = Browser()
    with travel(moment, ticks):
        browser.sign_in(ada)
        assert browser.who() == "ada"
        seconds = (only_session().created_at - moment).total_seconds()
        assert 0 <= seconds < (60 if ticks else 1)
        assert browser.who() == "ada"
        assert 0 <= clock.now() - moment.timestamp() < (60 if ticks else 1)
    assert abs(clock.now() - time.time()) < 60


def test_tokens_expire_by_the_travelled_time(travel, ada):
    browser = Browser()
    with travel(THEN) as move_to:
        browser.sign_in(ada)
        move_to(THEN + timedelta(seconds=ACCESS_LIFETIME))
        assert "refresh_token" in browser.get("/me/").cookies
        assert browser.who() == "ada"
        move_to(THEN + timedelta(seconds=ACCESS_LIFETIME + IDLE))
        assert browser.who() is None


def test_a_copied_token_is_detected_after_the_grace_has_been_travelled(travel, ada, thefts):
    browser, thief = Browser(), Browser()
    with travel(THEN) as move_to:
        browser.sign_in(ada)
        copy = browser.token("refresh_token")
        move_to(THEN + timedelta(seconds=ACCESS_LIFETIME))
        assert browser.who() == "ada"
        assert browser.who() == "ada"
        thief.carry({"refresh_token": copy})
        assert thief.who() == "ada"
        move_to(THEN + timedelta(seconds=ACCESS_LIFETIME + GRACE))
        thief.carry({"refresh_token": copy})
        assert thief.who() is None
    assert len(thefts) == 1


def test_time_travels_may_be_nested(travel, ada):
    browser = Browser()
    with travel(THEN):
        browser.sign_in(ada)
        with travel(THEN + timedelta(seconds=IDLE)):
            assert Session.objects.live().count() == 0
        assert browser.who() == "ada"
        assert clock.now() == THEN.timestamp()


@pytest.mark.parametrize("interval", [60, 3600])
def test_the_check_interval_passes_by_the_travelled_time(travel, ada, settings, interval):
    settings.JWTAUTH = {"SESSION_CHECK_INTERVAL": interval, "ACCESS_TOKEN_LIFETIME": 7200}
    browser = Browser()
    with travel(THEN) as move_to:
        browser.sign_in(ada)
        assert browser.who() == "ada"
        Session.objects.all().delete()
        move_to(THEN + timedelta(seconds=interval - 1))
        assert browser.get("/who/async/").content.startswith(b"True")
        move_to(THEN + timedelta(seconds=interval))
        assert browser.who() is None


def test_nothing_is_remembered_across_time_travels(travel, ada, settings):
    settings.JWTAUTH = {"SESSION_CHECK_INTERVAL": 3600, "ACCESS_TOKEN_LIFETIME": 7200}
    browser = Browser()
    browser.sign_in(ada)
    assert browser.who() == "ada"
    Session.objects.all().delete()
    with travel(datetime.now(timezone.utc) + timedelta(seconds=4000)):
        assert browser.who() is None
    assert browser.who() is None


def test_no_cleanup_is_due_in_travelled_time(travel, ada, monkeypatch):
    monkeypatch.setattr(cleanup, "_schedule", _engine.CleanupSchedule(0, random=0))
    assert cleanup.is_due()
    for moment in (THEN, LONG_AGO, datetime(1960, 1, 1, tzinfo=timezone.utc)):
        with travel(moment):
            assert not cleanup.is_due()
    assert cleanup.is_due()


def test_force_login_uses_the_travelled_time(travel, ada):
    client = Client()
    with travel(THEN):
        force_login(client, ada)
        assert client.get("/me/").status_code == 200
        assert only_session().created_at == THEN


@pytest.mark.parametrize("plugins", [[], ["-p", "no:django"]])
def test_freezegun_works_if_the_app_is_not_installed(tmp_path, plugins):
    """The entry point for pytest loads the package in every project, and freezegun inspects all loaded modules."""
    (tmp_path / "test_frozen.py").write_text(
        "import datetime, sys\n"
        "from freezegun import freeze_time\n"
        "def test_frozen():\n"
        "    with freeze_time('2016-01-01'):\n"
        "        assert datetime.date.today().year == 2016\n"
        "    assert datetime.date.today().year > 2016\n"
        "    assert 'jwtauth.contrib.pytest_plugin' in sys.modules\n"
        "    assert 'jwtauth.models' not in sys.modules\n"
    )
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *plugins, f"--rootdir={tmp_path}", tmp_path],
        cwd=tmp_path,
        env={name: value for name, value in os.environ.items() if name != "DJANGO_SETTINGS_MODULE"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
