"""User models with other keys or without a password, databases behind a router: each a project of its own."""

import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent


@pytest.mark.parametrize("model", ["UuidUser", "TextUser", "PlainUser", "MemberUser"])
def test_any_user_model_signs_in_refreshes_and_signs_out(model, tmp_path):
    run("--user", model, tmp_path)


def test_sessions_and_users_may_live_in_another_database_and_no_replica_is_asked(tmp_path):
    run("--router", "primary", tmp_path)


def run(option, value, tmp_path):
    command = [sys.executable, "-W", "error", "-m", "tests.project_of_others", option, value, str(tmp_path)]
    done = subprocess.run(command, cwd=HERE.parent, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.strip() == "signed in, refreshed, acknowledged, signed out"
