"""The documentation is complete, and what it points at is there."""

import ast
import re
from pathlib import Path
from textwrap import dedent

import pytest
import requests
from django.core.exceptions import PermissionDenied
from django.dispatch import Signal

from jwtauth import conf, exceptions, signals, urls
from jwtauth.models import Session, SessionQuerySet
from tests.conftest import only_session

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PACKAGE = ROOT / "python/jwtauth"
SOURCE = "".join(path.read_text() for path in PACKAGE.rglob("*.py"))
REPOSITORY = "https://github.com/lorenzocelli/jwtauth/blob/main/"
IMAGES = "https://raw.githubusercontent.com/lorenzocelli/jwtauth/main/"
PAGES = [ROOT / "README.md", *(page for page in DOCS.rglob("*.md") if "_build" not in page.parts)]


def text(name):
    return (DOCS / name).read_text()


def not_in(names, page):
    """Those that the page does not show as code."""
    shown = " ".join(re.findall(r"`([^`]+)`", re.sub(r"^```.*?^```", "", text(page), flags=re.M | re.S)))
    return [name for name in names if not re.search(rf"(?<![\w-]){re.escape(name)}(?![\w-])", shown)]


def test_the_reference_has_every_setting():
    assert not_in(conf.SETTINGS, "reference/settings.md") == []


def test_the_reference_has_every_check():
    ids = set(re.findall(r'"jwtauth\.([EW]\d{3})"', SOURCE))
    assert set(re.findall(r"jwtauth\.([EW]\d{3})", text("reference/checks.md"))) == ids


def test_the_reference_has_every_view():
    assert not_in([f"jwtauth:{pattern.name}" for pattern in urls.urlpatterns], "guides/views.md") == []


def test_the_reference_has_every_signal():
    names = [name for name, value in vars(signals).items() if isinstance(value, Signal)]
    assert len(names) == 10
    assert not_in(names, "reference/api.md") == []


def test_the_reference_has_every_command():
    commands = [path.stem for path in (PACKAGE / "management/commands").glob("jwtauth_*.py")]
    assert len(commands) == 9
    assert not_in(commands, "reference/api.md") == []


def test_the_reference_has_every_exception():
    errors = [
        name
        for name, value in vars(exceptions).items()
        if isinstance(value, type) and value.__module__[:7] == "jwtauth"
    ]
    assert "SessionContention" in errors
    assert [name for name in errors if name not in text("reference/api.md")] == []
    assert issubclass(exceptions.SessionLimitReached, PermissionDenied)


def test_the_reference_has_every_code_of_an_answer():
    codes = {"token_not_valid", "session_contention", "session_limit", *re.findall(r'"code": "(\w+)"', SOURCE)}
    codes |= set(re.findall(r'default_code = "(\w+)"', SOURCE))
    both = text("reference/api.md") + text("guides/views.md")
    assert [code for code in sorted(codes) if f"`{code}`" not in both] == []


def test_the_reference_has_every_code_of_the_engine():
    rust = "".join(path.read_text() for path in (ROOT / "crates/jwtauth/src").rglob("*.rs"))
    codes = re.findall(r'^ +Self::.+ => "([a-z_]+)",$', rust, re.M)
    assert {"token_expired", "refresh_token_reused", "cookie_scope_invalid"} < set(codes)
    both = text("reference/api.md") + text("concepts/sessions-and-rotation.md")
    assert [code for code in codes if f"`{code}`" not in both] == []


def test_the_reference_has_every_event():
    events = {"generation_adopted", "generation_ahead", "refresh_token_reused"}
    events |= set(re.findall(r'"event": "(\w+)"', SOURCE)) | set(re.findall(r'log_event\("(\w+)"', SOURCE))
    assert "session_started" in events
    assert not_in(sorted(events), "reference/api.md") == []


def test_the_reference_has_every_method_of_the_manager():
    methods = [name for name, value in vars(SessionQuerySet).items() if callable(value) and not name.startswith("_")]
    assert [name for name in methods if f"{name}(" not in text("reference/api.md")] == []


def test_the_reference_has_every_name_of_the_axum_crate():
    exports = re.findall(
        r"^pub use (?:\w+::)*(?:\{(.+?)\}|(\w+));", (ROOT / "crates/jwtauth-axum/src/lib.rs").read_text(), re.M
    )
    names = [name for several, one in exports for name in (one or several).split(", ")]
    assert {"Auth", "LimitPolicy", "sqlx"} < set(names)
    assert not_in(names, "reference/rust.md") == []


def test_every_test_that_the_comparison_names_is_there():
    named = re.findall(r"blob/main/(\S+)", text("compare.md"))
    assert len(named) > 5
    assert [path for path in named if not (ROOT / path.partition("#")[0]).is_file()] == []


def test_every_claim_about_jwtauth_in_the_comparison_has_a_link():
    rows = [
        line.split(" | ") for line in text("compare.md").splitlines() if line.startswith("| ") and "---" not in line
    ]
    claims = {row[0]: row[1] for row in rows if row[1] != "this package"}
    assert len(claims) > 30
    assert [name for name, claim in claims.items() if not re.search(r"\]\(|\]\[", claim)] == []


def anchors(page):
    """Return the anchors that a code host gives to the headings of this page."""
    headings = re.findall(r"^#+ (.+)$", re.sub(r"^```.*?^```", "", page.read_text(), flags=re.M | re.S), re.M)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_every_link_of_the_readme_is_absolute_and_leads_to_a_file_and_a_heading():
    readme = (ROOT / "README.md").read_text()
    targets = re.findall(r"\]\(([^)]+)\)", readme) + re.findall(r"^\[[^\]]+\]: (\S+)$", readme, re.M)
    assert len(targets) > 20
    assert [target for target in targets if not target.startswith((REPOSITORY, IMAGES))] == []
    for target in targets:
        path, _, anchor = target.removeprefix(REPOSITORY).removeprefix(IMAGES).partition("#")
        assert (ROOT / path).is_file(), target
        assert not anchor or anchor in anchors(ROOT / path), target


@pytest.mark.parametrize(
    "name",
    ["CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md", "docs/glossary.md", "docs/index.md", "examples/site/README.md"],
)
def test_every_link_of_the_entrance_leads_to_a_file_and_a_heading(name):
    page = ROOT / name
    links = [link for link in re.findall(r"\]\(([^)\s]+)\)", page.read_text()) if not link.startswith("https://")]
    assert links
    for link in links:
        path, _, anchor = link.partition("#")
        target = page.parent / path if path else page
        assert target.exists(), link
        assert not anchor or anchor in anchors(target), link


def test_every_reference_of_the_readme_is_defined_and_used():
    text, _, definitions = (ROOT / "README.md").read_text().partition("[changelog]: ")
    text = re.sub(r"^```.*?^```", "", text, flags=re.M | re.S)
    used = {(given or shown).lower() for shown, given in re.findall(r"\[([^\]]+)\](?:\[([^\]]+)\])?", text)}
    assert used == {"changelog", *(name.lower() for name in re.findall(r"^\[([^\]]+)\]: ", definitions, re.M))}


def test_the_readme_names_the_rust_of_the_manifests():
    readme = (ROOT / "README.md").read_text()
    for manifest, sentence in {
        "Cargo.toml": r"install from a checkout, with Rust\s+{}",
        "examples/service/Cargo.toml": r"Both need Rust\s+{}",
    }.items():
        version = re.search(r'^rust-version = "(.+)"$', (ROOT / manifest).read_text(), re.M)[1]
        assert re.search(sentence.format(re.escape(version)), readme)


def test_the_index_lists_every_page_and_links_to_it():
    index = text("index.md")
    trees = re.findall(r"^```\{toctree\}\n(?::[^\n]+\n)*\n(.*?)^```$", index, re.M | re.S)
    listed = [f"{name}.md" for tree in trees for name in tree.split()]
    pages = {str(page.relative_to(DOCS)) for page in PAGES if page.is_relative_to(DOCS)}
    included = {"index.md"} | {name for name in pages if name.endswith("-table.md")}
    assert sorted(listed) == sorted(pages - included)
    assert sorted(re.findall(r"\]\(([\w./-]+\.md)\)", index.partition("## Guides")[2])) == sorted(listed)


def test_the_glossary_has_every_house_term():
    assert {"generation", "acknowledged", "grace", "adopt", "upload", "move-in"} < anchors(DOCS / "glossary.md")


def test_the_example_of_the_glossary_happens_as_written(browser, ada, clock, thefts, security_log):
    given, backup, start = {}, {}, clock.now

    def login():
        browser.sign_in(ada)
        given[1] = browser.tokens()

    def ask(generation, method="get", url="/me/", **sent):
        """Return the status of a request with these tokens, and the cookies that its answer sets."""
        browser.carry(given[generation])
        response = getattr(browser, method)(url, **sent)
        if "refresh_token" in response.cookies:
            first = given.setdefault(only_session().generation, browser.tokens())
            assert browser.token("refresh_token") == first["refresh_token"]
        return response.status_code, sorted(response.cookies)

    def upload():
        backup.update(Session.objects.values("generation", "acknowledged_at", "rotated_at").get())
        return ask(1, "post", "/upload/", data=b"x" * 70_000, content_type="application/octet-stream")

    both = (200, ["access_token", "refresh_token"])
    steps = {
        "12:00:00": (login, None),
        "12:05:00": (lambda: None, None),
        "12:07:00": (lambda: [ask(1) for _ in range(3)], [both] * 3),
        "12:07:10": (lambda: ask(2), (200, [])),
        "12:07:20": (lambda: ask(1), both),
        "12:15:00": (upload, (200, [])),
        "12:16:00": (lambda: ask(2), both),
        "12:16:05": (lambda: ask(3), (200, [])),
        "12:20:00": (lambda: Session.objects.update(**backup), 1),
        "12:22:00": (lambda: ask(3), (200, ["access_token"])),
        "12:25:00": (lambda: ask(1), (403, [])),
    }
    rows = [line.strip("| ").split(" | ") for line in text("glossary.md").splitlines() if line.startswith("| 12:")]
    assert [row[0] for row in rows] == list(steps)
    for at, *_, generation in rows:
        hours, minutes, seconds = map(int, at.split(":"))
        clock.now = start + (hours - 12) * 3600 + minutes * 60 + seconds
        act, expected = steps[at]
        assert act() == expected, at
        session = Session.objects.first()
        acknowledged = ", acknowledged" if session and session.acknowledged_at else ""
        assert generation == (f"{session.generation}{acknowledged}" if session else "none"), at
    assert [record.event for record in security_log()] == ["generation_adopted", "refresh_token_reused"]
    assert len(thefts) == 1


def test_contributing_has_every_command_of_make_help():
    commands = re.findall(r"@echo 'make (\w+)", (ROOT / "Makefile").read_text())
    assert {"run", "test", "lint"} < set(commands)
    contributing = (ROOT / "CONTRIBUTING.md").read_text()
    assert [command for command in commands if not re.search(rf"^\| `make {command}\b", contributing, re.M)] == []


def test_the_test_that_contributing_shows_passes(signed_in, clock):
    (example,) = re.findall(r"^  ```python\n(.*?)^  ```", (ROOT / "CONTRIBUTING.md").read_text(), re.M | re.S)
    shown = {}
    exec(dedent(example), shown)
    shown["test_expired_access_token_is_refreshed_in_the_same_request"](signed_in, clock)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_examples_in_python_are_python(page):
    for example in re.findall(r"^```python\n(.*?)^```", page.read_text(), re.M | re.S):
        ast.parse(example)


def test_the_client_of_the_guide_for_apps_works(demo):
    example = re.findall(r"^```python\n(.*?)^```", text("guides/mobile.md"), re.M | re.S)[1]
    code = example.replace("https://api.example.com", demo.url).replace(
        '"password": "..."', '"password": "ada-demo-pass"'
    )
    app = {}
    exec(code, app)
    assert app["call"]("GET", "/auth/me/").json()["user"]["username"] == "ada"

    bad = app["pair"]["access"][:-4] + "AAAA"
    app["pair"]["access"] = bad
    assert app["call"]("GET", "/auth/me/").status_code == 200
    assert app["pair"]["access"] != bad

    assert requests.post(f"{demo.url}/auth/token/revoke/", json={"token": app["pair"]["refresh"]}).status_code == 200
    with pytest.raises(PermissionError):
        app["call"]("GET", "/auth/me/")


def test_the_recipes_for_render_servers_are_those_that_are_tested():
    blocks = re.findall(r"```js\n(.*?)```", text("guides/server-rendering.md"), re.S)
    files = sorted((ROOT / "examples/rendering").rglob("*.*js"))
    assert len(files) == 7
    assert sorted(blocks) == sorted(path.read_text() for path in files)
