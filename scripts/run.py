"""`make run`: the demo site and the Rust service beside it, on one address, until Ctrl-C.

scripts/run.py PORT

The port is checked first. Then `make` builds what is missing. The Django site is served as soon as the engine is built;
the Rust service is built in the background and takes over the address when it answers. Any Python 3.10 can run this
file: the packages are in `.venv`, which may not exist yet.
"""

from __future__ import annotations

import asyncio
import errno
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from tests.databases.servers import free_port  # noqa: E402

VENV = ROOT / ".venv"
SITE = ROOT / "examples/site"
DATABASE = os.environ.get("DEMO_DATABASE", SITE / "db.sqlite3")
MANAGE = [str(VENV / "bin/python"), str(SITE / "manage.py")]
BUILD_SERVICE = ["cargo", "build", "--package", "jwtauth-service"]
SERVICE = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")) / "debug/jwtauth-service"
# Seconds between two lines that say that a step is not done, and before a process that does not end is killed.
STILL, BEFORE_KILL = 45, 10
# What the address answers until the site is there.
NOT_YET = (
    b"HTTP/1.1 503 Service Unavailable\r\nContent-Type: text/html; charset=utf-8\r\nRetry-After: 2\r\n"
    b"Connection: close\r\n\r\n<!doctype html><title>jwtauth demo</title><meta http-equiv=refresh content=2>"
    b"<p>The demo site is being built. This page shows it as soon as it is there."
)


class Problem(Exception):
    """An error that the user is told in one line."""


class Demo:
    """Everything that runs, and the folder of what only this run needs."""

    def __init__(self, listener: socket.socket, folder: Path) -> None:
        self.listener = listener
        self.folder = folder
        self.front = Front()
        self.state = folder / "service"  # read by the site's page
        self.started: list[asyncio.subprocess.Process] = []
        self.environment = os.environ | {
            "DEMO_DATABASE": str(DATABASE),
            "DEMO_SERVICE": "/rust/",
            "DEMO_SERVICE_STATE": str(self.state),
        }
        for name in ("MAKEFLAGS", "MFLAGS", "MAKELEVEL", "DJANGO_SETTINGS_MODULE"):
            self.environment.pop(name, None)

    async def run(self) -> None:
        """Build, serve, and return when the site has ended."""
        await asyncio.start_server(self.front.connected, sock=self.listener)
        await self.make("1 of 3: the Python packages", "a minute", "run", "build")
        await self.make("2 of 3: the engine, compiled from Rust", "four minutes on two cores", "engine")
        print("3 of 3: the Rust service, compiled in the background", end="")
        print("." if SERVICE.exists() else ", three minutes the first time. The site does not wait for it.")
        site, port = await self.serve_site()
        self.front.hand_to(port)
        name, number = self.listener.getsockname()[:2]
        users = await self.output("demo_users")
        print(f"\n{users.rstrip()}\n\nThe demo (Ctrl-C ends it): http://{name}:{number}/\n", flush=True)
        service = asyncio.create_task(self.serve_service(port))
        try:
            raise Problem(f"The site has ended with status {await site.wait()}.")
        finally:
            service.cancel()

    async def make(self, title: str, first: str, *stamps: str) -> None:
        """Build what these stamps of the Makefile stand for, and say how long it took."""
        files = [".venv/.engine" if stamp == "engine" else f".venv/.installed-{stamp}" for stamp in stamps]
        is_first = not all((ROOT / file).exists() for file in files)
        print(f"{title}{f', {first} the first time.' if is_first else '.'}", flush=True)
        began = time.monotonic()
        program = shutil.which("gmake") or "make"
        environment = self.environment | {"PIP_QUIET": "1"}
        building = await self.start(program, "--silent", *files, cwd=ROOT, env=environment)
        while True:
            try:
                status = await asyncio.wait_for(building.wait(), STILL)
                break
            except asyncio.TimeoutError:
                print(f"        still at it after {duration(time.monotonic() - began)}", flush=True)
        if status:
            raise Problem(f"The demo did not start: step {title} failed, see above.")
        print(f"        done in {duration(time.monotonic() - began)}", flush=True)

    async def serve_site(self) -> tuple[asyncio.subprocess.Process, int]:
        """Start Django, and return it with its port as soon as it answers there."""
        await self.output("migrate", "--verbosity", "0")
        self.state.write_text("building")
        port = free_port()
        # What runserver prints is the address of this port, which is not the visitor's, and a warning.
        command = [*MANAGE, "runserver", "--noreload", f"127.0.0.1:{port}"]
        site = await self.start(*command, env=self.environment, stdout=subprocess.DEVNULL)
        await self.until_it_answers(site, port, "The site")
        return site, port

    async def serve_service(self, django: int) -> None:
        """Build and start the Rust service, and hand the address to it. Without it, the site goes on."""
        began = time.monotonic()
        try:
            await self.build_service()
            settings = self.folder / "jwtauth.toml"  # a folder that no other user can read
            settings.write_text(await self.output("jwtauth_settings"))
            port = free_port()
            own = {"SERVICE_ADDRESS": f"127.0.0.1:{port}", "SERVICE_SETTINGS": str(settings)}
            own["DJANGO_ADDRESS"] = f"127.0.0.1:{django}"
            service = await self.start(str(SERVICE), env=self.environment | own)
            await self.until_it_answers(service, port, "The Rust service")
            self.front.hand_to(port)
            print(f"3 of 3: the Rust service answers, after {duration(time.monotonic() - began)}.", flush=True)
            raise Problem(f"The Rust service has ended with status {await service.wait()}.")
        except Problem as problem:
            print(f"{problem} The site goes on without it.", file=sys.stderr, flush=True)
            self.state.write_text("failed")
            self.front.hand_to(django)

    async def build_service(self) -> None:
        """Compile the service, with less right to the processors than the site has."""
        log = self.folder / "build.log"
        with log.open("wb") as output:
            options = {"stdout": output, "stderr": output, "preexec_fn": lambda: os.nice(5)}
            building = await self.start(*BUILD_SERVICE, cwd=ROOT, env=self.environment, **options)
            status = await building.wait()
        if status:
            print(log.read_text(errors="replace")[-3000:], file=sys.stderr)
            raise Problem(f"The Rust service was not built: `{' '.join(BUILD_SERVICE)}` failed, see above.")

    async def output(self, *command: str) -> str:
        """Return what this command of manage.py prints."""
        running = await self.start(*MANAGE, *command, env=self.environment, stdout=subprocess.PIPE)
        printed, _ = await running.communicate()
        if running.returncode:
            raise Problem(f"The demo did not start: `manage.py {' '.join(command)}` failed, see above.")
        return printed.decode()

    async def until_it_answers(self, process: asyncio.subprocess.Process, port: int, what: str) -> None:
        """Return as soon as the process accepts connections at this port."""
        while True:
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
            except OSError:
                if process.returncode is not None:
                    raise Problem(f"{what} did not start, see above.") from None
                await asyncio.sleep(0.05)
            else:
                writer.close()
                return

    async def start(self, *command: str, **options: object) -> asyncio.subprocess.Process:
        """Start a process in a new group, so that whatever it starts can be ended with it."""
        process = await asyncio.create_subprocess_exec(*command, start_new_session=True, **options)
        self.started.append(process)
        return process

    async def end(self) -> None:
        """End every process that still runs."""
        running = [process for process in self.started if process.returncode is None]
        for how in (signal.SIGTERM, signal.SIGKILL):
            for process in running:
                with suppress(ProcessLookupError):
                    os.killpg(process.pid, how)
            if running:
                waits = [asyncio.create_task(process.wait()) for process in running]
                _, late = await asyncio.wait(waits, timeout=BEFORE_KILL)
                if not late:
                    return


class Front:
    """The one address. It hands each connection on: to the site, or to the service as soon as that answers."""

    def __init__(self) -> None:
        self.port: int | None = None
        self.asking: set[asyncio.Task[None]] = set()

    def hand_to(self, port: int) -> None:
        """Hand new connections to this port, and end those of now after the answers that are under way."""
        self.port = port
        for task in self.asking:
            task.cancel()

    async def connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Copy bytes in both directions until one side has ended."""
        with suppress(OSError):
            if self.port is None:
                await reader.read(65536)
                writer.write(NOT_YET)
                await writer.drain()
            else:
                await self.relay(reader, writer, *await asyncio.open_connection("127.0.0.1", self.port))
        writer.close()

    async def relay(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        answers: asyncio.StreamReader,
        questions: asyncio.StreamWriter,
    ) -> None:
        asking = asyncio.create_task(copy(reader, questions))
        self.asking.add(asking)
        try:
            await copy(answers, writer)
        finally:
            self.asking.discard(asking)
            asking.cancel()
            questions.close()


async def copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Copy bytes until their end, or until this is cancelled, and say to the other side that no more will come."""
    with suppress(OSError):
        try:
            while data := await reader.read(65536):
                writer.write(data)
                await writer.drain()
        finally:
            writer.write_eof()


def bound(text: str) -> socket.socket:
    """Return a socket that listens at this port."""
    if not (text.isascii() and text.isdigit() and 0 < int(text) < 65536):
        raise Problem(f"PORT={text} is not a port: give a number from 1 to 65535, as in `make run PORT=8001`.")
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind(("127.0.0.1", int(text)))
        listener.listen()
    except OSError as error:
        listener.close()
        reason = "is in use" if error.errno == errno.EADDRINUSE else f"cannot be used ({error.strerror})"
        other = 8000 if int(text) != 8000 else 8001
        raise Problem(f"Port {text} {reason}: choose another, as in `make run PORT={other}`.") from None
    return listener


def duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


async def parent_ends(parent: int) -> None:
    """Return when `make` is gone or has been interrupted.

    SIGTERM it hands on. It leaves SIGINT to the terminal, which sends it to all; sent to `make` alone, it blocks the
    signal and waits for this process. Only Linux shows that.
    """
    status = Path(f"/proc/{parent}/status")
    while os.getppid() == parent:
        await asyncio.sleep(0.2)
        with suppress(OSError):
            fields = dict(line.partition(":\t")[::2] for line in status.read_text().splitlines())
            if fields["Name"] in ("make", "gmake") and int(fields["SigBlk"], 16) >> (signal.SIGINT - 1) & 1:
                return


async def run(listener: socket.socket) -> int:
    """Run the demo until it ends, a signal arrives, or `make` ends."""
    loop = asyncio.get_running_loop()
    with tempfile.TemporaryDirectory(prefix="jwtauth-demo-") as folder:
        demo = Demo(listener, Path(folder))
        running = asyncio.create_task(demo.run())
        for name in ("SIGINT", "SIGTERM", "SIGHUP"):
            if name != "SIGHUP" or signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # as nohup has it
                loop.add_signal_handler(getattr(signal, name), running.cancel)
        watching = asyncio.create_task(parent_ends(os.getppid()))
        watching.add_done_callback(lambda _: running.cancel())
        try:
            await running
        except asyncio.CancelledError:
            return 0
        except Problem as problem:
            print(problem, file=sys.stderr)
            return 1
        finally:
            await demo.end()
    return 0


def main() -> int:
    try:
        listener = bound(sys.argv[1] if len(sys.argv) > 1 else "")
    except Problem as problem:
        print(problem, file=sys.stderr)
        return 1
    return asyncio.run(run(listener))


if __name__ == "__main__":
    sys.exit(main())
