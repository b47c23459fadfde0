"""The statement of the strict check, which Django compiles once and its cursor executes for each request.

Building and compiling a queryset takes Django many times as long as the database takes to answer. The statement is
still Django's own: Django compiles it for the user model, its default manager and the database, and runs it with its
cursor and its converters. It is only reused if nothing about it can change. A manager with its own queryset may filter
by tenant or by time, so its queryset is compiled for each request. So is every queryset on a Django whose compiler this
module does not know.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timezone
from operator import itemgetter
from typing import Any
from uuid import UUID

from django.conf import settings
from django.core.signals import setting_changed
from django.db import Error, connections
from django.db.models import Field, Manager, QuerySet, Transform
from django.utils.dateparse import parse_datetime

_log = logging.getLogger("jwtauth")

_QuerySetOf = Callable[[QuerySet[Any], UUID], QuerySet[Any]]
# The name of an attribute of connections.
_CONVERTERS = "_jwtauth_converters"
_Converter = tuple[Sequence[Callable[[Any, Any, Any], Any]], Any]


class Stored(Transform):
    """Return the column without parsing: Python's sqlite3 otherwise looks up a parser for each column of each row."""

    def as_sql(self, compiler: Any, connection: Any, *args: Any, **context: Any) -> Any:
        """Return the column as it is."""
        return compiler.compile(self.lhs)

    def as_sqlite(self, compiler: Any, connection: Any, **context: Any) -> Any:
        """Return an equal expression without a declared type (https://sqlite.org/c3ref/column_decltype.html)."""
        sql, parameters = compiler.compile(self.lhs)
        return f"+{sql}", parameters


class _Converters(dict[int, _Converter]):
    """Find Django's converters of a column on one connection when they are first needed.

    Under ASGI, each request has a new thread and so a new connection: this saves 7 % of its instructions.
    """

    def __init__(self, compiler: Any, expressions: Sequence[Any]) -> None:
        super().__init__()
        self._compiler, self._expressions = compiler, expressions

    def __missing__(self, place: int) -> _Converter:
        expression, connection = self._expressions[place], self._compiler.connection
        found, _ = self._compiler.get_converters([expression]).get(0, ((), None))
        self[place] = of_column = [_as_quick(convert, connection) for convert in found], expression
        return of_column


class Row:
    """Give access to the annotations of a row. Values are converted each time that they are read."""

    __slots__ = ("_connection", "_converters", "_places", "_values", "stored")

    def __init__(
        self,
        values: Sequence[Any],
        places: Mapping[str, int],
        converters: _Converters,
        connection: Any,
        stored: tuple[Any, ...],
    ) -> None:
        self._values, self._places, self._converters, self._connection = values, places, converters, connection
        self.stored = stored
        """The values of the lookup's ``stored``, as the database driver returned them."""

    @property
    def are_times_clear(self) -> bool:
        """Return whether each unconverted time has a time zone or is UTC, as `InstantField` stores it."""
        return not self._connection.features.supports_timezones or bool(settings.USE_TZ)

    def __getitem__(self, name: str) -> Any:
        place = self._places[name]
        value = self._values[place]
        converters, expression = self._converters[place]
        for convert in converters:
            value = convert(value, expression, self._connection)
        return value


# The converters of the instance's fields, and those of every column.
_OfColumns = tuple[list[tuple[int, Sequence[Callable[[Any, Any, Any], Any]], Any]], _Converters]
_Found = tuple[Any, Row | Mapping[str, Any]]


class Lookup:
    """Look up an instance and the annotations of ``queryset_of`` by an id.

    ``queryset_of`` filters a queryset of the model's default manager by the id and annotates it with ``names``. ``key``
    is the field of the id. ``stored`` are at least two of the names, whose values a `Row` also has unconverted. The
    manager's own annotations stay on the instance.
    """

    def __init__(
        self, queryset_of: _QuerySetOf, key: Field[Any, Any], names: Sequence[str], stored: Sequence[str]
    ) -> None:
        self._queryset_of, self._key, self._names, self._stored = queryset_of, key, names, stored
        # By database alias: the manager that the statement was compiled with, and the statement.
        self._statements: dict[str, tuple[Any, _Statement | None]] = {}
        setting_changed.connect(self._forget)

    def find(self, manager: Any, alias: str, id: UUID) -> _Found | None:
        """Return the row with this id in the database ``alias``, or ``None``."""
        known, statement = self._statements.get(alias, (None, None))
        if known is not manager:
            statement = self._try_to_prepare(manager, alias)
            self._statements[alias] = manager, statement
        if statement is not None:
            return statement.find(id)
        for instance in self._queryset_of(manager.using(alias), id):
            return instance, {name: instance.__dict__.pop(name) for name in self._names}
        return None

    def _try_to_prepare(self, manager: Any, alias: str) -> _Statement | None:
        """Return the compiled statement, or ``None`` if the queryset must be compiled each time."""
        try:
            return self._prepared(manager, alias) if is_plain(manager) else None
        except Error:
            raise  # a database error: the next request tries again
        except Exception:
            # The compiler differs from that of tested Django versions. The ORM is slower but always correct.
            _log.warning(
                "the query of the session check could not be prepared, so each request compiles it again", exc_info=True
            )
            return None

    def _prepared(self, manager: Any, alias: str) -> _Statement | None:
        """Compile the statement. Return ``None`` unless it depends on the id in one parameter only."""
        connection = connections[alias]
        probes = UUID(int=0xA), UUID(int=0xB)
        compilers = [self._queryset_of(manager.using(alias), id).query.get_compiler(using=alias) for id in probes]
        (sql, parameters), (other_sql, others) = (compiler.as_sql() for compiler in compilers)
        places = [at for at, (one, other) in enumerate(zip(parameters, others, strict=True)) if one != other]
        if sql != other_sql or len(places) != 1:
            return None
        ids = [self._key.get_db_prep_value(probe, connection, prepared=True) for probe in probes]
        if ids != [parameters[places[0]], others[places[0]]]:
            return None
        is_hex = ids == [probe.hex for probe in probes]
        statement = _Statement(compilers[0], alias, sql, list(parameters), places[0], self._key, is_hex, self._stored)
        _, converters = statement.converters_of(connection)
        for place in statement._annotations.values():  # so that an unknown compiler fails here, not in a request
            _ = converters[place]
        return statement

    def _forget(self, **kwargs: object) -> None:
        """Forget the statements when a setting changes, since tables, databases or converters may change."""
        self._statements.clear()


def with_names(sql: str, count: int, vendor: str) -> tuple[str, list[str] | None]:
    """Return the statement with named parameters and their names on SQLite, else unchanged and ``None``.

    Without names, Django's SQLite backend rewrites the statement with a regular expression for each execution, which is
    more than a third of a request's instructions (see `jwtauth.internal`).
    """
    if vendor != "sqlite":
        return sql, None
    names = [f"p{at}" for at in range(count)]
    return sql.replace("%%", "%%%%") % tuple(f"%({name})s" for name in names), names


# The attributes of a manager that define its querysets, and all attributes of a queryset except those of every class.
_OF_MANAGER = {"get_queryset", "using", "__getattribute__"}
_OF_QUERYSET = set(dir(QuerySet)) - {
    "__dict__",
    "__doc__",
    "__firstlineno__",
    "__module__",
    "__static_attributes__",
    "__weakref__",
}


def is_plain(manager: Any) -> bool:
    """Return whether the manager's classes only add attributes to Django's, so that its querysets are unfiltered."""
    return (
        not vars(manager).keys() & _OF_MANAGER
        and _only_adds(type(manager), Manager, _OF_MANAGER)
        and _only_adds(manager._queryset_class, QuerySet, _OF_QUERYSET)
    )


def _only_adds(kind: type, base: type, names: set[str]) -> bool:
    added = set(kind.__mro__) - set(base.__mro__)
    return issubclass(kind, base) and not any(vars(one).keys() & names for one in added)


class _Statement:
    """Execute a compiled ``SELECT``. Shared by all threads."""

    def __init__(
        self,
        compiler: Any,
        alias: str,
        sql: str,
        parameters: list[Any],
        place: int,
        key: Field[Any, Any],
        is_hex: bool,
        stored: Sequence[str],
    ) -> None:
        self._alias, self._key = alias, key
        self._sql, names = with_names(sql, len(parameters), compiler.connection.vendor)
        # By place, or by name if the parameters have names.
        self._parameters: Any = parameters if names is None else dict(zip(names, parameters, strict=True))
        self._place: Any = place if names is None else names[place]
        self._is_hex = is_hex
        self._query = compiler.query
        self._expressions = [expression for expression, _sql, _alias in compiler.select]
        fields = compiler.klass_info["select_fields"]
        self._model = compiler.klass_info["model"]
        self._fields = slice(fields[0], fields[-1] + 1)
        self._attributes = [expression.target.attname for expression in self._expressions[self._fields]]
        self._annotations = dict(compiler.annotation_col_map)
        self._stored = itemgetter(*(self._annotations[name] for name in stored))

    def find(self, id: UUID) -> _Found | None:
        """Return the row with this id, or ``None``."""
        connection = connections[self._alias]
        parameters = self._parameters.copy()
        parameters[self._place] = id.hex if self._is_hex else self._key.get_db_prep_value(id, connection, prepared=True)
        with connection.cursor() as cursor:
            cursor.execute(self._sql, parameters)
            row = cursor.fetchone()
        if row is None:
            return None
        values, (of_fields, of_all) = list(row), self.converters_of(connection)
        for place, converters, expression in of_fields:
            value = values[place]
            for convert in converters:
                value = convert(value, expression, connection)
            values[place] = value
        instance = self._model.from_db(self._alias, self._attributes, values[self._fields])
        return instance, Row(row, self._annotations, of_all, connection, self._stored(row))

    def converters_of(self, connection: Any) -> _OfColumns:
        """Return Django's converters of the fields and of every column, on this connection."""
        # Some converters are methods of the connection, so they are stored on it. Each thread has its own.
        of: _Statement | None
        known: _OfColumns
        of, known = connection.__dict__.get(_CONVERTERS, (None, None))
        if of is not self:
            found = _Converters(self._query.get_compiler(connection=connection), self._expressions)
            fields = range(*self._fields.indices(len(self._expressions)))
            known = [(place, *found[place]) for place in fields if found[place][0]], found
            setattr(connection, _CONVERTERS, (self, known))
        return known


def _as_quick(convert: Callable[[Any, Any, Any], Any], connection: Any) -> Callable[[Any, Any, Any], Any]:
    """Return a faster equivalent of Django's converter of UTC times on SQLite, or the converter itself.

    `jwtauth.internal` says what this saves.
    """
    function = getattr(convert, "__func__", None)
    if (getattr(function, "__module__", None), getattr(function, "__qualname__", None)) != _DJANGO_S_ON_SQLITE:
        return convert
    return _utc_datetime if settings.USE_TZ and connection.timezone is timezone.utc else convert


# By name, so that the module of SQLite is not imported on other databases.
_DJANGO_S_ON_SQLITE = "django.db.backends.sqlite3.operations", "DatabaseOperations.convert_datetimefield_value"


def _utc_datetime(value: Any, expression: Any, connection: Any) -> Any:
    if type(value) is str:
        value = parse_datetime(value)
    if type(value) is datetime and value.tzinfo is None:
        return datetime.combine(value.date(), value.time(), timezone.utc)  # replace() takes four times as long
    return connection.ops.convert_datetimefield_value(value, expression, connection)
