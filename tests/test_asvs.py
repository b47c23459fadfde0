"""The page about OWASP ASVS 5.0 has every requirement of its three chapters, and each test that it names exists."""

import ast
import re
from collections import Counter
from pathlib import Path

import django.conf.global_settings
import pytest

from jwtauth import conf

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs/reference/asvs.md").read_text()
REPOSITORY = "https://github.com/lorenzocelli/jwtauth/blob/main/"

# The requirements of ASVS 5.0.0, chapters V3, V7 and V9, by level. 3.4.3 asks for more at level 3.
LEVELS = {
    "1": """
3.2.1 3.2.2 3.3.1 3.4.1 3.4.2 3.5.1 3.5.2 3.5.3
7.2.1 7.2.2 7.2.3 7.2.4 7.4.1 7.4.2
9.1.1 9.1.2 9.1.3 9.2.1
""",
    "2": """
3.3.2 3.3.3 3.3.4 3.4.3 3.4.4 3.4.5 3.4.6 3.5.4 3.5.5 3.7.1 3.7.2
7.1.1 7.1.2 7.1.3 7.3.1 7.3.2 7.4.3 7.4.4 7.4.5 7.5.1 7.5.2 7.6.1 7.6.2
9.2.2 9.2.3 9.2.4
""",
    "3": "3.1.1 3.2.3 3.3.5 3.4.3 3.4.7 3.4.8 3.5.6 3.5.7 3.5.8 3.6.1 3.7.3 3.7.4 3.7.5 7.5.3",
}

ANSWER = re.compile(r"met by default|met by a setting: `\w+`(?:, `\w+`)*|the project's")
# Settings of Django that only newer versions have.
OF_NEW_DJANGO = {"SECURE_CSP"}

ROWS = [line.strip("| ").split(" | ") for line in PAGE.splitlines() if re.match(r"\| \d\.\d\.\d \|", line)]
TABLE = [row for row in ROWS if len(row) == 5]
LINK = re.compile(r"\[`(\w+)`\]\[(\w+)\]")
FILES = dict(re.findall(rf"^\[(\w+)\]: {re.escape(REPOSITORY)}(\S+)$", PAGE, re.M))


def functions(path):
    """Return the names of the functions in a file of Python or Rust."""
    text = (ROOT / path).read_text()
    if path.endswith(".rs"):
        return set(re.findall(r"^\s*(?:async )?fn (\w+)\(", text, re.M))
    return {
        node.name for node in ast.walk(ast.parse(text)) if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))
    }


def test_each_requirement_of_levels_1_and_2_has_one_row_with_its_level():
    expected = Counter((number, level) for level in ("1", "2") for number in LEVELS[level].split())
    assert len(expected) == 44
    assert Counter((number, level) for number, level, *_ in TABLE) == expected


def test_each_requirement_of_level_3_has_one_row_in_its_section():
    section = PAGE.partition("\n## Level 3\n")[2]
    assert Counter(re.findall(r"^\| (\d\.\d\.\d) \|", section, re.M)) == Counter(LEVELS["3"].split())
    assert len(ROWS) == len(TABLE) + len(LEVELS["3"].split())


@pytest.mark.parametrize("row", TABLE, ids=lambda row: row[0])
def test_each_row_has_an_answer_and_each_met_row_names_a_test(row):
    _, _, requirement, answer, how = row
    assert requirement.endswith(".")
    assert how
    assert ANSWER.fullmatch(answer)
    assert answer == "the project's" or LINK.search(how)


def test_each_test_that_the_page_names_exists():
    named = LINK.findall(PAGE)
    assert len(named) > 50
    found = {reference: functions(path) for reference, path in FILES.items()}
    assert [(name, file) for name, file in named if name not in found[file]] == []
    assert {file for _, file in named} == set(FILES)


def test_each_test_that_the_page_names_is_a_test():
    for name, reference in LINK.findall(PAGE):
        path = FILES[reference]
        if path.endswith(".rs"):
            assert re.search(rf"#\[(?:tokio::)?test\]\n\s*(?:async )?fn {name}\(", (ROOT / path).read_text()), name
        else:
            assert name.startswith("test_"), name


def test_each_setting_that_the_page_names_exists():
    code = re.findall(r"`([A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+|POLICY|LEEWAY|AUDIENCE|ALGORITHM)`", PAGE)
    known = {*conf.SETTINGS, *vars(django.conf.global_settings), *OF_NEW_DJANGO}
    assert [name for name in code if name not in known] == []
    chosen = re.findall(r"`(\w+)`", " ".join(row[3] for row in TABLE))
    assert chosen
    assert [name for name in chosen if name not in conf.SETTINGS] == []


def test_the_settings_for_each_level_are_those_of_its_rows():
    [(_, first), (_, second)] = [
        line.strip("| ").split(" | ") for line in PAGE.splitlines() if re.match(r"\| [12] \|", line)
    ]
    of_level = {
        level: {name for row in TABLE if row[1] == level for name in re.findall(r"`(\w+)`", row[3])}
        for level in ("1", "2")
    }
    assert set(re.findall(r"`(\w+)`", first)) == of_level["1"]
    assert set(re.findall(r"`(\w+)`", second)) == of_level["2"] - of_level["1"]
