"""Run the test suites of other packages, alone and with jwtauth, and write docs/reference/works-with-table.md.

    scripts/neighbours.py WHEEL [NAME ...]

`make neighbours` runs every suite, on Python 3.13. With names it runs some, and keeps the figures of the others. The
suites come from the source distributions on the package index; packages without tests are named in the table. Each
suite runs twice in its own virtual environment under .tools/neighbours, the second time with jwtauth (``run_suite.py
beside``). Tests whose outcome differs run once more, by themselves. If it still differs, `Suite.differences` must say
why.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import tarfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SUITE_FILES = ROOT / "scripts/neighbours"
FOLDER = ROOT / ".tools/neighbours"
PACKAGE = FOLDER / "package"  # the wheel of this checkout, installed separately so that a suite can run without it
FIGURES = ROOT / "docs/reference/works-with.json"
TABLE = ROOT / "docs/reference/works-with-table.md"

DJANGO, DRF = "6.1.3", "3.18.3"
# What the wheel needs; the same in both runs, so that jwtauth is the only difference.
ALWAYS = (f"Django=={DJANGO}", f"djangorestframework=={DRF}", "ua-parser==1.0.2", "ua-parser-builtins==202610")
PYTEST = ("pytest==9.2.0", "pytest-django==4.14.0")
MODES = ("baseline", "beside")
OUTCOMES = ("passed", "skipped", "failed")
LIMIT = 3600  # seconds for one run
RERUN_AT_MOST = 200

DJANGO_LABELS = """
    sessions_tests csrf_tests middleware middleware_exceptions handlers asgi async contenttypes_tests test_client
    test_client_regress requests_tests messages_tests view_tests decorators context_processors wsgi logging_tests
    signed_cookies_tests check_framework admin_views admin_default_site admin_custom_urls admin_autodiscover
    generic_views cache flatpages_tests redirects_tests conditional_processing i18n
"""
# Reasons for different outcomes.
FEWER_QUERIES = "the test counts queries: jwtauth reads a session and its user in one query, Django in two"
SIGNED_IN_TWICE = "the test counts logins: its client logs in twice, with Django's session and with jwtauth"
USERS_ELSEWHERE = "its router keeps users in one database and unknown tables in another"
STATIC_FILES = "the test lists the apps with static files, which include REST framework"
CHECKED = "the test sets MIDDLEWARE without jwtauth's, and does not expect the resulting `jwtauth.E002`"
COOKIES_TOO = "its client of the app API also has jwtauth's cookies, which authenticate the request"
ANOTHER_AUTH = "its view reads `request.auth.key`, which exists only on its own `Token`"
AUTH_TESTS_LEFT_OUT = {"test_hashers"}  # minutes of password hashing


@dataclass(frozen=True)
class Suite:
    """A package, and how to run its tests."""

    name: str
    version: str
    command: tuple[str, ...]  # arguments of run_suite.py, without the tests
    tests: tuple[str, ...] = ()
    needs: tuple[str, ...] = ()  # additional packages to install
    extras: str = ""
    folder: str = "."  # of the source distribution, to start in
    path: tuple[str, ...] = (".",)  # of the source distribution, for imports
    environment: dict[str, str] = field(default_factory=dict)
    files: tuple[tuple[str, str], ...] = ()  # missing files: the file in this repository, and its target
    remark: str = ""  # for the table
    # Patterns of test names whose outcome differs, and the reasons.
    differences: dict[str, str] = field(default_factory=dict)

    @property
    def home(self) -> Path:
        return FOLDER / self.name

    @property
    def python(self) -> str:
        return str(self.home / "venv/bin/python")

    def prepare(self) -> None:
        """Create the environment, unless the requirements are unchanged, and unpack the tests again."""
        wanted = (f"{self.name}{self.extras}=={self.version}", *self.needs, *ALWAYS)
        stamp = self.home / "venv/.installed"
        if not stamp.exists() or stamp.read_text() != "\n".join(wanted):
            run([sys.executable, "-m", "venv", "--clear", str(self.home / "venv")])
            run([self.python, "-m", "pip", "install", "--quiet", "--no-compile", *wanted])
            stamp.write_text("\n".join(wanted))
        sources = self.home / f"sdist-{self.version}"
        if not any(sources.glob("*.tar.gz")):
            download = [self.python, "-m", "pip", "download", "--quiet", "--no-deps", "--no-binary", self.name]
            run([*download, "--dest", str(sources), f"{self.name}=={self.version}"])
        for mode in MODES:
            self.unpack(next(sources.glob("*.tar.gz")), self.home / mode)

    def unpack(self, archive: Path, target: Path) -> None:
        shutil.rmtree(target, ignore_errors=True)
        with tarfile.open(archive) as file:
            file.extractall(target.with_suffix(".new"), filter="data")
        next(target.with_suffix(".new").iterdir()).rename(target)
        target.with_suffix(".new").rmdir()
        for source, place in self.files:
            (target / place).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(SUITE_FILES / source, target / place)
        # Without its own settings, pytest would use those of the surrounding checkout.
        if self.command[0] == "pytest" and not any(configures_pytest(path) for path in target.iterdir()):
            (target / "pytest.ini").write_text("[pytest]\n")

    def run(self, mode: str, tests: tuple[str, ...], log_name: str = "") -> dict[str, str]:
        """Return the outcome of each test by its name; empty after a timeout."""
        root = self.home / mode
        results = self.home / f"{mode}.json"
        results.unlink(missing_ok=True)
        path = [*(str(root / folder) for folder in self.path), *([str(PACKAGE)] if mode == "beside" else [])]
        environment = {**os.environ, **self.environment, "PYTHONPATH": os.pathsep.join(path)}
        environment.pop("DJANGO_SETTINGS_MODULE", None) if "DJANGO_SETTINGS_MODULE" not in self.environment else None
        command = [self.python, str(SUITE_FILES / "run_suite.py"), mode, str(results), *self.command, *tests]
        with (self.home / f"{log_name or mode}.log").open("w") as log:
            try:
                subprocess.run(
                    command, cwd=root / self.folder, env=environment, stdout=log, stderr=log, timeout=LIMIT, check=False
                )
            except subprocess.TimeoutExpired:
                print(f"{self.name}, {mode}: not finished after {LIMIT} s", flush=True)
        return json.loads(results.read_text()) if results.exists() else {}

    def labels(self) -> tuple[str, ...]:
        if self.name != "Django":
            return self.tests
        modules = sorted(path.stem for path in (self.home / "baseline/tests/auth_tests").glob("test_*.py"))
        auth = [f"auth_tests.{module}" for module in modules if module not in AUTH_TESTS_LEFT_OUT]
        return (*auth, *DJANGO_LABELS.split())

    def compare(self) -> dict[str, object]:
        """Run the suite in both modes and return the figures."""
        with ThreadPoolExecutor(len(MODES)) as pool:
            alone, beside = pool.map(lambda mode: self.run(mode, self.labels()), MODES)
        for mode, outcomes in zip(MODES, (alone, beside), strict=True):
            (self.home / f"{mode}.all.json").write_text(json.dumps(outcomes, indent=0))
        different = self.different(alone, beside)
        again = [name for name in map(as_label, different) if name]
        if again and len(again) <= RERUN_AT_MOST:
            second = self.run("beside", tuple(again), "again")
            # A test that passes now failed by chance or load. The run without jwtauth is not repeated: a test by itself
            # may lack the tests that it depends on.
            beside |= {name: second[name] for name in different if second.get(name) == alone.get(name, "")}
        found = self.different(alone, beside)
        return {
            "version": self.version,
            "alone": counts(alone),
            "beside": counts(beside),
            "settled": len(different) - len(found),
            "differences": {name: [alone.get(name, "missing"), beside.get(name, "missing")] for name in found},
        }

    @staticmethod
    def different(alone: dict[str, str], beside: dict[str, str]) -> list[str]:
        return [name for name in {**alone, **beside} if alone.get(name) != beside.get(name)]

    def explanation(self, name: str) -> str:
        return next((why for pattern, why in self.differences.items() if re.search(pattern, name)), "")


def configures_pytest(path: Path) -> bool:
    names = ("pytest.ini", ".pytest.ini", "pytest.toml", "pyproject.toml", "setup.cfg", "tox.ini")
    return path.name in names and re.search(r"^\[(tool[.:])?pytest\b", path.read_text(), re.M) is not None


def as_label(name: str) -> str:
    """Return the label that runs only this test: unittest's names are not all labels."""
    found = re.match(r"(?:setUpClass|tearDownClass) \((.*)\)", name)
    return found[1] if found else "" if "_FailedTest" in name or " (collected)" in name else name


def counts(outcomes: dict[str, str]) -> dict[str, int]:
    return {outcome: sum(one == outcome for one in outcomes.values()) for outcome in OUTCOMES}


def run(command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)}\n{done.stdout[-2000:]}{done.stderr[-2000:]}")


def suites() -> list[Suite]:
    pytest = ("pytest", "-q", "-o", "addopts=", "-p", "no:cacheprovider", "--continue-on-collection-errors")
    return [
        Suite(
            "Django",
            DJANGO,
            ("script", "runtests.py", "--parallel=1"),
            needs=(
                *("argon2-cffi", "bcrypt", "docutils", "jinja2", "Pillow", "PyYAML", "tblib", "tzdata"),
                *("aiosmtpd", "pymemcache"),
            ),
            folder="tests",
            remark="the parts about sessions, login, requests, middleware and the admin",
            differences={
                r"count_queries|test_no_total_count|test_reset_link|_performance$": FEWER_QUERIES,
                r"SignalTestCase\.test_login$": SIGNED_IN_TWICE,
                r"ViewOnSiteTests\.test_contenttype_in_separate_db$": USERS_ELSEWHERE,
            },
        ),
        Suite(
            "djangorestframework",
            DRF,
            (*pytest,),
            ("tests",),
            needs=(
                *PYTEST,
                *("dj-database-url", "django-filter", "django-guardian", "inflection", "markdown", "pygments"),
                *("PyYAML", "requests", "uritemplate", "legacy-cgi"),
            ),
            environment={"PYTHONUTF8": "1"},
            differences={
                r"test_csrf_exempt_by_default$": ANOTHER_AUTH,
                r"test_explicitly_enforce_csrf_checks$": f"{ANOTHER_AUTH}; and jwtauth requires no CSRF token",
            },
        ),
        Suite(
            "django-otp",
            "1.7.5",
            ("module", "django", "test"),
            ("django_otp",),
            needs=("freezegun", "segno", "qrcode"),
            path=("src", "test"),
            environment={"DJANGO_SETTINGS_MODULE": "test_project.settings"},
        ),
        Suite(
            "django-two-factor-auth",
            "1.18.1",
            ("module", "django", "test"),
            ("tests", "two_factor"),
            extras="[webauthn,phonenumbers,yubikey,call]",
            needs=("django-otp==1.7.5", "freezegun"),
            environment={"DJANGO_SETTINGS_MODULE": "tests.settings"},
            files=(
                *((f"two_factor/{name}", f"tests/{name}") for name in ("__init__.py", "settings.py", "utils.py")),
                *(
                    (f"two_factor/{name}", f"tests/{name}")
                    for name in ("urls.py", "urls_admin.py", "urls_otp_admin.py")
                ),
            ),
        ),
        Suite(
            "django-impersonate",
            "1.9.5",
            ("module", "django", "test"),
            ("impersonate",),
            needs=("setuptools<81",),
            environment={"DJANGO_SETTINGS_MODULE": "impersonate_settings"},
            files=(("impersonate_settings.py", "impersonate_settings.py"),),
        ),
        Suite(
            "django-loginas",
            "0.3.14",
            ("module", "django", "test"),
            ("loginas",),
            path=(".", "loginas/tests"),
            environment={"DJANGO_SETTINGS_MODULE": "loginas.tests.settings"},
        ),
        Suite(
            "django-axes",
            "8.3.1",
            (*pytest, "--ds=tests.settings"),
            ("tests",),
            needs=(*PYTEST, "django-ipware"),
        ),
        Suite(
            "django-auditlog",
            "3.4.1",
            ("script", "manage.py", "test"),
            needs=("freezegun", "psycopg[binary]"),
            folder="auditlog_tests",
        ),
        Suite(
            "django-simple-history",
            "3.13.0",
            ("script", "runtests.py"),
        ),
        Suite(
            "django-guardian",
            "3.5.2",
            (*pytest, "--ds=guardian.testapp.testsettings"),
            ("guardian/testapp/tests",),
            needs=(*PYTEST, "django-environ"),
        ),
        Suite(
            "django-debug-toolbar",
            "8.0.0",
            ("module", "django", "test"),
            ("tests",),
            needs=("django-csp", "django-template-partials", "html5lib", "jinja2", "pygments", "whitenoise"),
            environment={"DJANGO_SETTINGS_MODULE": "tests.settings"},
            differences={
                r"StaticFilesPanelTestCase.test_default_case$": STATIC_FILES,
                r"ChecksTestCase.test_check_(good|gzip|missing)": CHECKED,
            },
        ),
        Suite(
            "django-silk",
            "5.6.0",
            (*pytest, "--ds=project.settings"),
            ("tests",),
            needs=(*PYTEST, "factory-boy", "freezegun", "networkx", "pillow", "pydot", "pygments"),
            folder="project",
            path=(".", "project"),
            environment={"DB_ENGINE": "sqlite3", "DB_NAME": ":memory:"},
        ),
        Suite(
            "django-allauth",
            "65.21.1",
            (*pytest, "--ds=tests.projects.regular.settings"),
            ("tests",),
            extras="[headless,socialaccount,mfa,idp-oidc,openid,steam]",
            needs=(*PYTEST, "pytest-asyncio", "Pillow", "PyYAML", "django-ninja"),
            environment={"NEIGHBOURS_JWTAUTH": '{"BEARER_TOKENS": false}'},
            remark="with `BEARER_TOKENS` off, because its own tokens use `Bearer`",
            differences={r"test_session.py::test_app_session_gone$": COOKIES_TOO},
        ),
        Suite(
            "dj-rest-auth",
            "7.2.0",
            ("module", "django", "test", "--testrunner=django.test.runner.DiscoverRunner"),
            ("dj_rest_auth",),
            path=(".", "dj_rest_auth"),
            files=(("dj_rest_auth_urls.py", "urls.py"),),
            extras="[with-social,with-mfa]",
            needs=("djangorestframework-simplejwt==5.5.1", "responses"),
            environment={
                "DJANGO_SETTINGS_MODULE": "dj_rest_auth.tests.settings",
                "NEIGHBOURS_JWTAUTH": '{"BEARER_TOKENS": false}',
            },
            remark="with `BEARER_TOKENS` off, because its own tokens use `Bearer`",
        ),
        Suite(
            "drf-spectacular",
            "0.30.0",
            (*pytest,),
            ("tests", "--ignore=tests/contrib"),
            needs=(*PYTEST,),
            environment={"NEIGHBOURS_NO_AUTHENTICATION": "1"},
            remark="without jwtauth's authentication class, because its stored schemas list the classes",
        ),
        Suite(
            "djangorestframework-simplejwt",
            "5.5.1",
            (*pytest,),
            ("tests",),
            needs=(*PYTEST, "freezegun", "cryptography", "python-jose"),
        ),
        Suite(
            "social-auth-app-django",
            "8.0.0",
            ("module", "django", "test"),
            ("tests",),
            environment={"DJANGO_SETTINGS_MODULE": "tests.settings"},
        ),
        Suite(
            "freezegun",
            "1.5.5",
            (*pytest,),
            ("tests",),
            needs=("pytest==9.2.0",),
            environment={"NEIGHBOURS_NO_DJANGO": "1"},
            remark="jwtauth installed, Django not set up",
        ),
    ]


# Names on the package index.
NOT_RUN = {
    "adrf, channels, django-cors-headers, django-hijack, django-polymorphic, djoser, time-machine": "their source"
    " distributions have no tests",
    "django-oauth-toolkit, django-rest-knox": "their tests need settings that their source distributions lack",
    "opentelemetry-instrumentation-django": "its tests configure a site without apps and databases",
    "sentry-sdk": "the tests of its Django integration that ran fail without jwtauth as well",
    "django-reversion, django-tenants": "their tests need databases other than SQLite",
}


def install_package(wheel: Path) -> None:
    """Unpack the wheel with its metadata, through which pytest finds the plugin."""
    digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
    stamp = PACKAGE / ".installed"
    if stamp.exists() and stamp.read_text() == digest:
        return
    shutil.rmtree(PACKAGE, ignore_errors=True)
    run([sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(PACKAGE), str(wheel)])
    stamp.write_text(digest)


def read_figures() -> dict:
    return json.loads(FIGURES.read_text()) if FIGURES.exists() else {"suites": {}}


def main(wheel: Path, names: list[str]) -> int:
    known = {suite.name: suite for suite in suites()}
    if unknown := set(names) - set(known):
        print(f"Unknown: {', '.join(sorted(unknown))}. Known: {' '.join(known)}")
        return 2
    FOLDER.mkdir(parents=True, exist_ok=True)
    install_package(wheel)
    versions = {"python": platform.python_version(), "django": DJANGO, "drf": DRF}
    for name in names or list(known):
        suite = known[name]
        try:
            suite.prepare()
        except RuntimeError as error:
            print(f"{name}: cannot be prepared: {error}", flush=True)
            continue
        result = suite.compare()
        figures = read_figures() | versions
        figures["suites"][name] = result
        print(f"{name}: {cell(result['alone'])} | {cell(result['beside'])}", flush=True)
        for test, (alone, beside) in result["differences"].items():
            print(f"    {test}: {alone}, beside {beside}: {suite.explanation(test) or 'UNEXPLAINED'}", flush=True)
        FIGURES.write_text(json.dumps(figures, indent=1, sort_keys=True) + "\n")
    return write_table(read_figures() | versions, list(known.values()))


def write_table(figures: dict, wanted: list[Suite]) -> int:
    """Write the table, and report everything that makes it unreliable."""
    problems, notes = [], []
    lines = [
        "<!-- Written by `make neighbours`. -->",
        "",
        f"CPython {figures['python']}, Django {figures['django']}, Django REST framework {figures['drf']}, SQLite.",
        "",
        "| Package | Version | Its tests | Alone | Beside jwtauth | Differences |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for suite in wanted:
        result = figures["suites"].get(suite.name)
        if result is None or not sum(result["alone"].values()) or not sum(result["beside"].values()):
            problems.append(f"{suite.name}: no result")
            lines.append(f"| {suite.name} | {suite.version} | – | not run | not run | – |")
            continue
        differences = result["differences"]
        unexplained = [name for name in differences if not suite.explanation(name)]
        problems += [f"{suite.name}: {name}: unexplained" for name in unexplained]
        problems += [
            f"{suite.name}: {pattern!r} matches no difference"
            for pattern in suite.differences
            if not any(suite.explanation(name) and re.search(pattern, name) for name in differences)
        ]
        count = (
            f"{len(differences)}, **{len(unexplained)} unexplained**"
            if unexplained
            else str(len(differences) or "none")
        )
        total = sum(result["alone"].values())
        row = [suite.name, result["version"], str(total), cell(result["alone"]), cell(result["beside"]), count]
        lines.append(f"| {' | '.join(row)} |")
        if suite.remark:
            notes.append(f"- {suite.name}: {suite.remark}.")
        for why in dict.fromkeys(suite.explanation(name) for name in differences):
            found = sum(suite.explanation(name) == why for name in differences)
            notes.append(f"- {suite.name}, {found} of the differences: {why or '**unexplained**'}.")
    lines += ["", *notes, "", "Not run:", "", *(f"- {name}: {why}." for name, why in NOT_RUN.items()), ""]
    TABLE.write_text("\n".join(lines))
    print(TABLE.read_text())
    for problem in problems:
        print(problem)
    return int(bool(problems))


def cell(figures: dict[str, int]) -> str:
    return ", ".join(f"{figures[outcome]} {outcome}" for outcome in OUTCOMES if figures[outcome]) or "nothing"


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), sys.argv[2:]))
