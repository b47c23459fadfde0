"""User models with other keys or without a password, databases behind a router: each a project of its own."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from django.contrib.auth import get_user_model

HERE = Path(__file__).resolve().parent


@pytest.mark.parametrize("model", ["UuidUser", "TextUser", "PlainUser", "MemberUser"])
def test_any_user_model_signs_in_refreshes_and_signs_out(model, tmp_path):
    run("--user", model, tmp_path)


def test_sessions_and_users_may_live_in_another_database_and_no_replica_is_asked(tmp_path):
    run("--router", "primary", tmp_path)


def run(option, value, tmp_path):
    command = [sys.executable, "-W", "error", "-m", "tests.project_of_others", option, value, str(tmp_path)]
    done = subprocess.run(command, cwd=HERE.parent, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.strip() == "signed in, refreshed, acknowledged, signed out"


def test_django_makes_the_auth_hashes_that_the_engine_is_tested_with(settings):
    vectors = json.loads((HERE.parent / "testdata/auth-hash.json").read_text())
    assert len(vectors) > 3
    for vector in vectors:
        settings.SECRET_KEY = vector["secret_key"]
        assert get_user_model()(password=vector["password"]).get_session_auth_hash() == vector["hash"]
