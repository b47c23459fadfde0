"""A thief: another HTTP client with every cookie and header that was on the wire, but without the device's key."""

from __future__ import annotations

import http.client
import json
import random
import ssl
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import partial
from http.cookies import SimpleCookie
from itertools import product
from typing import Any

from joserfc import jws
from joserfc.jwk import ECKey

from tests.seams.browsers.flows import HOST, ME
from tests.seams.device.bound import REFRESH, REGISTER, BoundSite, Exchange
from tests.waiting import PATIENCE


@dataclass
class Loot:
    """What the thief has: tokens, proofs, and the other headers of the browser's requests to the device's views."""

    access: set[str] = field(default_factory=set)
    refresh: set[str] = field(default_factory=set)
    proofs: set[str] = field(default_factory=set)
    ids: set[str] = field(default_factory=set)

    @classmethod
    def of(cls, site: BoundSite, exchanges: Iterable[Exchange]) -> Loot:
        """Return what a copy of the server's traffic has, its responses included."""
        loot = cls()
        for one in exchanges:
            for cookies in (one.cookies, one.cookies_set):
                loot.access |= {cookies[name] for name in [site.access_name] if name in cookies}
                loot.refresh |= {cookies[name] for name in [site.refresh_name] if name in cookies}
            loot.proofs |= {one.proof} if one.proof else set()
            loot.ids |= {found} if (found := one.sent_header("Sec-Secure-Session-Id")) else set()
        return loot


@dataclass
class Reply:
    status: int
    body: Any
    cookies: dict[str, str]
    challenge: str | None


class Thief:
    """A client of the site with the headers that Chromium sends. Each request has the cookies that it is given."""

    def __init__(self, site: BoundSite) -> None:
        self.site = site
        context = ssl.create_default_context(cafile=str(site.certificates.authority))
        self.connection = http.client.HTTPSConnection("127.0.0.1", site.port, timeout=PATIENCE, context=context)

    def __enter__(self) -> Thief:
        return self

    def __exit__(self, *error: object) -> None:
        self.connection.close()

    def ask(self, method: str, path: str, access: str | None, refresh: str | None, **headers: str | None) -> Reply:
        """Send these tokens as cookies. Names of headers are written with underscores."""
        body = headers.pop("body", None)
        tokens = {self.site.access_name: access, self.site.refresh_name: refresh}
        sent = {name.replace("_", "-"): value for name, value in headers.items() if value}
        sent["Host"] = f"{HOST}:{self.site.port}"
        if method == "POST":
            sent |= {"Origin": f"https://{sent['Host']}", "Sec-Fetch-Site": "same-origin", "Sec-Fetch-Mode": "no-cors"}
        if cookies := "; ".join(f"{name}={value}" for name, value in tokens.items() if value):
            sent["Cookie"] = cookies
        try:
            self.connection.request(method, path, body, sent)
            response = self.connection.getresponse()
        except (http.client.RemoteDisconnected, OSError):  # the server closes connections that were idle
            self.connection.close()
            self.connection.request(method, path, body, sent)
            response = self.connection.getresponse()
        text = response.read()
        found = [SimpleCookie(value) for value in response.headers.get_all("Set-Cookie", [])]
        values = {name: morsel.value for cookie in found for name, morsel in cookie.items()}
        is_json = "json" in response.headers.get("Content-Type", "")
        return Reply(
            response.status,
            json.loads(text) if is_json and text else None,
            values,
            response.headers.get("Secure-Session-Challenge"),
        )

    def who(self, access: str | None, refresh: str | None = None) -> str | None:
        """Return the user of a request with these cookies, or ``None`` if it is anonymous."""
        reply = self.ask("GET", ME, access, refresh)
        return reply.body["user"] if reply.status == 200 else None

    def is_accepted(self, attempt: Callable[[], Reply]) -> bool:
        """Return whether a request is a user's, or gives tokens that are accepted."""
        reply = attempt()
        if reply.status == 200 and isinstance(reply.body, dict) and "user" in reply.body:
            return True
        body = reply.body if isinstance(reply.body, dict) else {}
        access = reply.cookies.get(self.site.access_name) or body.get("access")
        refresh = reply.cookies.get(self.site.refresh_name) or body.get("refresh")
        return bool(access or refresh) and self.who(access, refresh) is not None

    def attempts(self, loot: Loot) -> list[Callable[[], Reply]]:
        """Return every request that the loot allows, in a random order."""
        made = list(self.every(loot))
        random.shuffle(made)
        return made

    def every(self, loot: Loot) -> Iterator[Callable[[], Reply]]:
        proofs, ids = (None, *sorted(loot.proofs)), (None, *sorted(loot.ids))
        for access, refresh in product((None, *sorted(loot.access)), (None, *sorted(loot.refresh))):
            yield partial(self.ask, "GET", ME, access, refresh)
            for proof, path, device in product(proofs, (REFRESH, REGISTER), ids):
                headers = {"Secure_Session_Response": proof, "Sec_Secure_Session_Id": device}
                yield partial(self.ask, "POST", path, access, refresh, **headers)
        for token in sorted(loot.access | loot.refresh):
            yield partial(self.ask, "GET", ME, None, None, Authorization=f"Bearer {token}")
            as_json = {"Content_Type": "application/json", "body": json.dumps({"refresh": token})}
            yield partial(self.ask, "POST", "/auth/token/refresh/", None, None, **as_json)


class Key:
    """A key of the thief's own, which signs as a device does."""

    def __init__(self) -> None:
        self.key = ECKey.generate_key("P-256")

    def prove(self, challenge: str, *, registers: bool = False) -> str:
        """Return a proof of this challenge, with the public key in its header if it ``registers``."""
        jwk = {"jwk": self.key.as_dict(private=False)} if registers else {}
        return jws.serialize_compact(
            {"alg": "ES256", **jwk, "typ": "dbsc+jwt"}, json.dumps({"jti": challenge}), self.key
        )
