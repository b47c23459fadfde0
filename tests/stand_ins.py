"""Stand-ins for the programs that `make run` starts: ``python tests/stand_ins.py FOLDER PROGRAM ARGUMENT...``.

Each appends its process id to FOLDER/started. Files in FOLDER tell it what to do: see `waits_for`.
"""

import http.server
import os
import sys
import time
from pathlib import Path

folder, program, arguments = Path(sys.argv[1]), sys.argv[2], sys.argv[3:]


def waits_for(name: str) -> None:
    """Wait until FOLDER has a file of this name."""
    while not (folder / name).exists():
        time.sleep(0.02)


def serve(address: str, body: bytes) -> None:
    """Answer each request with this body, and keep connections open."""

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self):
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    host, _, port = address.rpartition(":")
    http.server.ThreadingHTTPServer((host, int(port)), Handler).serve_forever()


with (folder / "started").open("a") as started:
    started.write(f"{os.getpid()} {program} {' '.join(arguments)}\n")
if program == "maturin":
    waits_for("engine-may-be-built")
elif program == "cargo":
    waits_for("service-may-be-built")
    if (folder / "service-fails").exists():
        sys.exit("error: could not compile")
    service = folder / "target/debug/jwtauth-service"
    service.parent.mkdir(parents=True)
    service.write_text(f"#!/bin/sh\nexec {sys.executable} {__file__} {folder} service\n")
    service.chmod(0o755)
elif program == "service":
    serve(os.environ["SERVICE_ADDRESS"], b"the service")
elif "runserver" in arguments:
    print(f"Starting development server at http://{arguments[-1]}/")
    serve(arguments[-1], b"the site")
elif "demo_users" in arguments:
    print("Sign in as ada.")
