"""Extensions of drf-spectacular that describe the cookies, bearer tokens and views of `jwtauth.urls` in OpenAPI.

The app imports this module if ``drf_spectacular`` is installed.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, ClassVar

from django.contrib.auth import get_user_model
from django.db.models import IntegerField
from django.utils.module_loading import import_string
from django.utils.text import format_lazy
from django.utils.translation import gettext_lazy as _
from drf_spectacular.extensions import (
    OpenApiAuthenticationExtension,
    OpenApiSerializerExtension,
    OpenApiViewExtension,
)
from drf_spectacular.openapi import AutoSchema
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import (
    Direction,
    OpenApiParameter,
    OpenApiResponse,
    PolymorphicProxySerializer,
    extend_schema,
    extend_schema_view,
)
from rest_framework import serializers
from rest_framework.settings import api_settings
from rest_framework.views import APIView

from jwtauth import views
from jwtauth.authentication import JWTAuthentication
from jwtauth.conf import get_config
from jwtauth.serializers import SessionSerializer
from jwtauth.views import SessionPagination

_COOKIE, _BEARER, _DPOP = "jwtauthCookie", "jwtauthBearer", "jwtauthDPoP"


class JwtAuthenticationScheme(OpenApiAuthenticationExtension):
    """Describe the access token's cookie, and ``Authorization`` if ``BEARER_TOKENS`` is on."""

    target_class = "jwtauth.authentication.JWTAuthentication"
    match_subclasses = True

    @property
    def name(self) -> list[str]:  # type: ignore[override]
        return [_COOKIE, _BEARER, _DPOP] if get_config().bearer_tokens else [_COOKIE]

    def get_security_requirement(self, auto_schema: AutoSchema) -> list[dict[str, list[Any]]]:
        """Return the schemes as alternatives."""
        return [{name: []} for name in self.name]

    def get_security_definition(self, auto_schema: AutoSchema) -> list[dict[str, Any]]:
        """Return the definitions in the order of `name`."""
        cookie = {"type": "apiKey", "in": "cookie", "name": get_config().access_cookie_name}
        bearer = {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}
        what = "With a proof of the key to which the token is bound, in the header `DPoP` (RFC 9449)."
        dpop = {"type": "http", "scheme": "DPoP", "description": what}
        return [cookie, bearer, dpop][: len(self.name)]


class _Named(OpenApiSerializerExtension):
    """Give a component a name that does not clash with the project's own, and its description."""

    description: Any = None

    def get_name(self, auto_schema: AutoSchema, direction: Direction) -> str:
        """Return ``JwtauthLogin`` for ``LoginSerializer``."""
        serializer: type = self.target if isinstance(self.target, type) else type(self.target)
        return f"Jwtauth{serializer.__name__.removesuffix('Serializer')}"

    def map_serializer(self, auto_schema: AutoSchema, direction: Direction) -> dict[str, Any]:
        """Add a pattern for what DRF rejects but does not describe: null characters in input."""
        schema: dict[str, Any] = super().map_serializer(auto_schema, direction)
        for field in schema["properties"].values():
            if field.get("type") == "string" and field.get("writeOnly"):
                field["pattern"] = r"^[^\x00]*$"
        if self.description is not None:
            schema["description"] = self.description
        return schema


class LoginSerializerExtension(_Named):
    target_class = "jwtauth.serializers.LoginSerializer"
    description = _("A username and a password, for the site's authentication backends.")

    def map_serializer(self, auto_schema: AutoSchema, direction: Direction) -> dict[str, Any]:
        """Also reject blank usernames."""
        schema = super().map_serializer(auto_schema, direction)
        schema["properties"][get_user_model().USERNAME_FIELD]["pattern"] = r"^[^\x00]*[^\s\x00][^\x00]*$"
        return schema


class SessionSerializerExtension(_Named):
    target_class = "jwtauth.serializers.SessionSerializer"
    description = _("A session of the current user.")


class ReauthenticateSerializerExtension(_Named):
    target_class = "jwtauth.serializers.ReauthenticateSerializer"
    description = _("The password of the user who is signed in.")


class RefreshSerializerExtension(_Named):
    target_class = "jwtauth.serializers.RefreshSerializer"
    description = _("A refresh token.")


class RevokeSerializerExtension(_Named):
    target_class = "jwtauth.serializers.RevokeSerializer"
    description = _("An access or refresh token (RFC 7009 section 2.1). The hint is not needed.")


class UserSerializerExtension(_Named):
    """Describe the fields, which depend on the user model."""

    target_class = "jwtauth.serializers.UserSerializer"

    def map_serializer(self, auto_schema: AutoSchema, direction: Direction) -> dict[str, Any]:
        """Return an object with the primary key and the username."""
        model = get_user_model()
        key = {"type": "integer" if isinstance(model._meta.pk, IntegerField) else "string"}
        properties = {"id": key, model.USERNAME_FIELD: {"type": "string"}}
        return {"type": "object", "properties": properties, "required": list(properties)}


# --- responses of views without a serializer


class JwtauthError(serializers.Serializer[Any]):
    detail = serializers.CharField()
    code = serializers.CharField()


_ACCESS_EXPIRES_IN = _("Seconds until the access token expires.")


class JwtauthMe(serializers.Serializer[Any]):
    session = SessionSerializer(allow_null=True)
    access_expires_in = serializers.IntegerField(allow_null=True, help_text=_ACCESS_EXPIRES_IN)

    def get_fields(self) -> dict[str, serializers.Field[Any, Any, Any, Any]]:
        return {"user": import_string(get_config().user_serializer)(), **super().get_fields()}


class JwtauthTokenPair(serializers.Serializer[Any]):
    access = serializers.CharField()
    refresh = serializers.CharField()
    access_expires_in = serializers.IntegerField(help_text=_ACCESS_EXPIRES_IN)
    refresh_expires_in = serializers.IntegerField(help_text=_("Seconds until the refresh token expires."))
    token_type = serializers.CharField(required=False, help_text="`DPoP` if the tokens are bound to a key.")


class JwtauthEnded(serializers.Serializer[Any]):
    ended = serializers.IntegerField(help_text=_("Number of sessions that were ended."))


def _error(description: Any) -> OpenApiResponse:
    return OpenApiResponse(JwtauthError, description)


# Responses of DRF and the middleware, which every view can return.
_EVERYWHERE = {
    401: _error(_("`token_not_valid`: the token in `Authorization: Bearer` is not valid.")),
    403: _error(
        _(
            "`cross_origin`: the request has cookies and comes from another origin. "
            "`not_authenticated`: no user is signed in."
        )
    ),
    503: _error(_("`session_contention`: the database is busy. Nothing was changed. Try again.")),
}
_INVALID = {
    400: OpenApiResponse(
        {"type": "object", "additionalProperties": {}},
        _("Lists of error messages by field, or `detail` and `code` if the body cannot be parsed."),
    )
}
_REFUSED = _("`cross_origin`: the request comes from another origin. `session_limit`: the user has too many sessions.")
_PENDING = _("`second_factor_required`: the user has enrolled a second factor, one of `methods`.")
_ATTEMPTS = {
    **_EVERYWHERE,
    **_INVALID,
    401: _error(_("`no_active_account`: the username or password is wrong, or the account is inactive.")),
    403: _error(format_lazy("{} {}", _REFUSED, _PENDING)),
    429: _error(_("`throttled`: too many attempts. `Retry-After` is the number of seconds to wait.")),
}
_UNKNOWN = {404: _error(_("`not_found`: the current user has no such session."))}


_JWK_SET = {
    "type": "object",
    "properties": {"keys": {"type": "array", "items": {"type": "object", "additionalProperties": {"type": "string"}}}},
    "required": ["keys"],
}


_COOKIES_SET = _("The access token and the refresh token, each in a cookie.")
_COOKIES_CLEARED = _("Clears the cookies of both tokens.")


def _sets_cookies(status: int, description: Any) -> list[OpenApiParameter]:
    return [
        OpenApiParameter(
            "Set-Cookie", OpenApiTypes.STR, OpenApiParameter.HEADER, response=[status], description=description
        )
    ]


_PROOF = OpenApiParameter(
    "DPoP",
    OpenApiTypes.STR,
    OpenApiParameter.HEADER,
    description="A proof of the key to which the tokens are, or become, bound (RFC 9449). Without one: bearer tokens.",
)


def _described(**arguments: Any) -> Callable[[Any], Any]:
    """Return ``extend_schema`` for a method, with a default ``operationId`` that is an identifier: without dots."""
    extended = extend_schema(**arguments)

    def decorate(method: Any) -> Any:
        default: Any = api_settings.DEFAULT_SCHEMA_CLASS
        if default.get_operation_id is AutoSchema.get_operation_id:  # not overridden by the project
            vars(method).setdefault("kwargs", {}).setdefault("schema", type("Schema", (_Identifiers, default), {}))
        return extended(method)

    return decorate


class _Identifiers(AutoSchema):
    def get_operation_id(self) -> str:
        """Return an identifier, since generators of clients use the id as a function name."""
        return re.sub(r"\W", "_", super().get_operation_id())


class _View(OpenApiViewExtension):
    """Describe a view by `operations`: the arguments of ``extend_schema`` for each method."""

    match_subclasses = True
    # Attributes of the view that are replaced in the schema.
    attributes: ClassVar[dict[str, Any]] = {}

    def operations(self) -> dict[str, dict[str, Any]]:
        raise NotImplementedError

    def view_replacement(self) -> type[APIView]:
        """Return a subclass of the view with the descriptions."""
        described = {method: _described(**arguments) for method, arguments in self.operations().items()}
        replacement: type[APIView] = type(self.target.__name__, (self.target,), self.attributes)
        return extend_schema_view(**described)(replacement)


def _operation(description: Any, responses: dict[int, Any], **others: Any) -> dict[str, Any]:
    responses = dict(sorted({**_EVERYWHERE, **responses}.items()))
    return {"description": description, "responses": responses, **others}


class LoginViewExtension(_View):
    target_class = "jwtauth.views.LoginView"

    def operations(self) -> dict[str, dict[str, Any]]:
        parameters = _sets_cookies(200, _COOKIES_SET)
        return {"post": _operation(views.LoginView.description, {200: JwtauthMe, **_ATTEMPTS}, parameters=parameters)}


class ReauthenticateViewExtension(_View):
    target_class = "jwtauth.views.ReauthenticateView"
    attributes: ClassVar[dict[str, Any]] = {"authentication_classes": (JWTAuthentication,)}

    def operations(self) -> dict[str, dict[str, Any]]:
        either = PolymorphicProxySerializer("JwtauthMeOrTokenPair", [JwtauthMe, JwtauthTokenPair], None)
        refused = {
            401: _error(_("`no_active_account`: the password is wrong. `not_authenticated`: no user is signed in."))
        }
        return {"post": _operation(views.ReauthenticateView.description, {200: either, **_ATTEMPTS, **refused})}


class LogoutViewExtension(_View):
    target_class = "jwtauth.views.LogoutView"
    attributes: ClassVar[dict[str, Any]] = {"authentication_classes": (JWTAuthentication,)}

    def operations(self) -> dict[str, dict[str, Any]]:
        parameters = _sets_cookies(204, _COOKIES_CLEARED)
        return {"post": _operation(views.LogoutView.description, {204: None}, request=None, parameters=parameters)}


class TokenViewExtension(_View):
    target_class = "jwtauth.views.TokenView"

    def operations(self) -> dict[str, dict[str, Any]]:
        responses = {200: JwtauthTokenPair, **_ATTEMPTS}
        return {"post": _operation(views.TokenView.description, responses, parameters=[_PROOF])}


class TokenRefreshViewExtension(_View):
    target_class = "jwtauth.views.TokenRefreshView"

    def operations(self) -> dict[str, dict[str, Any]]:
        what = views.TokenRefreshView.description
        refused = _error(_("`token_not_valid`: the refresh token is invalid or expired, or its session has ended."))
        responses = {200: JwtauthTokenPair, **_INVALID, 401: refused}
        return {"post": _operation(what, responses, parameters=[_PROOF])}


class TokenRevokeViewExtension(_View):
    target_class = "jwtauth.views.TokenRevokeView"

    def operations(self) -> dict[str, dict[str, Any]]:
        return {"post": _operation(views.TokenRevokeView.description, {200: {"type": "object"}, **_INVALID})}


_INSTRUCTIONS = {"type": "object", "additionalProperties": {}}


class _DeviceView(_View):
    # The browser itself asks these views, which neither need a user nor answer 401 for a bearer token.
    attributes: ClassVar[dict[str, Any]] = {"serializer_class": None}
    refusals: ClassVar[dict[int, str]] = {}

    def operations(self) -> dict[str, dict[str, Any]]:
        answer = OpenApiResponse(_INSTRUCTIONS, "Session instructions, as browsers read them.")
        refusals = {status: _error(text) for status, text in self.refusals.items()}
        return {"post": _operation(self.target.description, {200: answer, **refusals}, request=None)}


class DeviceRegisterViewExtension(_DeviceView):
    target_class = "jwtauth.views.DeviceRegisterView"
    refusals: ClassVar[dict[int, str]] = {
        401: "`not_authenticated`: no user is signed in.",
        403: "`cross_origin`, `device_proof_not_valid`, or `device_proof_failed`: the session is bound to another key.",
    }


class DeviceRefreshViewExtension(_DeviceView):
    target_class = "jwtauth.views.DeviceRefreshView"
    refusals: ClassVar[dict[int, str]] = {
        403: "`cross_origin`, `device_proof_required`, or `device_proof_failed`: the key is another.",
    }


class JwkSetViewExtension(_View):
    target_class = "jwtauth.views.JwkSetView"

    def operations(self) -> dict[str, dict[str, Any]]:
        answer = OpenApiResponse(_JWK_SET, _("A JWK Set (RFC 7517). It may be cached for five minutes."))
        refusals = {(status, "application/json"): refusal for status, refusal in _EVERYWHERE.items()}
        responses = {(200, "application/jwk-set+json"): answer, **refusals}
        return {"get": {"description": views.JwkSetView.description, "responses": responses}}


class MeViewExtension(_View):
    target_class = "jwtauth.views.MeView"

    def operations(self) -> dict[str, dict[str, Any]]:
        return {"get": _operation(views.MeView.description, {200: JwtauthMe})}


class SessionListViewExtension(_View):
    target_class = "jwtauth.views.SessionListView"

    def view_replacement(self) -> type[APIView]:
        """Return the view without `SessionPagination`, which is described here instead."""
        if self._has_pages:
            self.attributes = {"pagination_class": None}  # type: ignore[misc]  # of this extension alone
        return super().view_replacement()

    @property
    def _has_pages(self) -> bool:
        return issubclass(self.target.pagination_class or object, SessionPagination)

    def operations(self) -> dict[str, dict[str, Any]]:
        what, listed = views.SessionListView.description, SessionSerializer(many=True)
        if not self._has_pages:
            return {"get": _operation(what, {200: listed})}
        page = OpenApiParameter(
            "page", OpenApiTypes.INT, description=_("Page number, from 1. A page holds 100 sessions.")
        )
        link = OpenApiParameter(
            "Link",
            OpenApiTypes.STR,
            OpenApiParameter.HEADER,
            response=[200],
            description=_(
                'URLs of the previous page (`rel="prev"`) and the next page (`rel="next"`), if any (RFC 8288).'
            ),
        )
        missing = {404: _error(_("`not_found`: there is no such page."))}
        return {"get": _operation(what, {200: listed, **missing}, parameters=[page, link])}


class SessionViewExtension(_View):
    target_class = "jwtauth.views.SessionView"

    def operations(self) -> dict[str, dict[str, Any]]:
        ended = _("End one of the current user's sessions. Ending the session of this request clears the cookies.")
        return {
            "get": _operation(_("Return one of the current user's sessions."), {200: SessionSerializer, **_UNKNOWN}),
            "delete": _operation(ended, {204: None, **_UNKNOWN}),
        }


class OtherSessionsViewExtension(_View):
    target_class = "jwtauth.views.OtherSessionsView"

    def operations(self) -> dict[str, dict[str, Any]]:
        same = _("The same as `DELETE`, for HTML forms.")
        return {
            "delete": _operation(views.OtherSessionsView.description, {200: JwtauthEnded}),
            "post": _operation(same, {200: JwtauthEnded}, request=None),
        }
