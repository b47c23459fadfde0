"""The Django app configuration."""

from importlib import import_module
from typing import Any

from django.apps import AppConfig, apps
from django.contrib.auth import get_user_model
from django.contrib.auth.signals import user_logged_in, user_logged_out
from django.core.checks import Tags, register
from django.db.models.signals import class_prepared, post_save, pre_save
from django.utils.translation import gettext_lazy as _


class JwtAuthConfig(AppConfig):
    """Configure the app, which is installed by ``INSTALLED_APPS = [..., "jwtauth"]``."""

    name = "jwtauth"
    verbose_name = _("User sessions")
    default_auto_field = "django.db.models.BigAutoField"

    def __init__(self, app_name: str, app_module: Any) -> None:
        super().__init__(app_name, app_module)
        # Connect before the receivers of other apps, since one of them may call jwtauth.login().
        user_logged_in.connect(_follow_login, dispatch_uid="jwtauth.follow_login")
        user_logged_out.connect(_follow_logout, dispatch_uid="jwtauth.follow_logout")

    def ready(self) -> None:
        from jwtauth import checks

        for check in (
            checks.check_settings,
            checks.check_middleware,
            checks.check_same_site,
            checks.check_databases,
            checks.check_serializers,
            checks.check_functions,
            checks.check_issuer_and_audience,
            checks.check_old_logins,
            checks.check_device_views,
        ):
            register(check, Tags.security, "jwtauth")
        register(checks.check_columns, Tags.database, "jwtauth")
        register(checks.check_deployment, Tags.security, "jwtauth", deploy=True)
        for model in apps.get_models():
            _watch_passwords(model)
        class_prepared.connect(_watch_passwords, dispatch_uid="jwtauth.watch_passwords")
        if apps.is_installed("drf_spectacular"):
            import_module("jwtauth.contrib.spectacular")


def _follow_login(request: Any = None, user: Any = None, **kwargs: Any) -> None:
    from jwtauth.signin import follow_django_login  # needs models, which are not loaded at import

    follow_django_login(request, user)


def _follow_logout(request: Any = None, **kwargs: Any) -> None:
    from jwtauth.signin import follow_django_logout

    follow_django_logout(request)


def _watch_passwords(sender: Any, **kwargs: Any) -> None:
    """Follow new passwords of this model if it is the user model, or a proxy or child of it, which send own signals.

    A receiver of every model's signal would keep sessions from being written by prepared statements.
    """
    if issubclass(sender, get_user_model()):
        post_save.connect(_follow_new_password, sender=sender, dispatch_uid="jwtauth.follow_new_password")
        pre_save.connect(_refuse_new_password, sender=sender, dispatch_uid="jwtauth.refuse_new_password")


def _follow_new_password(instance: Any, created: bool = False, **kwargs: Any) -> None:
    """Refuse the older credentials of other packages of a user whose new password has just been saved."""
    # Set by ``set_password`` and reset at the end of ``AbstractBaseUser.save``, which sends this signal.
    if created or getattr(instance, "_password", None) is None:
        return
    from jwtauth.internal.store.old_logins import follow_new_password

    follow_new_password(instance)


def _refuse_new_password(instance: Any, **kwargs: Any) -> None:
    """Refuse a new password of a user as whom another user acts in this request."""
    from jwtauth.internal.acting import refuse_new_password

    refuse_new_password(instance)
