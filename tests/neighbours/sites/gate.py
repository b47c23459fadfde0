"""A middleware that sets ``request.user``: here ``AnonymousUser`` for a request without a header."""

from __future__ import annotations

from typing import Any

from asgiref.sync import iscoroutinefunction, markcoroutinefunction
from django.contrib.auth.models import AnonymousUser

from tests.neighbours import views
from tests.neighbours.site import Browser, case


async def _anonymous() -> AnonymousUser:
    return AnonymousUser()


class Gate:
    """Make a request without the header anonymous."""

    sync_capable = async_capable = True

    def __init__(self, get_response: Any) -> None:
        self.get_response = get_response
        if iscoroutinefunction(get_response):
            markcoroutinefunction(self)

    def __call__(self, request: Any) -> Any:
        if "x-office" not in request.headers:
            request.user, request.auser = AnonymousUser(), _anonymous
        return self.get_response(request)


urlpatterns = views.urlpatterns
PAGES = ("/who/", "/who/async/", "/who/drf/", "/who/required/")
IN_THE_OFFICE = {"headers": {"x-office": "yes"}}


@case([[None, None, 403, 302], ["ada"] * 4], orders=("recommended", "0.0.8"))
def a_gate_makes_a_signed_in_user_anonymous(browser: Browser) -> Any:
    browser.sign_in()
    outside = [browser.see(page) for page in PAGES]
    return [outside, [browser.see(page, **IN_THE_OFFICE) for page in PAGES]]


@case([[None, None, 403, 302], ["ada"] * 4])
def a_gate_makes_a_refreshed_request_anonymous(browser: Browser) -> Any:
    browser.sign_in()
    outside, inside = [], []
    for page in PAGES:
        browser.outlive_access_token()
        outside.append(browser.see(page))
        inside.append(browser.see(page, **IN_THE_OFFICE))
    return [outside, inside]
