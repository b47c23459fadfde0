"""The workflows of .github/, and the files beside them. `make lint` runs actionlint and zizmor over them."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[1]
GITHUB = ROOT / ".github"
WORKFLOWS = sorted(GITHUB.glob("workflows/*"))
MAKEFILE = (ROOT / "Makefile").read_text()
# Each grants the jobs that use it the rights of the project at an index or at GitHub.
PUBLISHING = ("pypa/gh-action-pypi-publish", "rust-lang/crates-io-auth-action")


def read(path):
    return yaml.load(path.read_text(), Loader=yaml.BaseLoader)  # every value stays a string


def jobs():
    return [
        pytest.param(job, id=f"{path.stem}: {name}") for path in WORKFLOWS for name, job in read(path)["jobs"].items()
    ]


def commands(path):
    """Return what the steps of this workflow run."""
    return [step.get("run", "") for job in read(path)["jobs"].values() for step in job.get("steps", [])]


def uses(job):
    return [step for step in job.get("steps", []) if "uses" in step]


def test_every_action_is_pinned_by_the_hash_of_one_version():
    pins = {}
    for path in WORKFLOWS:
        for line in re.findall(r"^ *(?:- )?uses: *(.+)$", path.read_text(), re.M):
            if line.startswith("$/"):  # a workflow of this repository, at the same commit
                assert (ROOT / line.removeprefix("$/")).is_file()
                continue
            pin = re.fullmatch(r"([\w./-]+)@([0-9a-f]{40}) # (v\d+\.\d+\.\d+)", line)
            assert pin, f"{path.name}: {line}"
            repository = "/".join(pin[1].split("/")[:2])
            assert pins.setdefault(repository, pin.groups()[1:]) == pin.groups()[1:], f"{repository} has two versions"
    assert "actions/checkout" in pins


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_workflow_has_no_permission_that_its_jobs_do_not_ask_for(path):
    workflow = read(path)
    assert workflow["permissions"] == {}
    for name, job in workflow["jobs"].items():
        assert "permissions" in job, name
        granted = {scope for scope, right in job["permissions"].items() if right == "write"}
        wanted = {
            "attestations": uses_any(job, "actions/attest"),
            "contents": "gh release create" in str(job),
            "id-token": uses_any(job, "actions/attest", *PUBLISHING),
            "security-events": uses_any(job, "github/codeql-action/analyze"),
        }
        assert granted == {scope for scope, is_wanted in wanted.items() if is_wanted}, name


def uses_any(job, *actions):
    return any(step["uses"].split("@")[0] in actions for step in uses(job))


@pytest.mark.parametrize("job", jobs())
def test_job_ends_in_time_and_leaves_no_token_in_the_checkout(job):
    assert "uses" in job or 0 < int(job["timeout-minutes"]) <= 90
    for step in uses(job):
        if step["uses"].startswith("actions/checkout@"):
            assert step["with"]["persist-credentials"] == "false"


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_newer_run_never_cancels_an_upload(path):
    concurrency = read(path)["concurrency"]
    assert concurrency["group"]
    publishes = any(uses_any(job, *PUBLISHING) for job in read(path)["jobs"].values())
    assert (concurrency["cancel-in-progress"] == "false") == publishes


def test_job_that_publishes_runs_after_the_checks_and_waits_for_approval():
    release = read(GITHUB / "workflows/release.yml")
    assert release["on"] == {"push": {"tags": ["v*"]}}
    publishing = {name for name, job in release["jobs"].items() if uses_any(job, *PUBLISHING)}
    assert publishing == {"pypi", "crates-io"}
    for name in publishing:
        assert release["jobs"][name]["environment"]["name"] == name
        assert {"checks", "wheels", "crates"} <= before(release["jobs"], name)
    other = [path for path in WORKFLOWS if path.name != "release.yml"]
    assert not [path for path in other for job in read(path)["jobs"].values() if uses_any(job, *PUBLISHING)]
    assert not [path for path in WORKFLOWS if "secrets." in path.read_text()]


def before(found, name):
    """Return the names of the jobs that succeed before this one starts."""
    needs = found[name].get("needs", [])
    names = {needs} if isinstance(needs, str) else set(needs)
    return names.union(*(before(found, needed) for needed in names))


def test_every_target_and_script_that_a_workflow_runs_exists():
    found = {
        target for path in WORKFLOWS for text in commands(path) for target in re.findall(r"\bmake ([a-z-]+)", text)
    }
    assert {"docs", "matrix", "package", "rebuild", "wheels"} <= found
    assert [target for target in found if not re.search(rf"^(?:[a-z-]+ )*{target}(?: [a-z-]+)*:", MAKEFILE, re.M)] == []
    scripts = {name for path in WORKFLOWS for text in commands(path) for name in re.findall(r"\S+/\S+\.py", text)}
    assert scripts
    assert [name for name in scripts if not (ROOT / name).is_file()] == []


def test_checks_run_every_step_of_make_test_once():
    job = read(GITHUB / "workflows/checks.yml")["jobs"]["test"]
    assert ".ci/run" in job["steps"][-1]["run"]
    named = " ".join(job["strategy"]["matrix"]["steps"]).split()
    # The job `matrix` runs all pairs of versions, and the step only the oldest and the newest.
    done = subprocess.run([sys.executable, "scripts/test.py", "?"], cwd=ROOT, capture_output=True, text=True)
    assert sorted([*named, "matrix"]) == sorted(re.search(r"The steps are (.+)\.", done.stderr)[1].split())


def test_dependabot_waits_a_week_and_sees_every_lock_file():
    updates = read(GITHUB / "dependabot.yml")["updates"]
    assert [update for update in updates if int(update["cooldown"]["default-days"]) < 7] == []
    seen = {
        (update["package-ecosystem"], directory)
        for update in updates
        for directory in update.get("directories") or [update["directory"]]
    }
    names = subprocess.check_output(["git", "ls-files"], cwd=ROOT, text=True).splitlines()
    kinds = {"Cargo.lock": "cargo", "package-lock.json": "npm"}
    locks = [Path("/", name) for name in names if Path(name).name in kinds]
    assert locks
    assert {(kinds[lock.name], str(lock.parent)) for lock in locks} <= seen
    assert {("github-actions", "/"), ("pip", "/requirements")} <= seen


def test_hooks_run_the_programs_that_make_lint_installs():
    hooks = [hook for repo in read(ROOT / ".pre-commit-config.yaml")["repos"] for hook in repo["hooks"]]
    assert {hook["language"] for hook in hooks} == {"system"}
    lint = MAKEFILE.split("\nlint:")[1].split("\n\n")[0].replace("$(BIN)", ".venv/bin")
    for hook in hooks:
        words = hook["entry"].replace(" --force-exclude", "")
        assert f"\t{words}" in lint, hook["id"]


def test_git_keeps_every_byte_of_vectors_and_seeds():
    names = subprocess.check_output(["git", "ls-files", "-z", "testdata", "fuzz/corpus"], cwd=ROOT)
    command = ["git", "check-attr", "-z", "--stdin", "text"]
    answers = subprocess.check_output(command, cwd=ROOT, input=names).split(b"\0")[2::3]
    assert len(answers) == names.count(b"\0") > 0
    assert set(answers) == {b"unset"}


@pytest.mark.parametrize("path", sorted(GITHUB.glob("ISSUE_TEMPLATE/*")), ids=lambda path: path.stem)
def test_links_of_issue_forms_lead_to_files_of_the_repository(path):
    [repository] = re.findall(r'^Repository = "(.+)"$', (ROOT / "pyproject.toml").read_text(), re.M)
    links = re.findall(r"https://[^\s)]+", path.read_text())
    for link in links:
        assert link.startswith(repository)
        if "/blob/main/" in link:
            assert (ROOT / link.split("/blob/main/")[1]).is_file()
    assert links or path.stem == "feature"
