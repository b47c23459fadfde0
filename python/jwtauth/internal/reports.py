"""Django's error reports: what they must not show of requests that bring a password or a token, or answer with one."""

from __future__ import annotations

from collections.abc import Iterable
from types import FrameType
from typing import Any

from django.http import HttpRequest
from django.views.debug import get_exception_reporter_filter


class _WithoutVariables:
    """The project's filter of error reports, but that it hides every local variable.

    ``sensitive_variables`` does not do: the nearest one counts, and below the one of Django's ``authenticate``,
    backends have the password in variables of their own.
    """

    def __init__(self, inner: Any) -> None:
        self._inner = inner

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def get_traceback_frame_variables(self, request: HttpRequest, tb_frame: FrameType) -> Iterable[tuple[str, Any]]:
        """Hide them where the project's filter hides anything: not with ``DEBUG``."""
        shown: Iterable[tuple[str, Any]] = self._inner.get_traceback_frame_variables(request, tb_frame)
        if not self._inner.is_active(request):
            return shown
        return [(name, self._inner.cleansed_substitute) for name, _value in shown]


def hide_secrets(request: HttpRequest) -> None:
    """Have reports of an error in this request show neither its form nor variables."""
    request.sensitive_post_parameters = "__ALL__"  # type: ignore[attr-defined]
    hiding: Any = _WithoutVariables(get_exception_reporter_filter(request))
    request.exception_reporter_filter = hiding
