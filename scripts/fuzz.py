"""Runs each fuzz target of `fuzz/` for a time: `python scripts/fuzz.py SECONDS`.

The targets start from the test data and from `fuzz/corpus/`, which is in the repository. A run of a minute or more adds
its reduced findings. A panic, a slow input or growing memory fails. Exits with 77 without a nightly toolchain.
"""

import base64
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import tools

ROOT = Path(__file__).resolve().parent.parent
CORPUS = ROOT / "fuzz/corpus"
TARGETS = ("token", "cookie", "jwk", "pem", "device", "dpop", "origin", "identify", "respond")
MISSING = 77
# One input may take a second, and the process may use half a gigabyte.
LIMITS = ("-timeout=1", "-rss_limit_mb=512", "-max_len=8192", "-print_final_stats=1")


def main() -> int:
    seconds = int(sys.argv[1])
    if subprocess.run(["cargo", "+nightly", "--version"], capture_output=True).returncode:
        print("no nightly toolchain: rustup toolchain install nightly")
        return MISSING
    failed = [target for target in TARGETS if not run(target, seconds)]
    for target in failed:
        print(f"FAILED: {target}")
    return 1 if failed else 0


def run(target: str, seconds: int) -> bool:
    seeds = tools.FOLDER / "fuzz-seeds" / target
    shutil.rmtree(seeds, ignore_errors=True)
    seeds.mkdir(parents=True)
    for number, seed in enumerate(seeds_of(target)):
        (seeds / f"{number:04}").write_bytes(seed)
    (CORPUS / target).mkdir(parents=True, exist_ok=True)
    found = tools.FOLDER / "fuzz-found" / target
    found.mkdir(parents=True, exist_ok=True)
    fuzz = ["cargo", "+nightly", "fuzz"]
    # AddressSanitizer is off: the engine has no unsafe code, and the fuzzer looks for panics.
    flags = ["--fuzz-dir", str(ROOT / "fuzz"), "--sanitizer", "none", target]
    env = os.environ | {
        "PATH": f"{Path(tools.installed('cargo-fuzz')).parent}{os.pathsep}{os.environ['PATH']}",
        "CARGO_TARGET_DIR": str(ROOT / "target/fuzz"),
    }
    folders = [str(found), str(CORPUS / target), str(seeds)]
    command = [*fuzz, "run", *flags, *folders, "--", f"-max_total_time={seconds}", *LIMITS]
    done = subprocess.run(command, cwd=ROOT, env=env, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    if done.returncode:
        print(done.stdout)
        return False
    count, memory = (
        re.search(rf"stat::{name}:\s*(\d+)", done.stdout)[1] for name in ("number_of_executed_units", "peak_rss_mb")
    )
    print(f"{target}: {int(count):,} inputs in {seconds} s, at most {memory} MiB", flush=True)
    if seconds >= 60:  # keep one input per edge
        merge = [str(CORPUS / target), str(found), str(seeds), "--", "-set_cover_merge=1", "-use_counters=0"]
        subprocess.run([*fuzz, "run", *flags, *merge], cwd=ROOT, env=env, check=True, capture_output=True)
    return True


def seeds_of(target: str) -> list[bytes]:
    """Return the test data that fits the target."""
    corpus = json.loads((ROOT / "testdata/attacks.json").read_text())
    if target == "token":
        tokens = [case["token"] for case in corpus["refused"] if isinstance(case["token"], str)]
        claims = b'{"sub":"42","sid":"BwcHBwcHBwcHBwcHBwcHBwcHBwc","gen":3,"iat":1,"exp":2}'
        return [claims, *(token.encode() for token in tokens[::7])]
    if target == "pem":
        return [path.read_bytes() for path in sorted((ROOT / "testdata/keys").glob("*.pem"))]
    if target == "jwk":
        examples = json.loads((ROOT / "testdata/rfc-examples.json").read_text())
        jwks = [example["key"] for section in examples.values() for example in section]
        return [json.dumps(jwk).encode() for jwk in jwks] + [json.dumps({"keys": jwks}).encode()]
    if target == "device":
        return devices()
    if target == "dpop":
        return clients()
    if target == "cookie":
        return [b'a=1; access_token=x; b="2"', b"POST\n65536", b"PUT\n65537\nchunked"]
    if target == "identify":
        return heads()
    if target == "respond":
        # What the request had, its outcome, and whether the user was used, by the bits of the first byte.
        views = (b"Accept\npublic, max-age=60\nCDN-Cache-Control", b'cookie, *\nno-cache="a, b"\nX-Accel-Expires')
        return [bytes([choice]) + views[choice % 2] for choice in range(0, 64, 3)]
    return [
        b"https://own.example\nsame-origin",
        b"https://a.wild.example:443\ncross-site",
        b"null\nnone\nhttps://*.a.b",
    ]


def devices() -> list[bytes]:
    """Return proofs, stored keys, headers and payloads of devices, and the claims of a challenge."""
    corpus = json.loads((ROOT / "testdata/device-attacks.json").read_text())
    values = [case["value"] for case in corpus["accepted"]]
    values += [case["value"] for case in corpus["refused"][::5] if isinstance(case["value"], str)]
    parts = [part for case in corpus["accepted"] for part in case["value"].strip('"').split(".")[:2]]
    decoded = [base64.urlsafe_b64decode(part + "==") for part in parts]
    challenge = b'{"sid":"00000000-0000-7e47-89b2-7eb8d300dbb5","gen":3,"use":"refresh","exp":9}'
    return [challenge, *decoded, *(text.encode() for text in (*values, *corpus["keys"].values()))]


def clients() -> list[bytes]:
    """Return proofs of clients, and requests as the target reads them; bytes to 0x05 stand for its values."""
    corpus = json.loads((ROOT / "testdata/dpop-attacks.json").read_text())
    cases = corpus["accepted"] + corpus["refused"][::9]
    values = [case["proof"].encode() for case in cases if isinstance(case["proof"], str)]
    header = b'{"alg":"EdDSA","typ":"dpop+jwt","jwk":\x01}'
    claims = b'"jti":"a","htm":"GET","htu":"https://own.example/a/","iat":\x05'
    requests = [
        (header, b'{%s,"ath":"\x04","nonce":"\x02"}' % claims),
        (header.replace(b"EdDSA", b"Ed25519"), b'{%s,"ath":"\x04","nonce":"\x03"}' % claims),
        (header, b'{%s,"nonce":"\x02"}' % claims),
        (header, b'{%s,"ath":"\x04"}' % claims.replace(b"https", b"HTTPS").replace(b"/a/", b":443/%61/?b#c")),
        (header.replace(b"EdDSA", b"ES256"), b'{%s,"ath":"\x04","nonce":"\x02"}' % claims),
    ]
    return [*values, *(b"GET\n/a/\n%s\n%s" % request for request in requests)]


def heads() -> list[bytes]:
    """Return request heads, line by line as the target reads them; bytes from 0x0b on stand for tokens of the site."""
    reads = b"GET\n1.1\n\n\n\n\n\n\n"
    writes = (
        b"POST\n2\n\n\nsame-origin\n\n70000\n\n",
        b"POST\n1.1\n\nhttps://evil.example\ncross-site\n\n\nchunked\n",
        b"POST\n1.1\n\nhttps://evil.example\n\n\n\n\n",
        b"PUT\n3\n\nhttps://own.example:443\nnone\n\n\n\n",
        b"DELETE\n1.1\n\nhttps://trusted.example\ncross-site\n\n\n\n",
        b"GET\n1.1\n\nhttps://trusted.example\n\nwebsocket\n\n\n",
        b"PATCH\n1.1\nBearer \x0b\nnull\n\n\n\n\n",
        b"PATCH\n1.1\nDPoP \x0b\nnull\n\n\n\n\n",
    )
    cookies = (
        b"access_token=\x0b; refresh_token=\x0c",
        b"theme=dark; refresh_token=\x0c; refresh_token=\x0e\nname=Jos\xc3\xa9",
        b"access_token=\x0f\nrefresh_token=\x0c",
        b"access_token=\x0b; access_token=\x11",
        b"access_token=\x13; refresh_token=\x14",
        b'\xe2\x80\x80access_token=\x0b; access_token="\x11"',
    )
    return [head + field for head in (reads, *writes) for field in cookies]


if __name__ == "__main__":
    sys.exit(main())
