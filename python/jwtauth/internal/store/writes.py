"""Statements that write one row, which Django compiles once and its cursor executes for each write.

As in `jwtauth.internal.store.prepared`, Django itself compiles the statements for the model and the database. Each set
of columns is compiled once. If that is not possible, the methods return ``None`` or ``False``, and the caller uses the
ORM. Columns are named by attribute (``user_id``), and conditions as in ``filter``.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from datetime import datetime
from types import SimpleNamespace
from typing import Any
from uuid import UUID

from django.core.signals import setting_changed
from django.db import Error, connections, transaction
from django.db.models import (
    BigIntegerField,
    BooleanField,
    ForeignKey,
    GenericIPAddressField,
    Model,
    QuerySet,
    TextField,
)
from django.db.models.signals import post_save, pre_save
from django.db.models.sql import DeleteQuery, InsertQuery, UpdateQuery

from jwtauth.internal.store import clock
from jwtauth.internal.store.prepared import with_names

_log = logging.getLogger("jwtauth")

_Values = Mapping[str, Any]
# A parameter: whether it belongs to the conditions, its name, its field, and the type of the values that it passes
# unchanged, if there is one.
_Parameter = tuple[bool, str, Any, type | None]
# The types of the values that most databases take as they are.
_PLAIN: dict[type, type] = {TextField: str, BigIntegerField: int, BooleanField: bool}


class Writes:
    """Insert, update and delete single rows of a model by prepared statements."""

    def __init__(self, model: type[Model]) -> None:
        self._model = model
        self._statements: dict[tuple[Any, ...], _Write | None] = {}
        setting_changed.connect(self._forget)

    def insert(self, alias: str, values: _Values) -> bool:
        """Insert this row. Return ``False`` if the statement cannot be prepared or ``save()`` does more than insert."""
        model = self._model
        if model.save is not Model.save or pre_save.has_listeners(model) or post_save.has_listeners(model):
            return False
        return self._execute(InsertQuery, alias, values, {}) is not None

    def update(self, alias: str, values: _Values, conditions: _Values) -> int | None:
        """Update rows and return their number, or ``None`` without a statement or if ``update()`` is overridden."""
        manager: Any = self._model._default_manager
        if manager._queryset_class.update is not QuerySet.update:
            return None
        return self._execute(UpdateQuery, alias, values, conditions)

    def delete(self, alias: str, conditions: _Values) -> int | None:
        """Delete rows and return their number, or ``None`` if the statement cannot be prepared."""
        return self._execute(DeleteQuery, alias, {}, conditions)

    def _execute(self, kind: type, alias: str, values: _Values, conditions: _Values) -> int | None:
        # NULL is not always passed as a parameter, so it is part of the shape.
        is_null = [value is None for value in (*values.values(), *conditions.values())]
        shape = kind, alias, *values, *conditions, *is_null
        if shape not in self._statements:
            self._statements[shape] = self._try_to_prepare(kind, alias, values, conditions)
        statement = self._statements.get(shape)  # None if a changed setting has just removed it
        return None if statement is None else statement.execute(values, conditions)

    def _try_to_prepare(self, kind: type, alias: str, values: _Values, conditions: _Values) -> _Write | None:
        try:
            return self._prepared(kind, alias, values, conditions)
        except Error:
            raise  # a database error: the next write tries again
        except Exception:
            # The compiler differs from that of tested Django versions. The ORM is slower but always correct.
            _log.warning("a statement could not be prepared, so it is compiled each time", exc_info=True)
            return None

    def _prepared(self, kind: type, alias: str, values: _Values, conditions: _Values) -> _Write | None:
        """Compile with distinct values that identify the parameters. Return ``None`` if one is ambiguous."""
        connection = connections[alias]
        probe = _Probe(self._model)
        probes = [{name: probe.of(name, value) for name, value in given.items()} for given in (values, conditions)]
        compiled = self._query(kind, *probes).get_compiler(using=alias).as_sql()
        ((sql, parameters),) = compiled if kind is InsertQuery else [compiled]
        known: dict[str, list[_Parameter]] = {}
        for is_condition, given in enumerate(probes):
            for name, value in given.items():
                field = probe.field(name)
                prepared = None if value is None else field.get_db_prep_save(value, connection)
                unchanged = _PLAIN.get(type(field)) if prepared is value else None
                parameter = bool(is_condition), name, field, type(None) if value is None else unchanged
                known.setdefault(repr(prepared), []).append(parameter)
        # NULL values need not be told apart, since all of them are NULL in every statement of this shape. Whether they
        # are parameters depends on the version of Django and the kind of statement.
        is_certain = all(len(names) == 1 for prepared, names in known.items() if prepared != repr(None))
        order = [found.pop(0) for parameter in parameters if (found := known.get(repr(parameter)))]
        known.pop(repr(None), None)
        if not is_certain or len(order) < len(parameters) or any(known.values()):
            return None
        return _Write(alias, connection.vendor, sql, order)

    def _query(self, kind: type, values: _Values, conditions: _Values) -> Any:
        if kind is InsertQuery:
            query = InsertQuery(self._model)
            fields = [_Probe(self._model).field(name) for name in values]
            row: Any = SimpleNamespace(**values)
            query.insert_values(fields, [row], raw=True)
            return query
        found: Any = self._model._base_manager.filter(**conditions).query.chain(kind)
        if kind is UpdateQuery:
            found.add_update_values(dict(values))
        return found

    def _forget(self, **kwargs: object) -> None:
        """Forget the statements when a setting changes, since tables, databases or values may change."""
        self._statements.clear()


class _Write:
    """Execute a compiled statement. Shared by all threads."""

    def __init__(self, alias: str, vendor: str, sql: str, order: list[_Parameter]) -> None:
        self._alias = alias
        self._order = [(*names, unchanged, field.get_db_prep_save) for *names, field, unchanged in order]
        self._sql, self._names = with_names(sql, len(order), vendor)

    def execute(self, values: _Values, conditions: _Values) -> int:
        """Execute the statement and return the number of affected rows."""
        connection = connections[self._alias]
        parameters: Any = [
            # `jwtauth.internal` says what the comparison of types saves.
            value
            if type(value := (conditions if is_condition else values)[name]) is unchanged
            else prepare(value, connection)
            for is_condition, name, unchanged, prepare in self._order
        ]
        if self._names is not None:
            parameters = dict(zip(self._names, parameters, strict=True))
        if not connection.in_atomic_block:
            return self._run(connection, parameters)
        with transaction.mark_for_rollback_on_error(using=self._alias):
            return self._run(connection, parameters)

    def _run(self, connection: Any, parameters: Any) -> int:
        with connection.cursor() as cursor:
            cursor.execute(self._sql, parameters)
            count: int = cursor.rowcount
        return count


class _Probe:
    """Generate distinct values. ``None`` and values of fields of unknown type, such as a user's key, are kept."""

    def __init__(self, model: type[Model]) -> None:
        self._meta = model._meta
        self._number, self._flags = 1_000_000_007, iter((False, True))

    def field(self, name: str) -> Any:
        """Return the field of this column or condition."""
        return self._meta.pk if name == "pk" else self._meta.get_field(name.partition("__")[0])

    def of(self, name: str, value: Any) -> Any:
        """Return the value for this column or condition."""
        if value is None or isinstance(self.field(name), (ForeignKey, GenericIPAddressField)):
            return value
        self._number += 1
        made: dict[type, Callable[[], Any]] = {
            bool: lambda: next(self._flags),
            int: lambda: self._number,
            str: lambda: str(self._number),
            UUID: lambda: UUID(int=self._number),
            datetime: lambda: clock.to_datetime(self._number),
        }
        return made[type(value)]()
