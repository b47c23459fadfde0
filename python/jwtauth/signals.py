"""Signals of this package. Sign-in and sign-out send Django's own: ``user_logged_in`` and ``user_logged_out``."""

from django.dispatch import Signal

# Sent when a refresh token comes back that was replaced while its successor is in use: somebody has copied it. The
# session has been ended. Arguments: sender=jwtauth.models.Session, request, user, session (the row as it was).
refresh_token_reused = Signal()
