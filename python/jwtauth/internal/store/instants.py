"""The model field of times whose column holds the same instant whatever time zone Django and its connection keep."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Any

from django.conf import settings
from django.db import models
from django.db.models import F, Func, Transform
from django.db.models.expressions import CombinedExpression
from django.db.models.functions import Extract
from django.db.models.functions.datetime import TruncBase
from django.utils.timezone import get_default_timezone, make_naive

from jwtauth.internal.store import clock

# The fields of this class.
_NAMES: set[str] = set()


class _OfDateTimes(type):
    def __instancecheck__(cls, instance: Any) -> bool:
        """Return true for Django's own field too.

        Django refuses ``Coalesce("last_login", "jwtauth_sessions__created_at")`` where the first field is not an
        instance of the second's class.
        """
        return isinstance(instance, models.DateTimeField)


class InstantField(models.DateTimeField, metaclass=_OfDateTimes):  # type: ignore[type-arg]  # not subscriptable at run time
    """Django's ``DateTimeField``, but for what the column holds.

    Values are Django's: aware where ``USE_TZ`` is on, else naive in ``TIME_ZONE``. In databases without time zones
    (SQLite, MariaDB, MySQL, Oracle) Django would store them in the time zone of the connection, where an hour occurs
    twice a year, and which services that read the table do not know. This field stores UTC there.
    """

    def deconstruct(self) -> Any:
        """Return what Django's field does: migrations do not differ, for the type of the column does not."""
        name, _path, args, kwargs = super().deconstruct()
        return name, "django.db.models.DateTimeField", args, kwargs

    def contribute_to_class(self, cls: Any, name: str, *args: Any, **kwargs: Any) -> None:
        """Note the name, by which queries call it."""
        super().contribute_to_class(cls, name, *args, **kwargs)
        _NAMES.add(name)

    def get_db_prep_value(self, value: Any, connection: Any, prepared: bool = False) -> Any:
        """Return Django's value of the instant in UTC: naive where the database has no time zones."""
        if not prepared:
            value = self.get_prep_value(value)
        if isinstance(value, datetime):
            if not connection.features.supports_timezones:
                value = make_naive(clock.as_aware(value), timezone.utc)
            elif connection.vendor == "postgresql":
                value = clock.as_aware(value)  # of an hour that occurs twice, PostgreSQL would take the later
        return super().get_db_prep_value(value, connection, prepared=True)

    def get_db_converters(self, connection: Any) -> list[Any]:
        """Return what corrects the values that the database's own converter makes: nothing where they are right."""
        converters: list[Any] = super().get_db_converters(connection)
        if is_local(connection):
            return [_from_utc, *converters]
        if not settings.USE_TZ and connection.Database.__name__ == "psycopg2":
            return [_later, *converters]
        return converters

    def get_transform(self, lookup_name: str) -> Any:
        """Return Django's transform, as ``__date`` or ``__hour``, of the time in Django's time zone."""
        found: Any = super().get_transform(lookup_name)
        if found is None or found is Local:
            return found
        return lambda expression: found(Local(expression))


def is_local(connection: Any) -> bool:
    """Return whether Django takes the times of this connection for local ones, and so not for what our columns hold."""
    return not connection.features.supports_timezones and connection.timezone_name != "UTC"


def _from_utc(value: Any, expression: Any, connection: Any) -> Any:
    """Return a value of Django's converter, which took UTC for the connection's time zone, as it was meant."""
    if value is None:
        return None
    value = value.replace(tzinfo=timezone.utc)
    return value if settings.USE_TZ else make_naive(value, get_default_timezone())


def _later(value: Any, expression: Any, connection: Any) -> Any:
    """Return the later of two hours: psycopg 2 does not tell which it is, and a session must not end early."""
    return None if value is None else value.replace(fold=1)


@InstantField.register_lookup
class Local(Transform):
    """The time as Django expects it of this connection, for its functions: ``TruncDay("created_at__local")``."""

    lookup_name = "local"
    output_field = models.DateTimeField()

    def as_sql(self, compiler: Any, connection: Any, *args: Any, **context: Any) -> Any:
        """Return the column as it is."""
        return compiler.compile(self.lhs)

    def as_sqlite(self, compiler: Any, connection: Any, **context: Any) -> Any:
        """Return it by the function that Django adds to each connection."""
        sql, parameters = compiler.compile(self.lhs)
        if not is_local(connection):
            return sql, parameters
        return f"django_datetime_trunc('second', {sql}, %s, 'UTC')", [*parameters, connection.timezone_name]

    def as_mysql(self, compiler: Any, connection: Any, **context: Any) -> Any:
        """Return it by the server's time zones, and in UTC where it knows none."""
        sql, parameters = compiler.compile(self.lhs)
        if not is_local(connection):
            return sql, parameters
        local = f"COALESCE(CONVERT_TZ({sql}, '+00:00', %s), {sql})"
        return local, [*parameters, connection.timezone_name, *parameters]


class Stored(Transform):
    """The column itself, but that Python's sqlite3 hands its text on, which it would parse for each row."""

    def as_sql(self, compiler: Any, connection: Any, *args: Any, **context: Any) -> Any:
        """Return the column as it is."""
        return compiler.compile(self.lhs)

    def as_sqlite(self, compiler: Any, connection: Any, **context: Any) -> Any:
        """Return an expression of the same value, which has no declared type (https://sqlite.org/c3ref/column_decltype.html)."""
        sql, parameters = compiler.compile(self.lhs)
        return f"+{sql}", parameters


def of_local(expression: Any) -> Any:
    """Return this expression about sessions, with `Local` times for Django's functions of dates that name a field."""
    if not isinstance(expression, (Func, CombinedExpression)):
        return expression
    sources: list[Any] = [of_local(source) for source in expression.get_source_expressions()]
    if isinstance(expression, (Extract, TruncBase)) and isinstance(sources[0], F):
        name = sources[0].name  # type: ignore[attr-defined]  # the stubs lack it
        if name in _NAMES:
            sources[0] = F(f"{name}__{Local.lookup_name}")
    expression = expression.copy()
    expression.set_source_expressions(sources)
    return expression
