"""The translations: complete, compiled, and sent to clients."""

import gettext
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from django.test import override_settings
from django.utils import translation

PACKAGE = Path(__file__).parents[1] / "python/jwtauth"
LANGUAGES = sorted(folder.name for folder in (PACKAGE / "locale").iterdir())
CATALOGUE = "LC_MESSAGES/django"


def messages(path):
    """Return the texts of a compiled catalogue, without its header."""
    with path.open("rb") as file:
        catalogue = gettext.GNUTranslations(file)._catalog
    return {key: text for key, text in catalogue.items() if key}


def test_the_promised_languages_are_there():
    promised = ["ar", "de", "es", "fr", "it", "ja", "ko", "nl", "pl", "pt_BR", "ru", "tr", "uk", "zh_Hans"]
    assert promised == LANGUAGES


@pytest.fixture(scope="module")
def updated(tmp_path_factory):
    """A copy of the package whose catalogues have what the sources say now."""
    if not shutil.which("msgfmt"):
        pytest.skip("gettext is not installed: apt install gettext")
    copy = tmp_path_factory.mktemp("locale") / "jwtauth"
    shutil.copytree(PACKAGE, copy, ignore=shutil.ignore_patterns("*.so", "__pycache__", "*.mo"))
    command = [sys.executable, "-m", "django", "makemessages", "--all", "--no-obsolete", "--add-location=file"]
    environment = {name: value for name, value in os.environ.items() if name != "DJANGO_SETTINGS_MODULE"}
    subprocess.run(command, cwd=copy, env=environment, check=True, capture_output=True)
    return copy


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_text_is_translated(updated, language):
    catalogue = updated / "locale" / language / CATALOGUE
    command = ["msgfmt", "--check-format", "--statistics", "-o", f"{catalogue}.mo", f"{catalogue}.po"]
    done = subprocess.run(command, capture_output=True, text=True, env=os.environ | {"LC_ALL": "C"})
    assert re.fullmatch(r"\d+ translated messages\.\n", done.stderr), done.stderr
    committed = PACKAGE / "locale" / language / f"{CATALOGUE}.mo"
    assert messages(committed) == messages(Path(f"{catalogue}.mo")), "run django-admin compilemessages"


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_client_reads_the_refusal_in_its_language(client, db, language):
    code = translation.to_language(language)
    # The middleware leaves the language active in this thread.
    with translation.override("en"), override_settings(MIDDLEWARE=["django.middleware.locale.LocaleMiddleware"]):
        refused = client.post(
            "/auth/login/",
            {"username": "ada", "password": "wrong"},
            content_type="application/json",
            headers={"accept-language": code},
        )
    english = "No active account found with the given credentials."
    assert refused.json()["code"] == "no_active_account"
    assert refused.json()["detail"] == messages(PACKAGE / "locale" / language / f"{CATALOGUE}.mo")[english]
    assert refused.json()["detail"] != english


@pytest.mark.parametrize(("language", "forms"), [("de", 2), ("pl", 4), ("ru", 4), ("ar", 6), ("ja", 1)])
def test_a_number_has_the_plural_forms_of_its_language(language, forms):
    texts = messages(PACKAGE / "locale" / language / f"{CATALOGUE}.mo")
    singular = "Ended %(count)d session."
    assert [number for text, number in (key for key in texts if isinstance(key, tuple)) if text == singular] == [
        *range(forms)
    ]


def test_a_command_counts_in_the_language_of_its_caller():
    with translation.override("de"):
        one, two = (
            translation.ngettext("Ended %(count)d session.", "Ended %(count)d sessions.", count) % {"count": count}
            for count in (1, 2)
        )
    assert "1 Sitzung " in one
    assert "2 Sitzungen " in two
