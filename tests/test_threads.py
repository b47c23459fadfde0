"""Threads that share the engine and the settings. On free-threaded Python they run at the same time, without the lock
that otherwise lets one of them run; `scripts/try_wheel.py` runs these tests there."""

import sys
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from threading import Barrier, Lock

import pytest
from django.test import override_settings

from jwtauth import _engine, conf
from jwtauth.exceptions import TokenError
from tests.waiting import PATIENCE

NOW = 1_800_000_000
ACCESS, REFRESH = _engine.TokenKind.ACCESS, _engine.TokenKind.REFRESH
THREADS = 8
POLICY = _engine.RotationPolicy(access=300, idle=86_400, absolute=None, grace=30)
SECRETS = [str(number).encode() * 64 for number in range(10)]


def site(newest):
    """Return a site that signs with this key, and verifies with it and the older ones."""
    older = [_engine.VerifyingKey.read(secret, algorithm="HS256") for secret in SECRETS[:newest]]
    keyring = _engine.Keyring(_engine.SigningKey.read(SECRETS[newest], algorithm="HS256"), older)
    parts = (_engine.Tokens(keyring), POLICY, _engine.OriginPolicy([]), _engine.RenderSecrets([]))
    return _engine.Site(*parts, access_name="access_token", refresh_name="refresh_token", bearer=True)


class Sites:
    """Hold the site that all threads use, until one of them rotates its key."""

    def __init__(self):
        self.newest = 0
        self.site = site(0)

    def rotate(self):
        self.newest += 1
        self.site = site(self.newest)


def in_threads(work):
    """Call this in each thread, with its number, and return the results. They start together."""
    barrier = Barrier(THREADS)

    def start(number):
        barrier.wait(timeout=PATIENCE)
        return work(number)

    with ThreadPoolExecutor(THREADS) as pool:
        return list(pool.map(start, range(THREADS)))


def present(site, token, row, now):
    """Return how the site decides on a refresh token, and the identity that it was read from."""
    meta = {"HTTP_COOKIE": f"refresh_token={token}"}
    identity = site.identify(
        meta, method="GET", version="HTTP/1.1", cookies=None, is_trusted=False, own=lambda: None, now=now
    )
    return site.refresh(identity, identity.refresh, row, now=now), identity


def granted(site, sid, subject, row, decision, now):
    """Return the two tokens of this session."""
    grant = site.grant(sid, subject, row, decision=decision, custom=None, remember=True, now=now)
    return site.issue(grant, ACCESS), site.issue(grant, REFRESH)


def acknowledged(row, at):
    """Return the session after its newest token was seen."""
    times = {"rotated_at": row.rotated_at, "created_at": row.created_at, "expires_at": row.expires_at}
    return _engine.Session(generation=row.generation, acknowledged_at=at, end_is_fixed=row.end_is_fixed, **times)


def test_sessions_of_other_threads_change_no_decision_while_keys_rotate():
    sites = Sites()

    def work(number):
        sid, subject, now = _engine.Sid.generate(NOW), str(number), NOW
        row = POLICY.start(now)
        _access, token = granted(sites.site, sid, subject, row, None, now)
        codes = set()
        for turn in range(200):
            if number == 0 and turn % 25 == 24:
                sites.rotate()
            old, now = token, now + 400
            decision, identity = present(sites.site, old, row, now)
            assert identity.refresh.subject == subject
            assert identity.session_ids == [sid.session_id]
            access, token = granted(sites.site, sid, subject, decision.next, decision, now)
            again, _identity = present(sites.site, old, decision.next, now + 5)
            row = acknowledged(decision.next, now)
            renewed, _identity = present(sites.site, token, row, now + 5)
            copied, _identity = present(sites.site, old, row, now + 60)
            codes.add((decision.code, again.code, renewed.code, copied.code))
            claims = identity_of(sites.site, access, now).access
            assert (claims.subject, claims.generation, row.generation) == (subject, turn + 2, turn + 2)
        return codes

    assert in_threads(work) == [{("rotate", "reissue", "renew_access", "refresh_token_reused")}] * THREADS
    assert sites.newest == 8


def identity_of(site, access, now):
    meta = {"HTTP_AUTHORIZATION": f"Bearer {access}"}
    return site.identify(
        meta, method="GET", version="HTTP/1.1", cookies=None, is_trusted=False, own=lambda: None, now=now
    )


def test_threads_that_refresh_one_session_get_the_same_tokens():
    shared, lock, sid = site(0), Lock(), _engine.Sid.generate(NOW)
    rows = [POLICY.start(NOW)]
    tokens = [granted(shared, sid, "7", rows[0], None, NOW)[1]]
    turns = [Barrier(THREADS) for _ in range(100)]
    swaps = [0] * len(turns)

    def work(_number):
        got = []
        for turn, barrier in enumerate(turns):
            barrier.wait(timeout=PATIENCE)
            now, row = NOW + 400 * (turn + 1), rows[turn]
            decision, _identity = present(shared, tokens[turn], acknowledged(row, row.rotated_at), now)
            with lock:  # the database's compare-and-swap
                if len(rows) == turn + 1:
                    rows.append(decision.next)
                    swaps[turn] += 1
            again, _identity = present(shared, tokens[turn], rows[turn + 1], now)
            got.append(granted(shared, sid, "7", rows[turn + 1], again, now))
            with lock:
                if len(tokens) == turn + 1:
                    tokens.append(got[-1][1])
            assert (decision.code, again.code) == ("rotate", "reissue")
        return got

    first, *others = in_threads(work)
    assert others == [first] * (THREADS - 1)
    assert len(set(first)) == len(turns)
    assert swaps == [1] * len(turns)


def test_forgotten_session_is_asked_about_whatever_other_threads_remember():
    memory = _engine.VerifiedSessions(THREADS // 2)  # so that they displace each other

    def work(number):
        sid = _engine.Sid.generate(NOW)
        mine = _engine.Claims(subject=str(number), sid=sid, generation=1, issued_at=NOW, expires_at=NOW + 300)
        remembered = 0
        for at in range(500):
            asked = memory.asking(sid.session_id, scope=1, now=at)
            memory.remember(mine, asked)
            remembered += memory.is_fresh(mine, scope=1, now=at, interval=10)
            assert not memory.is_fresh(mine, scope=2, now=at, interval=10)
            memory.forget(sid.session_id)
            memory.remember(mine, asked)  # the answer of a query that began before
            assert not memory.is_fresh(mine, scope=1, now=at, interval=10)
        return remembered

    assert sum(in_threads(work)) > 0


def test_threads_that_start_after_a_change_of_settings_use_the_new_keys():
    secrets = [f"a key of the settings, number {number}, of enough bytes" for number in range(20)]
    # Before the threads start: Django does not support a change of its settings while other threads read them.
    for older, newest in pairwise(secrets):
        alone = _engine.Tokens(_engine.Keyring(_engine.SigningKey.read(newest.encode(), algorithm="HS256"), []))

        def work(number, alone=alone):
            issuing, verifying, sid = conf.get_config().tokens, conf.get_config().tokens, _engine.Sid.generate(NOW)
            mine = _engine.Claims(subject=str(number), sid=sid, generation=1, issued_at=NOW, expires_at=NOW + 300)
            token = issuing.issue(ACCESS, mine)
            with pytest.raises(TokenError):
                verifying.verify(REFRESH, token, NOW)
            return {each.verify(ACCESS, token, NOW).session_id for each in (alone, verifying)} == {sid.session_id}

        with override_settings(JWTAUTH={"SIGNING_KEY": newest, "VERIFYING_KEYS": [older]}):
            assert in_threads(work) == [True] * THREADS


def test_import_does_not_switch_the_global_interpreter_lock_on():
    is_enabled = getattr(sys, "_is_gil_enabled", lambda: True)
    assert "jwtauth._engine" in sys.modules
    assert is_enabled() is not bool(__import__("sysconfig").get_config_var("Py_GIL_DISABLED"))
