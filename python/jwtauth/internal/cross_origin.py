"""The text of a refusal of a request from another origin."""

from __future__ import annotations

from typing import Any

from django.utils.translation import gettext_lazy as _

from jwtauth.exceptions import CrossOriginRefused

# The engine's messages by code, marked for translation.
REASONS: dict[str, Any] = {
    # Translators: follows "CSRF Failed: ", which is not translated, as in Django REST Framework.
    "cross_site": _("request from another site"),
    # Translators: follows "CSRF Failed: ". The origin is that of the request (scheme, host and port).
    "foreign_origin": _("origin does not match"),
}


def detail(error: CrossOriginRefused) -> str:
    """Return the text for the client. As in Django REST Framework, it begins with ``CSRF Failed:``."""
    return f"CSRF Failed: {REASONS.get(error.code, error)}."
