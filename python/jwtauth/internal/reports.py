"""Django's error reports: what they must not show of requests that bring a password or a token, or answer with one."""

from __future__ import annotations

from collections.abc import Iterable
from types import FrameType
from typing import Any

from django.http import HttpRequest
from django.views.debug import get_exception_reporter_filter

# Proofs of the key of a device or of a client, by their names in ``META``.
_PROOFS = {"HTTP_SECURE_SESSION_RESPONSE", "HTTP_DPOP"}


class _WithoutVariables:
    """Wrap the project's filter of error reports and hide all local variables.

    ``sensitive_variables`` is not enough: Django's ``authenticate`` has its own, and below it, backends hold the
    password in variables with other names.
    """

    def __init__(self, inner: Any) -> None:
        self._inner = inner

    def get_safe_request_meta(self, request: HttpRequest) -> dict[str, Any]:
        """Return the headers as the project's filter does, without the proof of a key."""
        shown: dict[str, Any] = self._inner.get_safe_request_meta(request)
        return {name: value for name, value in shown.items() if name not in _PROOFS}

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def get_traceback_frame_variables(self, request: HttpRequest, tb_frame: FrameType) -> Iterable[tuple[str, Any]]:
        """Return the variables of the frame, hidden if the project's filter is active: not with ``DEBUG``."""
        shown: Iterable[tuple[str, Any]] = self._inner.get_traceback_frame_variables(request, tb_frame)
        if not self._inner.is_active(request):
            return shown
        return [(name, self._inner.cleansed_substitute) for name, _value in shown]


def hide_secrets(request: HttpRequest) -> None:
    """Hide the form data and all local variables from error reports of this request."""
    request.sensitive_post_parameters = "__ALL__"  # type: ignore[attr-defined]
    hiding: Any = _WithoutVariables(get_exception_reporter_filter(request))
    request.exception_reporter_filter = hiding
