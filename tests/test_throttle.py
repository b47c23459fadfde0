"""Throttling of `login/` and `token/`: which requests count as attempts, and of which client."""

import pytest
from django.test import override_settings
from django.urls import path
from rest_framework.settings import api_settings

from jwtauth import views
from tests.conftest import Browser

pytestmark = pytest.mark.django_db

ADA = {"username": "ada", "password": "old password"}
CROSS_SITE = {"HTTP_SEC_FETCH_SITE": "cross-site", "HTTP_ORIGIN": "https://elsewhere.example"}
URLS = ["login/", "token/"]


@pytest.fixture
def rate(settings):
    """Set the rate, and more settings of ``REST_FRAMEWORK``."""

    def set_rate(rate, **values):
        rates = {"DEFAULT_THROTTLE_RATES": {"jwtauth_login": rate}}
        settings.REST_FRAMEWORK = settings.REST_FRAMEWORK | rates | values
        api_settings.reload()

    yield set_rate
    api_settings.reload()


def post(url="login/", data=None, browser=None, **headers):
    return (browser or Browser()).post(
        f"/auth/{url}", ADA if data is None else data, content_type="application/json", **headers
    )


def attempts(count, url="login/", **headers):
    return [post(url, ADA | {"password": "wrong"}, **headers).status_code for _ in range(count)]


# --- the number of attempts


def test_attempts_at_login_and_token_are_throttled_together(ada):
    assert attempts(15) + attempts(15, "token/") == [401] * 30
    response = post()
    assert response.status_code == 429
    assert response.json()["code"] == "throttled"
    assert int(response["Retry-After"]) > 0


def test_throttle_rate_of_the_project_is_used(ada, rate):
    rate("2/min")
    assert attempts(3) == [401, 401, 429]


def test_attempts_are_not_limited_with_a_rate_of_none(ada, rate):
    rate(None)
    assert attempts(40) == [401] * 40


class NoScope(views.LoginView):
    throttle_scope = None


urlpatterns = [path("auth/login/", NoScope.as_view())]


def test_throttle_subclass_without_a_scope_has_no_limit(ada, rate, settings):
    settings.ROOT_URLCONF = __name__
    rate("1/min")
    assert attempts(3) == [401] * 3


# --- which requests are attempts


@pytest.mark.parametrize("method", ["get", "head", "options"])
@pytest.mark.parametrize("url", URLS)
def test_safe_methods_do_not_count_as_attempts(ada, rate, url, method):
    rate("1/min")
    statuses = {getattr(Browser(), method)(f"/auth/{url}", HTTP_ACCEPT="text/html").status_code for _ in range(5)}
    assert statuses == {200 if method == "options" else 405}
    assert post(url).status_code == 200


@pytest.mark.parametrize(
    "kind", ["application/json", "application/x-www-form-urlencoded", "text/plain", "multipart/form-data; boundary=x"]
)
@pytest.mark.parametrize("url", [*URLS, "logout/"])
def test_cross_origin_request_does_not_count_as_an_attempt(ada, rate, url, kind, security_log):
    rate("1/min")
    for _ in range(3):
        refused = Browser().generic("POST", f"/auth/{url}", "username=ada&password=x", kind, **CROSS_SITE)
        assert (refused.status_code, refused.json()["code"]) == (403, "cross_origin")
    assert [post(url).status_code for url in URLS] == [200, 429]
    assert [record.event for record in security_log()] == ["cross_origin"] * 3
    assert security_log()[0].path == f"/auth/{url}"


@pytest.mark.parametrize("body", [{}, "{", {"username": "ada"}])
def test_malformed_body_counts_as_an_attempt(ada, rate, body):
    rate("2/min")
    assert [post(data=body).status_code for _ in range(3)] == [400, 400, 429]


# --- the client of an attempt


@pytest.mark.parametrize("of_drf", [None, 0])
def test_forged_forwarded_address_gives_no_further_attempt(ada, rate, of_drf):
    rate("2/min", NUM_PROXIES=of_drf)
    found = [attempts(1, HTTP_X_FORWARDED_FOR=f"203.0.113.{n}")[0] for n in range(4)]
    assert found == [401, 401, 429, 429]


@pytest.mark.parametrize("of_drf", [None, 0, 1, 2])
def test_clients_behind_a_proxy_are_distinguished_by_the_address_it_adds(ada, rate, settings, of_drf):
    settings.JWTAUTH = {"NUM_PROXIES": 1}
    rate("1/min", NUM_PROXIES=of_drf)
    assert attempts(1, HTTP_X_FORWARDED_FOR="192.0.2.66, 203.0.113.1") == [401]
    assert attempts(1, HTTP_X_FORWARDED_FOR="192.0.2.77, 203.0.113.1") == [429]
    assert attempts(1, HTTP_X_FORWARDED_FOR="192.0.2.66, 203.0.113.2") == [401]


def test_num_proxies_of_drf_is_used_if_jwtauth_s_is_unset(ada, rate):
    rate("1/min", NUM_PROXIES=1)
    assert attempts(1, HTTP_X_FORWARDED_FOR="203.0.113.1") == [401]
    assert attempts(1, HTTP_X_FORWARDED_FOR="203.0.113.1") == [429]
    assert attempts(1, HTTP_X_FORWARDED_FOR="203.0.113.2") == [401]
    with override_settings(JWTAUTH={"NUM_PROXIES": 0}):
        assert attempts(2, HTTP_X_FORWARDED_FOR="203.0.113.2") == [401, 429]


def test_another_port_gives_no_further_attempt(ada, rate, settings):
    settings.JWTAUTH = {"NUM_PROXIES": 1}
    rate("2/min")
    found = [attempts(1, HTTP_X_FORWARDED_FOR=f"203.0.113.9:{port}")[0] for port in (22272, 22273, 22274)]
    assert found == [401, 401, 429]


@pytest.mark.parametrize(
    ("first", "second", "status"),
    [
        ("2001:db8::1", "2001:db8::ffff:2", 429),  # of one /64
        ("2001:db8::1", "2001:db8:0:1::1", 401),
        ("192.0.2.1", "192.0.2.2", 401),
        ("192.0.2.1", "::ffff:192.0.2.1", 429),
        ("::ffff:192.0.2.1", "::ffff:192.0.2.2", 401),
        ("64:ff9b::192.0.2.1", "64:ff9b::192.0.2.2", 401),  # IPv4 behind a translator
        ("fe80::1%eth0", "fe80::1%eth1", 429),
        ("", "unix:", 429),  # clients without an address are counted together
    ],
)
def test_addresses_of_one_client_are_counted_together(ada, rate, first, second, status):
    rate("1/min")
    assert attempts(1, REMOTE_ADDR=first) == [401]
    assert attempts(1, REMOTE_ADDR=second) == [status]
