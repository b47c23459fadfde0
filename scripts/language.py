"""Report words and phrases that the language rules of CONTRIBUTING.md exclude.

    python scripts/language.py [FILE ...]

Reads every text file that git tracks, or only the files given. Exits with status 1 if it finds one.
"""

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

# What is not written, and what to write instead.
EXCLUDED = {
    r"nobody|nobody's|somebody|somebody's|someone|anybody|whoever|whosoever": "the user, the client, no request ...",
    r"persons?|people|person's|people's": "user, users",
    r"ours|theirs|one's": "jwtauth's, the other package's, the user's",
    r"(?<!there )(?:is|are|was|were) no (?!(?:longer|more|less|different|fewer|such|way|need)\b)\w+": "is not a ...",
    r"who is there": "which user a request belongs to; the identity",
    r"for ever": "forever",
    r"to be had": "available",
    r"whereof|thereof|wherefrom|therefrom": "of which, of it",
}
PATTERN = re.compile(
    "|".join(rf"(?P<_{i}>(?<![\w'])(?:{words})(?!\w))" for i, words in enumerate(EXCLUDED)), re.IGNORECASE
)

# Code and values, such as the words that CONTRIBUTING.md lists.
CODE = re.compile(r"`[^`]*`|\"\w+\"")

SUFFIXES = {".md", ".py", ".pyi", ".rs", ".toml", ".html", ".txt", ".js", ".mjs", ".css", ".c", ".yaml", ".yml"}
# Other packages' texts, test data, other languages, and this list.
LEFT_OUT = ("testdata/", "python/jwtauth/locale/", "LICENSE", "CODE_OF_CONDUCT.md")
LEFT_OUT += ("scripts/language.py", "tests/test_language.py")


def tracked() -> list[str]:
    """Return the paths of the texts that git tracks."""
    names = subprocess.check_output(["git", "ls-files", "-z"], cwd=ROOT, text=True).split("\0")
    texts = [
        name
        for name in names
        if (Path(name).suffix in SUFFIXES or name == "Makefile") and not name.startswith(LEFT_OUT)
    ]
    return [name for name in texts if (ROOT / name).is_file()]


def findings(text: str) -> list[tuple[int, str, str]]:
    """Return line number, words found and what to write instead, for each excluded phrase of a text."""
    advice = list(EXCLUDED.values())
    return [
        (number, match.group(), advice[int(str(match.lastgroup)[1:])])
        for number, line in enumerate(text.splitlines(), 1)
        for match in PATTERN.finditer(CODE.sub("", line).replace("_", " "))
    ]


def main() -> int:
    found = 0
    for name in sys.argv[1:] or tracked():
        for number, words, instead in findings((ROOT / name).read_text()):
            print(f"{name}:{number}: {words!r}; write: {instead}")
            found += 1
    return bool(found)


if __name__ == "__main__":
    sys.exit(main())
