"""Signals of this package. Sign-in and sign-out send Django's own: ``user_logged_in`` and ``user_logged_out``."""

from django.dispatch import Signal

# Sent when a refresh token comes back that was replaced while its successor is in use: somebody has copied it. The
# session has been ended. Arguments: sender=jwtauth.models.Session, request, user, session (the row as it was).
refresh_token_reused = Signal()

# Sent when an upload, or a request of the render server, comes with a refresh token that the rotation table does not
# admit: it was replaced more than 15 minutes before, or more than once. A slow proxy, or a copied token. The request is
# anonymous; the session goes on. Arguments: as above, with the row as it is.
late_upload = Signal()

# Sent when a user has signed in and the session is committed. Arguments: sender=jwtauth.models.Session, request, user,
# session.
session_started = Signal()

# Sent when a refresh token was rotated, which a browser does at most once in an access token's lifetime. Arguments:
# as above.
session_refreshed = Signal()

# Sent for each session that is ended, once, when its end is committed. Arguments: sender=jwtauth.models.Session,
# session (the row as it was), reason: "logout", "replaced" (by a login from the same browser, or a new password),
# "revoked", "reused" (after `refresh_token_reused`), or "limit" (of MAX_SESSIONS_PER_USER). While a receiver listens,
# sessions are deleted one by one.
session_ended = Signal()
