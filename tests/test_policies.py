"""``LOCK_AFTER`` and ``SENSITIVE_MAX_AGE``: their values."""

from datetime import timedelta

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.test import override_settings

from jwtauth import conf
from jwtauth.checks import check_settings

HOUR, DAY = 3600, 86_400


@pytest.mark.parametrize("name", ["LOCK_AFTER", "SENSITIVE_MAX_AGE"])
@pytest.mark.parametrize("given", [0, -1, 0.5, "300", True, 10**12])
def test_duration_that_is_not_positive_is_an_error(name, given):
    with override_settings(JWTAUTH={name: given}):
        (message,) = check_settings()
        with pytest.raises(ImproperlyConfigured):
            conf.get_config()
    assert (message.id, name in message.msg) == ("jwtauth.E003", True)


@pytest.mark.parametrize("lock", [299, DAY, DAY + 1])
def test_lock_outside_the_other_lifetimes_is_an_error(lock):
    with override_settings(JWTAUTH={"LOCK_AFTER": lock}):
        (message,) = check_settings()
        with pytest.raises(ImproperlyConfigured):
            conf.get_config()
    assert message.id == "jwtauth.E007"
    assert f"LOCK_AFTER ({lock} s) is not between ACCESS_TOKEN_LIFETIME (300 s) and REFRESH" in message.msg
    assert "ACCESS_TOKEN_LIFETIME <= LOCK_AFTER < REFRESH_TOKEN_LIFETIME" in message.hint


@pytest.mark.parametrize("lock", [300, timedelta(hours=1), DAY - 1, None])
def test_lock_between_the_other_lifetimes_is_accepted(lock):
    with override_settings(JWTAUTH={"LOCK_AFTER": lock}):
        assert check_settings() == []
        assert conf.get_config().lock_after == (HOUR if isinstance(lock, timedelta) else lock)
