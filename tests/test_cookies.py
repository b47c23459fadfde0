"""The cookies are those that Django's own ``set_cookie`` and ``delete_cookie`` would set."""

import pickle
import time

import pytest
from django.http import HttpResponse

from jwtauth.conf import get_config
from jwtauth.internal.response import _set_cookie

TOKEN = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl"
SETTINGS = [
    {},
    {"COOKIE_SECURE": True},
    {"COOKIE_DOMAIN": ".example.com", "COOKIE_PATH": "/app"},
    {"COOKIE_DOMAIN": ".example.com", "COOKIE_SECURE": True},
]


def as_django_does(config, name, value, max_age, same_site):
    response = HttpResponse()
    scope = {"path": config.cookie_path, "domain": config.cookie_domain}
    expires = None if value else "Thu, 01 Jan 1970 00:00:00 GMT"
    response.set_cookie(
        name,
        value,
        max_age=max_age,
        expires=expires,
        httponly=True,
        secure=config.cookie_secure,
        samesite=same_site,
        **scope,
    )
    return response


@pytest.mark.parametrize("max_age", [0, 1, 1_209_600, None])
@pytest.mark.parametrize("value", [TOKEN, "", 'quoted: "é, ;\\'])
@pytest.mark.parametrize("changed", SETTINGS)
def test_cookie_equals_that_of_djangos_set_cookie(settings, monkeypatch, changed, value, max_age):
    monkeypatch.setattr(time, "time", lambda: 1_700_000_000.25)
    settings.JWTAUTH = changed
    response, config = HttpResponse(), get_config()
    _set_cookie(response, config, "refresh_token", value, max_age, "Strict")
    expected = as_django_does(config, "refresh_token", value, max_age, "Strict")
    assert response.cookies.output() == expected.cookies.output()
    assert response.cookies["refresh_token"].value == value
    assert pickle.loads(pickle.dumps(response)).cookies.output() == expected.cookies.output()


def test_later_code_can_change_an_attribute_of_the_cookie():
    response = HttpResponse()
    _set_cookie(response, get_config(), "access_token", TOKEN, 300, "Strict")
    response.cookies["access_token"]["samesite"] = "Lax"
    assert "SameSite=Lax" in response.cookies.output()
    assert "SameSite=Strict" not in response.cookies.output()
