"""What the views of `jwtauth.urls` read and write."""

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
    """401: nobody active has this name and this password. Which of them is wrong is not said."""

    status_code = 401
    default_detail = _("No active account found with the given credentials.")
    default_code = "no_active_account"  # simplejwt's
    # RFC 9110 section 11.6.1: a 401 names a scheme.
    auth_header = 'Bearer realm="api"'


class _SecretInput(serializers.Serializer[Any]):
    """A serializer of a password or a token, which neither its ``repr`` nor Django's error reports show."""

    def __repr__(self) -> str:
        return f"<{type(self).__name__}>"

    @sensitive_variables()
    def is_valid(self, *, raise_exception: bool = False) -> bool:
        """Validate as DRF does."""
        return super().is_valid(raise_exception=raise_exception)


class UsernameField(serializers.CharField):
    """A user's name, normalised as the login form of Django does it."""

    def to_internal_value(self, data: Any) -> str:
        """Return the name in the form NFKC, unless it is longer than the user model allows."""
        form_field = UsernameFormField()
        form_field.max_length = _username_model_field().max_length or 254  # as in AuthenticationForm
        return str(form_field.to_python(super().to_internal_value(data)))


def _username_model_field() -> Any:
    model = get_user_model()
    return model._meta.get_field(model.USERNAME_FIELD)


class LoginSerializer(_SecretInput):
    """Name and password, for the project's authentication backends as Django's login form hands them on.

    Subclasses, and serializers in its place, set ``validated_data["user"]``.
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
        """Set the user. Raises `CredentialsRefused`, also for an inactive user whom a backend lets in."""
        name = attrs[get_user_model().USERNAME_FIELD]
        request: Request = self.context["request"]
        user = authenticate(request._request, username=name, password=attrs["password"])
        if user is None or not is_active(user):
            raise CredentialsRefused
        # Without the password: error trackers show what the view holds, and most look no deeper than its variables.
        return {field: value for field, value in attrs.items() if field != "password"} | {"user": user}


def check_validated(validated: Any) -> None:
    """Check what a login serializer, also one of the project, has validated.

    Raises `CredentialsRefused` where its user is ``None``, anonymous, inactive or refused by the authentication
    backends, and ``ImproperlyConfigured`` where it sets no user.
    """
    if not isinstance(validated, Mapping) or "user" not in validated:
        raise ImproperlyConfigured('the login serializer must set validated_data["user"]; see LOGIN_SERIALIZER')
    user = validated["user"]
    if user is None or user.is_anonymous or not is_active(user) or not user_can_authenticate(user, backend_of(user)):
        raise CredentialsRefused


class UserSerializer(serializers.BaseSerializer[Any]):
    """The key and the name of a user, of any user model."""

    def to_representation(self, instance: Any) -> dict[str, Any]:
        """``{"id": ..., "username": ...}``, with the name of ``USERNAME_FIELD``."""
        key = instance.pk if isinstance(instance.pk, int) else str(instance.pk)
        return {"id": key, instance.USERNAME_FIELD: instance.get_username()}


class InstantField(serializers.DateTimeField):
    """A time with its offset, also where ``USE_TZ`` is off, and DRF would leave it out."""

    def default_timezone(self) -> tzinfo:
        """Return the time zone in force."""
        return timezone.get_current_timezone()

    def to_representation(self, value: Any) -> Any:
        """Return what DRF makes of the instant."""
        return super().to_representation(clock.as_aware(value))


class SessionSerializer(serializers.ModelSerializer[Session]):
    """A session, as its owner may see it."""

    serializer_field_mapping: ClassVar[Any] = {
        **serializers.ModelSerializer.serializer_field_mapping,
        models.DateTimeField: InstantField,
    }
    device = serializers.CharField(label=_("Device"), read_only=True)
    is_current = serializers.SerializerMethodField(
        label=_("Current session"), help_text=_("Whether this is the session of the current request.")
    )

    class Meta:
        model = Session
        fields = ("id", "device", "ip_address", "created_at", "last_seen_at", "expires_at", "is_current")
        read_only_fields = fields

    def get_is_current(self, session: Session) -> bool:
        """Whether this is the session that the request came with."""
        return bool(session.pk == self.context["current"])


class TokenField(serializers.CharField):
    """Any text: what is no token of ours is for the engine to say."""

    def to_internal_value(self, data: Any) -> str:
        """Refuses numbers, which DRF would take for text."""
        if not isinstance(data, str):
            self.fail("invalid")
        text: str = super().to_internal_value(data)
        return text


class RefreshSerializer(_SecretInput):
    """A refresh token."""

    refresh = TokenField(label=_("Refresh token"), write_only=True, allow_blank=True)


class RevokeSerializer(_SecretInput):
    """RFC 7009 section 2.1. An access token ends its session as well; the hint is not needed."""

    token = TokenField(label=_("Token"), write_only=True, allow_blank=True)
    token_type_hint = TokenField(label=_("Token type hint"), write_only=True, allow_blank=True, required=False)


class EmptySerializer(serializers.Serializer[Any]):
    """No fields, for the views that read no body. DRF's own schema refuses the plain ``Serializer``."""
