"""`make run`: the demo site and the Rust service beside it, on one origin, until Ctrl-C.

scripts/run.py PORT
"""

import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from tests.databases.servers import free_port  # noqa: E402

MANAGE = [sys.executable, str(ROOT / "examples/site/manage.py")]
DATABASE = os.environ.get("DEMO_DATABASE", ROOT / "examples/site/db.sqlite3")
BUILD = ["cargo", "build", "--package", "jwtauth-service"]
SERVICE = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")) / "debug/jwtauth-service"


def main() -> int:
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))  # which stops both as Ctrl-C does
    address, django = f"127.0.0.1:{sys.argv[1]}", f"127.0.0.1:{free_port()}"
    environment = os.environ | {"DEMO_DATABASE": str(DATABASE), "DEMO_SERVICE": "/rust/"}
    subprocess.run([*MANAGE, "migrate", "--verbosity", "0"], env=environment, check=True)
    subprocess.run(BUILD, cwd=ROOT, check=True)
    with tempfile.TemporaryDirectory(prefix="jwtauth-demo-") as folder:
        settings = Path(folder) / "jwtauth.toml"  # a folder that nobody else can read
        settings.write_bytes(subprocess.check_output([*MANAGE, "jwtauth_settings"], env=environment))
        ours = {"SERVICE_ADDRESS": address, "SERVICE_SETTINGS": str(settings), "DJANGO_ADDRESS": django}
        service = subprocess.Popen([SERVICE], env=environment | ours)
        site = subprocess.Popen([*MANAGE, "runserver", "--noreload", "--verbosity", "0", django], env=environment)
        try:
            subprocess.run([*MANAGE, "demo_users"], env=environment, check=True)
            print(f"The demo site: http://{address}/ and, of the same login, the Rust service: http://{address}/rust/")
            print("Quit with Ctrl-C.", flush=True)
            return wait_for_either(service, site)
        except KeyboardInterrupt:
            return 0
        finally:
            for process in (service, site):
                process.terminate()
                process.wait()


def wait_for_either(*processes: subprocess.Popen) -> int:
    while True:
        for process in processes:
            try:
                return process.wait(0.2)
            except subprocess.TimeoutExpired:
                continue


if __name__ == "__main__":
    sys.exit(main())
