"""The tests' certificate authority and the certificate of their sites, made by openssl."""

from __future__ import annotations

import subprocess
from pathlib import Path

# The site, a host below it, another site, and a site that the first may trust. Every browser resolves names below
# localhost to this machine without a name server, and treats `localhost` as a public suffix.
HOSTS = ("own.localhost", "sibling.own.localhost", "foreign.localhost", "friend.localhost", "localhost")


class Certificates:
    """PEM files: the ``authority`` that browsers trust, and the ``certificate`` and ``key`` of `HOSTS`.

    ``all`` holds all of them, for servers that take one file.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.authority, self.certificate, self.key = (folder / name for name in ("ca.pem", "site.pem", "site.key"))
        names = ",".join([*(f"DNS:{host}" for host in HOSTS), "IP:127.0.0.1"])
        self.make("ca", "basicConstraints=critical,CA:TRUE", "keyUsage=critical,keyCertSign,cRLSign")
        by_authority = ("-CA", self.authority, "-CAkey", folder / "ca.key")
        extensions = (f"subjectAltName={names}", "basicConstraints=CA:FALSE", "extendedKeyUsage=serverAuth")
        self.make("site", *extensions, options=by_authority)
        self.all = folder / "all.pem"
        self.all.write_text("".join(path.read_text() for path in (self.key, self.certificate, self.authority)))

    def make(self, name: str, *extensions: str, options: tuple = ()) -> None:
        command = (
            *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"),
            *("-days", "30", "-subj", f"/CN=jwtauth tests {name}", *options),
            *("-keyout", self.folder / f"{name}.key", "-out", self.folder / f"{name}.pem"),
            *(word for extension in extensions for word in ("-addext", extension)),
        )
        subprocess.run([str(word) for word in command], check=True, capture_output=True)
