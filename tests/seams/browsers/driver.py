"""Real browsers behind one interface: Debian's Chromium, Firefox ESR and WebKitGTK's MiniBrowser.

Each is driven by its own WebDriver: chromedriver and WebKitWebDriver speak it over HTTP, and Firefox speaks the same
commands over a socket (Marionette). All have a fresh profile, and take certificates that `certificates.py` made.
"""

from __future__ import annotations

import http.client
import json
import os
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, ClassVar

from tests.databases.servers import free_port
from tests.seams.browsers.certificates import HOSTS, Certificates
from tests.waiting import PATIENCE, stop, wait_until

# The key of an element's reference in WebDriver and Marionette (WebDriver, section 12).
ELEMENT = "element-6066-11e4-a52e-4f735466cecf"
PATIENCE_MS = 1000 * PATIENCE
# Run the body of an asynchronous function with `args`, and return its value or its error as JSON.
WRAPPED = """
const done = arguments[arguments.length - 1];
(async (...args) => { %s })(...Array.from(arguments).slice(0, -1)).then(
    (value) => done({value: value === undefined ? null : value}),
    (error) => done({error: String(error)}),
);
"""


class DriverError(Exception):
    """Raised when the driver or a page's script fails: ``code`` is WebDriver's, or "script" for a page's script."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code


class Browser:
    """A running browser with a fresh profile. Leave the ``with`` block, or call `stop`, to end it."""

    # The name in the ids of tests and in tables.
    name: ClassVar[str]
    title: ClassVar[str]
    # The Debian packages to install.
    packages: ClassVar[str]

    @classmethod
    def is_installed(cls) -> bool:
        return all(cls.programs())

    @classmethod
    def programs(cls) -> tuple[Path | str | None, ...]:
        """Return the programs that it needs, with ``None`` for each that is missing."""
        raise NotImplementedError

    def __init__(self, certificates: Certificates | None = None) -> None:
        """Start the browser. It trusts the certificates of this authority."""
        self.certificates = certificates
        self.folder = Path(tempfile.mkdtemp(prefix=f"jwtauth-{self.name}-"))
        self.log = self.folder / "log"
        self.port = free_port()
        self.process: subprocess.Popen | None = None
        self.capabilities: dict[str, Any] = {}
        try:
            self.start()
            self.set_timeouts()
        except BaseException:
            self.stop()
            raise

    def __enter__(self) -> Browser:
        return self

    def __exit__(self, *error: object) -> None:
        self.stop()

    def start(self) -> None:
        """Start the program and open a WebDriver session: sets ``capabilities``."""
        raise NotImplementedError

    def set_timeouts(self) -> None:
        self.command("WebDriver:SetTimeouts", {"script": PATIENCE_MS, "pageLoad": PATIENCE_MS, "implicit": 0})

    def end_session(self) -> None:
        """Let the browser exit."""
        raise NotImplementedError

    def forget_all(self) -> None:
        """Delete every cookie of every site, in frames too. WebDriver can delete only the current page's."""
        raise NotImplementedError

    def command(self, name: str, parameters: dict[str, Any] | None = None) -> Any:
        """Run a WebDriver command by its Marionette name, such as ``WebDriver:Navigate``."""
        raise NotImplementedError

    def stop(self) -> None:
        process, self.process = self.process, None
        if process is not None:
            with suppress(OSError, DriverError, http.client.HTTPException):  # it ended first, or never answered
                self.end_session()
            stop(process)
            kill_group(process)
        shutil.rmtree(self.folder, ignore_errors=True)

    @property
    def version(self) -> str:
        """Return the browser's name, and its version as it states it: "Firefox 140.1"."""
        return f"{self.title} {self.capabilities['browserVersion']}"

    def goto(self, url: str) -> None:
        """Open a page and wait until it has loaded."""
        self.command("WebDriver:Navigate", {"url": url})

    @property
    def url(self) -> str:
        return self.command("WebDriver:GetCurrentURL")

    def run(self, body: str, *args: object) -> Any:
        """Run the body of an ``async`` function in the page, with ``args``, and return what it returns.

        Raises `DriverError` with the code "script" if it throws.
        """
        found = self.command("WebDriver:ExecuteAsyncScript", {"script": WRAPPED % body, "args": list(args)})
        if found is None:  # Firefox
            raise DriverError("script", "the page was left")
        if "error" in found:
            raise DriverError("script", found["error"])
        return found["value"]

    def text(self) -> str:
        """Return the text of the page as a user sees it."""
        return self.run("return document.body ? document.body.innerText : ''")

    def find(self, selector: str) -> str:
        return self.command("WebDriver:FindElement", {"using": "css selector", "value": selector})[ELEMENT]

    def click(self, selector: str) -> None:
        """Click the element as a user does: the event is trusted and counts as a user's gesture."""
        self.command("WebDriver:ElementClick", {"id": self.find(selector)})

    def enter_frame(self, selector: str) -> None:
        """Make `run`, `click` and `text` apply to the page in this frame, until `leave_frames`."""
        self.command("WebDriver:SwitchToFrame", {"id": {ELEMENT: self.find(selector)}})

    def leave_frames(self) -> None:
        self.command("WebDriver:SwitchToFrame", {"id": None})

    @property
    def tab(self) -> str:
        """Return the tab that every other method applies to. Set it to switch."""
        return self.command("WebDriver:GetWindowHandle")

    @tab.setter
    def tab(self, handle: str) -> None:
        self.command("WebDriver:SwitchToWindow", {"handle": handle})

    def open_tab(self) -> str:
        """Open a tab and make it the current one."""
        self.tab = self.command("WebDriver:NewWindow", {"type": "tab"})["handle"]
        return self.tab

    def tabs(self) -> list[str]:
        return self.command("WebDriver:GetWindowHandles")

    def close_tab(self) -> None:
        """Close the current tab, and switch to the first remaining one."""
        self.tab = self.command("WebDriver:CloseWindow")[0]

    def cookies(self) -> dict[str, dict[str, Any]]:
        """Return the cookies for the current page's address by name, including those hidden from scripts."""
        return {cookie["name"]: cookie for cookie in self.command("WebDriver:GetCookies")}

    def forget(self, *urls: str) -> None:
        """Delete all cookies of these pages, or of the current one."""
        for url in urls:
            self.goto(url)
            self.command("WebDriver:DeleteAllCookies")
        if not urls:
            self.command("WebDriver:DeleteAllCookies")

    def wait(self, happened: Callable[[], object]) -> None:
        """Wait until this is true, even while pages replace each other."""

        def settled() -> object:
            try:
                return happened()
            except DriverError:  # the page is being left
                return False

        wait_until(settled, self.process, self.log)

    def spawn(self, *command: object, **env: str) -> None:
        """Start the browser's program with a new home and without the machine's proxy."""
        kept = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                ["setpriv", "--pdeathsig=TERM", "--", *map(str, command)],
                stdout=log,
                stderr=log,
                env=kept | {"HOME": str(self.folder), "XDG_RUNTIME_DIR": str(self.folder)} | env,
                start_new_session=True,
            )


def kill_group(process: subprocess.Popen) -> None:
    """Kill the browser that an ended driver has left behind."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


class OverHttp(Browser):
    """A browser whose driver is a separate program (WebDriver, section 6)."""

    paths: ClassVar = {
        "WebDriver:SetTimeouts": ("POST", "timeouts"),
        "WebDriver:Navigate": ("POST", "url"),
        "WebDriver:GetCurrentURL": ("GET", "url"),
        "WebDriver:ExecuteAsyncScript": ("POST", "execute/async"),
        "WebDriver:FindElement": ("POST", "element"),
        "WebDriver:ElementClick": ("POST", "element/{id}/click"),
        "WebDriver:SwitchToFrame": ("POST", "frame"),
        "WebDriver:GetWindowHandle": ("GET", "window"),
        "WebDriver:GetWindowHandles": ("GET", "window/handles"),
        "WebDriver:SwitchToWindow": ("POST", "window"),
        "WebDriver:NewWindow": ("POST", "window/new"),
        "WebDriver:CloseWindow": ("DELETE", "window"),
        "WebDriver:GetCookies": ("GET", "cookie"),
        "WebDriver:DeleteAllCookies": ("DELETE", "cookie"),
        "chromium": ("POST", "goog/cdp/execute"),
    }

    session: str | None = None

    def open_session(self, options: dict[str, Any]) -> None:
        wait_until(self.is_ready, self.process, self.log)
        made = self.exchange("POST", "/session", {"capabilities": {"alwaysMatch": options}})
        self.session, self.capabilities = made["sessionId"], made["capabilities"]

    def end_session(self) -> None:
        if self.session is not None:
            self.exchange("DELETE", f"/session/{self.session}")

    def is_ready(self) -> bool:
        try:
            return self.exchange("GET", "/status")["ready"]
        except OSError:
            return False

    def command(self, name: str, parameters: dict[str, Any] | None = None) -> Any:
        method, path = self.paths[name]
        parameters = parameters or {}
        path = path.format(**parameters)
        return self.exchange(method, f"/session/{self.session}/{path}", parameters if method == "POST" else None)

    def exchange(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)
        try:
            sent = None if body is None else json.dumps(body)
            connection.request(method, path, sent, {"Content-Type": "application/json"})
            value = json.loads(connection.getresponse().read())["value"]
        finally:
            connection.close()
        if isinstance(value, dict) and "error" in value and "stacktrace" in value:
            raise DriverError(value["error"], value["message"])
        return value


class Chromium(OverHttp):
    name = "chromium"
    title = "Chromium"
    packages = "chromium chromium-driver libnss3-tools"

    # Switches of the command line, besides those of every test.
    switches: tuple[str, ...] = ()

    @classmethod
    def programs(cls) -> tuple[Path | str | None, ...]:
        return shutil.which("chromium"), shutil.which("chromedriver"), shutil.which("certutil")

    def start(self) -> None:
        if self.certificates is not None:
            store = self.folder / ".pki/nssdb"
            store.mkdir(parents=True)
            certutil = ["certutil", "-d", f"sql:{store}"]
            subprocess.run([*certutil, "-N", "--empty-password"], check=True)
            subprocess.run([*certutil, "-A", "-t", "C,,", "-n", "tests", "-i", self.certificates.authority], check=True)
        self.spawn("chromedriver", f"--port={self.port}", "--log-level=WARNING")
        arguments = [
            "--headless=new",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-dev-shm-usage",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            "--no-first-run",
            "--no-proxy-server",
            "--host-resolver-rules=MAP *.test 127.0.0.1",
            f"--user-data-dir={self.folder / 'profile'}",
            *self.switches,
        ]
        options = {"args": arguments, "binary": shutil.which("chromium"), "browserStartupTimeout": PATIENCE_MS}
        self.options = {"browserName": "chrome", "goog:chromeOptions": options}
        self.open_session(self.options)

    def restart(self) -> None:
        """Close the browser as a user does, and start it again with the same profile."""
        self.end_session()
        self.open_session(self.options)
        self.set_timeouts()

    def forget_all(self) -> None:
        self.command("chromium", {"cmd": "Network.clearBrowserCookies", "params": {}})


class WebKit(OverHttp):
    name = "webkit"
    title = "WebKitGTK"
    packages = "webkit2gtk-driver xvfb"

    @classmethod
    def programs(cls) -> tuple[Path | str | None, ...]:
        return shutil.which("WebKitWebDriver"), cls.browser(), shutil.which("Xvfb")

    @staticmethod
    def browser() -> Path | None:
        return next(Path("/usr/lib").glob("*/webkit2gtk-4.1/MiniBrowser"), None)

    def start(self) -> None:
        self.display = Display()
        self.spawn("WebKitWebDriver", f"--port={self.port}", "--host=127.0.0.1", DISPLAY=self.display.name)
        options: dict[str, Any] = {"binary": str(self.browser()), "args": ["--automation"]}
        if self.certificates is not None:
            # It accepts one certificate for a host, not an authority.
            certificate = str(self.certificates.certificate)
            options["certificates"] = [{"host": host, "certificateFile": certificate} for host in HOSTS]
        self.options = {"browserName": "MiniBrowser", "webkitgtk:browserOptions": options}
        self.open_session(self.options)

    def forget_all(self) -> None:
        """Restart the browser: each session has a new profile."""
        self.end_session()
        self.open_session(self.options)
        self.set_timeouts()

    def stop(self) -> None:
        super().stop()
        if hasattr(self, "display"):
            self.display.close()


class Display:
    """An X server without a screen, on a free display: MiniBrowser has no headless mode."""

    def __init__(self) -> None:
        read, write = os.pipe()
        # The server chooses a free number and writes it to this descriptor.
        server = ["Xvfb", "-displayfd", str(write), "-screen", "0", "1280x1024x24", "-nolisten", "tcp", "-noreset"]
        command = ["setpriv", "--pdeathsig=TERM", "--", *server]
        self.process = subprocess.Popen(command, pass_fds=[write], stderr=subprocess.DEVNULL, start_new_session=True)
        os.close(write)
        with open(read) as numbers:
            self.name = f":{numbers.readline().strip()}"
        assert self.name != ":", "Xvfb found no free display"

    def close(self) -> None:
        stop(self.process)


class Firefox(Browser):
    name = "firefox"
    title = "Firefox"
    packages = "firefox-esr"

    connection: socket.socket | None = None

    @classmethod
    def programs(cls) -> tuple[Path | str | None, ...]:
        return (shutil.which("firefox-esr") or shutil.which("firefox"),)

    def start(self) -> None:
        profile = self.folder / "profile"
        profile.mkdir()
        preferences = {
            "marionette.port": self.port,
            "network.proxy.type": 0,
            "network.dns.localDomains": "own.test,sibling.own.test,foreign.test,friend.test",
            "browser.shell.checkDefaultBrowser": False,
            "browser.startup.page": 0,
            "devtools.jsonview.enabled": False,
            "datareporting.policy.dataSubmissionEnabled": False,
            "app.update.disabledForTesting": True,
            "extensions.update.enabled": False,
            "network.captive-portal-service.enabled": False,
            "network.connectivity-service.enabled": False,
            "services.settings.server": "data:,#remote-settings-dummy/v1",
        }
        lines = [f"user_pref({json.dumps(name)}, {json.dumps(value)});\n" for name, value in preferences.items()]
        (profile / "user.js").write_text("".join(lines))
        # Marionette runs scripts outside of pages, which trust the authority here, only with the second option.
        arguments = ("--marionette", "--remote-allow-system-access", "--headless", "--no-remote")
        self.spawn(self.programs()[0], *arguments, "--profile", profile)
        wait_until(self.connect, self.process, self.log)
        self.numbers = 0
        self.capabilities = self.command("WebDriver:NewSession", {})["capabilities"]
        if self.certificates is not None:
            self.trust(self.certificates.authority)

    def connect(self) -> bool:
        connection = socket.socket()
        connection.settimeout(PATIENCE)
        try:
            connection.connect(("127.0.0.1", self.port))
        except OSError:
            connection.close()
            return False
        self.connection, self.answers = connection, connection.makefile("rb")
        self.receive()  # the greeting
        return True

    def trust(self, authority: Path) -> None:
        certificate = "".join(line for line in authority.read_text().splitlines() if not line.startswith("-"))
        self.run_outside_pages(
            """
            Cc["@mozilla.org/security/x509certdb;1"].getService(Ci.nsIX509CertDB)
                .addCertFromBase64(arguments[0], "C,,");
            """,
            certificate,
        )

    def forget_all(self) -> None:
        self.run_outside_pages("Services.cookies.removeAll()")

    def run_outside_pages(self, script: str, *args: object) -> None:
        self.command("Marionette:SetContext", {"value": "chrome"})
        try:
            self.command("WebDriver:ExecuteScript", {"script": script, "args": list(args)})
        finally:
            self.command("Marionette:SetContext", {"value": "content"})

    def end_session(self) -> None:
        if self.connection is not None:
            try:
                self.command("Marionette:Quit", {"flags": ["eForceQuit"]})
            finally:
                self.answers.close()
                self.connection.close()

    def command(self, name: str, parameters: dict[str, Any] | None = None) -> Any:
        self.numbers += 1
        message = json.dumps([0, self.numbers, name, parameters or {}]).encode()
        self.connection.sendall(b"%d:%s" % (len(message), message))
        _, number, error, value = self.receive()
        assert number == self.numbers, "Marionette answers in order"
        if error is not None:
            raise DriverError(error["error"], error["message"])
        return value["value"] if isinstance(value, dict) and value.keys() == {"value"} else value

    def receive(self) -> Any:
        length = b""
        while (byte := self.answers.read(1)) != b":":
            if not byte:
                raise ConnectionError("Firefox closed the connection")
            length += byte
        return json.loads(self.answers.read(int(length)))


BROWSERS: tuple[type[Browser], ...] = (Chromium, Firefox, WebKit)
