"""The refusal of an anonymous request whose view requires a user."""

from __future__ import annotations

from django.utils.translation import gettext as _

from jwtauth.internal.flow import Flow

# DRF's code and text. If DRF is installed, its own catalog translates the text.
NOT_AUTHENTICATED = "not_authenticated"
_NO_CREDENTIALS = "Authentication credentials were not provided."


def detail(code: str) -> str:
    """Return the text for a refresh token that was refused for a reason that the client can act on."""
    if code == "session_locked":
        return _("The session is locked. Confirm that it is you.")
    if code == "device_proof_required":
        return _("The session is bound to a device, whose browser has not renewed it. Try again.")
    return _("The tokens of this request have been replaced. Send an ordinary request, then try again.")


def body(flow: Flow) -> dict[str, str]:
    """Return the body of the response, with the code for which the tokens were refused if the client can act on it."""
    if flow.refusal is not None:
        return {"detail": detail(flow.refusal), "code": flow.refusal}
    return {"detail": _(_NO_CREDENTIALS), "code": NOT_AUTHENTICATED}
