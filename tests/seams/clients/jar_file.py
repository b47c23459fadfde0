"""Processes of curl that share a jar file, which each reads at its start and writes at its end."""

from __future__ import annotations

import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

from tests.databases.served import ACCESS_LIFETIME, Site
from tests.seams.clients.play import AT_ONCE

# A refresh token in a Cookie header, including the last character of its signature.
WHOLE = re.compile(r"^> Cookie: .*\brefresh_token=[\w-]+\.[\w-]+\.[\w-]{43}(;|$)", re.M)


@dataclass
class Shared:
    requests: int = 0
    # Requests without a whole refresh token: another process was writing the file.
    without_cookies: int = 0
    # Requests that were anonymous although they carried one.
    signed_out: int = 0
    errors: int = 0
    # How often the session was alive after a round, by the jar file or by a copy of it from before the round.
    alive: int = 0


def share_a_jar(site: Site, rounds: int, folder: Path) -> Shared:
    """Refresh from `AT_ONCE` processes at once, in this many rounds."""
    result = Shared()
    jar = folder / "jar"
    [user] = site.create_users(1)
    assert finish(curl(site, jar, f"/login/?user={user}", "POST"))[0] == 200
    for _ in range(rounds):
        before = jar.read_text()
        site.advance(ACCESS_LIFETIME + 1)
        for status, sent in map(finish, [curl(site, jar, "/me/") for _ in range(AT_ONCE)]):
            result.requests += 1
            result.errors += status >= 500
            result.without_cookies += not sent
            result.signed_out += status in (401, 403) and sent
        status, sent = finish(curl(site, jar, "/me/"))
        if not sent:
            jar.write_text(before)
            status, _ = finish(curl(site, jar, "/me/"))
        result.alive += status == 200
    return result


def curl(site: Site, jar: Path, path: str, method: str = "GET") -> subprocess.Popen[str]:
    command = ["curl", "--silent", "--verbose", "--request", method, "--output", "/dev/null"]
    command += ["--write-out", "%{http_code}", "--cookie", str(jar), "--cookie-jar", str(jar)]
    command.append(f"http://127.0.0.1:{site.port}{path}")
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def finish(process: subprocess.Popen[str]) -> tuple[int, bool]:
    """Return the status, and whether the request carried a whole refresh token."""
    status, headers = process.communicate()
    assert process.returncode == 0, headers
    return int(status), bool(WHOLE.search(headers.replace("\r", "")))
