"""Run one process of curl for each line. Its requests share a jar, which the next process reads from its file."""

import subprocess
import tempfile
from pathlib import Path

from talk import report, tell, told


def cookies(jar: Path) -> dict[str, str]:
    lines = jar.read_text().splitlines() if jar.exists() else []
    return dict(line.split("\t")[5:] for line in lines if "\t" in line)


tell(" ".join(subprocess.check_output(["curl", "--version"], text=True).split()[:2]))
with tempfile.TemporaryDirectory() as folder:
    jar = Path(folder, "jar")
    for method, url, count in told():
        bodies = [Path(folder, str(number)) for number in range(count)]
        command = ["curl", "--silent", "--show-error", "--parallel", "--parallel-immediate", "--parallel-max", "20"]
        command += ["--cookie", str(jar), "--cookie-jar", str(jar), "--request", method]
        command += ["--write-out", "%{urlnum} %{http_code}\n"]
        command += [word for body in bodies for word in ("--output", str(body), url)]
        said = subprocess.check_output(command, text=True).splitlines()
        statuses = dict(map(int, line.split()) for line in said)
        report([(statuses[number], body.read_text()) for number, body in enumerate(bodies)], cookies(jar))
        for body in bodies:
            body.unlink()
