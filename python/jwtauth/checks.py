"""The system checks. Each message has a unique id and a hint. docs/reference/checks.md lists them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime, timezone
from importlib import import_module
from typing import Any

from django.conf import settings
from django.contrib.auth import get_user_model
from django.contrib.sessions.middleware import SessionMiddleware
from django.core.checks import CheckMessage, Error, Warning
from django.db import Error as DatabaseError
from django.db import connections, router
from django.urls import URLResolver, get_resolver
from django.utils.module_loading import import_string

from jwtauth import conf
from jwtauth.internal import policies
from jwtauth.internal.engine_config import Problem

_MIDDLEWARE = "jwtauth.middleware.JWTAuthMiddleware"
_ALIAS = "jwtauth.middleware.AuthenticationMiddleware"
_UPDATE_CACHE = "django.middleware.cache.UpdateCacheMiddleware"
_DJANGO_S = "django.contrib.auth.middleware.AuthenticationMiddleware"

# Middleware of other packages that decorates or replaces ``request.user``.
_READ_USER = {
    "django_otp.middleware.OTPMiddleware",
    "hijack.middleware.HijackUserMiddleware",
    "impersonate.middleware.ImpersonateMiddleware",
}

# Packages that sign users in at another site or by links in emails, and parts of the names of other such packages.
_PROVIDERS = frozenset(
    (
        "allauth",
        "azure_auth",
        "django_auth_adfs",
        "django_cas_ng",
        "lasuite",
        "magic_link",
        "mailauth",
        "microsoft_auth",
        "sesame",
        "shibboleth",
        "social_core",
        "social_django",
    )
)
_PROTOCOLS = ("oauth", "oidc", "saml")

# The lifetime of access tokens in seconds below which Chrome's quota is too small for an active user.
_PROOFS_OF_CHROME = 240

# E002, and the ``ImproperlyConfigured`` that is raised without the middleware.
MISSING_MIDDLEWARE = Problem(
    "jwtauth.E002",
    "jwtauth's middleware is not in MIDDLEWARE, so users are never signed in.",
    f"Add '{_MIDDLEWARE}' to MIDDLEWARE, right after Django's own AuthenticationMiddleware.",
)


def check_settings(**kwargs: Any) -> list[CheckMessage]:
    """Check the settings: E001, E003 to E010, E012, E016, E017, E020, W001 and W011 for a short access token lifetime,
    and W010 for settings that contradict the policy.
    """
    messages: list[CheckMessage] = [_error(problem) for problem in conf.problems()]
    if messages:
        return messages
    values = conf.values()
    if values["ACCESS_TOKEN_LIFETIME"] < 60:
        messages.append(
            Warning(
                "JWTAUTH['ACCESS_TOKEN_LIFETIME'] is below 60 seconds, and slow requests may take longer.",
                hint="A response slower than this and the grace period may sign the user out. Use 60 s or more.",
                id="jwtauth.W001",
            )
        )
    if values["DEVICE_BOUND_SESSIONS"] != "off" and values["ACCESS_TOKEN_LIFETIME"] < _PROOFS_OF_CHROME:
        messages.append(
            Warning(
                f"JWTAUTH['ACCESS_TOKEN_LIFETIME'] is below {_PROOFS_OF_CHROME} seconds, and sessions are bound to "
                "devices.",
                hint="Chrome refreshes 2 minutes ahead, and makes at most 6 proofs in 9 minutes for a site. Active "
                "users would be refused until it makes the next. Use 5 minutes, or set DEVICE_BOUND_SESSIONS to 'off'.",
                id="jwtauth.W011",
            )
        )
    explicit = {name for name in values if _is_set(name)}
    messages += [
        Warning(
            f"JWTAUTH[{name!r}] contradicts the policy {values['POLICY']}: it {wrong}.",
            hint=f"{hint} To keep it, document why, and add 'jwtauth.W010' to SILENCED_SYSTEM_CHECKS.",
            id="jwtauth.W010",
        )
        for name, wrong, hint in policies.contradictions(values, explicit)
        if name != "COOKIE_SECURE" or not settings.DEBUG  # runserver speaks plain HTTP
    ]
    return messages


def check_middleware(**kwargs: Any) -> list[CheckMessage]:
    """Check that the middleware is installed (E002), and its position (W004, W006)."""
    if not middleware_is_installed():
        return [_error(MISSING_MIDDLEWARE)]
    above, below = _around(list(settings.MIDDLEWARE))
    messages = list[CheckMessage]()
    if _UPDATE_CACHE in below:
        messages.append(
            Warning(
                "jwtauth's middleware is listed before UpdateCacheMiddleware, so pages may be cached before they are "
                "marked private.",
                hint=f"Move '{_MIDDLEWARE}' below '{_UPDATE_CACHE}' in MIDDLEWARE.",
                id="jwtauth.W004",
            )
        )
    if _DJANGO_S in below and _others_follow(below):
        messages.append(_above_djangos())
    for path in above:
        if path in _READ_USER:
            messages.append(
                _order_warning(
                    f"'{path}' is listed before jwtauth's middleware, so it does not see users signed in by "
                    "jwtauth, and the request.user that it sets is lost."
                )
            )
    remote_user = next((path for path in below if _is_a(path, _remote_user())), None)
    for path in below:
        if remote_user is not None and path in _READ_USER:
            messages.append(
                Warning(
                    f"'{path}' and '{remote_user}' are both listed after jwtauth's middleware, so '{path}' does not "
                    "see users signed in by jwtauth, and the request.user that it sets replaces them.",
                    hint=f"Move '{remote_user}' before '{_MIDDLEWARE}' in MIDDLEWARE.",
                    id="jwtauth.W006",
                )
            )
    return messages


def _others_follow(below: list[str]) -> bool:
    """Return whether third-party middleware is listed after Django's, which may then be affected."""
    return any(not path.startswith("django.") for path in below[below.index(_DJANGO_S) :])


def _above_djangos() -> Warning:
    return _order_warning(
        f"jwtauth's middleware is listed before '{_DJANGO_S}', so later middleware that reads, decorates or replaces "
        "request.user does not see users signed in by jwtauth."
    )


def _order_warning(message: str) -> Warning:
    hint = f"List '{_MIDDLEWARE}' right after '{_DJANGO_S}', and other middleware that uses request.user after it."
    return Warning(message, hint=hint, id="jwtauth.W006")


def _around(paths: list[str]) -> tuple[list[str], list[str]]:
    """Return the middleware listed before jwtauth's, and after it."""
    own = next((index for index, path in enumerate(paths) if _is_jwtauths(path)), len(paths))
    return paths[:own], paths[own + 1 :]


def check_same_site(**kwargs: Any) -> list[CheckMessage]:
    """Warn of ``SameSite=Strict`` if users arrive from another site, or if every page requires a user (W005)."""
    if conf.values()["COOKIE_SAMESITE"] != "Strict":
        return []
    names = [*settings.INSTALLED_APPS, *settings.MIDDLEWARE, *settings.AUTHENTICATION_BACKENDS]
    found = [name for name in names if _signs_in_elsewhere(name) or name.endswith(".LoginRequiredMiddleware")]
    if not found:
        return []
    return [
        Warning(
            f"JWTAUTH['COOKIE_SAMESITE'] is 'Strict', and the settings name '{found[0]}': a page reached from another "
            "site, such as after a provider's login or by a link in an email, is anonymous.",
            hint="Set COOKIE_SAMESITE to 'Lax', or answer such requests with jwtauth.landing(request, url) and add "
            "'jwtauth.W005' to SILENCED_SYSTEM_CHECKS.",
            id="jwtauth.W005",
        )
    ]


def _signs_in_elsewhere(name: str) -> bool:
    package = name.partition(".")[0]
    return package in _PROVIDERS or "sso" in package.split("_") or any(word in package for word in _PROTOCOLS)


def check_databases(databases: Any = None, **kwargs: Any) -> list[CheckMessage]:
    """Check that sessions and users are in one database (E011), and that it uses autocommit (E013)."""
    from jwtauth.models import database

    alias, messages = database(), list[CheckMessage]()
    if alias != router.db_for_write(get_user_model()):
        messages.append(
            Error(
                "Sessions and users are written to different databases.",
                hint="Route the app 'jwtauth' to the database of AUTH_USER_MODEL.",
                id="jwtauth.E011",
            )
        )
    if not connections.settings.get(alias, {}).get("AUTOCOMMIT", True):
        messages.append(
            Error(
                f"DATABASES[{alias!r}]['AUTOCOMMIT'] is off, so a rollback of the view also undoes a refresh.",
                hint="Leave AUTOCOMMIT out. ATOMIC_REQUESTS is fine: a refresh is committed before the view runs.",
                id="jwtauth.E013",
            )
        )
    return messages


# Column types, by their number in the database, that convert times by the time zone of the connection.
_LOCAL_TIMES = {
    "postgresql": {1114: ("timestamp without time zone", "timestamp with time zone")},
    "mysql": {7: ("timestamp", "datetime(6)")},
}


def check_columns(databases: Any = None, **kwargs: Any) -> list[CheckMessage]:
    """Check for columns whose times depend on the connection's time zone (E018), if queries are allowed."""
    from jwtauth.internal.store.instants import InstantField
    from jwtauth.models import Session, database

    alias, table = database(), Session._meta.db_table
    if alias not in (databases or ()):
        return []
    connection = connections[alias]
    of_vendor = _LOCAL_TIMES.get(connection.vendor)
    if of_vendor is None:
        return []  # in particular, do not create a file on SQLite
    try:
        with connection.cursor() as cursor:
            if table not in connection.introspection.table_names(cursor):
                return []
            found = connection.introspection.get_table_description(cursor, table)
    except DatabaseError:
        return []  # the database is not available
    times = {field.column for field in Session._meta.fields if isinstance(field, InstantField)}
    wrong = [(one.name, *of_vendor[one.type_code]) for one in found if one.name in times and one.type_code in of_vendor]
    return [
        Error(
            f"The column {name} of the table {table} has the type '{kind}', so its values depend on the time zone of "
            "each connection.",
            hint=f"Change the type to '{right}', as in the migrations, with its times in UTC.",
            id="jwtauth.E018",
        )
        for name, kind, right in wrong
    ]


def check_serializers(**kwargs: Any) -> list[CheckMessage]:
    """Check that the project's own serializers can be imported (E014). The defaults are not, since they import DRF."""
    values, messages = conf.values(), list[CheckMessage]()
    for name in filter(_is_set, ("LOGIN_SERIALIZER", "USER_SERIALIZER")):
        try:
            import_string(values[name])
        except ImportError as error:
            messages.append(
                Error(
                    f"JWTAUTH[{name!r}]: {error}.",
                    hint="Use the dotted path of a serializer class, or leave it out.",
                    id="jwtauth.E014",
                )
            )
    return messages


def check_functions(**kwargs: Any) -> list[CheckMessage]:
    """Check that the functions of ACCESS_TOKEN_CLAIMS, SECOND_FACTOR and ACT_AS can be imported (E015)."""
    messages = list[CheckMessage]()
    functions = {
        "ACCESS_TOKEN_CLAIMS": "the request and the user",
        "SECOND_FACTOR": "the user",
        "ACT_AS": "the user who acts and the other user",
    }
    for name, takes in functions.items():
        path = conf.values()[name]
        try:
            function = import_string(path) if isinstance(path, str) else path
        except ImportError as error:
            reason = str(error)
        else:
            if function is None or callable(function):
                continue
            reason = "it is not a function"
        hint = f"Use the dotted path of a function that takes {takes}, or leave it out."
        messages.append(Error(f"JWTAUTH[{name!r}]: {reason}.", hint=hint, id="jwtauth.E015"))
    return messages


def check_issuer_and_audience(**kwargs: Any) -> list[CheckMessage]:
    """Warn of an issuer or audience that may be new while older keys are accepted (W008)."""
    values = conf.values()
    return _new_names(values, "older keys are accepted") if values["VERIFYING_KEYS"] else []


# Warn so many seconds before another package's logins are refused.
_SOON = 14 * 24 * 3600


def check_device_views(**kwargs: Any) -> list[CheckMessage]:
    """Check that browsers can bind the sessions that must be bound (E021)."""
    must_bind = conf.values()["DEVICE_BOUND_SESSIONS"] == "require"
    if not must_bind or not getattr(settings, "ROOT_URLCONF", None) or _includes_jwtauth(get_resolver()):
        return []
    return [
        Error(
            "JWTAUTH: DEVICE_BOUND_SESSIONS is 'require', but the project does not include jwtauth.urls.",
            hint="Add path('auth/', include('jwtauth.urls')), or set DEVICE_BOUND_SESSIONS to 'off'. Otherwise each "
            "session ends with its first access token.",
            id="jwtauth.E021",
        )
    ]


def _includes_jwtauth(resolver: URLResolver) -> bool:
    below = [pattern for pattern in resolver.url_patterns if isinstance(pattern, URLResolver)]
    return any(pattern.app_name == "jwtauth" or _includes_jwtauth(pattern) for pattern in below)


def check_old_logins(**kwargs: Any) -> list[CheckMessage]:
    """Check that the sources of ACCEPT_LOGINS_OF can be imported (E019), and warn before and after their end (W009)."""
    from jwtauth.internal import sources
    from jwtauth.internal.store import clock

    messages, now = list[CheckMessage](), clock.local_ms() // 1000
    for name, since, until in conf.values()["ACCEPT_LOGINS_OF"]:
        try:
            package = sources.load(name).package
            if package:
                import_module(package)
        except Exception as error:  # also of the other package, which may need to be in INSTALLED_APPS
            messages.append(
                Error(
                    f"JWTAUTH['ACCEPT_LOGINS_OF']: the source {name!r} cannot be used: {error}.",
                    hint="Keep the other package installed until the end of the period. The sources are "
                    f"{', '.join(_OLD_LOGINS)}, or the dotted path of a class.",
                    id="jwtauth.E019",
                )
            )
        if since > until:
            messages.append(
                Error(
                    f"JWTAUTH['ACCEPT_LOGINS_OF']: 'since' of {name!r} is after 'until'.",
                    hint="Logins move in between the two. With the same time, none does.",
                    id="jwtauth.E019",
                )
            )
        elif now >= until - _SOON:
            message = "have been refused since" if now >= until else "will be refused from"
            messages.append(
                Warning(
                    f"JWTAUTH['ACCEPT_LOGINS_OF']: logins of {name!r} {message} "
                    f"{datetime.fromtimestamp(until, timezone.utc):%Y-%m-%d %H:%M} UTC.",
                    hint="manage.py jwtauth_moved tells how many old credentials are still in use. Then remove the "
                    "entry, or set a later 'until'.",
                    id="jwtauth.W009",
                )
            )
    return messages


_OLD_LOGINS = ("allauth", "authtoken", "dj_rest_auth", "django_sessions", "knox", "prototype", "simplejwt")


def _new_names(values: dict[str, Any], evidence: str) -> list[CheckMessage]:
    """Return W008 for the names without a list of fallbacks. No setting says what the tokens in use carry."""
    return [
        Warning(
            f"JWTAUTH[{name!r}] is set and {evidence}: if it is new, every user is signed out.",
            hint=f"If it is new, list its former value in {name}_FALLBACKS, or None if it was not set. Otherwise set "
            f"{name}_FALLBACKS to [].",
            id="jwtauth.W008",
        )
        for name in ("ISSUER", "AUDIENCE")
        if values[name] and not _is_set(f"{name}_FALLBACKS")
    ]


def _has_live_sessions(databases: Any) -> bool:
    """Return whether there are live sessions, if queries of their database are allowed."""
    from jwtauth.models import Session, database

    alias = database()
    if alias not in (databases or ()):
        return False
    connection = connections[alias]
    try:
        return Session._meta.db_table in connection.introspection.table_names() and (
            Session.objects.using(alias).live().exists()
        )
    except DatabaseError:
        return False


def check_deployment(databases: Any = None, **kwargs: Any) -> list[CheckMessage]:
    """Warn of weak cookies (W002, W003), the middleware order of 0.0.8 (W006), uncounted proxies (W007), and an issuer
    or audience that may be new while sessions are live (W008).
    """
    values = conf.values()
    messages = list(_deployment_warnings(values))
    new = [] if values["VERIFYING_KEYS"] else _new_names(values, "sessions are live")
    if new and _has_live_sessions(databases):
        messages += new
    _above, below = _around(list(settings.MIDDLEWARE))
    if _DJANGO_S in below and not _others_follow(below):
        messages.append(_above_djangos())
    return messages


def _deployment_warnings(values: dict[str, Any]) -> Iterator[CheckMessage]:
    if not values["COOKIE_SECURE"]:
        yield Warning(
            "JWTAUTH['COOKIE_SECURE'] is off: tokens travel over plain HTTP.",
            hint="Leave COOKIE_SECURE out; it is on if DEBUG is off."
            if _is_set("COOKIE_SECURE")
            else "Set DEBUG to False: COOKIE_SECURE is not set, and follows it.",
            id="jwtauth.W002",
        )
    names = [values["ACCESS_TOKEN_COOKIE_NAME"], values["REFRESH_TOKEN_COOKIE_NAME"]]
    if not all(name.startswith("__Host-") for name in names):
        has_scope = values["COOKIE_DOMAIN"] is not None or values["COOKIE_PATH"] != "/"
        scope = "Leave COOKIE_DOMAIN and COOKIE_PATH out, since these cookies cannot have them. " if has_scope else ""
        yield Warning(
            "The token cookies are not named '__Host-...', so other hosts of the same domain can overwrite them.",
            hint=f"{scope}Set ACCESS_TOKEN_COOKIE_NAME to '__Host-access_token' and REFRESH_TOKEN_COOKIE_NAME to "
            "'__Host-refresh_token'. Every user must sign in again once.",
            id="jwtauth.W003",
        )
    if _is_behind_a_proxy() and not _proxies_are_counted():
        yield Warning(
            "The site is behind a proxy, but NUM_PROXIES is not set: all clients may have the proxy's address and "
            "share one limit of login attempts.",
            hint="Set JWTAUTH['NUM_PROXIES'] to the number of trusted proxies that append to X-Forwarded-For, or to 0 "
            "if REMOTE_ADDR is the client's address.",
            id="jwtauth.W007",
        )


def _is_behind_a_proxy() -> bool:
    return bool(settings.SECURE_PROXY_SSL_HEADER or settings.USE_X_FORWARDED_HOST or settings.USE_X_FORWARDED_PORT)


def _proxies_are_counted() -> bool:
    return _is_set("NUM_PROXIES") or conf.proxies_of_drf() is not None


def _is_set(name: str) -> bool:
    """Return whether the project itself has set this key of ``JWTAUTH``."""
    own = getattr(settings, "JWTAUTH", None)
    return isinstance(own, Mapping) and name in own


def middleware_is_installed() -> bool:
    """Return whether ``MIDDLEWARE`` lists jwtauth's middleware or a subclass of it."""
    return any(_is_jwtauths(path) for path in settings.MIDDLEWARE)


def remote_user_is_below() -> bool:
    """Return whether Django's ``RemoteUserMiddleware`` or a subclass is listed after jwtauth's middleware."""
    return _is_below(_remote_user())


def _remote_user() -> type:
    from django.contrib.auth.middleware import RemoteUserMiddleware  # needs the settings

    return RemoteUserMiddleware


def sessions_are_below() -> bool:
    """Return whether Django's ``SessionMiddleware`` or a subclass is listed after jwtauth's middleware."""
    return _is_below(SessionMiddleware)


def _is_below(kind: type) -> bool:
    return any(_is_a(path, kind) for path in _around(list(settings.MIDDLEWARE))[1])


def _is_a(path: str, kind: type) -> bool:
    try:
        middleware = import_string(path)
    except ImportError:
        return False  # Django reports it
    return isinstance(middleware, type) and issubclass(middleware, kind)


def _error(problem: Problem) -> Error:
    return Error(problem.message, hint=problem.hint, id=problem.id)


def _is_jwtauths(path: str) -> bool:
    if path in (_MIDDLEWARE, _ALIAS):
        return True
    try:
        middleware = import_string(path)
    except ImportError:
        return False  # Django reports it
    # Compare names, since the middleware imports this module.
    return isinstance(middleware, type) and _MIDDLEWARE in [
        f"{kind.__module__}.{kind.__name__}" for kind in middleware.__mro__
    ]
