"""The authentication class for django-ninja: ``NinjaAPI(auth=JwtAuth())``."""

from __future__ import annotations

import json
from collections.abc import Awaitable
from typing import Any

from asgiref.sync import sync_to_async
from django.http import HttpRequest
from django.http.response import HttpResponseBase

from jwtauth.conf import get_config
from jwtauth.exceptions import CrossOriginRefused
from jwtauth.internal import anonymous, bearer
from jwtauth.internal.flow import Flow
from jwtauth.internal.request_user import authenticated_user
from jwtauth.internal.store import scope


class JwtAuth:
    """Authenticate sync and async operations by the tokens that jwtauth's middleware has verified.

    ``request.auth`` is the user, as with Ninja's ``django_auth``. An anonymous request is passed on to the next class
    of ``auth=[...]``. If none accepts it, the response is 403 with a ``code``, as in DRF, or 401 with a challenge if
    the request has an invalid token in ``Authorization``. A project's own handler of Ninja's ``AuthenticationError``
    takes precedence. The middleware refuses requests from other origins, so Ninja's CSRF check is not needed.
    """

    @property
    def is_async(self) -> bool:
        """Return whether Ninja is to await the result: only in an async operation, on the event loop."""
        return scope.is_on_event_loop()

    @property
    def openapi_security_schema(self) -> dict[str, Any]:
        """Return the OpenAPI security scheme: the cookie of the access token."""
        config = get_config()
        scheme = {"type": "apiKey", "in": "cookie", "name": config.access_cookie_name}
        also = "The same token is accepted as `Authorization: Bearer`, and one that is bound to a key as `DPoP`."
        return {**scheme, "description": also} if config.bearer_tokens else scheme

    def __call__(self, request: HttpRequest) -> Any | Awaitable[Any]:
        """Return the user or ``None``, in async operations as an awaitable.

        Raises ``ImproperlyConfigured`` if the middleware is missing.
        """
        return sync_to_async(_load)(request) if self.is_async else _authenticate(request)


def _authenticate(request: HttpRequest) -> Any:
    try:
        user = authenticated_user(request)
    except CrossOriginRefused:
        user = None  # the request did not pass the middleware, which answers 403
    flow = Flow.of(request)
    if user is None and flow is not None:
        flow.on_response = _name_refusal
    return user


def _load(request: HttpRequest) -> Any:
    """Return a loaded user, since async code cannot load the fields of a lazy one."""
    if _authenticate(request) is None:
        return None
    _ = request.jwtauth.session  # type: ignore[attr-defined]  # the first use loads the user
    return _authenticate(request)


def _name_refusal(flow: Flow, response: HttpResponseBase) -> None:
    """Replace Ninja's default response to an unauthenticated request by that of the other views, with a ``code``."""
    if hasattr(flow.request, "auth") or not _is_ninjas(response):
        return  # another class has accepted the request, or the project has a handler of its own
    if flow.identity.is_bearer and flow.found is None:
        content = bearer.body(flow.identity)
        response.headers.setdefault("WWW-Authenticate", flow.identity.challenge or bearer.CHALLENGE)
    else:
        # A 401 response must have a challenge (RFC 9110 section 11.6.1), and cookies have none.
        content, response.status_code = anonymous.body(flow), 403
    response.content = json.dumps(content).encode()  # type: ignore[attr-defined]
    if "Content-Length" in response.headers:  # set by a middleware that is listed after jwtauth's
        response.headers["Content-Length"] = str(len(response.content))  # type: ignore[attr-defined]


def _is_ninjas(response: HttpResponseBase) -> bool:
    """Return whether this is the response of Ninja's default handler, in its default or another JSON renderer."""
    if response.status_code != 401 or response.streaming:
        return False
    from ninja.errors import AuthenticationError  # reads the settings when it is imported

    try:
        return bool(json.loads(response.content) == {"detail": str(AuthenticationError())})  # type: ignore[attr-defined]
    except ValueError:
        return False
