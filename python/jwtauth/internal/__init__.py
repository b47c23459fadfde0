"""The implementation of jwtauth. Nothing here is public: names and modules may change without notice.

Some modules use undocumented parts of Django to save time. Each such shortcut must save at least 1 % of the
instructions of a path, or be removed. ``benches/instructions.py`` counts them on CPython 3.11, Django 5.2 and SQLite.
Without the shortcut, a path takes this many more instructions:

=============================================  ================================================================
``store/prepared.py``: names for parameters    request 208 000 (39 %), refresh 194 000 (9 %), logout 206 000 (13 %)
``store/prepared.py``: converter of times      request 82 000 (15 %), refresh 118 000 (6 %), logout 85 000 (5 %)
``store/prepared.py``: `Stored` columns        request 42 000 (9 %), refresh 39 000 (3 %), logout 43 000 (5 %)
``store/prepared.py``: converters if needed    async view 190 000 (7 %)
``store/sessions.py``: columns read on demand  request 54 000 (10 %)
``store/sessions.py``: instance if needed      refresh 89 000 (7 %), login 78 000 (4 %)
``store/sessions.py``: row as just written     refresh 45 000 (4 %)
``store/instants.py``: own times in one step   login 115 000 (5 %), refresh 69 000 (5 %)
``store/admission.py``: cache of auth hashes   request 37 000 (7 %), refresh 63 000 (3 %), logout 41 000 (3 %)
``store/admission.py``: no backend is asked    request 8 000 (2 %), refresh 8 000 (1 %), logout 8 000 (1 %)
``lazy_user.py``: `lazy_object`, `state_of`    request 18 000 (4 %), within SESSION_CHECK_INTERVAL 34 000 (22 %)
``conf.py``: ``settings.__dict__``             request 14 000 (3 %), within SESSION_CHECK_INTERVAL 11 000 (6 %)
``store/writes.py``: statements compiled once  login 466 000 (20 %), refresh 745 000 (51 %), logout 507 000 (44 %)
``store/writes.py``: plain values as they are  login 45 000 (2 %), refresh 13 000 (1 %)
``devices.py``: cache of addresses             login 35 000 (2 %)
``response.py``: cookies in one step           login 26 000 (1 %), refresh 26 000 (2 %), logout 26 000 (3 %)
``models.py``: ``_raw_delete``                 logout 166 000 (11 %), and two statements: ``BEGIN`` and ``COMMIT``
=============================================  ================================================================
"""
