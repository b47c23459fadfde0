"""Writes `testdata/attacks.json`: the tokens of an attacker, each with the code of its rejection.

The rows are those of the checklist in `testdata/README.md`. The tests of the engine and of the binding read the same
file. Every signature is deterministic, so the output is reproducible; `--check` compares it with the file.
"""

import base64
import hashlib
import hmac
import json
import sys
from pathlib import Path

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding

ROOT = Path(__file__).resolve().parent.parent
KEYS = ROOT / "testdata/keys"
TARGET = ROOT / "testdata/attacks.json"
NOW = 1_800_000_000
SECRET = b"the secret of the attack corpus, long enough for any hash: sixty-four bytes."
P256_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
ED25519_ORDER = 2**252 + 27742317777372353535851937790883648493

pem = {path.stem: path.read_bytes() for path in KEYS.glob("*.pem")}
private = {name: serialization.load_pem_private_key(pem[f"{name}.pkcs8"], None) for name in ("rsa-2048", "ed25519")}
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

    for typ in ("rt+jwt", "JWT", "jwt", "AT+JWT", "application/at+jwt", "at+jwt ", "dpop+jwt", "secevent+jwt", ""):
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
    written = json.dumps(corpus, indent=0, ensure_ascii=True) + "\n"
    if "--check" in sys.argv:
        sys.exit(
            None
            if TARGET.read_text() == written
            else "testdata/attacks.json differs from the output of scripts/attacks.py"
        )
    TARGET.write_text(written)
    print(f"{len(cases)} tokens and {len(keys)} keys")


if __name__ == "__main__":
    main()
