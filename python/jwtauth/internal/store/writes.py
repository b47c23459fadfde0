"""Statements that write one row, which Django compiles once and its cursor executes again and again.

What `jwtauth.internal.store.prepared` says of the strict check's statement holds for these: they are Django's own,
compiled for the model and the database at hand. A statement is compiled once for each set of columns; where that
cannot be, the methods say so, and the ORM does it. The names of columns are those of attributes (``user_id``); of
conditions, those of ``filter``.
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
from django.db.models import ForeignKey, GenericIPAddressField, Model, QuerySet
from django.db.models.signals import post_save, pre_save
from django.db.models.sql import DeleteQuery, InsertQuery, UpdateQuery

from jwtauth.internal.store import clock
from jwtauth.internal.store.prepared import with_names

_log = logging.getLogger("jwtauth")

_Values = Mapping[str, Any]
# A parameter: whether it is of the conditions, its name, and its field.
_Parameter = tuple[bool, str, Any]


class Writes:
    """The statements that write one row of a model."""

    def __init__(self, model: type[Model]) -> None:
        self._model = model
        self._statements: dict[tuple[Any, ...], _Write | None] = {}
        setting_changed.connect(self._forget)

    def insert(self, alias: str, values: _Values) -> bool:
        """Insert this row. Return ``False`` where the statement is not prepared, or ``save()`` does more than that."""
        model = self._model
        if model.save is not Model.save or pre_save.has_listeners(model) or post_save.has_listeners(model):
            return False
        return self._execute(InsertQuery, alias, values, {}) is not None

    def update(self, alias: str, values: _Values, conditions: _Values) -> int | None:
        """Return how many rows were updated; ``None``: the statement is not prepared, or ``update()`` does more."""
        manager: Any = self._model._default_manager
        if manager._queryset_class.update is not QuerySet.update:
            return None
        return self._execute(UpdateQuery, alias, values, conditions)

    def delete(self, alias: str, conditions: _Values) -> int | None:
        """Return how many rows were deleted; ``None``: the statement is not prepared."""
        return self._execute(DeleteQuery, alias, {}, conditions)

    def _execute(self, kind: type, alias: str, values: _Values, conditions: _Values) -> int | None:
        # What is NULL is not a parameter everywhere.
        is_null = [value is None for value in (*values.values(), *conditions.values())]
        shape = kind, alias, *values, *conditions, *is_null
        if shape not in self._statements:
            self._statements[shape] = self._try_to_prepare(kind, alias, values, conditions)
        statement = self._statements.get(shape)  # which other settings may have removed
        return None if statement is None else statement.execute(values, conditions)

    def _try_to_prepare(self, kind: type, alias: str, values: _Values, conditions: _Values) -> _Write | None:
        try:
            return self._prepared(kind, alias, values, conditions)
        except Error:
            raise  # the database's: the next one tries again
        except Exception:
            # A Django whose compiler differs from those that this was tested with: slower, but never wrong.
            _log.warning("a statement could not be prepared, so it is compiled each time", exc_info=True)
            return None

    def _prepared(self, kind: type, alias: str, values: _Values, conditions: _Values) -> _Write | None:
        """Compile it with values that all differ, by which each parameter is known; ``None`` where one is not."""
        connection = connections[alias]
        probe = _Probe(self._model)
        probes = [{name: probe.of(name, value) for name, value in given.items()} for given in (values, conditions)]
        compiled = self._query(kind, *probes).get_compiler(using=alias).as_sql()
        ((sql, parameters),) = compiled if kind is InsertQuery else [compiled]
        known: dict[str, list[_Parameter]] = {}
        for is_condition, given in enumerate(probes):
            for name, value in given.items():
                field = probe.field(name)
                prepared = repr(field.get_db_prep_save(value, connection))
                known.setdefault(prepared, []).append((bool(is_condition), name, field))
        # Which of several that are NULL is which does not matter, nor whether they are parameters: it depends on the
        # Django and the kind of statement, and in this shape they all are NULL.
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
        """Receiver of ``setting_changed``: other settings may mean other tables, databases or values."""
        self._statements.clear()


class _Write:
    """A compiled statement. Shared by all threads."""

    def __init__(self, alias: str, vendor: str, sql: str, order: list[_Parameter]) -> None:
        self._alias = alias
        self._order = [(is_condition, name, field.get_db_prep_save) for is_condition, name, field in order]
        self._sql, self._names = with_names(sql, len(order), vendor)

    def execute(self, values: _Values, conditions: _Values) -> int:
        """Return how many rows there were."""
        connection = connections[self._alias]
        parameters: Any = [
            prepare((conditions if is_condition else values)[name], connection)
            for is_condition, name, prepare in self._order
        ]
        if self._names is not None:
            parameters = dict(zip(self._names, parameters, strict=True))
        with transaction.mark_for_rollback_on_error(using=self._alias), connection.cursor() as cursor:
            cursor.execute(self._sql, parameters)
            count: int = cursor.rowcount
        return count


class _Probe:
    """Values that all differ. Those whose form is not known, as that of a user's key, stay as they are, and NULL."""

    def __init__(self, model: type[Model]) -> None:
        self._meta = model._meta
        self._number, self._flags = 1_000_000_007, iter((False, True))

    def field(self, name: str) -> Any:
        """Return the field that this column or condition is of."""
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
