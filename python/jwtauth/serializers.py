"""What the views of `jwtauth.urls` read and write."""

from __future__ import annotations

from typing import Any

from django.contrib.auth import authenticate, get_user_model
from django.utils.translation import gettext_lazy as _
from rest_framework import serializers
from rest_framework.exceptions import APIException
from rest_framework.request import Request

from jwtauth.models import Session


class CredentialsRefused(APIException):
    """401: nobody active has this name and this password. Which of them is wrong is not said."""

    status_code = 401
    default_detail = _("No active account found with the given credentials.")
    default_code = "no_active_account"  # simplejwt's
    # RFC 9110 section 11.6.1: a 401 names a scheme.
    auth_header = 'Bearer realm="api"'


class LoginSerializer(serializers.Serializer[Any]):
    """Name and password, by the project's authentication backends. Subclasses set ``validated_data["user"]``."""

    password = serializers.CharField(
        label=_("Password"), write_only=True, min_length=1, trim_whitespace=False, style={"input_type": "password"}
    )
    remember = serializers.BooleanField(
        label=_("Stay signed in"), default=True, help_text=_("Whether the cookies outlive the browser.")
    )

    def get_fields(self) -> dict[str, serializers.Field[Any, Any, Any, Any]]:
        name = get_user_model().USERNAME_FIELD
        label = get_user_model()._meta.get_field(name).verbose_name  # type: ignore[union-attr]
        username = serializers.CharField(label=label, write_only=True, min_length=1)
        return {name: username, **super().get_fields()}

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """Raises `CredentialsRefused`."""
        name = get_user_model().USERNAME_FIELD
        request: Request = self.context["request"]
        user = authenticate(request._request, **{name: attrs[name], "password": attrs["password"]})
        if user is None:
            raise CredentialsRefused
        return {**attrs, "user": user}


class UserSerializer(serializers.BaseSerializer[Any]):
    """The key and the name of a user, of any user model."""

    def to_representation(self, instance: Any) -> dict[str, Any]:
        """``{"id": ..., "username": ...}``, with the name of ``USERNAME_FIELD``."""
        key = instance.pk if isinstance(instance.pk, int) else str(instance.pk)
        return {"id": key, instance.USERNAME_FIELD: instance.get_username()}


class SessionSerializer(serializers.ModelSerializer[Session]):
    """A session, as its owner may see it."""

    device = serializers.CharField(read_only=True)
    is_current = serializers.SerializerMethodField()

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


class RefreshSerializer(serializers.Serializer[Any]):
    """A refresh token."""

    refresh = TokenField(write_only=True, allow_blank=True)


class RevokeSerializer(serializers.Serializer[Any]):
    """RFC 7009 section 2.1. An access token ends its session as well; the hint is not needed."""

    token = TokenField(write_only=True, allow_blank=True)
    token_type_hint = TokenField(write_only=True, allow_blank=True, required=False)
