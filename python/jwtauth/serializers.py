"""The serializers of the views of `jwtauth.urls`."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import tzinfo
from typing import Any, ClassVar

from django.contrib.auth import authenticate, get_user_model
from django.contrib.auth.forms import UsernameField as UsernameFormField
from django.core.exceptions import ImproperlyConfigured
from django.db import models
from django.utils import timezone
from django.utils.text import capfirst
from django.utils.translation import gettext_lazy as _
from django.views.decorators.debug import sensitive_variables
from rest_framework import serializers
from rest_framework.exceptions import APIException
from rest_framework.request import Request

from jwtauth.internal.store import clock
from jwtauth.internal.store.admission import backend_of, is_active, user_can_authenticate
from jwtauth.models import Session


class CredentialsRefused(APIException):
    """Raised for a wrong username or password, or an inactive account: 401. The response does not say which."""

    status_code = 401
    default_detail = _("No active account found with the given credentials.")
    default_code = "no_active_account"  # the same as simplejwt
    # A 401 response must have a challenge (RFC 9110 section 11.6.1).
    auth_header = 'Bearer realm="api"'


class _SecretInput(serializers.Serializer[Any]):
    """Hide a password or a token from ``repr`` and error reports."""

    def __repr__(self) -> str:
        return f"<{type(self).__name__}>"

    @sensitive_variables()
    def is_valid(self, *, raise_exception: bool = False) -> bool:
        """Validate the data, hidden from error reports."""
        return super().is_valid(raise_exception=raise_exception)


class UsernameField(serializers.CharField):
    """Read a username, normalized as in Django's login form."""

    def to_internal_value(self, data: Any) -> str:
        """Return the username in Unicode form NFKC, unless it is longer than the user model allows."""
        form_field = UsernameFormField()
        form_field.max_length = _username_model_field().max_length or 254  # as in AuthenticationForm
        return str(form_field.to_python(super().to_internal_value(data)))


def _username_model_field() -> Any:
    model = get_user_model()
    return model._meta.get_field(model.USERNAME_FIELD)


class LoginSerializer(_SecretInput):
    """Authenticate a username and a password with the project's authentication backends.

    The field of the username has the name of ``USERNAME_FIELD``. A subclass, or another serializer named by
    ``LOGIN_SERIALIZER``, must set ``validated_data["user"]``. It may set ``remember``, ``lifetime`` and ``methods``,
    which are passed to `login`. Without ``methods``, they are ``["pwd"]``.
    """

    password = serializers.CharField(
        label=_("Password"), write_only=True, min_length=1, trim_whitespace=False, style={"input_type": "password"}
    )
    remember = serializers.BooleanField(
        label=_("Stay signed in"), default=True, help_text=_("Whether to keep the cookies after the browser is closed.")
    )

    def get_fields(self) -> dict[str, serializers.Field[Any, Any, Any, Any]]:
        name = get_user_model().USERNAME_FIELD
        username = UsernameField(label=capfirst(_username_model_field().verbose_name), write_only=True, min_length=1)
        return {name: username, **super().get_fields()}

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """Set the user. Raises `CredentialsRefused`, even if a backend accepts an inactive user."""
        name = attrs[get_user_model().USERNAME_FIELD]
        request: Request = self.context["request"]
        user = authenticate(request._request, username=name, password=attrs["password"])
        if user is None or not is_active(user):
            raise CredentialsRefused
        # Remove the password: error trackers show the view's local variables.
        return {field: value for field, value in attrs.items() if field != "password"} | {"user": user}


class ReauthenticateSerializer(_SecretInput):
    """Read the password of the user of a session."""

    password = serializers.CharField(
        label=_("Password"), write_only=True, min_length=1, trim_whitespace=False, style={"input_type": "password"}
    )
    refresh = serializers.CharField(
        label=_("Refresh token"),
        write_only=True,
        required=False,
    )

    @sensitive_variables()
    def authenticate(self, user: Any) -> Any:
        """Return the user whom the authentication backends find by the password.

        Raises `CredentialsRefused` if that is not ``user``.
        """
        password = self.validated_data["password"]
        found = authenticate(self.context["request"]._request, username=user.get_username(), password=password)
        if found is None or found.pk != user.pk or not is_active(found):
            raise CredentialsRefused
        return found


def check_validated(validated: Any) -> None:
    """Check the validated data of the login serializer, which may be the project's own.

    Raises `CredentialsRefused` if the user is ``None``, anonymous, inactive or refused by the authentication backends,
    and ``ImproperlyConfigured`` if the serializer did not set ``"user"``.
    """
    if not isinstance(validated, Mapping) or "user" not in validated:
        raise ImproperlyConfigured('the login serializer must set validated_data["user"]; see LOGIN_SERIALIZER')
    user = validated["user"]
    if user is None or user.is_anonymous or not is_active(user) or not user_can_authenticate(user, backend_of(user)):
        raise CredentialsRefused


class UserSerializer(serializers.BaseSerializer[Any]):
    """Show the primary key and the username of a user, for any user model."""

    def to_representation(self, instance: Any) -> dict[str, Any]:
        """Return ``{"id": ..., "username": ...}``, where the second key is the ``USERNAME_FIELD``."""
        key = instance.pk if isinstance(instance.pk, int) else str(instance.pk)
        return {"id": key, instance.USERNAME_FIELD: instance.get_username()}


class InstantField(serializers.DateTimeField):
    """Show a time with its UTC offset, even if ``USE_TZ`` is off."""

    def default_timezone(self) -> tzinfo:
        """Return the current time zone."""
        return timezone.get_current_timezone()

    def to_representation(self, value: Any) -> Any:
        """Return the time as DRF formats aware times."""
        return super().to_representation(clock.as_aware(value))


class SessionSerializer(serializers.ModelSerializer[Session]):
    """Show a session to its user."""

    serializer_field_mapping: ClassVar[Any] = {
        **serializers.ModelSerializer.serializer_field_mapping,
        models.DateTimeField: InstantField,
    }
    device = serializers.CharField(label=_("Device"), read_only=True)
    is_current = serializers.SerializerMethodField(
        label=_("Current session"), help_text=_("Whether this is the session of the current request.")
    )

    is_device_bound = serializers.BooleanField(read_only=True)

    class Meta:
        model = Session
        fields = (
            "id",
            "device",
            "ip_address",
            "created_at",
            "last_seen_at",
            "expires_at",
            "is_current",
            "is_device_bound",
        )
        read_only_fields = fields

    def to_representation(self, instance: Session) -> dict[str, Any]:
        """Add ``actor`` to a session in which another user acts as this one: that user's name."""
        shown = super().to_representation(instance)
        if instance.actor_session_id is not None:
            actor = instance.actor
            shown["actor"] = None if actor is None else actor.get_username()
        return shown

    def get_is_current(self, session: Session) -> bool:
        """Return whether this is the session of the current request."""
        return bool(session.pk == self.context["current"])


class TokenField(serializers.CharField):
    """Accept any string. The engine decides whether it is a valid token."""

    def to_internal_value(self, data: Any) -> str:
        """Reject numbers, which DRF would convert to a string."""
        if not isinstance(data, str):
            self.fail("invalid")
        text: str = super().to_internal_value(data)
        return text


class RefreshSerializer(_SecretInput):
    """Read a refresh token."""

    refresh = TokenField(label=_("Refresh token"), write_only=True, allow_blank=True)


class RevokeSerializer(_SecretInput):
    """Read a token to revoke (RFC 7009 section 2.1). The hint is accepted and ignored."""

    token = TokenField(label=_("Token"), write_only=True, allow_blank=True)
    token_type_hint = TokenField(label=_("Token type hint"), write_only=True, allow_blank=True, required=False)


class EmptySerializer(serializers.Serializer[Any]):
    """Read no fields, for views without a body. DRF's schema generator rejects the plain ``Serializer``."""
