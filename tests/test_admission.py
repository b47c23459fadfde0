"""Django's own backend is called only if something about it has been replaced."""

import pytest
from django.contrib.auth.backends import ModelBackend
from django.test import override_settings

from jwtauth.internal.store import admission

pytestmark = pytest.mark.django_db

PATH = "django.contrib.auth.backends.ModelBackend"


class Refusing(ModelBackend):
    """Refuse users by an attribute that `__init__` sets."""

    def __init__(self):
        raise OSError("no directory")


@pytest.mark.parametrize("backend", ["", PATH])
def test_model_backend_admits_active_users_without_being_instantiated(ada, monkeypatch, backend):
    monkeypatch.setattr(admission, "_make", lambda path: pytest.fail(path))
    assert admission.admit(ada, backend) is ada
    ada.is_active = False
    assert admission.admit(ada, backend) is None


@pytest.mark.parametrize("backend", ["", PATH])
def test_replaced_method_of_model_backend_is_called(ada, monkeypatch, backend):
    admission.admit(ada, backend)
    monkeypatch.setattr(ModelBackend, "user_can_authenticate", lambda self, user: False)
    assert admission.admit(ada, backend) is None
    monkeypatch.undo()
    monkeypatch.setattr(ModelBackend, "get_user", lambda self, pk: None)
    assert admission.admit(ada, backend) is None


def test_backend_with_its_own_init_is_instantiated(ada, caplog):
    path = f"{__name__}.Refusing"
    with override_settings(AUTHENTICATION_BACKENDS=[path]):
        assert admission.admit(ada, path) is None
    assert "could not be instantiated" in caplog.text


def test_backend_that_is_not_configured_admits_no_user(ada):
    with override_settings(AUTHENTICATION_BACKENDS=[]):
        assert (admission.admit(ada, PATH), admission.admit(ada, "")) == (None, ada)
