"""Parts of `jwtauth.reauthentication` that are for Django REST Framework, which imports them when it is used."""

from __future__ import annotations

from typing import Any, cast

from rest_framework import permissions
from rest_framework.exceptions import APIException

from jwtauth.exceptions import ActingRefused, ReauthenticationRequired

_OperandHolder: Any = permissions.OperandHolder


def refusal(error: ReauthenticationRequired | ActingRefused) -> APIException:
    """Return DRF's exception for a response 403 with the body of this exception."""
    exception = APIException(code=error.code)
    exception.status_code = 403
    exception.detail = cast(Any, error.body)  # as it is: APIException would turn the number into text
    return exception


def both(one: Any, other: Any) -> Any:
    """Return the permission ``one & other``."""
    return _OperandHolder(permissions.AND, one, other)


def either(one: Any, other: Any) -> Any:
    """Return the permission ``one | other``."""
    return _OperandHolder(permissions.OR, one, other)
