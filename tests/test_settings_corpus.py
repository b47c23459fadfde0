"""Values of settings that the Django app and the Rust service both accept or refuse (testdata/settings.json)."""

import json
from pathlib import Path

import pytest
from django.test import override_settings

from jwtauth import conf

CORPUS = json.loads((Path(__file__).parent.parent / "testdata" / "settings.json").read_text())["settings"]
SECRET = "a secret of the tests, long enough for each of the hashes that JWS has in RFC 7518"
ROWS = [(name, value, kind) for name, values in CORPUS.items() for kind in ("good", "bad") for value in values[kind]]


def problems(name, value):
    with override_settings(JWTAUTH={name: value}, SECRET_KEY=SECRET, SECRET_KEY_FALLBACKS=[], DEBUG=False):
        return conf.problems()


@pytest.mark.parametrize(("name", "value", "kind"), ROWS)
def test_django_accepts_or_refuses_the_same_values_as_rust(name, value, kind):
    assert bool(problems(name, value)) is (kind == "bad")


def test_every_setting_that_rust_has_is_in_the_corpus():
    assert set(CORPUS) == {name for name, setting in conf.SETTINGS.items() if setting.rust}
