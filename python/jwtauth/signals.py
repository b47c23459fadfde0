"""The signals of this package. `login` and `logout` also send Django's ``user_logged_in`` and ``user_logged_out``.

Receivers can call `client_of` to learn which device a request came from.
"""

from django.dispatch import Signal

from jwtauth.internal.devices import Client as Client
from jwtauth.internal.devices import client_of as client_of

# Sent when a refresh token is used again after its successor has been used, which means that it was copied. The session
# has been ended. Arguments: sender=jwtauth.models.Session, request, user, session (the row before the end).
refresh_token_reused = Signal()

# Sent when an upload, or a request of the render server, brings a refresh token that was replaced more than 15 minutes
# ago, or more than once. The cause is a slow proxy or a copied token. The request is anonymous, and the session
# continues. Arguments: as above, with the current row.
late_upload = Signal()

# Sent when a user has signed in and the session is committed. Arguments: sender=jwtauth.models.Session, request, user,
# session.
session_started = Signal()

# Sent when a refresh token was rotated, at most once per access token lifetime for each browser. Arguments: as above.
session_refreshed = Signal()

# Sent when the user of a session has authenticated again. Arguments: as above, and methods, the list of methods used.
session_reauthenticated = Signal()

# Sent when a session was bound to a key of the user's device (`DEVICE_BOUND_SESSIONS`), or has started bound to the key
# of a client (DPoP). Arguments: as for `session_refreshed`.
session_bound = Signal()

# Sent when the tokens of a bound session came with a proof of another key, which means that they were copied. The
# session has been ended. Arguments: as for `refresh_token_reused`.
device_proof_failed = Signal()

# Sent when a user begins to act as another one, and when `stop_acting` or `logout` ends it. Arguments:
# sender=jwtauth.models.Session, request, user (as whom the other one acts), actor, session (of the acting). The session
# also sends `session_started` and `session_ended`, and can end without `acting_ended`.
acting_started = Signal()
acting_ended = Signal()

# Sent once for each session that ends, when the deletion is committed. Arguments: sender=jwtauth.models.Session,
# session (the row before the end), reason: "logout", "replaced" (by a login from the same browser or by a new
# password), "revoked", "reused" (with `refresh_token_reused`),
# "device_proof_failed" (with that signal), "acting_ended" (by `stop_acting`) or "limit"
# (MAX_SESSIONS_PER_USER), and request: the request that ended the session, or None for a command or a call of ``end()``
# without it. If the reason is "revoked", ``request.user`` has ended the session. While a receiver is connected,
# sessions are deleted one at a time.
session_ended = Signal()
