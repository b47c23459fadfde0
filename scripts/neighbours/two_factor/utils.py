"""Helpers of the tests, in a module that the source distribution lacks."""

from contextlib import contextmanager
from unittest import mock

from django.contrib.auth import get_user_model
from django_otp import DEVICE_ID_SESSION_KEY
from django_otp.oath import totp

from two_factor.plugins.registry import registry
from two_factor.utils import default_device

__all__ = ["UserMixin", "default_device", "method_registry", "totp_str"]


class UserMixin:
    """Creates users, who log in with a verified device if they have one."""

    @property
    def User(self):
        return get_user_model()

    def create_user(self, username="bouke@example.com", password="secret", **fields):
        user = self.User.objects.create_user(username, password=password, email=username, **fields)
        self.user_to_sign_in = user
        return user

    def create_superuser(self, **fields):
        return self.create_user(is_staff=True, is_superuser=True, **fields)

    def login_user(self):
        user = self.user_to_sign_in
        assert self.client.login(username=user.get_username(), password="secret")
        device = default_device(user)
        if device:
            session = self.client.session
            session[DEVICE_ID_SESSION_KEY] = device.persistent_id
            session.save()

    def enable_otp(self, user=None):
        return (user or self.user_to_sign_in).totpdevice_set.create(name="default")


def totp_str(key):
    return f"{totp(key):06d}"


@contextmanager
def method_registry(codes):
    """Leave only these methods."""
    with mock.patch.object(registry, "_methods", [registry.get_method(code) for code in codes]):
        yield
