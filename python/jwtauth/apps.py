"""The Django app."""

from importlib import import_module

from django.apps import AppConfig, apps
from django.contrib.auth.signals import user_logged_out
from django.core.checks import Tags, register
from django.utils.translation import gettext_lazy as _


class JwtAuthConfig(AppConfig):
    """``INSTALLED_APPS = [..., "jwtauth"]``."""

    name = "jwtauth"
    verbose_name = _("Sign-in sessions")
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from jwtauth import checks
        from jwtauth.signin import end_with_django_session

        register(checks.check_settings, Tags.security)
        register(checks.check_middleware, Tags.security)
        register(checks.check_databases, Tags.security)
        register(checks.check_serializers)
        register(checks.check_access_token_claims)
        register(checks.check_deployment, Tags.security, deploy=True)
        if apps.is_installed("drf_spectacular"):
            import_module("jwtauth.contrib.spectacular")
        user_logged_out.connect(end_with_django_session, dispatch_uid="jwtauth.end_with_django_session")
