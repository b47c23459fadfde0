"""Clients of `scripts/corpus.py` that prove a key with each request (DPoP, RFC 9449).

Their keys are of Ed25519, whose signatures are deterministic, and derived from their names.
"""

import base64
import hashlib
import json

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

ALGORITHMS = "RS256 RS384 RS512 PS256 PS384 PS512 ES256 ES384 EdDSA Ed25519"
NONCE_LIFETIME, TOLERANCE = 300, 300
DESCRIPTIONS = {
    "token": "the access token is invalid or expired, is not bound to a key, or its session has ended",
    "missing": "the header DPoP is missing",
    "jws": "the proof is not a JWS that is signed by the key in its header",
    "claims": "the proof needs the claims jti, htm, htu and iat",
    "htm": "htm is not the method of the request",
    "htu": "htu is not the URL of the request",
    "iat": "iat is too far from the time of the server",
    "ath": "ath is not the hash of the access token",
    "key": "the access token is bound to another key",
    "nonce": "the proof needs the nonce of this response",
}
"""What the challenge says, in the order of the checks."""


def b64(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def compact(value):
    return json.dumps(value, separators=(",", ":")).encode()


def digest(text):
    return hashlib.sha256(text.encode()).digest()


class Client:
    def __init__(self, name):
        self.key = Ed25519PrivateKey.from_private_bytes(digest(f"the key of the client {name}"))
        public = self.key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
        self.jwk = {"crv": "Ed25519", "kty": "OKP", "x": b64(public)}
        self.thumbprint = b64(hashlib.sha256(compact(self.jwk)).digest())  # RFC 7638 §3: the members in this order
        self.device_key = f"dpop:{self.thumbprint}"

    def sign(self, claims, **header):
        """Return a proof. Claims and parameters of the header are left out if they are `None`."""
        header = {"typ": "dpop+jwt", "alg": "EdDSA", "jwk": self.jwk, **header}
        parts = [{name: one for name, one in part.items() if one is not None} for part in (header, claims)]
        message = ".".join(b64(compact(part)) for part in parts)
        return f"{message}.{b64(self.key.sign(message.encode()))}"


def refused(what):
    """Return the answer to a proof that is refused for one of `DESCRIPTIONS`."""
    error = {"token": "invalid_token", "nonce": "use_dpop_nonce"}.get(what, "invalid_dpop_proof")
    challenge = f'DPoP error="{error}", error_description="{DESCRIPTIONS[what]}", algs="{ALGORITHMS}"'
    code = {"invalid_token": "token_not_valid"}.get(error, error)
    events = [code] if code == "invalid_dpop_proof" else []  # the token is valid, so that it may have been copied
    headers = {"WWW-Authenticate": challenge, "DPoP-Nonce": None}
    return {"status": 401, "code": code, "headers": headers, "events": events}
