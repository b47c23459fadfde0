"""django-cors-headers: preflights pass, and a front end on another origin can read refusals."""

from __future__ import annotations

from typing import Any

from tests.neighbours import views
from tests.neighbours.settings import BY_JWTAUTH
from tests.neighbours.site import PASSWORD, Browser, case

urlpatterns = views.urlpatterns
ORIGIN = {"origin": "https://app.example", "sec-fetch-site": "cross-site"}
PREFLIGHT = {"access-control-request-method": "POST", "access-control-request-headers": "authorization"}
OTHER = {"origin": "https://other.example", "sec-fetch-site": "cross-site"}
ORDERS = ("recommended", "0.0.8")


def described(answer: Any) -> list[Any]:
    """Return the status, the CORS headers, and whether ``Vary`` names ``Origin``."""
    allowed = [answer.get("Access-Control-Allow-Origin"), answer.get("Access-Control-Allow-Credentials")]
    return [answer.status_code, *allowed, "origin" in answer.get("Vary", "").lower()]


READABLE = ["https://app.example", "true", True]


@case([[200, *READABLE], []], orders=ORDERS)
def a_preflight_passes(browser: Browser) -> Any:
    browser.sign_in()
    browser.outlive_access_token()
    answer = browser.request("options", "/who/drf/", headers=ORIGIN | PREFLIGHT)
    return [described(answer), list(answer.cookies)]


@case([[403, *READABLE], [401, *READABLE], [403, *READABLE]], orders=ORDERS, ways=(BY_JWTAUTH,))
def refusals_can_be_read(browser: Browser) -> Any:
    anonymous = browser.get("/who/drf/", headers=ORIGIN)
    bearer = browser.get("/who/drf/", headers=ORIGIN | {"authorization": "Bearer made up"})
    browser.sign_in()
    browser.enforce_origin()
    foreign = browser.post("/who/drf/", headers=ORIGIN)
    return [described(foreign), described(bearer), described(anonymous)]


@case([[403, None, None, True], [403, None, None, True]], orders=ORDERS, ways=(BY_JWTAUTH,))
def other_origins_can_neither_write_nor_read(browser: Browser) -> Any:
    browser.sign_in()
    browser.enforce_origin()
    written = browser.post("/who/drf/", headers=OTHER)
    browser.outlive_access_token()
    return [described(written), described(browser.post("/who/drf/", headers=OTHER))]


@case(
    [[200, *READABLE], ["access_token", "refresh_token"], [200, *READABLE], "ada", [405, *READABLE]],
    orders=ORDERS,
    ways=(BY_JWTAUTH,),
    settings={"CSRF_TRUSTED_ORIGINS": ["https://app.example"]},
)
def a_trusted_origin_signs_in_and_writes(browser: Browser) -> Any:
    browser.enforce_origin()
    credentials = {"username": "ada", "password": PASSWORD}
    signed_in = browser.post_json("/auth/login/", credentials, headers=ORIGIN)
    browser.outlive_access_token()
    page = browser.get("/who/drf/", headers=ORIGIN)
    written = browser.post("/who/drf/", headers=ORIGIN)
    return [described(signed_in), sorted(signed_in.cookies), described(page), page.json(), described(written)]
