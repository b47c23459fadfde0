"""A client that stores tokens, and proves with each request that it has the key to which they are bound.

See docs/guides/dpop.md. Needs `pip install requests joserfc`.
"""

import hashlib
import json
import os
import tempfile
import time
from base64 import urlsafe_b64encode
from email.utils import parsedate_to_datetime
from pathlib import Path
from urllib.parse import urlsplit
from uuid import uuid4

import requests
from joserfc import jwt
from joserfc.jwk import ECKey


class SignInAgain(Exception):
    """The session has ended, or the user has not signed in."""


def proof(key, method, url, nonce=None, token=None, skew=0):
    """Sign the proof for one request (RFC 9449 section 4.2)."""
    header = {"typ": "dpop+jwt", "alg": "ES256", "jwk": key.as_dict(private=False)}
    page = urlsplit(url)._replace(query="", fragment="").geturl()
    claims = {"jti": str(uuid4()), "htm": method, "htu": page, "iat": int(time.time() + skew)}
    if nonce:
        claims["nonce"] = nonce
    if token:
        claims["ath"] = urlsafe_b64encode(hashlib.sha256(token.encode()).digest()).rstrip(b"=").decode()
    return jwt.encode(header, claims, key)


def code(answer):
    """Return why a request was refused."""
    is_json = answer.headers.get("Content-Type", "").startswith("application/json")
    body = answer.json() if answer.status_code in (400, 401) and is_json else None
    return body.get("code") if isinstance(body, dict) else None


class Client:
    """A login at the site whose ready-made views are at the URL `auth`. Its key and its tokens are in `file`."""

    def __init__(self, auth, file):
        self.auth, self.file = auth, Path(file)
        self.nonces = {}  # the newest of each origin
        self.skew = 0  # seconds from this machine's clock to the server's

    def sign_in(self, username, password):
        """Start a session that is bound to a new key."""
        key = ECKey.generate_key("P-256")
        answer = self.send(key, "POST", f"{self.auth}token/", json={"username": username, "password": password})
        answer.raise_for_status()
        if answer.json().get("token_type") != "DPoP":
            raise RuntimeError("the server has ignored the proof")
        self.save(key, answer.json())

    def call(self, method, url, **options):
        """Send a request with the access token, which is refreshed before it expires."""
        key, pair = self.load()
        if time.time() > pair["expires_at"] - 10:
            pair = self.refresh(key, pair)
        answer = self.send(key, method, url, pair["access"], **options)
        if code(answer) == "token_not_valid":  # it has ended early
            answer = self.send(key, method, url, self.refresh(key, pair)["access"], **options)
        return answer

    def sign_out(self):
        """End the session."""
        answer = requests.post(f"{self.auth}token/revoke/", json={"token": self.load()[1]["refresh"]}, timeout=30)
        answer.raise_for_status()
        self.file.unlink()

    def refresh(self, key, pair):
        """Return the next pair of tokens."""
        answer = self.send(key, "POST", f"{self.auth}token/refresh/", json={"refresh": pair["refresh"]})
        if answer.status_code == 401:
            raise SignInAgain
        answer.raise_for_status()  # 503, or no network: keep the pair, and try again later
        return self.save(key, answer.json())

    def send(self, key, method, url, token=None, headers=None, **options):
        """Send a request with a proof, and again if the server wants a nonce or this machine's clock is wrong."""
        origin = "{0.scheme}://{0.netloc}".format(urlsplit(url))
        if hasattr(options.get("data"), "read"):
            options["data"] = options["data"].read()  # it may have to be sent twice
        mended = set()
        while True:
            made = proof(key, method, url, self.nonces.get(origin), token, self.skew)
            sent = {**(headers or {}), "DPoP": made, **({"Authorization": f"DPoP {token}"} if token else {})}
            # A proof is for one URL, so it is not valid after a redirect.
            answer = requests.request(method, url, headers=sent, allow_redirects=False, timeout=30, **options)
            if "DPoP-Nonce" in answer.headers:
                self.nonces[origin] = answer.headers["DPoP-Nonce"]
            reason = code(answer)
            if reason in mended or not (reason == "use_dpop_nonce" or self.sets_clock(reason, answer)):
                return answer
            mended.add(reason)

    def sets_clock(self, reason, answer):
        """Return whether the proof was refused and the clock was wrong by more than a minute. Then correct it."""
        if reason != "invalid_dpop_proof" or "Date" not in answer.headers:
            return False
        skew = parsedate_to_datetime(answer.headers["Date"]).timestamp() - time.time()
        was_wrong = abs(skew - self.skew) > 60
        self.skew = skew if was_wrong else self.skew
        return was_wrong

    def load(self):
        """Read the key and the tokens. Another process may have refreshed them since."""
        if not self.file.exists():
            raise SignInAgain
        kept = json.loads(self.file.read_text())
        return ECKey.import_key(kept["key"]), kept["pair"]

    def save(self, key, pair):
        """Replace the file at once by a new one that only this user can read."""
        pair["expires_at"] = time.time() + pair["access_expires_in"]
        number, name = tempfile.mkstemp(dir=self.file.parent)
        with os.fdopen(number, "w") as out:
            json.dump({"key": key.as_dict(private=True), "pair": pair}, out)
        os.replace(name, self.file)
        return pair
