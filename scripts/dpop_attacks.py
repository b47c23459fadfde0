"""Writes `testdata/dpop-attacks.json`: requests of an attacker with an access token and a DPoP proof (RFC 9449), each
with the check that refuses it.

`testdata/README.md` describes the format. The engine is never called. Every signature is deterministic, so the output
is reproducible; `python scripts/dpop_attacks.py --check` compares it with the file.
"""

import base64
import hashlib
import json
import sys

import attacks
from attacks import (
    ED25519_ORDER,
    JSON_TYPES,
    NOW,
    P256_ORDER,
    P256_PRIME,
    ROOT,
    SECRET,
    b64,
    big,
    ecdsa,
    ecdsa_numbers,
    jwk_of,
    mac,
    message,
    pem,
    private,
    public,
    text,
    thumbprint,
    token,
)
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, utils

TARGET = ROOT / "testdata/dpop-attacks.json"
HOST = "https://own.example"
URL = f"{HOST}/api/me/"
CODES = {"token": "token_not_valid", "bearer": "token_not_valid", "nonce": "use_dpop_nonce"}
OTHER_SECRET = b"the secret of another site, long enough for any hash, and then some more."
ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"

p384 = serialization.load_pem_private_key(pem["p-384.pkcs8"], None)
numbers384 = p384.public_key().public_numbers()
JWKS = {name: jwk_of(name) for name in ("ed25519", "p-256", "rsa-2048")}
JWKS["p-384"] = {"kty": "EC", "crv": "P-384", "x": b64(big(numbers384.x, 48)), "y": b64(big(numbers384.y, 48))}

accepted, refused = [], []


def jkt(jwk):
    return b64(hashlib.sha256(json.dumps(jwk, separators=(",", ":"), sort_keys=True).encode()).digest())


def access(cnf=None, typ="at+jwt", secret=SECRET, **changes):
    """Return an access token of the site, bound to the key with this confirmation."""
    claims = {"sub": "42", "sid": "BwcHBwcHBwcHBwcHBwcHBwcHBwc", "gen": 3, "iat": NOW, "exp": NOW + 300, **changes}
    return token({"alg": "HS256", "typ": typ}, claims if cnf is None else {**claims, "cnf": cnf}, mac(secret))


TOKENS = {name: access({"jkt": jkt(jwk)}) for name, jwk in JWKS.items()}


def nonce(exp=NOW + 300, typ="dn+jwt", alg="HS256", sign=None):
    return token({"alg": alg, "typ": typ}, {"exp": exp} if isinstance(exp, int) else exp, sign or mac())


NONCE = nonce()


# --- signatures


def es384(signed):
    signature = p384.sign(signed, ec.ECDSA(hashes.SHA384(), deterministic_signing=True))
    return b"".join(big(number, 48) for number in utils.decode_dss_signature(signature))


def rsa(hash):
    return lambda signed: private["rsa-2048"].sign(signed, padding.PKCS1v15(), hash)


def pss(name, salt_length=None):
    """Sign as RSASSA-PSS does (RFC 8017 section 8.1.1), but always with the same salt."""

    def sign(signed):
        def digest(data):
            return hashlib.new(name, data).digest()

        size = len(digest(b""))
        salt = b"s" * (size if salt_length is None else salt_length)
        hashed = digest(bytes(8) + digest(signed) + salt)
        block = bytes(256 - len(salt) - size - 2) + b"\1" + salt
        mask = b"".join(digest(hashed + big(counter, 4)) for counter in range(256 // size + 1))
        masked = bytes(a ^ b for a, b in zip(block, mask, strict=False))
        encoded = bytes([masked[0] & 0x7F]) + masked[1:] + hashed + b"\xbc"
        numbers = private["rsa-2048"].private_numbers()
        return big(pow(int.from_bytes(encoded, "big"), numbers.d, numbers.public_numbers.n), 256)

    return sign


ed25519 = private["ed25519"].sign
SIGNERS = {
    "EdDSA": ("ed25519", ed25519),
    "Ed25519": ("ed25519", ed25519),
    "ES256": ("p-256", ecdsa),
    "ES384": ("p-384", es384),
    "RS256": ("rsa-2048", rsa(hashes.SHA256())),
    "RS384": ("rsa-2048", rsa(hashes.SHA384())),
    "RS512": ("rsa-2048", rsa(hashes.SHA512())),
    "PS256": ("rsa-2048", pss("sha256")),
    "PS384": ("rsa-2048", pss("sha384")),
    "PS512": ("rsa-2048", pss("sha512")),
}


# --- proofs


def header(alg="ES256", /, **changes):
    """Return the header of a proof. A change to ``None`` is null; `without` leaves a name out."""
    return {"alg": alg, "typ": "dpop+jwt", "jwk": JWKS[SIGNERS[alg][0]] if alg in SIGNERS else JWKS["p-256"], **changes}


def ath(access_token):
    return b64(hashlib.sha256(access_token.encode()).digest())


def claims(**changes):
    name = changes.pop("of", "p-256")
    right = {"jti": "a", "htm": "GET", "htu": URL, "iat": NOW, "ath": ath(TOKENS[name]), "nonce": NONCE}
    return {**right, **changes}


def without(members, *names):
    return {name: value for name, value in members.items() if name not in names}


def proof(head=None, payload=None, sign=None):
    head = header() if head is None else head
    if sign is None:
        alg = head.get("alg") if isinstance(head, dict) else None
        sign = SIGNERS[alg][1] if isinstance(alg, str) and alg in SIGNERS else ecdsa
    signed = message(head, claims() if payload is None else payload)
    return f"{signed}.{b64(sign(signed.encode()))}"


def raw_proof(payload):
    """Return a proof whose payload is these bytes."""
    signed = f"{b64(text(header()).encode())}.{b64(payload)}"
    return f"{signed}.{b64(ecdsa(signed.encode()))}"


def accept(what, value, **request):
    accepted.append({"what": what, **request, "proof": value})


def refuse(check, what, error, value, **request):
    """Add a request, and which check refuses it: a number of RFC 9449 section 4.3, or 13 for the rules of section 7."""
    code = CODES.get(error, "invalid_dpop_proof")
    refused.append({"check": check, "what": what, "error": error, "code": code, **request, "proof": value})


MALFORMED, ALGORITHM, KEY, SIGNATURE = (
    f"device_proof_{code}" for code in ("malformed", "algorithm", "key", "signature")
)


def valid_proofs():
    for alg, (name, _) in SIGNERS.items():
        accept(alg, proof(header(alg), claims(of=name)), client=name)
    signed = message(header(), claims())
    r, s = ecdsa_numbers(signed.encode())
    accept("n - s", f"{signed}.{b64(big(r, 32) + big(P256_ORDER - s, 32))}")
    more = {**JWKS["p-256"], "kid": "a", "use": "sig", "alg": "ES256", "key_ops": ["verify"], "ext": True}
    accept("other members of the key", proof(header(jwk=more)))
    accept("the header in another order", proof({"jwk": JWKS["p-256"], "typ": "dpop+jwt", "alg": "ES256"}))
    accept("spaces in the JSON", proof(json.dumps(header(), indent=1), json.dumps(claims(), indent=1)))
    accept("other claims", proof(payload=claims(aud="x", exp=1, nbf=NOW + 9, iss=[], jti="a" * 500)))
    for htu in (
        f"{URL}?page=2",
        f"{URL}#top",
        f"{URL}?a=https://evil.example/#b?c",
        "HTTPS://OWN.Example/api/me/",
        "https://own.example:443/api/me/",
        f"{HOST}/%61p%69/m%65/",
    ):
        accept(f"htu {htu}", proof(payload=claims(htu=htu)))
    for path, htu in (
        ("/", HOST),
        ("/", f"{HOST}/"),
        ("/", f"{HOST}?a#b"),
        ("/caf\u00e9", f"{HOST}/caf%C3%A9"),
        ("/caf\u00e9", f"{HOST}/caf%c3%a9"),
        ("/100%", f"{HOST}/100%25"),
        ("/a b?", f"{HOST}/a%20b%3F"),
    ):
        accept(f"htu {htu} for {path}", proof(payload=claims(htu=htu)), path=path)
    for own in ("http://localhost:8000", "http://[::1]:8000", "http://127.0.0.1"):
        accept(f"at {own}", proof(payload=claims(htu=f"{own}/api/me/")), own=own)
    for method in ("POST", "HEAD", "OPTIONS", "PATCH", "DELETE", "QUERY"):
        accept(method, proof(payload=claims(htm=method)), method=method)
    for iat in (NOW - 300, NOW + 300, NOW + 0.999, NOW - 0.5, float(NOW)):
        accept(f"iat {iat - NOW:+}", proof(payload=claims(iat=iat)))
    accept("iat as 1.8e9", proof(payload=text(claims()).replace(f'"iat":{NOW}', '"iat":1.8e9')))
    accept("the last second of a nonce", proof(payload=claims(nonce=nonce(NOW + 1))))
    for scheme in ("dpop ", "DPOP ", "DPoP   "):
        accept(f"scheme {scheme!r}", proof(), authorization=scheme + TOKENS["p-256"])
    post = {"htm": "POST", "htu": f"{HOST}/token/"}
    for alg, (name, _) in SIGNERS.items():
        start = proof(header(alg), without(claims(**post), "ath"))
        accept(f"{alg} at the token endpoint", start, client=name, by="client", method="POST", path="/token/")
    for what, payload in (
        ("without a nonce", without(claims(), "nonce")),
        ("with the nonce of another server", claims(nonce="x")),
        ("60 s old", without(claims(iat=NOW - 60), "nonce")),
        ("60 s early", without(claims(iat=NOW + 60), "nonce")),
    ):
        accept(f"at a service, {what}", proof(payload=payload), by="service")


def checks_1_to_3():
    good, other = proof(), proof(header("EdDSA"), claims(of="ed25519"))
    refuse(1, "no header", "missing", None)
    for separator in (",", ", ", " , ", ";", " ", "\n", "\t", "\0", "", "."):
        refuse(1, f"the proof twice, with {separator!r}", MALFORMED, good + separator + good)
        refuse(1, f"the proof after another, with {separator!r}", MALFORMED, other + separator + good)
    for value in (f"{good},", f",{good}", f"{good}, ", f"{good},x", f"x,{good}"):
        what = value.replace(good, "<proof>")
        refuse(1, f"a list: {what!r}", MALFORMED, value)

    last = next(one for one in (proof(payload=claims(jti=f"??>>~~{i}")) for i in range(99)) if one[-1] in "AQgw")
    head, payload, signature = last.split(".")
    for what, bad in {
        "nothing": "",
        "a space": " ",
        "dots": "..",
        "= after the signature": last + "==",
        "= after the header": f"{head}=.{payload}.{signature}",
        "= after the payload": f"{head}.{payload}=.{signature}",
        "a space before": " " + last,
        "a space after": last + " ",
        "a line break after": last + "\n",
        "a tab within": f"{head}.\t{payload}.{signature}",
        "a NUL after": last + "\0",
        "a letter outside the alphabet": last + "\u00e9",
        "a full stop of another script": last.replace(".", "\u3002"),
        "percent-encoded dots": last.replace(".", "%2E"),
        "the standard alphabet": last.replace("-", "+").replace("_", "/") + "+",
        "an additional part": last + ".AAAA",
        "an additional empty part": last + ".",
        "no signature part": f"{head}.{payload}",
        "no header part": f".{payload}.{signature}",
        "no payload": f"{head}..{signature}",
        "DPoP before it": "DPoP " + last,
        "quotes": f'"{last}"',
        "single quotes": f"'{last}'",
        "a byte sequence": f":{last}:",
        "a parameter": f"{last};v=1",
        "flattened JSON": text({"protected": head, "payload": payload, "signature": signature}),
        "general JSON": text({"payload": payload, "signatures": [{"protected": head, "signature": signature}]}),
        "a JWE": "eyJhbGciOiJkaXIiLCJlbmMiOiJBMTI4R0NNIn0..AAAAAAAAAAAAAAAA.AAAA.AAAAAAAAAAAAAAAAAAAAAA",
        "the access token": TOKENS["p-256"],
        "the nonce": NONCE,
    }.items():
        refuse(2, what, MALFORMED, bad)
    for bits in (1, 2, 3, 15):
        stray = last[:-1] + ALPHABET[ALPHABET.index(last[-1]) | bits]
        refuse(2, f"stray bits {bits} at the end", MALFORMED, stray)
    for what, repeated, count in [
        ("dots", ".", 1_000_000),
        ("dots", ".", 4096),
        ("megabytes", "A" * 100_000, 50),
        ("parts", "QQ.", 1000),
        ("letters", "A", 4097),
    ]:
        refuse(2, f"{count} {what}", MALFORMED, {"repeat": repeated, "count": count})
    refuse(2, "a jti of 4 kB", MALFORMED, proof(payload=claims(jti="a" * 4096)))
    plain = text(header())
    for what, opening, closing in [("arrays", "[", "]"), ("objects", '{"a":', "}")]:
        nested = opening * 200 + "1" + closing * 200
        refuse(2, f"200 nested {what}", MALFORMED, proof(payload=text(claims(x="?")).replace('"?"', nested)))
        refuse(2, f"200 nested {what} as the key", MALFORMED, proof(text(header(jwk="?")).replace('"?"', nested)))
    for what, value in JSON_TYPES.items():
        if not isinstance(value, dict):
            refuse(2, f"a payload: {what}", MALFORMED, proof(payload=text([value])[1:-1]))
            refuse(2, f"a header: {what}", MALFORMED, proof(text([value])[1:-1]))
    good = text(claims())
    for what, payload in {
        "empty": "",
        "cut": good[:-1],
        "text after it": good + "x",
        "a second object": good + "{}",
        "a trailing comma": good[:-1] + ",}",
        "single quotes": good.replace('"', "'"),
        "a comment": good + "//",
        "a lone surrogate": good.replace('"jti":"a"', '"jti":"\\ud800"'),
        "a bad escape": good.replace('"jti":"a"', '"jti":"\\x41"'),
        "a line break in a text": good.replace('"jti":"a"', '"jti":"a\n"'),
    }.items():
        refuse(2, f"the payload: {what}", MALFORMED, proof(payload=payload))
    for what, payload in {
        "invalid UTF-8": good.replace('"jti":"a"', '"jti":"?"').encode().replace(b"?", b"\xff"),
        "a byte order mark": b"\xef\xbb\xbf" + good.encode(),
        "UTF-16": good.encode("utf-16"),
    }.items():
        refuse(2, f"the payload: {what}", MALFORMED, raw_proof(payload))
    jwk = text(JWKS["p-256"])
    for members in (
        '"alg":"none"',
        '"alg":"ES256"',
        '"typ":"at+jwt"',
        '"\\u0061lg":"none"',
        '"a\\u006cg":"ES256"',
        f'"jwk":{jwk}',
        f'"\\u006awk":{jwk}',
        f'"jwk":{text(JWKS["ed25519"])}',
    ):
        refuse(2, f"a name twice in the header: {members[:30]}", MALFORMED, proof(plain[:-1] + f",{members}}}"))
        refuse(2, f"a name twice, in front: {members[:30]}", MALFORMED, proof("{" + f"{members},{plain[1:]}"))
    for member in ('"crv":"P-256"', f'"x":"{JWKS["p-256"]["x"]}"', '"a":1,"a":2', '"kty":"RSA"'):
        twice = text(header(jwk="?")).replace('"?"', f"{jwk[:-1]},{member}}}")
        refuse(2, f"a name twice in the key: {member[:30]}", MALFORMED, proof(twice))
    for member in (
        '"jti":"b"',
        '"htm":"POST"',
        '"htm":"GET"',
        '"\\u0068tm":"GET"',
        f'"htu":"{URL}"',
        '"htu":"https://evil.example/"',
        f'"iat":{NOW}',
        f'"ath":"{ath(TOKENS["p-256"])}"',
        f'"nonce":"{NONCE}"',
        '"x":1,"x":2',
        '"x":[{"a":{"b":1,"b":2}}]',
        '"x":{"a":1,"\\u0061":2}',
    ):
        refuse(2, f"a name twice in the payload: {member[:30]}", MALFORMED, proof(payload=good[:-1] + f",{member}}}"))
        refuse(2, f"a name twice, in front: {member[:30]}", MALFORMED, proof(payload="{" + f"{member},{good[1:]}"))

    for name in ("jti", "htm", "htu", "iat"):
        refuse(3, f"no {name}", "claims", proof(payload=without(claims(), name)))
    refuse(3, "no claims", "claims", proof(payload={}))
    refuse(3, "an empty jti", "claims", proof(payload=claims(jti="")))
    for other in ("JTI", "Htm", "htu ", "iat\0", "http_method"):
        name = other.lower().strip(" \0")[:3]
        refuse(
            3, f"{other!r} in place of a claim", "claims", proof(payload={**without(claims(), name, "htm"), other: 1})
        )
    errors = {"jti": None, "htm": "method", "htu": "uri", "iat": "time", "ath": "ath", "nonce": "nonce"}
    for name, error in errors.items():
        for what, value in JSON_TYPES.items():
            is_time = name == "iat" and isinstance(value, (int, float)) and not isinstance(value, bool)
            is_right = isinstance(value, str) if name != "iat" else is_time and 0 <= value < 9e15
            if is_right and error is None and value != "":
                continue
            failed = error if (is_right or name in ("ath", "nonce")) and error else "claims"
            refuse(3, f"{name}: {what}", failed, proof(payload=claims(**{name: value})))
    for number, error in {
        "9e15": "claims",
        "18446744073709551616": "claims",
        "1e308": "claims",
        "-1": "claims",
        "-0.5": "claims",
        "-1e300": "claims",
        "-0": "time",
        "0.1": "time",
        "8999999999999999": "time",
        "1e-400": "time",
        "1e999": MALFORMED,
        "NaN": MALFORMED,
        "Infinity": MALFORMED,
        "01": MALFORMED,
        "1.": MALFORMED,
        "0x7fffffff": MALFORMED,
        f"+{NOW}": MALFORMED,
    }.items():
        payload = text(claims(iat="?")).replace('"?"', number)
        refuse(3, f"iat {number}", error, proof(payload=payload))


def checks_4_to_7():
    for typ in (
        "at+jwt",
        "rt+jwt",
        "dn+jwt",
        "dc+jwt",
        "dbsc+jwt",
        "JWT",
        "DPOP+JWT",
        "dpop+jwt ",
        "dpop",
        "application/dpop+jwt",
        "dpop+jwt\0",
        "",
    ):
        refuse(4, f"typ {typ!r}", MALFORMED, proof(header(typ=typ)))
    refuse(4, "no typ", MALFORMED, proof(without(header(), "typ")))
    for value in (None, True, 0, ["dpop+jwt"], {}):
        refuse(4, f"typ {value!r}", MALFORMED, proof(header(typ=value)))
    for name, value in {
        "jku": "https://evil.example/jwks.json",
        "x5u": "https://evil.example/c.pem",
        "x5c": ["MIIB"],
        "x5t": "AAAA",
        "x5t#S256": "AAAA",
        "kid": thumbprint("p-256"),
        "cty": "JWT",
        "zip": "DEF",
        "enc": "A128GCM",
        "Alg": "ES256",
        "JWK": JWKS["ed25519"],
        "nonce": NONCE,
        "": "",
    }.items():
        refuse(4, f"{name!r} in the header", MALFORMED, proof({**header(), name: value}))
    for crit in (["exp"], ["b64"], ["jwk"], [], "exp", None, [1]):
        refuse(4, f"crit {crit!r}", MALFORMED, proof(header(crit=crit)))
    for value in (False, True, "false"):
        refuse(4, f"b64 {value!r}", MALFORMED, proof(header(b64=value, crit=["b64"])))

    for alg in ("none", "None", "NONE", "nOnE", "none ", " none", "none\0", "", "null"):
        signed = message(header(alg), claims())
        refuse(5, f"alg {alg!r}, no signature", ALGORITHM, signed + ".")
        refuse(5, f"alg {alg!r}, a signature", ALGORITHM, f"{signed}.{b64(ecdsa(signed.encode()))}")
    refuse(5, "no alg", MALFORMED, proof(without(header(), "alg")))
    for value in (None, True, 0, ["ES256"], {"alg": "ES256"}):
        refuse(5, f"alg {value!r}", MALFORMED, proof(header() | {"alg": value}, sign=ecdsa))
    for alg in (
        "ES512",
        "ES256K",
        "es256",
        "eddsa",
        "Ed448",
        "ED25519",
        "RS1",
        "ES256 ",
        "RS256\0",
        "dir",
        "RSA-OAEP",
        "PS",
    ):
        refuse(5, f"alg {alg!r}", ALGORITHM, proof(header(alg)))
    secret = {"kty": "oct", "k": b64(b"e" * 32)}
    for hs, hash in (("HS256", "sha256"), ("HS384", "sha384"), ("HS512", "sha512")):
        for name in ("p-256", "rsa-2048", "ed25519"):
            for what, encoded in attacks.encodings(name):
                if hs == "HS256" or what == "JWK":
                    forged = proof(header(hs, jwk=JWKS[name]), claims(of=name), mac(encoded, hash))
                    refuse(5, f"{hs} with the {what} of {name}", ALGORITHM, forged, client=name)
        forged = proof(header(hs, jwk=secret), sign=mac(b"e" * 32, hash))
        refuse(5, f"{hs} with a secret that it brings", ALGORITHM, forged)
        refuse(5, f"{hs} with the site's secret", ALGORITHM, proof(without(header(hs), "jwk"), sign=mac(hash=hash)))
    for alg in SIGNERS:
        forged = proof(header(alg, jwk=secret), sign=mac(b"e" * 32))
        refuse(5, f"{alg} with a secret that it brings", KEY, forged)

    # Every algorithm with the keys of the others, and with the signatures of the others.
    for alg in ("EdDSA", "ES256", "ES384", "RS256", "PS256"):
        name, sign = SIGNERS[alg]
        for other, jwk in JWKS.items():
            if other != name:
                refuse(
                    6, f"{alg} with the key {other}", KEY, proof(header(alg, jwk=jwk), claims(of=other)), client=other
                )
        for named, (_, by) in SIGNERS.items():
            if by is not sign:
                forged = proof(header(alg), claims(of=name), by)
                refuse(6, f"{alg}, signed as {named}", SIGNATURE, forged, client=name)
        if name == "rsa-2048":
            for named in ("RS256", "PS256", "RS512"):
                if named != alg:
                    jwk = {**JWKS[name], "alg": named}
                    refuse(
                        6,
                        f"{alg} with a key for {named}",
                        KEY,
                        proof(header(alg, jwk=jwk), claims(of=name)),
                        client=name,
                    )
        good = proof(header(alg), claims(of=name))
        head, payload, signature = good.split(".")
        bytes_of = base64.urlsafe_b64decode(signature + "==")
        for what, changed in {
            "nothing": b"",
            "one byte": b"\0",
            "zeros": bytes(len(bytes_of)),
            "ones": b"\xff" * len(bytes_of),
            "one byte less": bytes_of[:-1],
            "a trailing zero": bytes_of + b"\0",
            "a leading zero": b"\0" + bytes_of,
            "the first bit changed": bytes([bytes_of[0] ^ 0x80]) + bytes_of[1:],
            "the last bit changed": bytes_of[:-1] + bytes([bytes_of[-1] ^ 1]),
            "the signature of another proof": sign(message(header(alg), claims(of=name, jti="b")).encode()),
            "the signature of the payload": sign(payload.encode()),
            "the reverse": bytes_of[::-1],
        }.items():
            refuse(6, f"{alg}: {what}", SIGNATURE, f"{head}.{payload}.{b64(changed)}", client=name)
        other = b64(text(claims(of=name, htm="POST")).encode())
        refuse(6, f"{alg}: another method", SIGNATURE, f"{head}.{other}.{signature}", client=name, method="POST")
        spaced = b64(text(header(alg)).replace(",", ", ").encode())
        refuse(6, f"{alg}: a space in the header", SIGNATURE, f"{spaced}.{payload}.{signature}", client=name)
    n = P256_ORDER
    signed = message(header(), claims())
    for r in (0, 1, n - 1, n, n + 1, 2**256 - 1):
        for s in (0, 1, n - 1, n, n + 1, 2**256 - 1):
            forged = f"{signed}.{b64(big(r, 32) + big(s, 32))}"
            refuse(6, f"ES256 with r={hex(r)[:8]}, s={hex(s)[:8]}", SIGNATURE, forged)
    r, s = ecdsa_numbers(signed.encode())
    for what, signature in {
        "the DER form": utils.encode_dss_signature(r, s),
        "DER of zeros": bytes.fromhex("3006020100020100"),
        "the numbers in the other order": big(s, 32) + big(r, 32),
        "r + n": (r + n).to_bytes(33, "big") + big(s, 33),
        "s + n": big(r, 33) + (s + n).to_bytes(33, "big"),
        "-r": big(n - r, 32) + big(s, 32),
        "numbers of 33 bytes": big(r, 33) + big(s, 33),
    }.items():
        refuse(6, f"ES256 of {what}", SIGNATURE, f"{signed}.{b64(signature)}")
    signed = message(header("EdDSA"), claims(of="ed25519"))
    genuine = private["ed25519"].sign(signed.encode())
    for what, signature in {
        "the neutral point": b"\1" + bytes(63),
        "S beyond the order": genuine[:32]
        + (int.from_bytes(genuine[32:], "little") + ED25519_ORDER).to_bytes(32, "little"),
        "114 bytes, as Ed448": bytes(114),
    }.items():
        refuse(6, f"EdDSA of {what}", SIGNATURE, f"{signed}.{b64(signature)}", client="ed25519")
    signed = message(header("RS256"), claims(of="rsa-2048"))
    genuine, modulus = SIGNERS["RS256"][1](signed.encode()), public["rsa-2048"].public_numbers().n
    added = (int.from_bytes(genuine, "big") + modulus).to_bytes(257, "big")
    refuse(6, "RS256 with the modulus added", SIGNATURE, f"{signed}.{b64(added)}", client="rsa-2048")
    for alg, hash in (("PS256", "sha256"), ("PS384", "sha384")):
        for length in (0, 8, 20, 64):
            forged = proof(header(alg), claims(of="rsa-2048"), pss(hash, length))
            refuse(6, f"{alg} with a salt of {length} bytes", SIGNATURE, forged, client="rsa-2048")

    refuse(7, "no key", MALFORMED, proof(without(header(), "jwk")))
    for value in (None, True, 0, "", "{}", [], [JWKS["p-256"]], {}):
        refuse(7, f"jwk {value!r}"[:60], KEY, proof(header(jwk=value)))
    refuse(7, "a JWK Set", KEY, proof(header(jwk={"keys": [JWKS["p-256"]]})))
    refuse(7, "a thumbprint", KEY, proof(header(jwk=thumbprint("p-256"))))
    refuse(7, "a PEM", KEY, proof(header(jwk=pem["p-256.spki"].decode())))
    for alg in ("ES256", "ES384", "EdDSA", "RS256", "PS256"):
        name = SIGNERS[alg][0]
        for member in ("d", "p", "q", "dp", "dq", "qi", "k"):
            for value in ("AA", []):
                head = header(alg, jwk={**JWKS[name], member: value})
                what = f"{alg} with the private member {member}: {value!r}"
                refuse(7, what, KEY, proof(head, claims(of=name)), client=name)
    secret_d = {
        "p-256": big(private["p-256"].private_numbers().private_value, 32),
        "ed25519": private["ed25519"].private_bytes_raw(),
        "rsa-2048": big(private["rsa-2048"].private_numbers().d, 256),
    }
    for alg in ("ES256", "EdDSA", "RS256"):
        name = SIGNERS[alg][0]
        forged = proof(header(alg, jwk={**JWKS[name], "d": b64(secret_d[name])}), claims(of=name))
        refuse(7, f"{alg} with its private key", KEY, forged, client=name)
    x, y = public["p-256"].public_numbers().x, public["p-256"].public_numbers().y
    for what, changes in {
        "the point (0, 0)": {"x": b64(bytes(32)), "y": b64(bytes(32))},
        "a point that is not on the curve": {"y": b64(big(y ^ 1, 32))},
        "x + p": {"x": b64((x + P256_PRIME).to_bytes(33, "big"))},
        "x = p": {"x": b64(big(P256_PRIME, 32))},
        "x with a leading zero": {"x": b64(big(x, 33))},
        "x with padding": {"x": b64(big(x, 32)) + "="},
        "x as a number": {"x": 1},
        "an empty x": {"x": ""},
        "crv P-384": {"crv": "P-384"},
        "crv secp256k1": {"crv": "secp256k1"},
        "kty ec": {"kty": "ec"},
        "kty OKP": {"kty": "OKP"},
        "alg RS256": {"alg": "RS256"},
        "alg none": {"alg": "none"},
        "use enc": {"use": "enc"},
        "key_ops sign": {"key_ops": ["sign"]},
    }.items():
        refuse(7, f"an EC key: {what}", KEY, proof(header(jwk={**JWKS["p-256"], **changes})))
    for name in ("x", "y", "crv", "kty"):
        refuse(7, f"an EC key: no {name}", KEY, proof(header(jwk=without(JWKS["p-256"], name))))
    for what, changes in {
        "31 bytes": {"x": b64(bytes(31))},
        "33 bytes": {"x": b64(bytes(33))},
        "crv X25519": {"crv": "X25519"},
        "crv Ed448": {"crv": "Ed448"},
        "crv ed25519": {"crv": "ed25519"},
        "kty EC": {"kty": "EC"},
        "alg ES256": {"alg": "ES256"},
    }.items():
        refuse(7, f"an Ed25519 key: {what}", KEY, proof(header("EdDSA", jwk={**JWKS["ed25519"], **changes})))
    odd = {bits: b64(big(2 ** (bits - 1) + 1, (bits + 7) // 8)) for bits in (512, 1024, 2047, 4097, 8192)}
    for what, changes in {
        **{f"a modulus of {bits} bits": {"n": n} for bits, n in odd.items()},
        "an even modulus": {"n": b64(big(2**2047, 256))},
        "a modulus with a leading zero": {"n": b64(big(modulus, 257))},
        "e = 0": {"e": "AA"},
        "e = 1": {"e": "AQ"},
        "e = 2": {"e": "Ag"},
        "e of 40 bits": {"e": b64(big(2**39 + 1, 5))},
        "e with a leading zero": {"e": "AAEAAQ"},
        "alg RS512": {"alg": "RS512"},
        "use enc": {"use": "enc"},
    }.items():
        # With e = 1, the padded digest is its own signature.
        jwk = {**JWKS["rsa-2048"], **changes}
        signed = message(header("RS256", jwk=jwk), without(claims(), "nonce"))
        digest = bytes.fromhex("3031300d060960864801650304020105000420") + hashlib.sha256(signed.encode()).digest()
        padded = b"\0\1" + b"\xff" * (253 - len(digest)) + b"\0" + digest
        refuse(7, f"an RSA key: {what}", KEY, f"{signed}.{b64(padded)}")


def checks_8_and_9():
    for htm in (
        "get",
        "Get",
        "GET ",
        " GET",
        "GET\0",
        "GET\n",
        "GET,POST",
        "POST",
        "HEAD",
        "*",
        "G\u0415T",
        "GETT",
        "GE",
    ):
        refuse(8, f"htm {htm!r} for GET", "method", proof(payload=claims(htm=htm)))
    for method in ("POST", "HEAD", "OPTIONS", "PUT", "PATCH", "DELETE", "TRACE", "CONNECT", "QUERY", "get", ""):
        refuse(8, f"{method!r} with htm GET", "method", proof(), method=method)
    for htu in (
        "http://own.example/api/me/",
        "https://own.example:80/api/me/",
        "https://own.example:8443/api/me/",
        "https://own.example:/api/me/",
        "https://own.example:65979/api/me/",
        "https://own.example:443443/api/me/",
        "https://own.example:-443/api/me/",
        "https://other.example/api/me/",
        "https://example/api/me/",
        "https://www.own.example/api/me/",
        "https://own.example.evil.example/api/me/",
        "https://evilown.example/api/me/",
        "https://own.example./api/me/",
        "https://own.example@evil.example/api/me/",
        "https://evil.example@own.example/api/me/",
        "https://@own.example/api/me/",
        "https://own.example:443@evil.example/api/me/",
        "https://own.example%2F@evil.example/api/me/",
        "https://evil.example/https://own.example/api/me/",
        "https://evil.example?https://own.example/api/me/",
        "https://evil.example#https://own.example/api/me/",
        "https://evil.example\\@own.example/api/me/",
        "https://own.example\\api\\me\\",
        "https://own.example\\/api/me/",
        "https://own%2Eexample/api/me/",
        "https://own.example%00/api/me/",
        "https://own.example /api/me/",
        "https:// own.example/api/me/",
        "https://own.example\t/api/me/",
        "https://own.ex\u0430mple/api/me/",
        "https://\uff4fwn.example/api/me/",
        "https://own\u3002example/api/me/",
        "https:/own.example/api/me/",
        "https:own.example/api/me/",
        "https:///own.example/api/me/",
        "://own.example/api/me/",
        "//own.example/api/me/",
        "own.example/api/me/",
        "/api/me/",
        "api/me/",
        "https://",
        "https://?x",
        "https",
        "x",
        "",
        "null",
        "*",
        "wss://own.example/api/me/",
        "ftp://own.example/api/me/",
        "https+unix://own.example/api/me/",
        "https://https://own.example/api/me/",
        " https://own.example/api/me/",
        "https ://own.example/api/me/",
        "\u2063https://own.example/api/me/",
        "view-source:https://own.example/api/me/",
        "https://own.example",
        "https://own.example/",
        "https://own.example?/api/me/",
        "https://own.example#/api/me/",
        "https://own.example/?/api/me/",
        "https://own.example/api/me",
        "https://own.example/api/me?/",
        "https://own.example/api/me%3F",
        "https://own.example/api/me/%3Fx",
        "https://own.example/api/me/%23x",
        "https://own.example/api/me//",
        "https://own.example//api/me/",
        "https://own.example/api//me/",
        "https://own.example/api/./me/",
        "https://own.example/api/x/../me/",
        "https://own.example/api/me/.",
        "https://own.example/api/me/..",
        "https://own.example/api/me/%2e",
        "https://own.example/api/x/%2e%2e/me/",
        "https://own.example/api/me/;a=1",
        "https://own.example/api/me;a/",
        "https://own.example/api/ME/",
        "https://own.example/API/me/",
        "https://own.example/api/me/x",
        "https://own.example/x/api/me/",
        "https://own.example/api/me/ ",
        "https://own.example/api/me/%20",
        "https://own.example/api/me/\0",
        "https://own.example/api/me/%00",
        "https://own.example/api/me/%0A",
        "https://own.example/api/me/\n",
        "https://own.example/api/me/%FF",
        "https://own.example/%2561pi/me/",
        "https://own.example/api%252Fme/",
        "https://own.example/%u0061pi/me/",
        "https://own.example/api+me/",
        "https://own.example/api\\me/",
        "https://own.example/api/m\u0435/",
        "https://own.example/token/",
    ):
        refuse(9, f"htu {htu!r}", "uri", proof(payload=claims(htu=htu)))
    for path, htu in (
        ("", HOST),
        ("", f"{HOST}/"),
        ("/", f"{HOST}//"),
        ("/", f"{HOST}/%2F"),
        ("//", HOST),
        ("/caf\u00e9", f"{HOST}/caf%E9"),
        ("/caf\u00e9", f"{HOST}/cafe%CC%81"),
        ("/caf\u00e9", f"{HOST}/caf%25C3%25A9"),
        ("/a%20b", f"{HOST}/a%20b"),
        ("/a b", f"{HOST}/a+b"),
        ("/a?b", f"{HOST}/a?b"),
        ("/a#b", f"{HOST}/a#b"),
        ("/%61", f"{HOST}/%61"),
    ):
        refuse(9, f"htu {htu} for {path!r}", "uri", proof(payload=claims(htu=htu)), path=path)
    for own in ("http://own.example", "https://own.example:8443", "https://evil.example", "http://[::1]:8000", None):
        refuse(9, f"at {own}", "uri", proof(), own=own)
    for htu in (
        "http://[::1]/api/me/",
        "http://[::]:8000/api/me/",
        "http://::1:8000/api/me/",
        "http://[::1:8000/api/me/",
    ):
        refuse(9, f"htu {htu} at [::1]:8000", "uri", proof(payload=claims(htu=htu)), own="http://[::1]:8000")
    for htu in ("x:///api/me/", "null/api/me/", ":///api/me/", "/api/me/"):
        refuse(9, f"htu {htu} at an unknown host", "uri", proof(payload=claims(htu=htu)), own=None)


def checks_10_to_13():
    refuse(10, "no nonce", "nonce", proof(payload=without(claims(), "nonce")))
    none = message({"alg": "none", "typ": "dn+jwt"}, {"exp": NOW + 300}) + "."
    for what, value in {
        "nothing": "",
        "a word": "x",
        "the time": str(NOW),
        "an access token": TOKENS["p-256"],
        "an access token that is not bound": access(),
        "a refresh token": access(typ="rt+jwt"),
        "the end of a nonce": nonce(NOW),
        "an old nonce": nonce(NOW - 300),
        "a nonce of 1970": nonce(0),
        "the nonce of another site": nonce(sign=mac(OTHER_SECRET)),
        "a nonce signed with nothing": nonce(sign=mac(b"")),
        "a nonce with alg none": none,
        "a nonce with alg none, and a signature": nonce(alg="none"),
        "a nonce for HS512": nonce(alg="HS512", sign=mac(hash="sha512")),
        "a nonce that the client signs": nonce(alg="ES256", sign=ecdsa),
        "a challenge": nonce(typ="dc+jwt"),
        "a challenge of a session": nonce({"sid": "a", "gen": 1, "use": "refresh", "exp": NOW + 300}, typ="dc+jwt"),
        "a proof": proof(),
        "another type": nonce(typ="DN+JWT"),
        "the type of a JWT": nonce(typ="JWT"),
        "no end": nonce({}),
        "an end of null": nonce({"exp": None}),
        "an end as a text": nonce({"exp": str(NOW + 300)}),
        "an end with a fraction": nonce({"exp": NOW + 300.5}),
        "a negative end": nonce({"exp": -1}),
        "two ends": nonce('{"exp":1,"exp":1900000000}'),
        "not an object": nonce(f'"{NOW + 300}"'),
        "a space after": NONCE + " ",
        "a dot after": NONCE + ".",
        "a comma": NONCE + ",x",
        "quotes": f'"{NONCE}"',
        "without its signature": NONCE.rsplit(".", 1)[0] + ".",
        "cut": NONCE[:-1],
        "a changed bit": NONCE[:-2] + ("A" if NONCE[-2] != "A" else "B") + NONCE[-1],
    }.items():
        refuse(10, f"a nonce: {what}", "nonce", proof(payload=claims(nonce=value)))
    refuse(10, "the nonce under another name", "nonce", proof(payload={**without(claims(), "nonce"), "Nonce": NONCE}))
    refuse(10, "the nonce in the header of the request only", "nonce", proof(payload=without(claims(), "nonce")))

    for seconds in (301, 302, 3600, 86_400, NOW):
        refuse(11, f"{seconds} s old", "time", proof(payload=claims(iat=NOW - seconds)))
        refuse(11, f"{seconds} s early", "time", proof(payload=claims(iat=NOW + seconds)))
    refuse(11, "in milliseconds", "time", proof(payload=claims(iat=NOW * 1000)))
    refuse(11, "300.001 s and a fraction old", "time", proof(payload=claims(iat=NOW - 300.5)))
    # The proof of a moment ago, sent again for as long as the access token is valid.
    long = access({"jkt": jkt(JWKS["p-256"])}, exp=NOW + 9000)
    copied = proof(payload=claims(ath=ath(long)))
    for at, error in ((300, "nonce"), (301, "time"), (600, "time"), (8999, "time")):
        refuse(11, f"a copy after {at} s", error, copied, authorization=f"DPoP {long}", at=at)
    for seconds in (61, 62, 300, 3600):
        for sign in (-1, 1):
            payload = without(claims(iat=NOW + sign * seconds), "nonce")
            refuse(11, f"at a service: {sign * seconds} s", "time", proof(payload=payload), by="service")

    good = TOKENS["p-256"]
    again = access({"jkt": jkt(JWKS["p-256"])}, gen=4)
    hex_hash = hashlib.sha256(good.encode()).hexdigest()
    refuse(12, "no ath", "ath", proof(payload=without(claims(), "ath")))
    for what, value in {
        "of another token of the key": ath(again),
        "of another token": ath(TOKENS["ed25519"]),
        "of nothing": ath(""),
        "of the scheme and the token": ath(f"DPoP {good}"),
        "of the token with a space": ath(f"{good} "),
        "of the message without the signature": ath(good.rsplit(".", 1)[0]),
        "the token": good,
        "in hex": hex_hash,
        "with padding": ath(good) + "=",
        "in the standard alphabet": base64.b64encode(hashlib.sha256(good.encode()).digest()).decode(),
        "of SHA-512": b64(hashlib.sha512(good.encode()).digest()),
        "of SHA-1": b64(hashlib.sha1(good.encode()).digest()),
        "the left half": b64(hashlib.sha256(good.encode()).digest()[:16]),
        "in other letters": ath(good).swapcase(),
        "cut": ath(good)[:-1],
        "a letter more": ath(good) + "A",
        "empty": "",
    }.items():
        refuse(12, f"ath {what}", "ath", proof(payload=claims(ath=value)))
    stray = ath(good)[:-1] + ALPHABET[ALPHABET.index(ath(good)[-1]) | 1]
    refuse(12, "ath with stray bits", "ath", proof(payload=claims(ath=stray)))
    refuse(12, "a proof for another token of the key", "ath", proof(), authorization=f"DPoP {again}")
    refuse(12, "the start of a session, at a resource", "ath", proof(payload=without(claims(), "ath")))
    for alg in ("EdDSA", "ES256", "ES384", "RS256", "PS256"):
        name = SIGNERS[alg][0]
        for other in JWKS:
            if other != name:
                forged = proof(header(alg), claims(of=other))
                refuse(12, f"{alg} with the token of {other}", "key", forged, client=other)
    # The thumbprint of something else than the key of the proof.
    of_more = jkt({**JWKS["p-256"], "alg": "ES256"})
    for what, value in {
        "all zeros": b64(bytes(32)),
        "with alg": of_more,
        "of the other half": jkt({**JWKS["p-256"], "y": b64(big(P256_PRIME - attacks_y(), 32))}),
        "of SHA-256 of the JWK as sent": b64(hashlib.sha256(text(JWKS["p-256"]).encode()).digest()),
    }.items():
        bound = access({"jkt": value})
        forged = proof(payload=claims(ath=ath(bound)))
        refuse(12, f"jkt {what}", "key", forged, authorization=f"DPoP {bound}")

    bound = jkt(JWKS["p-256"])
    for what, confirmation in {
        "empty": {},
        "a number": {"jkt": 1},
        "null": {"jkt": None},
        "cut": {"jkt": bound[:-1]},
        "with padding": {"jkt": bound + "="},
        "in hex": {"jkt": base64.urlsafe_b64decode(bound + "=").hex()},
        "another member beside it": {"jkt": bound, "x5t#S256": bound},
        "a certificate": {"x5t#S256": bound},
        "a key": {"jwk": JWKS["p-256"]},
        "a key id": {"kid": bound},
        "JKT": {"JKT": bound},
        "a text": bound,
        "an array of texts": [{"jkt": bound}],
        "true": True,
    }.items():
        one = access(confirmation)
        forged = proof(payload=claims(ath=ath(one)))
        refuse(13, f"cnf {what}", "token", forged, authorization=f"DPoP {one}")
        refuse(13, f"cnf {what}, as a bearer token", "bearer", None, authorization=f"Bearer {one}")
    free, refresh = access(), access(typ="rt+jwt")
    foreign = access({"jkt": bound}, secret=OTHER_SECRET)
    for what, one in {
        "a token that is not bound": free,
        "a refresh token": refresh,
        "a refresh token with cnf": access({"jkt": bound}, typ="rt+jwt"),
        "an expired token": access({"jkt": bound}, exp=NOW),
        "a token that is not valid yet": access({"jkt": bound}, nbf=NOW + 1),
        "a token of another site": foreign,
        "a token that the client signs": token({"alg": "ES256", "typ": "at+jwt"}, {"sub": "42"}, ecdsa),
        "the nonce": NONCE,
        "a proof": proof(),
        "nothing": "",
        "a word": "x",
        "the token in quotes": f'"{good}"',
        "the token twice": f"{good},{good}",
        "both schemes": f"{good}, Bearer {good}",
        "both schemes, the free token second": f"{good}, Bearer {free}",
        "another scheme within": f"Bearer {good}",
    }.items():
        forged = proof(payload=claims(ath=ath(one)))
        refuse(13, what, "token", forged, authorization=f"DPoP {one}")
        refuse(13, f"at a service: {what}", "token", forged, authorization=f"DPoP {one}", by="service")
    for scheme in ("Bearer ", "bearer ", "BEARER   "):
        for value in (None, proof()):
            authorization = scheme + good
            for by in ("site", "service"):
                what = f"a bound token as {scheme.strip()} at a {by}, a proof: {value is not None}"
                refuse(13, what, "bearer", value, authorization=authorization, by=by)
    refuse(13, "a bound token in a list of schemes", "bearer", proof(), authorization=f"Bearer {free}, DPoP {good}")
    for authorization in ("", good, f"DPoP\t{good}", f"DPoP{good}", f"Basic {good}", f"D-PoP {good}", f"Token {good}"):
        refuse(13, f"{authorization.replace(good, '<token>')!r}", "anonymous", proof(), authorization=authorization)


def attacks_y():
    return public["p-256"].public_numbers().y


def main():
    valid_proofs()
    checks_1_to_3()
    checks_4_to_7()
    checks_8_and_9()
    checks_10_to_13()
    content = {
        "now": NOW,
        "secret": SECRET.decode(),
        "request": {"method": "GET", "path": "/api/me/", "own": HOST, "by": "site", "client": "p-256"},
        "tokens": TOKENS,
        "keys": {name: jkt(jwk) for name, jwk in JWKS.items()},
        "accepted": accepted,
        "refused": refused,
    }
    written = json.dumps(content, indent=0, ensure_ascii=True) + "\n"
    if "--check" not in sys.argv:
        TARGET.write_text(written)
    elif not TARGET.exists() or TARGET.read_text() != written:
        sys.exit(f"testdata/{TARGET.name} differs from the output of scripts/dpop_attacks.py")
    print(f"{len(accepted)} proofs that are accepted, and {len(refused)} that are refused")


if __name__ == "__main__":
    main()
