"""The guides for Rust services, typed literally into new projects outside this workspace, and used over HTTP.

Only addresses differ: ports of this machine, and the checkout's path.
"""

from __future__ import annotations

import copy
import json
import os
import re
import shutil
import sqlite3
import subprocess
import sys
import urllib.error
import urllib.request
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

from tests import test_startproject
from tests.databases.servers import free_port
from tests.seams.proxies import proxies
from tests.test_startproject import PASSWORD, QUICKSTART, ROOT, clean_environment, example, run
from tests.waiting import PATIENCE, answers, stop, wait_until

SERVICE, DEPLOYMENT, RESOURCE_SERVER = PAGES = [
    ROOT / f"docs/guides/{name}.md" for name in ("rust", "rust-deployment", "rust-resource-server")
]
FENCED = re.compile(r"^```(\w+)\n(.*?)^```$", re.M | re.S)
MARKED = re.compile(r"^<!-- example: (\S+) -->\n+```\w+\n(.*?)^```$", re.M | re.S)
STORES = re.compile(r"^\| (\w+) \| `(\w+)` \| `(.+?)` \| `(\S+?)` \|$", re.M)

KEYS = """
JWTAUTH = {
    "ALGORITHM": "EdDSA",
    "SIGNING_KEY": (BASE_DIR / "signing-key.pem").read_text(),
    "ISSUER": "https://example.com",
    "NUM_PROXIES": 1,
}
"""

# Modules that the page shows for services that need them, and that `main.rs` does not use.
UNUSED = "".join(f"#[allow(unused)]\nmod {name};\n" for name in ("device", "step_up", "support"))

pytestmark = pytest.mark.skipif(
    shutil.which("cargo") is None, reason="cargo is not installed, without which nothing of this project is built"
)


def blocks(page):
    return dict(MARKED.findall(page.read_text()))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_block_of_the_guides_is_typed(page):
    assert len(FENCED.findall(page.read_text())) == len(blocks(page)) > 2


class Project:
    """A directory with the site, the service and the resource server, and the ports where they will listen."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.site, self.service, self.reports, self.others = (free_port() for _ in range(4))

    def typed(self, text: str) -> str:
        """Replace the addresses of the pages by this machine's."""
        for there, here in {
            "../jwtauth": str(ROOT),
            "127.0.0.1:8000": f"127.0.0.1:{self.site}",
            "127.0.0.1:9000": f"127.0.0.1:{self.service}",
            "127.0.0.1:9001": f"127.0.0.1:{self.reports}",
            "https://example.com/auth": f"http://127.0.0.1:{self.site}/auth",
        }.items():
            text = text.replace(there, here)
        return text

    def type(self, page: Path) -> None:
        """Write the files that the page names."""
        for name, text in blocks(page).items():
            if "/" in name:
                self.write(name, text)

    def write(self, name: str, text: str) -> None:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(self.typed(text))

    def build(self, name: str) -> Path:
        """Build a program, beside those of the workspace, which have the same dependencies; return its folder."""
        project = self.folder / name
        shutil.copy(ROOT / "Cargo.lock", project)
        target = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
        # With the workspace's profiles.
        cargo = ["cargo", "--config", str(ROOT / "Cargo.toml")]
        env = os.environ | {"CARGO_TARGET_DIR": str(target)}
        built = subprocess.run([*cargo, "build"], cwd=project, env=env, capture_output=True, text=True)
        assert built.returncode == 0, built.stderr
        assert "warning" not in built.stderr, built.stderr
        programs = project / "programs"
        programs.mkdir(exist_ok=True)
        for source in project.glob("src/**/main.rs"):
            program = name if source.parent.name == "src" else source.parent.name
            shutil.copy(target / "debug" / program, programs)
        # Each run would leave its build behind, because the folders differ.
        subprocess.run([*cargo, "clean", "--quiet", "--package", name], cwd=project, env=env, check=True)
        return programs

    def shell(self, script: str) -> list[str]:
        """Return the command that runs this script as it is written, with this Python."""
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        return ["env", f"PATH={path}", "sh", "-e", "-c", self.typed(script)]

    def sh(self, script: str) -> None:
        done = subprocess.run(
            self.shell(script), cwd=self.folder, env=clean_environment(), capture_output=True, text=True
        )
        assert done.returncode == 0, done.stdout + done.stderr


@contextmanager
def running(command, *, folder, url, log, **env):
    """Run a server that answers at this address; check at the end that it stopped when told."""
    with log.open("w") as output:
        process = subprocess.Popen(
            command, cwd=folder, env={**clean_environment(), **env}, stdout=output, stderr=subprocess.STDOUT
        )
    try:
        wait_until(lambda: answers(url), process, log)
        yield process
    finally:
        if process.poll() is None:
            stop(process)


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    return Project(tmp_path_factory.mktemp("guide"))


@pytest.fixture(scope="module")
def programs(project):
    """Build the programs of the guides, typed literally, and those that the first page describes."""
    project.folder.joinpath("mysite-service").mkdir()
    project.type(SERVICE)
    literal = project.build("mysite-service") / "mysite-service"
    literal.rename(project.folder / "service")
    project.type(RESOURCE_SERVER)
    reports = project.build("reports") / "reports"
    return {"service": project.folder / "service", "reports": reports, **with_each_store(project)}


def with_each_store(project):
    """Write the service with each of the stores, as it is deployed, at another port."""
    page, added = blocks(SERVICE), blocks(DEPLOYMENT)
    stores = STORES.findall(SERVICE.read_text())
    assert [kind for kind, *_ in stores] == ["SQLite", "PostgreSQL", "MariaDB"]
    (cors,) = re.findall(r"`(tower-http = .+?)`", DEPLOYMENT.read_text())
    sqlite, its_store = stores[0][1:3]
    manifest = replace(
        page["mysite-service/Cargo.toml"],
        (f'"{sqlite}"', ", ".join(f'"{feature}"' for _, feature, *_ in stores)),
        ("[dependencies]\n", f"[dependencies]\n{cors}\n"),
    )
    main = replace(
        page["mysite-service/src/main.rs"],
        ("mod login;", "mod address;\nmod login;\n" + UNUSED),
        ("    let layer = AuthLayer::new(settings.build()?, store);\n", added["address"]),
        ("        .layer(layer.clone());\n", "        .layer(layer.clone())\n" + added["cors"]),
    )
    project.write("mysite-service/Cargo.toml", manifest)
    for kind, _feature, store, _url in stores:
        files = {name: text for name, text in (page | added).items() if name.startswith("mysite-service/src/")}
        files["mysite-service/src/main.rs"] = replace(main, (its_store, store))
        if kind == "MariaDB":
            files["mysite-service/src/login.rs"] = replace(files["mysite-service/src/login.rs"], ("= $1", "= ?"))
        for name, text in files.items():
            project.write(name.replace("/src/", f"/src/bin/{kind.lower()}/"), deployed(project).typed(text))
    folder = project.build("mysite-service")
    return {kind.lower(): folder / kind.lower() for kind, *_ in stores}


def replace(text, *pairs):
    for old, new in pairs:
        assert text.count(old) == 1, old
        text = text.replace(old, new)
    return text


def deployed(project):
    """Return the project with the deployed service."""
    other = copy.copy(project)
    other.service = project.others
    return other


def make_site(project, database=None):
    """Make the quickstart's site, with a key pair."""
    run(project.folder, "-m", "django", "startproject", "mysite")
    site = project.folder / "mysite"
    settings = site / "mysite/settings.py"
    with settings.open("a") as file:
        file.write(example(QUICKSTART, "settings"))
        if database is not None:
            file.write(f"DATABASES = {{'default': {database!r}}}\n")
    site.joinpath("signing-key.pem").write_text(run(site, "manage.py", "jwtauth_generate_key", "EdDSA"))
    with settings.open("a") as file:
        file.write(KEYS)
    (site / "mysite/urls.py").write_text(example(QUICKSTART, "urls"))
    run(site, "manage.py", "migrate", "--verbosity", "0")
    user = ("--noinput", "--username", "ada", "--email", "ada@example.org")
    run(site, "manage.py", "createsuperuser", *user, DJANGO_SUPERUSER_PASSWORD=PASSWORD)


@contextmanager
def serve_site(project):
    with running(
        [sys.executable, "manage.py", "runserver", "--noreload", f"127.0.0.1:{project.site}"],
        folder=project.folder / "mysite",
        url=f"http://127.0.0.1:{project.site}/auth/me/",
        log=project.folder / "site.log",
    ):
        yield


@contextmanager
def serve(project, program, url=None, **env):
    """Run the service by the page's command, with the program that is already built."""
    command = blocks(SERVICE)["run"]
    ((_, _, _, its_url), *_) = STORES.findall(SERVICE.read_text())
    assert command.count("cargo run") == command.count(its_url) == 1
    command = command.replace(its_url, url or its_url)
    with running(
        project.shell(command.replace("cargo run", f"exec {program}")),
        folder=project.folder,
        url=f"http://127.0.0.1:{project.service}/rust/me",
        log=project.folder / "service.log",
        **env,
    ) as process:
        yield process


@pytest.fixture(scope="module")
def site(project):
    """Run the site, on SQLite, and write the settings of the other programs."""
    make_site(project)
    for page, name in ((SERVICE, "settings"), (RESOURCE_SERVER, "public")):
        project.folder.joinpath("mysite-service").mkdir(exist_ok=True)
        project.folder.joinpath("reports").mkdir(exist_ok=True)
        project.sh(blocks(page)[name])
    with serve_site(project):
        yield


@pytest.fixture
def service(project, programs, site):
    """Run the service of the first page."""
    with serve(project, programs["service"]) as process:
        yield process


@pytest.fixture
def deployed_service(project, programs, site):
    """Run the service of the second page."""
    with serve(deployed(project), programs["sqlite"]) as process:
        yield process


class Browser(test_startproject.Browser):
    """A page in a browser, which sends its origin with every request but a GET."""

    def __init__(self, port, origin=None):
        super().__init__(port)
        self.opener.addheaders = [("Origin", origin or self.origin), ("X-Forwarded-For", "203.0.113.9")]

    def sign_in(self, path, password=PASSWORD):
        return self.status("POST", path, {"username": "ada", "password": password})

    def known(self):
        """Return whether ada is signed in; site and service must agree."""
        statuses = {self.status("GET", path) for path in ("/auth/me/", "/rust/me")}
        assert len(statuses) == 1, "site and service say the same"
        return statuses == {200}

    def socket(self):
        cookies = "; ".join(f"{cookie.name}={cookie.value}" for cookie in self.jar)
        origin = dict(self.opener.addheaders)["Origin"]
        return connect(
            f"ws{self.origin.removeprefix('http')}/rust/socket",
            origin=origin,
            additional_headers={"Cookie": cookies},
            proxy=None,
            open_timeout=PATIENCE,
        )


def nginx(project, folder, port):
    typed = deployed(project).typed(blocks(DEPLOYMENT)["nginx.conf"])
    assert typed.count("listen 80;") == 1
    return proxies.nginx(folder, typed.replace("listen 80;", f"listen 127.0.0.1:{port};"))


def caddy(project, folder, port):
    typed = deployed(project).typed(blocks(DEPLOYMENT)["Caddyfile"])
    assert typed.startswith("example.com {")
    return proxies.caddy(folder, typed.replace("example.com", f"http://127.0.0.1:{port}", 1))


def answer_to(url, origin):
    """Return the answer that a page of this origin gets to an empty POST with cookies."""
    request = urllib.request.Request(url, b"", {"Origin": origin, "Cookie": "refresh_token=a"}, method="POST")
    try:
        return urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=PATIENCE)
    except urllib.error.HTTPError as error:
        error.close()
        return error


@contextmanager
def behind(proxy, project, folder):
    """Run this web server in front of site and service, and yield its port."""
    if proxies.program(proxy.__name__) is None:
        pytest.skip(f"{proxy.__name__} is not installed; scripts/test.py says so at its end")
    port = free_port()
    command, env = proxy(project, folder, port)
    with running(command, folder=folder, url=f"http://127.0.0.1:{port}/auth/me/", log=folder / "proxy.log", **env):
        yield port


@pytest.fixture(params=[nginx, caddy], ids=lambda proxy: proxy.__name__)
def port(request, project, deployed_service, tmp_path):
    with behind(request.param, project, tmp_path) as port:
        yield port


def test_one_login_works_at_site_and_service(port):
    browser = Browser(port)
    assert browser.status("GET", "/rust/health") == 404
    assert not browser.known()
    for starts, ends in (("/rust/login", "/auth/logout/"), ("/auth/login/", "/rust/logout")):
        assert browser.sign_in(starts) in (200, 204)
        assert browser.known()
        copy = Browser(port)
        for cookie in browser.jar:
            copy.jar.set_cookie(cookie)
        assert browser.status("POST", ends) == 204
        assert not browser.cookies
        assert not copy.known()


@pytest.mark.skipif(shutil.which("curl") is None, reason="the guides' commands are curl's; .ci/run installs it")
def test_the_commands_show_one_login(project, service, tmp_path):
    commands = blocks(SERVICE)["curl"].replace('"secret"', f'"{PASSWORD}"').replace("curl ", "curl -sS --fail ")
    said = subprocess.check_output(project.shell(commands), cwd=tmp_path, env=clean_environment(), text=True)
    at_service, at_site = re.findall(r"{.+?}(?=$|{)", said)
    assert json.loads(at_service).keys() == {"user", "session"}
    assert json.loads(at_site)["user"]["username"] == "ada"


@pytest.mark.parametrize(("name", "password"), [("ada", "wrong"), ("nobody", PASSWORD), ("", "")])
def test_a_wrong_password_is_refused_as_the_site_refuses_it(project, service, name, password):
    answers = []
    for port, path in ((project.site, "/auth/login/"), (project.service, "/rust/login")):
        browser = Browser(port)
        status, body = browser.ask("POST", path, {"username": name, "password": password})
        answers.append((status, json.loads(body)))
        assert not browser.cookies
    if name:
        assert answers[0] == answers[1]
    assert answers[1][0] == 401


def test_a_post_from_another_origin_is_refused(port):
    browser, elsewhere = Browser(port), Browser(port, "https://elsewhere.example")
    assert elsewhere.sign_in("/rust/login") == 403
    assert browser.sign_in("/rust/login") == 204
    for cookie in browser.jar:
        elsewhere.jar.set_cookie(cookie)
    assert elsewhere.status("POST", "/rust/logout") == 403
    with pytest.raises(InvalidStatus) as refused:
        elsewhere.socket()
    assert refused.value.response.status_code == 403
    assert browser.known()


def test_a_websocket_ends_with_its_session(port):
    browser = Browser(port)
    with pytest.raises(InvalidStatus):
        browser.socket()
    assert browser.sign_in("/rust/login") == 204
    with browser.socket() as socket:
        socket.send("hello")
        assert socket.recv(PATIENCE) == "hello"
        assert browser.status("POST", "/auth/logout/") == 204
        socket.send("hello?")
        with pytest.raises(ConnectionClosed):
            socket.recv(PATIENCE)


def test_a_stream_of_events_ends_with_its_session(port):
    browser = Browser(port)
    assert browser.status("GET", "/rust/events") == 403
    assert browser.sign_in("/rust/login") == 204
    with browser.opener.open(f"{browser.origin}/rust/events", timeout=PATIENCE) as events:
        assert events.readline() == b"data: tick\n"
        assert browser.status("POST", "/auth/logout/") == 204
        assert set(events) <= {b"\n", b"data: tick\n"}, "it ends"


def test_sessions_are_listed_and_ended(port):
    browser, other = Browser(port), Browser(port)
    assert browser.sign_in("/rust/login") == other.sign_in("/rust/login") == 204
    listed = json.loads(browser.ask("GET", "/rust/sessions")[1])
    (current,) = [session for session in listed if session["is_current"]]
    assert current["ip_address"] == "127.0.0.1"  # not what the browser claimed
    assert current["user_agent"].startswith("Python-urllib") or current["user_agent"] == ""
    (at_the_site,) = [s for s in json.loads(browser.ask("GET", "/auth/sessions/")[1]) if s["is_current"]]
    assert at_the_site["id"] == current["id"]
    for session in listed:
        if not session["is_current"]:
            assert browser.status("DELETE", f"/rust/sessions/{session['id']}") == 204
            assert browser.status("DELETE", f"/rust/sessions/{session['id']}") == 404
    assert browser.known()
    assert not other.known()
    assert browser.status("POST", "/rust/logout") == 204


def test_nginx_limits_attempts_to_sign_in(project, deployed_service, tmp_path):
    with behind(nginx, project, tmp_path) as port:
        ask = Browser(port).status
        assert ask("POST", "/rust/login") == 415, "without a body it costs the service nothing"
        wait_until(lambda: ask("POST", "/rust/login") == 429)
        assert ask("POST", "/rust/logout") == 204


def test_security_events_are_logged(project, service):
    browser = Browser(project.service)
    assert browser.sign_in("/rust/login") == 204
    (session,) = [s for s in json.loads(browser.ask("GET", "/rust/sessions")[1]) if s["is_current"]]
    log = (project.folder / "service.log").read_text()
    assert re.search(rf"INFO.*jwtauth\.security.*session_started.*{session['id']}", log)


def test_vite_passes_the_host_on(project, tmp_path):
    if shutil.which("node") is None:
        pytest.skip("node is not installed; scripts/test.py says so at its end")
    config = tmp_path / "vite.config.mjs"
    config.write_text(blocks(DEPLOYMENT)["vite.config.js"])
    show = f"import({json.dumps(config.as_uri())}).then(found => console.log(JSON.stringify(found.default)))"
    found = json.loads(subprocess.check_output(["node", "--eval", show], text=True))
    # Vite's default is false if a proxy is an object, and true if it is a string.
    proxies = found["server"]["proxy"]
    assert {path: proxy["target"] for path, proxy in proxies.items()} == {
        "/rust": "http://127.0.0.1:9000",
        "/auth": "http://127.0.0.1:8000",
    }
    assert proxies["/rust"]["ws"] is True
    assert not any(proxy.get("changeOrigin") for proxy in proxies.values())


def test_a_resource_server_recognises_users_by_the_sites_keys(project, programs, site):
    settings = (project.folder / "reports/jwtauth.toml").read_text()
    assert "SECRET_KEY" not in settings
    assert "SIGNING_KEY" not in settings
    with running(
        [str(programs["reports"])],
        folder=project.folder / "reports",
        url=f"http://127.0.0.1:{project.reports}/reports/me",
        log=project.folder / "reports.log",
    ):
        browser = Browser(project.site)
        assert browser.sign_in("/auth/login/") == 200
        user = json.loads(browser.ask("GET", "/auth/me/")[1])["user"]["id"]
        browser.origin = f"http://127.0.0.1:{project.reports}"
        assert browser.ask("GET", "/reports/me") == (200, str(user).encode())
        anonymous = Browser(project.reports)
        assert anonymous.status("GET", "/reports/me") == 403
        (token,) = [cookie.value for cookie in browser.jar if cookie.name == "access_token"]
        for bearer, status in ((token, 200), (token[:-4] + "AAAA", 401)):
            anonymous.opener.addheaders = [("Authorization", f"Bearer {bearer}")]
            assert anonymous.status("GET", "/reports/me") == status


def test_a_wrong_setting_is_named_at_start(project, programs, site, tmp_path):
    def said(**env):
        done = subprocess.run([programs["service"]], cwd=tmp_path, env=env, capture_output=True, text=True)
        assert done.returncode == 1
        return done.stderr

    assert "jwtauth.toml" in said()
    shutil.copy(project.folder / "mysite-service/jwtauth.toml", tmp_path)
    assert "DATABASE_URL" in said()
    sqlite3.connect(tmp_path / "empty.sqlite3").close()
    assert "jwtauth_session" in said(DATABASE_URL=f"sqlite:{tmp_path}/empty.sqlite3")
    wrong = said(JWTAUTH_COOKIE_SAMESITE="Sometimes", DATABASE_URL=f"sqlite:{project.folder}/mysite/db.sqlite3")
    assert wrong == 'Error: COOKIE_SAMESITE: use "Strict", "Lax" or "None"\n'


def test_the_health_check_reports_a_changed_table(project, service):
    ask = Browser(project.service).ask
    assert ask("GET", "/rust/health")[0] == 200
    with closing(sqlite3.connect(project.folder / "mysite/db.sqlite3")) as database:
        database.execute("ALTER TABLE jwtauth_session RENAME COLUMN remember TO another")
        status, found = ask("GET", "/rust/health")
        database.execute("ALTER TABLE jwtauth_session RENAME COLUMN another TO remember")
    assert status == 503
    (error,) = [problem for problem in json.loads(found)["problems"] if problem["level"] == "error"]
    assert error["code"] == "store_schema"
    assert "no column remember" in error["detail"]
    assert ask("GET", "/rust/health")[0] == 200


def test_a_refusal_of_the_layer_has_cors_headers(project, deployed_service):
    refused = answer_to(f"http://127.0.0.1:{project.others}/rust/logout", "https://app.example.com")
    assert refused.status == 403, "CORS headers do not permit another origin to act"
    assert refused.headers["Access-Control-Allow-Origin"] == "https://app.example.com"


def test_the_environment_overrides_the_file_and_the_service_stops_when_told(project, programs, site):
    with serve(project, programs["service"], JWTAUTH_COOKIE_SAMESITE="Lax") as process:
        browser = Browser(project.service)
        assert browser.sign_in("/rust/login") == 204
        assert {cookie.get_nonstandard_attr("SameSite") for cookie in browser.jar} == {"Lax"}
        assert stop(process) == 0


@pytest.mark.parametrize("kind", ["postgresql", "mariadb"])
def test_one_login_works_with_each_other_store(kind, project, programs, make_database, tmp_path):
    database = make_database(kind)
    (url,) = [url for name, _, _, url in STORES.findall(SERVICE.read_text()) if name.lower() == kind]
    assert url.endswith("://user:password@host/name")
    url = url.replace("user:password@host/name", "{USER}@{HOST}:{PORT}/{NAME}".format(**database))
    other = Project(tmp_path)
    other.service = project.others
    make_site(other, database)
    (tmp_path / "mysite-service").mkdir()
    other.sh(blocks(SERVICE)["settings"])
    with ExitStack() as stack:
        stack.enter_context(serve_site(other))
        stack.enter_context(serve(other, programs[kind], url))
        at_site, at_service = Browser(other.site), Browser(other.service)
        assert at_service.sign_in("/rust/login", "wrong") == 401
        assert at_service.sign_in("/rust/login") == 204
        for cookie in at_service.jar:
            at_site.jar.set_cookie(cookie)
        assert at_site.status("GET", "/auth/me/") == 200
        assert at_site.status("POST", "/auth/logout/") == 204
        assert at_service.status("GET", "/rust/me") == 403
        assert at_service.status("GET", "/rust/health") == 200
