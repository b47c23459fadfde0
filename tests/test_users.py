"""User models with other keys or without a password, and databases behind a router, each in its own project."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from django.contrib.auth import get_user_model

HERE = Path(__file__).resolve().parent


@pytest.mark.parametrize("model", ["UuidUser", "TextUser", "PlainUser", "MemberUser"])
def test_login_refresh_and_logout_work_with_other_user_models(model, tmp_path):
    run("--user", model, tmp_path)


def test_sessions_and_users_in_another_database_use_no_replica(tmp_path):
    run("--router", "primary", tmp_path)


def run(option, value, tmp_path):
    command = [sys.executable, "-W", "error", "-m", "tests.project_of_others", option, value, str(tmp_path)]
    done = subprocess.run(command, cwd=HERE.parent, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.strip() == "signed in, refreshed, acknowledged, signed out"


def test_auth_hashes_of_the_engine_s_tests_equal_django_s(settings):
    vectors = json.loads((HERE.parent / "testdata/auth-hash.json").read_text())
    assert len(vectors) > 3
    for vector in vectors:
        settings.SECRET_KEY = vector["secret_key"]
        assert get_user_model()(password=vector["password"]).get_session_auth_hash() == vector["hash"]
