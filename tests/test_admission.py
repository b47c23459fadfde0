"""Django's own backend is asked only where something about it has been replaced."""

import pytest
from django.contrib.auth.backends import ModelBackend
from django.test import override_settings

from jwtauth.internal.store import admission

pytestmark = pytest.mark.django_db

PATH = "django.contrib.auth.backends.ModelBackend"


class Refusing(ModelBackend):
    """Refuses by what it keeps from its start."""

    def __init__(self):
        raise OSError("no directory")


@pytest.mark.parametrize("backend", ["", PATH])
def test_django_s_own_backend_admits_active_users_without_being_made(ada, monkeypatch, backend):
    monkeypatch.setattr(admission, "_make", lambda path: pytest.fail(path))
    assert admission.admit(ada, backend) is ada
    ada.is_active = False
    assert admission.admit(ada, backend) is None


@pytest.mark.parametrize("backend", ["", PATH])
def test_what_has_been_replaced_on_django_s_backend_is_asked(ada, monkeypatch, backend):
    admission.admit(ada, backend)
    monkeypatch.setattr(ModelBackend, "user_can_authenticate", lambda self, user: False)
    assert admission.admit(ada, backend) is None
    monkeypatch.undo()
    monkeypatch.setattr(ModelBackend, "get_user", lambda self, pk: None)
    assert admission.admit(ada, backend) is None


def test_a_backend_that_may_fail_as_it_is_made_is_made(ada, caplog):
    path = f"{__name__}.Refusing"
    with override_settings(AUTHENTICATION_BACKENDS=[path]):
        assert admission.admit(ada, path) is None
    assert "could not be instantiated" in caplog.text


def test_a_backend_that_is_not_configured_admits_nobody(ada):
    with override_settings(AUTHENTICATION_BACKENDS=[]):
        assert (admission.admit(ada, PATH), admission.admit(ada, "")) == (None, ada)
