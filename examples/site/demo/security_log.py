"""For the demo only: remembers, in this process, what jwtauth logs about each session, so that the page can show it."""

import logging
from collections import OrderedDict
from threading import Lock

_MAX_SESSIONS = 200

_lock = Lock()
_sessions = OrderedDict()


class PageHandler(logging.Handler):
    """Remember the records that name a session. A real site hands them to its alerts instead."""

    def emit(self, record):
        """Remember this record as the terminal shows it."""
        session_id = getattr(record, "session_id", None)
        if session_id is None:
            return
        with _lock:
            _sessions.setdefault(session_id, []).append(self.format(record))
            while len(_sessions) > _MAX_SESSIONS:
                _sessions.popitem(last=False)


def lines(session_id):
    """Return what was logged about a session, oldest first."""
    with _lock:
        return list(_sessions.get(str(session_id), ()))
