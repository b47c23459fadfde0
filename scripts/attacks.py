"""Writes `testdata/attacks.json` and `testdata/device-attacks.json`: the tokens and the device proofs of an attacker,
each with the code of its rejection.

The rows are those of the checklist in `testdata/README.md`. The tests of the engine and of the binding read the same
files. Every signature is deterministic, so the output is reproducible; `--check` compares it with the files.
"""

import base64
import hashlib
import hmac
import json
import sys
from pathlib import Path

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, utils

ROOT = Path(__file__).resolve().parent.parent
KEYS = ROOT / "testdata/keys"
TARGET = ROOT / "testdata/attacks.json"
DEVICE_TARGET = ROOT / "testdata/device-attacks.json"
NOW = 1_800_000_000
SECRET = b"the secret of the attack corpus, long enough for any hash: sixty-four bytes."
P256_PRIME = 2**256 - 2**224 + 2**192 + 2**96 - 1
P256_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
ED25519_ORDER = 2**252 + 27742317777372353535851937790883648493

pem = {path.stem: path.read_bytes() for path in KEYS.glob("*.pem")}
private = {
    name: serialization.load_pem_private_key(pem[f"{name}.pkcs8"], None) for name in ("rsa-2048", "p-256", "ed25519")
}
public = {name: serialization.load_pem_public_key(pem[f"{name}.spki"]) for name in ("rsa-2048", "p-256", "ed25519")}

# The key rings: the signing key, and the other verifying keys.
RINGS = {
    "secret": {"algorithm": "HS256", "secret": SECRET.decode(), "verifying": []},
    "rsa": {"algorithm": "RS256", "file": "rsa-2048", "verifying": []},
    "ec": {"algorithm": "ES256", "file": "p-256", "verifying": []},
    "ed25519": {"algorithm": "EdDSA", "file": "ed25519", "verifying": []},
    "several": {
        "algorithm": "HS256",
        "secret": SECRET.decode(),
        "verifying": [["ES256", "p-256"], ["RS256", "rsa-2048"]],
    },
    "named": {"algorithm": "HS256", "secret": SECRET.decode(), "verifying": [], "issuer": "us", "audience": ["api"]},
}
CLAIMS = {"sub": "42", "sid": "BwcHBwcHBwcHBwcHBwcHBwcHBwc", "gen": 3, "iat": NOW, "exp": NOW + 300}


def b64(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def big(number, length):
    return number.to_bytes(length, "big")


def text(value):
    return value if isinstance(value, str) else json.dumps(value, separators=(",", ":"))


def message(header, payload):
    return f"{b64(text(header).encode())}.{b64(text(payload).encode())}"


def mac(secret=SECRET, hash="sha256"):
    return lambda message: hmac.digest(secret, message, hash)


def rsa(message):
    return private["rsa-2048"].sign(message, padding.PKCS1v15(), hashes.SHA256())


SIGN = mac()


def token(header, payload=None, sign=SIGN):
    signed = message(header, CLAIMS if payload is None else payload)
    return f"{signed}.{b64(sign(signed.encode()))}"


def head(**changes):
    return {name: value for name, value in {"alg": "HS256", "typ": "at+jwt", **changes}.items() if value is not None}


cases, keys = [], []


def case(row, what, ring, code, token, kind="access"):
    cases.append({"row": row, "what": what, "ring": ring, "kind": kind, "code": code, "token": token})


def key(row, what, algorithm, use, code, material):
    keys.append({"row": row, "what": what, "algorithm": algorithm, "use": use, "code": code, "key": material})


def jwk_of(name):
    numbers = public[name].public_numbers() if name != "ed25519" else None
    if name == "rsa-2048":
        return {"kty": "RSA", "n": b64(big(numbers.n, 256)), "e": "AQAB"}
    if name == "p-256":
        return {"kty": "EC", "crv": "P-256", "x": b64(big(numbers.x, 32)), "y": b64(big(numbers.y, 32))}
    raw = public[name].public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
    return {"kty": "OKP", "crv": "Ed25519", "x": b64(raw)}


def thumbprint(name):
    canonical = json.dumps(jwk_of(name), separators=(",", ":"), sort_keys=True)
    return b64(hashlib.sha256(canonical.encode()).digest())


def encodings(name):
    """Yield everything that a library could take for an HMAC secret."""
    spki = pem[f"{name}.spki"]
    yield "PEM", spki
    yield "PEM without the final line break", spki.rstrip()
    yield "PEM with CRLF", spki.replace(b"\n", b"\r\n")
    yield "PEM with a byte order mark", b"\xef\xbb\xbf" + spki
    yield "PEM with surrounding spaces", b"  " + spki + b"  "
    body = b"".join(spki.splitlines()[1:-1])
    yield "base64 of the DER", body
    yield "DER", base64.b64decode(body)
    yield "JWK", text(jwk_of(name)).encode()
    yield "JWK Set", text({"keys": [jwk_of(name)]}).encode()
    if f"{name}.certificate" in pem:
        yield "certificate", pem[f"{name}.certificate"]
    if name == "rsa-2048":
        yield "PKCS#1 PEM", pem[f"{name}.pkcs1-public"]
        yield "modulus", big(public[name].public_numbers().n, 256)
    if name == "p-256":
        numbers = public[name].public_numbers()
        yield "point", b"\4" + big(numbers.x, 32) + big(numbers.y, 32)
        yield "x and y", big(numbers.x, 32) + big(numbers.y, 32)


def tokens_of_row_1():
    for ring, name in [("rsa", "rsa-2048"), ("ec", "p-256"), ("ed25519", "ed25519")]:
        for what, secret in encodings(name):
            for alg, hash in [("HS256", "sha256"), ("HS384", "sha384"), ("HS512", "sha512")]:
                for kid in (None, thumbprint(name)):
                    forged = token(head(alg=alg, kid=kid), sign=mac(secret, hash))
                    case(
                        1,
                        f"{alg} signed with the {what} of {name}, kid: {kid is not None}",
                        ring,
                        "token_algorithm",
                        forged,
                    )
            if b"BEGIN" in secret or what == "JWK":
                key(
                    1,
                    f"the {what} of {name} as a secret",
                    "HS256",
                    "sign",
                    "key_not_a_secret",
                    secret.decode("latin-1"),
                )


def tokens_of_rows_2_to_8():
    for alg in ("none", "None", "NONE", "nOnE", "noNe", "none ", " none", "none\0", "", "null"):
        signed = message(head(alg=alg), CLAIMS)
        for ring in ("secret", "rsa"):
            case(2, f"alg {alg!r}, no signature", ring, "token_algorithm", signed + ".")
            case(2, f"alg {alg!r}, a signature", ring, "token_algorithm", f"{signed}.{b64(mac()(signed.encode()))}")
    case(2, "no alg", "secret", "token_header", token(head(alg=None)))
    for value in (None, True, 0, ["HS256"], {"alg": "HS256"}):
        case(2, f"alg {value!r}", "secret", "token_header", token({"alg": value, "typ": "at+jwt"}))

    secret_id = b64(hashlib.sha256(f'{{"k":"{b64(SECRET)}","kty":"oct"}}'.encode()).digest())
    for alg, kid in [("ES256", secret_id), ("RS256", secret_id), ("HS256", thumbprint("p-256"))]:
        case(
            3,
            f"{alg} header with the kid of another key of the ring",
            "several",
            "token_algorithm",
            token(head(alg=alg, kid=kid)),
        )
    case(
        3,
        "HS256 signed with the public PEM of another key of the ring",
        "several",
        "token_bad_signature",
        token(head(kid=secret_id), sign=mac(pem["p-256.spki"])),
    )
    case(
        3,
        "HS256 signed with the public PEM of another key, without kid",
        "several",
        "token_bad_signature",
        token(head(), sign=mac(pem["p-256.spki"])),
    )

    for kid in ("../../../../dev/null", "/dev/null", "' OR '1'='1", "key\0", "a\r\nb: c", "${jndi:x}", "", "x" * 2000):
        for ring in ("secret", "several", "rsa"):
            algorithm = RINGS[ring]["algorithm"]
            case(4, f"kid {kid[:20]!r}", ring, "token_unknown_key", token(head(alg=algorithm, kid=kid), sign=mac(b"")))
    for kid in (0, True, ["a"], {"a": 1}):
        case(4, f"kid {kid!r}", "several", "token_header", token(head(kid=kid)))

    evil = {"kty": "oct", "k": b64(b"e" * 32)}
    for name, value in {
        "jwk": evil,
        "jku": "https://evil.example/jwks.json",
        "x5u": "https://evil.example/c.pem",
        "x5c": ["MIIB"],
        "x5t": "AAAA",
        "x5t#S256": "AAAA",
    }.items():
        for ring, alg in [("secret", "HS256"), ("ec", "ES256")]:
            case(
                5,
                f"{name} in the header",
                ring,
                "token_header",
                token(head(alg=alg, **{name: value}), sign=mac(b"e" * 32)),
            )

    for crit in (["exp"], ["b64"], ["x"], [], "exp", None, [1]):
        case(6, f"crit {crit!r}", "secret", "token_header", token({**head(), "crit": crit, "x": 1}))
    for value in (False, True, "false"):
        case(6, f"b64 {value!r}", "secret", "token_header", token({**head(), "b64": value, "crit": ["b64"]}))
    case(6, "an unencoded payload", "secret", "token_malformed", "eyJiNjQiOmZhbHNlfQ.$.02.AAAA")

    for algorithm, length in [("HS256", 31), ("HS384", 47), ("HS512", 63), ("HS256", 0), ("HS256", 1)]:
        key(7, f"a secret of {length} bytes", algorithm, "sign", "key_too_short", "x" * length)
        jwk = text({"kty": "oct", "k": b64(b"x" * length)})
        key(7, f"a JWK of {length} bytes", algorithm, "sign", "key_too_short", jwk)

    for typ in (
        "rt+jwt",
        "JWT",
        "jwt",
        "AT+JWT",
        "application/at+jwt",
        "at+jwt ",
        "dpop+jwt",
        "secevent+jwt",
        "dc+jwt",
        "dbsc+jwt",
        "",
    ):
        case(8, f"typ {typ!r} as an access token", "secret", "token_wrong_type", token(head(typ=typ)))
    case(8, "no typ", "secret", "token_wrong_type", token(head(typ=None)))
    for typ in ("at+jwt", "JWT", "RT+JWT", ""):
        case(8, f"typ {typ!r} as a refresh token", "secret", "token_wrong_type", token(head(typ=typ)), "refresh")
    case(
        8,
        "an ID token signed with the same key",
        "secret",
        "token_wrong_type",
        token(head(typ="JWT"), {"iss": "us", "sub": "42", "aud": "app", "exp": NOW + 300, "iat": NOW, "nonce": "n"}),
    )


JSON_TYPES = {
    "null": None,
    "true": True,
    "false": False,
    "0": 0,
    "1": 1,
    "-1": -1,
    "1.5": 1.5,
    "1e300": 1e300,
    "string": "a",
    "number as a string": str(NOW + 300),
    "empty string": "",
    "array": [],
    "array of a string": ["a"],
    "array of a number": [1],
    "object": {},
    "object of a string": {"a": "a"},
}
RIGHT = {
    "iss": lambda v: isinstance(v, str),
    "sub": lambda v: isinstance(v, str),
    "jti": lambda v: isinstance(v, str),
    "aud": lambda v: isinstance(v, str) or (isinstance(v, list) and all(isinstance(i, str) for i in v)),
    "exp": lambda v: type(v) is int and v >= 0,
    "nbf": lambda v: type(v) is int and v >= 0,
    "iat": lambda v: type(v) is int and v >= 0,
    "gen": lambda v: type(v) is int and v >= 0,
    "sid": lambda v: False,
}


def tokens_of_rows_9_to_11():
    right = {"iss": "us", "aud": "api"}
    for changes, code in [
        ({"iss": "them"}, "token_wrong_issuer"),
        ({"iss": None}, "token_malformed_claims"),
        ({"aud": "other"}, "token_wrong_audience"),
        ({"aud": []}, "token_wrong_audience"),
        ({"aud": ["other", "apis"]}, "token_wrong_audience"),
        ({"aud": "API"}, "token_wrong_audience"),
        ({"iss": ["us"]}, "token_malformed_claims"),
        ({"iss": ["them", "us"]}, "token_malformed_claims"),
        # Row 19: a part of the issuer, and more than the issuer.
        ({"iss": "u"}, "token_wrong_issuer"),
        ({"iss": "us."}, "token_wrong_issuer"),
        ({"iss": "us/"}, "token_wrong_issuer"),
        ({"iss": "https://us"}, "token_wrong_issuer"),
        ({"iss": "US"}, "token_wrong_issuer"),
        ({"iss": ""}, "token_wrong_issuer"),
    ]:
        case(9, f"{changes}", "named", code, token(head(), {**CLAIMS, **right, **changes}))
    case(9, "no iss", "named", "token_wrong_issuer", token(head(), {**CLAIMS, "aud": "api"}))
    case(9, "no aud", "named", "token_wrong_audience", token(head(), {**CLAIMS, "iss": "us"}))
    case(
        9,
        "an audience although none is configured",
        "secret",
        "token_wrong_audience",
        token(head(), {**CLAIMS, "aud": "api"}),
    )

    for claim, is_right in RIGHT.items():
        for what, value in JSON_TYPES.items():
            if not is_right(value):
                case(
                    10, f"{claim}: {what}", "secret", "token_malformed_claims", token(head(), {**CLAIMS, claim: value})
                )
    for claim in ("exp", "nbf", "iat", "gen"):
        for number in (
            "9007199254740992",
            "9223372036854775808",
            "18446744073709551616",
            "1e999",
            "NaN",
            "Infinity",
            "-0",
            "01",
            "1.0",
            "1E9",
            "0x7fffffff",
        ):
            payload = text({**CLAIMS, claim: "?"}).replace('"?"', number)
            case(10, f"{claim}: {number}", "secret", "token_malformed_claims", token(head(), payload))
    for claim in CLAIMS:
        without = {name: value for name, value in CLAIMS.items() if name != claim}
        case(10, f"no {claim}", "secret", "token_missing_claim", token(head(), without))
    case(10, "expired", "secret", "token_expired", token(head(), {**CLAIMS, "exp": NOW}))
    case(10, "not yet valid", "secret", "token_not_yet_valid", token(head(), {**CLAIMS, "nbf": NOW + 1}))

    plain = text(head())
    for header in (
        plain.replace("{", '{"alg":"none",'),
        plain.replace("{", '{"alg":"HS256",'),
        plain.replace("}", ',"typ":"rt+jwt"}'),
        plain.replace("}", ',"\\u0061lg":"none"}'),
        plain.replace("}", ',"kid":"a","kid":"b"}'),
    ):
        case(11, f"header {header}", "secret", "token_header", token(header))
    plain = text(CLAIMS)
    for extra in (
        '"sub":"admin"',
        '"\\u0073ub":"admin"',
        f'"exp":{NOW + 9000}',
        '"x":1,"x":2',
        '"x":{"a":1,"a":2}',
        '"x":[{"a":{"b":1,"b":2}}]',
        '"x":{"a":1,"\\u0061":2}',
        f'"nbf":1,"nbf":{NOW}',
    ):
        case(
            11,
            f"claims with {extra}",
            "secret",
            "token_malformed_claims",
            token(head(), plain.replace("}", f",{extra}}}")),
        )


def tokens_of_rows_12_to_18():
    for what, repeated, count, code in [
        ("dots", ".", 1_000_000, "token_too_long"),
        ("dots", ".", 4096, "token_malformed"),
        ("five megabytes", "A", 5_000_000, "token_too_long"),
        ("a thousand parts", "QQ.", 1000, "token_malformed"),
    ]:
        case(12, f"{count} {what}", "secret", code, {"repeat": repeated, "count": count})
    for what, opening in [("arrays", "["), ("objects", '{"a":')]:
        nested = opening * 200 + "1" + ("]" if opening == "[" else "}") * 200
        payload = text({**CLAIMS, "x": "?"}).replace('"?"', nested)
        case(12, f"200 nested {what}", "secret", "token_malformed_claims", token(head(), payload))
        case(12, f"nested {what} as the header", "secret", "token_header", token(opening * 500))

    good = token(head(), {**CLAIMS, "x": "??>>~~"})
    header, payload, signature = good.split(".")
    for what, bad in {
        "= after the signature": good + "=",
        "== after the signature": good + "==",
        "= after the header": f"{header}=.{payload}.{signature}",
        "= after the payload": f"{header}.{payload}=.{signature}",
        "a space before": " " + good,
        "a space after": good + " ",
        "a line break after": good + "\n",
        "a tab within": f"{header}.\t{payload}.{signature}",
        "a NUL after": good + "\0",
        "quotes": f'"{good}"',
        "a letter outside the alphabet": good + "\u00e9",
        "a full stop of another script": good.replace(".", "\u3002"),
        "percent-encoded dots": good.replace(".", "%2E"),
        "the standard alphabet": good.replace("-", "+").replace("_", "/") + "+",
        "an additional part": good + ".AAAA",
        "an additional empty part": good + ".",
        "Bearer before it": "Bearer " + good,
    }.items():
        case(13, what, "secret", "token_malformed", bad)
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    for bits in (1, 2, 3):
        last = alphabet[alphabet.index(good[-1]) | bits]
        if last != good[-1]:
            case(13, f"stray bits {bits} at the end", "secret", "token_malformed", good[:-1] + last)

    signed = message(head(alg="ES256"), CLAIMS)
    n = P256_ORDER
    for r in (0, 1, n - 1, n, n + 1, 2**256 - 1):
        for s in (0, 1, n - 1, n, n + 1, 2**256 - 1):
            case(
                14,
                f"ES256 with r={hex(r)[:8]}, s={hex(s)[:8]}",
                "ec",
                "token_bad_signature",
                f"{signed}.{b64(big(r, 32) + big(s, 32))}",
            )
    for what, signature in {
        "nothing": b"",
        "one byte": b"\0",
        "63 zeros": bytes(63),
        "65 zeros": bytes(65),
        "96 zeros": bytes(96),
        "DER of zeros": bytes.fromhex("3006020100020100"),
        "DER of ones": bytes.fromhex("3006020101020101"),
    }.items():
        case(14, f"ES256 of {what}", "ec", "token_bad_signature", f"{signed}.{b64(signature)}")
    signed = message(head(alg="EdDSA"), CLAIMS)
    for what, signature in {
        "nothing": b"",
        "zeros": bytes(64),
        "ones": b"\1" + bytes(63),
        "the neutral point": b"\1" + bytes(31) + bytes(32),
        "63 bytes": bytes(63),
        "65 bytes": bytes(65),
        "114 bytes, as Ed448": bytes(114),
    }.items():
        case(14, f"EdDSA of {what}", "ed25519", "token_bad_signature", f"{signed}.{b64(signature)}")
    genuine = private["ed25519"].sign(signed.encode())
    high = genuine[:32] + (int.from_bytes(genuine[32:], "little") + ED25519_ORDER).to_bytes(32, "little")
    case(14, "EdDSA with S beyond the order", "ed25519", "token_bad_signature", f"{signed}.{b64(high)}")
    signed = message(head(alg="RS256"), CLAIMS)
    for what, signature in {
        "nothing": b"",
        "zeros": bytes(256),
        "one": bytes(255) + b"\1",
        "255 zeros": bytes(255),
        "257 zeros": bytes(257),
        "the modulus": big(public["rsa-2048"].public_numbers().n, 256),
        "with a leading zero": b"\0" + rsa(signed.encode()),
        "with a trailing zero": rsa(signed.encode()) + b"\0",
    }.items():
        case(14, f"RS256 of {what}", "rsa", "token_bad_signature", f"{signed}.{b64(signature)}")

    for name, use, algorithm, code in [
        ("rsa-1024.pkcs8", "sign", "RS256", "key_rsa_size"),
        ("rsa-1024.spki", "verify", "PS256", "key_rsa_size"),
        ("rsa-2048.spki", "sign", "RS256", "key_not_private"),
        ("rsa-2048.pkcs8", "verify", "RS256", "key_not_public"),
        ("p-256.sec1", "verify", "ES256", "key_not_public"),
        ("secp256k1.spki", "verify", "ES256", "key_wrong_kind"),
        ("p-521.pkcs8", "sign", "ES256", "key_wrong_kind"),
        ("rsa-2048.encrypted", "sign", "RS256", "key_encrypted"),
        ("p-256.compressed", "verify", "ES256", "key_malformed"),
        ("ed448.spki", "verify", "EdDSA", "key_wrong_kind"),
    ]:
        key(15, name, algorithm, use, code, pem[name].decode())
    for e in ("AQ", "Ag", "AA", ""):
        jwk = text({**jwk_of("rsa-2048"), "e": e})
        key(15, f"RSA with e {e!r}", "RS256", "verify", None, jwk)
    off = text({**jwk_of("p-256"), "y": b64(b"\7" * 32)})
    key(15, "a point that is not on the curve", "ES256", "verify", "key_malformed", off)
    key(15, "a JWK for encryption", "ES256", "verify", "key_wrong_use", text({**jwk_of("p-256"), "use": "enc"}))

    jwe = "eyJhbGciOiJkaXIiLCJlbmMiOiJBMTI4R0NNIn0..AAAAAAAAAAAAAAAA.AAAA.AAAAAAAAAAAAAAAAAAAAAA"
    case(17, "a JWE of five parts", "secret", "token_malformed", jwe)
    case(17, "zip in the header", "secret", "token_header", token({**head(), "zip": "DEF"}))
    case(17, "enc in the header", "secret", "token_header", token({**head(alg="dir"), "enc": "A128GCM"}))

    parts = {"protected": header, "payload": payload, "signature": signature.hex()}
    case(18, "flattened JSON", "secret", "token_malformed", text(parts))
    general = {"payload": payload, "signatures": [{"protected": header, "signature": "AAAA"}]}
    case(18, "a JWS in general JSON serialization", "secret", "token_malformed", text(general))
    case(18, "JSON as the header part", "secret", "token_header", f"{b64(text(parts).encode())}.{payload}.AAAA")


# --- device proofs

DEVICES = {"ec": ("ES256", "p-256"), "rsa": ("RS256", "rsa-2048")}
CHALLENGE = {"jti": "a challenge"}
proofs = []


def ecdsa(message):
    """Sign as in a JWS: both numbers one after the other."""
    r, s = ecdsa_numbers(message)
    return big(r, 32) + big(s, 32)


def ecdsa_numbers(message):
    algorithm = ec.ECDSA(hashes.SHA256(), deterministic_signing=True)
    return utils.decode_dss_signature(private["p-256"].sign(message, algorithm))


def proof(header, payload=CHALLENGE, sign=None):
    sign = sign or (rsa if isinstance(header, dict) and header.get("alg") == "RS256" else ecdsa)
    signed = message(header, payload)
    return f"{signed}.{b64(sign(signed.encode()))}"


def proof_head(alg="ES256", **changes):
    return {"alg": alg, "typ": "dbsc+jwt", **changes}


def registers(algorithm="ES256", /, **changes):
    """Return the header of a registration, with the members of the key changed."""
    name = "p-256" if algorithm == "ES256" else "rsa-2048"
    members = {**jwk_of(name), **changes}
    return proof_head(algorithm, jwk={name: value for name, value in members.items() if value is not None})


def refused(row, what, code, value, key=None):
    """Add a proof. Without a key, it is a registration; otherwise it is verified with the key of this device."""
    proofs.append({"row": row, "what": what, "key": key, "code": f"device_proof_{code}", "value": value})


def stored(alg, name):
    return "dbsc:" + json.dumps({"alg": alg, **jwk_of(name)}, separators=(",", ":"), sort_keys=True)


def proofs_of_rows_1_to_8():
    for device, (alg, name) in DEVICES.items():
        for what, secret in [*encodings(name), ("stored text", stored(alg, name).encode())]:
            for hs, hash in [("HS256", "sha256"), ("HS384", "sha384"), ("HS512", "sha512")]:
                forged = proof(proof_head(hs), sign=mac(secret, hash))
                refused(1, f"{hs} signed with the {what} of {name}", "algorithm", forged, device)
            forged = proof(proof_head(alg), sign=mac(secret))
            refused(1, f"{alg} header, signed as HS256 with the {what} of {name}", "signature", forged, device)
        forged = proof(proof_head("HS256", jwk=jwk_of(name)), sign=mac(text(jwk_of(name)).encode()))
        refused(1, f"HS256 signed with the JWK of {name}, which it brings", "algorithm", forged)
    secret_key = {"kty": "oct", "k": b64(b"e" * 32)}
    for alg in ("HS256", "ES256", "RS256"):
        code = "algorithm" if alg == "HS256" else "key"
        forged = proof(proof_head(alg, jwk=secret_key), sign=mac(b"e" * 32))
        refused(1, f"{alg} with a secret that it brings", code, forged)

    for alg in ("none", "None", "NONE", "nOnE", "none ", " none", "none\0", "", "null"):
        signed = message(proof_head(alg), CHALLENGE)
        refused(2, f"alg {alg!r}, no signature", "algorithm", signed + ".", "ec")
        refused(2, f"alg {alg!r}, a signature", "algorithm", f"{signed}.{b64(ecdsa(signed.encode()))}", "ec")
    signed = message(proof_head("none", jwk=jwk_of("p-256")), CHALLENGE)
    refused(2, "alg none with a key, no signature", "algorithm", signed + ".")
    refused(2, "no alg", "malformed", proof({"typ": "dbsc+jwt"}), "ec")
    for value in (None, True, 0, ["ES256"], {"alg": "ES256"}):
        refused(2, f"alg {value!r}", "malformed", proof(proof_head(value), sign=ecdsa), "ec")

    others = ("RS384", "RS512", "PS256", "PS384", "PS512", "ES384", "ES512", "ES256K", "EdDSA", "Ed25519", "es256")
    for alg in (*others, "ES256 ", "RS256\0", "dir", "RSA-OAEP"):
        refused(3, f"alg {alg!r}", "algorithm", proof(proof_head(alg)), "ec")
        refused(3, f"alg {alg!r} with a key", "algorithm", proof(proof_head(alg, jwk=jwk_of("p-256"))))
    refused(3, "RS256, which the device with an EC key cannot sign", "algorithm", proof(proof_head("RS256")), "ec")
    refused(3, "ES256, which the device with an RSA key cannot sign", "algorithm", proof(proof_head()), "rsa")
    refused(3, "RS256 header, signed with the EC key", "signature", proof(proof_head("RS256"), sign=ecdsa), "rsa")
    refused(3, "ES256 header, signed with the RSA key", "signature", proof(proof_head(), sign=rsa), "ec")
    pss = padding.PSS(padding.MGF1(hashes.SHA256()), 0)  # without a salt, so that the signature is always the same
    forged = proof(proof_head("RS256"), sign=lambda it: private["rsa-2048"].sign(it, pss, hashes.SHA256()))
    refused(3, "RS256 header, signed as PS256", "signature", forged, "rsa")
    forged = proof(
        proof_head("RS256"), sign=lambda it: private["rsa-2048"].sign(it, padding.PKCS1v15(), hashes.SHA512())
    )
    refused(3, "RS256 header, signed as RS512", "signature", forged, "rsa")
    refused(3, "RS256 with an EC key", "key", proof(proof_head("RS256", jwk=jwk_of("p-256")), sign=ecdsa))
    refused(3, "ES256 with an RSA key", "key", proof(proof_head(jwk=jwk_of("rsa-2048")), sign=rsa))
    refused(3, "ES256 with an Ed25519 key", "key", proof(proof_head(jwk=jwk_of("ed25519"))))

    for device, (alg, name) in DEVICES.items():
        refused(5, f"a {name} key in a refresh", "malformed", proof(proof_head(alg, jwk=jwk_of(name))), device)
        refused(5, f"a registration with {name} without a key", "malformed", proof(proof_head(alg)))
    for value in (None, True, 0, "", "{}", [], list(jwk_of("p-256").values()), [jwk_of("p-256")], {}):
        refused(5, f"jwk {value!r}", "key", proof(proof_head(jwk=value)))
    x, y = (jwk_of("p-256")[name] for name in "xy")
    members = ["EC", *[None] * 4, "P-256", x, y, *[None] * 9]  # in the order of a reader's fields
    refused(5, "a key as an array", "key", proof(proof_head(jwk=members)))
    refused(5, "a JWK Set", "key", proof(proof_head(jwk={"keys": [jwk_of("p-256")]})))
    refused(5, "a JWK with a PEM", "key", proof(proof_head(jwk={"kty": pem["p-256.spki"].decode()})))
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
        "jti": "a challenge",
        "Alg": "ES256",
        "": "",
    }.items():
        refused(5, f"{name!r} in the header", "malformed", proof(proof_head(**{name: value})), "ec")
        refused(5, f"{name!r} in the header of a registration", "malformed", proof({**registers(), name: value}))
    for crit in (["exp"], ["b64"], ["jwk"], [], "exp", None, [1]):
        refused(6, f"crit {crit!r}", "malformed", proof(proof_head(crit=crit)), "ec")
    for value in (False, True, "false"):
        refused(6, f"b64 {value!r}", "malformed", proof(proof_head(b64=value, crit=["b64"])), "ec")

    for typ in ("at+jwt", "rt+jwt", "dc+jwt", "dpop+jwt", "JWT", "DBSC+JWT", "dbsc+jwt ", "application/dbsc+jwt", ""):
        refused(8, f"typ {typ!r}", "malformed", proof(proof_head(typ=typ)), "ec")
    refused(8, "no typ", "malformed", proof({"alg": "ES256"}), "ec")
    for value in (None, True, 0, ["dbsc+jwt"], {}):
        refused(8, f"typ {value!r}", "malformed", proof(proof_head(typ=value)), "ec")


def proofs_of_rows_10_to_13():
    for what, value in JSON_TYPES.items():
        if not isinstance(value, str):
            refused(10, f"jti: {what}", "malformed", proof(proof_head(), {"jti": value}), "ec")
            refused(10, f"a payload: {what}", "malformed", proof(proof_head(), text([value])[1:-1]), "ec")
            if not isinstance(value, dict):
                refused(10, f"a header: {what}", "malformed", proof(text([value])[1:-1]), "ec")
    for payload in ("", "{", "{}", '"a challenge"', '{"jti":"a"}{', '{"jti":"a"} x', '{"jti":"a",}', "{'jti':'a'}"):
        refused(10, f"payload {payload!r}", "malformed", proof(proof_head(), payload), "ec")
    for jti in ('"\\ud800"', '"\\x41"', '"a\nb"', '"\x00"', "a"):
        refused(10, f"jti {jti!r}", "malformed", proof(proof_head(), f'{{"jti":{jti}}}'), "ec")
    for payload in (b'{"jti":"\xff"}', b'\xef\xbb\xbf{"jti":"a"}', '{"jti":"a"}'.encode("utf-16")):
        signed = f"{b64(text(proof_head()).encode())}.{b64(payload)}"
        forged = f"{signed}.{b64(ecdsa(signed.encode()))}"
        refused(10, f"payload {payload!r}", "malformed", forged, "ec")

    plain = text(proof_head())
    for header in (
        plain.replace("{", '{"alg":"none",'),
        plain.replace("{", '{"alg":"ES256",'),
        plain.replace("}", ',"typ":"at+jwt"}'),
        plain.replace("}", ',"\\u0061lg":"none"}'),
        plain.replace("}", ',"a\\u006cg":"ES256"}'),
    ):
        refused(11, f"header {header}", "malformed", proof(header), "ec")
    jwk = text(jwk_of("p-256"))
    for members in (
        f'"jwk":{jwk},"jwk":{jwk}',
        f'"jwk":{jwk},"\\u006awk":{jwk}',
        f'"jwk":{jwk[:-1]},"crv":"P-256"}}',
        f'"jwk":{jwk[:-1]},"a":1,"a":2}}',
    ):
        refused(11, f"header of a registration with {members}", "malformed", proof(plain[:-1] + f",{members}}}"))
    for extra in (
        '"jti":"b"',
        '"\\u006ati":"b"',
        '"x":1,"x":2',
        '"x":[{"a":{"b":1,"b":2}}]',
        '"x":{"a":1,"\\u0061":2}',
    ):
        payload = text(CHALLENGE).replace("}", f",{extra}}}")
        refused(11, f"payload with {extra}", "malformed", proof(proof_head(), payload), "ec")

    for what, repeated, count in [
        ("dots", ".", 1_000_000),
        ("dots", ".", 4096),
        ("quotes", '"', 1_000_000),
        ("megabytes", "A" * 100_000, 50),
        ("parts", "QQ.", 1000),
    ]:
        refused(12, f"{count} {what}", "malformed", {"repeat": repeated, "count": count}, "ec")
    refused(12, "a challenge of 4 kB", "malformed", proof(proof_head(), {"jti": "a" * 4096}), "ec")
    for what, opening, closing in [("arrays", "[", "]"), ("objects", '{"a":', "}")]:
        nested = opening * 200 + "1" + closing * 200
        refused(12, f"200 nested {what}", "malformed", proof(proof_head(), f'{{"jti":"a","x":{nested}}}'), "ec")
        refused(12, f"200 nested {what} as the key", "malformed", proof(plain.replace("}", f',"jwk":{nested}}}')))

    good = next(good for good in (proof(proof_head(), {"jti": f"??>>~~{i}"}) for i in range(99)) if good[-1] in "AQgw")
    header, payload, signature = good.split(".")
    for what, bad in {
        "= after the signature": good + "==",
        "= after the header": f"{header}=.{payload}.{signature}",
        "= after the payload": f"{header}.{payload}=.{signature}",
        "a space before": " " + good,
        "a space after": good + " ",
        "a line break after": good + "\n",
        "a tab within": f"{header}.\t{payload}.{signature}",
        "a NUL after": good + "\0",
        "a letter outside the alphabet": good + "\u00e9",
        "a full stop of another script": good.replace(".", "\u3002"),
        "percent-encoded dots": good.replace(".", "%2E"),
        "the standard alphabet": good.replace("-", "+").replace("_", "/") + "+",
        "an additional part": good + ".AAAA",
        "an additional empty part": good + ".",
        "no signature part": f"{header}.{payload}",
        "no header part": f".{payload}.{signature}",
        "DPoP before it": "DPoP " + good,
        "an opening quote": f'"{good}',
        "a closing quote": f'{good}"',
        "two quotes": f'""{good}""',
        "single quotes": f"'{good}'",
        "an escape in quotes": f'"\\{good}"',
        "quotes, and text after them": f'"{good}"x',
        "two items": f'"{good}", "{good}"',
        "a byte sequence": f":{good}:",
        "an empty value": "",
        "an empty text": '""',
    }.items():
        refused(13, what, "malformed", bad, "ec")
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    for bits in (1, 2, 3, 15):
        stray = good[:-1] + alphabet[alphabet.index(good[-1]) | bits]
        refused(13, f"stray bits {bits} at the end", "malformed", stray, "ec")


def proofs_of_rows_14_and_15():
    n = P256_ORDER
    signed = message(proof_head(), CHALLENGE)
    for r in (0, 1, n - 1, n, n + 1, 2**256 - 1):
        for s in (0, 1, n - 1, n, n + 1, 2**256 - 1):
            forged = f"{signed}.{b64(big(r, 32) + big(s, 32))}"
            refused(14, f"ES256 with r={hex(r)[:8]}, s={hex(s)[:8]}", "signature", forged, "ec")
    r, s = ecdsa_numbers(signed.encode())
    for what, signature in {
        "nothing": b"",
        "63 zeros": bytes(63),
        "65 zeros": bytes(65),
        "96 zeros": bytes(96),
        "the DER form": utils.encode_dss_signature(r, s),
        "DER of zeros": bytes.fromhex("3006020100020100"),
        "the numbers in the other order": big(s, 32) + big(r, 32),
        "little-endian numbers": big(r, 32)[::-1] + big(s, 32)[::-1],
        "r + n": (r + n).to_bytes(33, "big") + big(s, 33),
        "s + n": big(r, 33) + (s + n).to_bytes(33, "big"),
        "-r": big(n - r, 32) + big(s, 32),
        "numbers of 33 bytes": big(r, 33) + big(s, 33),
        "a trailing zero": big(r, 32) + big(s, 32) + b"\0",
        "the signature of another challenge": ecdsa(message(proof_head(), {"jti": "b"}).encode()),
    }.items():
        refused(14, f"ES256 of {what}", "signature", f"{signed}.{b64(signature)}", "ec")
    signed = message(proof_head("RS256"), CHALLENGE)
    genuine = rsa(signed.encode())
    modulus = public["rsa-2048"].public_numbers().n
    for what, signature in {
        "nothing": b"",
        "zeros": bytes(256),
        "one": bytes(255) + b"\1",
        "the modulus": big(modulus, 256),
        "with the modulus added": (int.from_bytes(genuine, "big") + modulus).to_bytes(257, "big"),
        "with a leading zero": b"\0" + genuine,
        "with a trailing zero": genuine + b"\0",
        "without its last byte": genuine[:-1],
    }.items():
        refused(14, f"RS256 {what}", "signature", f"{signed}.{b64(signature)}", "rsa")

    for alg, name in DEVICES.values():
        numbers = private[name].private_numbers()
        secret = numbers.private_value if alg == "ES256" else numbers.d
        for member in ("d", "p", "q", "dp", "dq", "qi", "k"):
            value = b64(big(secret, 256 if alg == "RS256" else 32)) if member == "d" else "AA"
            refused(
                15, f"a {name} key with the private member {member}", "key", proof(registers(alg, **{member: value}))
            )
    x, y = public["p-256"].public_numbers().x, public["p-256"].public_numbers().y
    for what, changes in {
        "the point (0, 0)": {"x": b64(bytes(32)), "y": b64(bytes(32))},
        "a point that is not on the curve": {"y": b64(big(y ^ 1, 32))},
        "swapped coordinates": {"x": b64(big(y, 32)), "y": b64(big(x, 32))},
        "x + p": {"x": b64((x + P256_PRIME).to_bytes(33, "big"))},
        "x = p": {"x": b64(big(P256_PRIME, 32))},
        "y = 2^256 - 1": {"y": b64(b"\xff" * 32)},
        "x of 31 bytes": {"x": b64(big(x, 32)[1:])},
        "x with a leading zero": {"x": b64(big(x, 33))},
        "x with padding": {"x": b64(big(x, 32)) + "="},
        "an empty x": {"x": ""},
        "x as a number": {"x": 1},
        "no x": {"x": None},
        "no y": {"y": None},
        "y as an array": {"y": []},
        "crv P-384": {"crv": "P-384"},
        "crv secp256k1": {"crv": "secp256k1"},
        "crv p-256": {"crv": "p-256"},
        "no crv": {"crv": None},
        "kty ec": {"kty": "ec"},
        "kty RSA": {"kty": "RSA"},
        "kty OKP": {"kty": "OKP"},
        "no kty": {"kty": None},
        "alg RS256": {"alg": "RS256"},
        "alg none": {"alg": "none"},
        "use enc": {"use": "enc"},
        "key_ops sign": {"key_ops": ["sign"]},
    }.items():
        refused(15, f"an EC key: {what}", "key", proof(registers(**changes)))
    # Odd numbers of this many bits: the size decides before anything else does.
    odd = {bits: b64(big(2 ** (bits - 1) + 1, (bits + 7) // 8)) for bits in (512, 1024, 2047, 4097, 4104, 8192, 16_400)}
    for what, changes in {
        **{f"a modulus of {bits} bits": {"n": n} for bits, n in odd.items()},
        "an even modulus": {"n": b64(big(2**2047, 256))},
        "a modulus with a leading zero": {"n": b64(big(modulus, 257))},
        "an empty modulus": {"n": ""},
        "no modulus": {"n": None},
        "e = 0": {"e": "AA"},
        "e = 1": {"e": "AQ"},
        "e = 2": {"e": "Ag"},
        "e = 65536": {"e": "AQAA"},
        "e of 40 bits": {"e": b64(big(2**39 + 1, 5))},
        "e with a leading zero": {"e": "AAEAAQ"},
        "e as large as n": {"e": b64(big(modulus, 256))},
        "an empty e": {"e": ""},
        "no e": {"e": None},
        "alg PS256": {"alg": "PS256"},
        "use enc": {"use": "enc"},
    }.items():
        # With e = 1, the padded digest is its own signature.
        signed = message(registers("RS256", **changes), CHALLENGE)
        digest = bytes.fromhex("3031300d060960864801650304020105000420") + hashlib.sha256(signed.encode()).digest()
        padded = b"\0\1" + b"\xff" * (253 - len(digest)) + b"\0" + digest
        what = f"an RSA key: {what}"
        refused(15, what, "malformed" if len(signed) > 3750 else "key", f"{signed}.{b64(padded)}")


def device_corpus():
    proofs_of_rows_1_to_8()
    proofs_of_rows_10_to_13()
    proofs_of_rows_14_and_15()
    signed = message(proof_head(), CHALLENGE)
    r, s = ecdsa_numbers(signed.encode())
    accepted = [
        # Both s and n - s are valid in ECDSA (RFC 7518 section 3.4 demands neither). A proof is not an ID.
        {"what": "s", "key": "ec", "value": f"{signed}.{b64(big(r, 32) + big(s, 32))}"},
        {"what": "n - s", "key": "ec", "value": f"{signed}.{b64(big(r, 32) + big(P256_ORDER - s, 32))}"},
        {"what": "RSA", "key": "rsa", "value": proof(proof_head("RS256"))},
        {"what": "quotes", "key": "ec", "value": f'"{proof(proof_head())}"'},
        {"what": "other claims", "key": "ec", "value": proof(proof_head(), {"aud": "x", "iat": NOW, **CHALLENGE})},
        {"what": "a new EC key", "key": None, "stored": "ec", "value": proof(registers())},
        {"what": "a new RSA key", "key": None, "stored": "rsa", "value": proof(registers("RS256"))},
        {
            "what": "other members of the key",
            "key": None,
            "stored": "ec",
            "value": proof(registers(kid="a", use="sig", alg="ES256", key_ops=["verify"], ext=True, x5c=["MIIB"])),
        },
    ]
    devices = {device: stored(alg, name) for device, (alg, name) in DEVICES.items()}
    return {"keys": devices, "accepted": accepted, "refused": proofs}


def main():
    tokens_of_row_1()
    tokens_of_rows_2_to_8()
    tokens_of_rows_9_to_11()
    tokens_of_rows_12_to_18()
    good = [
        {"ring": "secret", "kind": "access", "token": token(head())},
        {"ring": "secret", "kind": "refresh", "token": token(head(typ="rt+jwt"))},
        {"ring": "named", "kind": "access", "token": token(head(), {**CLAIMS, "iss": "us", "aud": ["api", "x"]})},
        {"ring": "rsa", "kind": "access", "token": token(head(alg="RS256"), sign=rsa)},
        {"ring": "ed25519", "kind": "access", "token": token(head(alg="EdDSA"), sign=private["ed25519"].sign)},
        {"ring": "several", "kind": "access", "token": token(head(alg="RS256", kid=thumbprint("rsa-2048")), sign=rsa)},
        {"ring": "several", "kind": "access", "token": token(head())},
    ]
    corpus = {"now": NOW, "rings": RINGS, "accepted": good, "refused": cases, "keys": keys}
    for target, content in ((TARGET, corpus), (DEVICE_TARGET, device_corpus())):
        written = json.dumps(content, indent=0, ensure_ascii=True) + "\n"
        if "--check" not in sys.argv:
            target.write_text(written)
        elif not target.exists() or target.read_text() != written:
            sys.exit(f"testdata/{target.name} differs from the output of scripts/attacks.py")
    print(f"{len(cases)} tokens, {len(keys)} keys and {len(proofs)} device proofs")


if __name__ == "__main__":
    main()
