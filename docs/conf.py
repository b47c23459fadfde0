"""Configure Sphinx. ``make docs`` builds the pages, and so does Read the Docs (``.readthedocs.yaml``)."""

import os
import shutil
import sys
from pathlib import Path

import django
from pygments.lexers.templates import HtmlDjangoLexer

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))  # for tests.settings: Read the Docs starts Sphinx in this directory
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.settings")
django.setup()

import jwtauth  # noqa: E402  (its models need Django's apps)

project = "jwtauth"
author = "jwtauth contributors"
copyright = f"2026, {author}"
release = version = jwtauth.__version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx_copybutton"]
exclude_patterns = ["_build", "reliability-table.md", "seams-table.md"]
nitpicky = False
# `login` in a docstring links to what it names, if that is in the reference.
default_role = "py:obj"
autodoc_member_order = "bysource"
autodoc_typehints = "none"  # signatures stay readable; the docstrings say what is taken
autodoc_preserve_defaults = True
myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3
# The button copies the commands of a console session without prompts and output.
copybutton_prompt_text = r"\$ |>>> |\.\.\. "
copybutton_prompt_is_regexp = True
html_theme = "furo"
html_title = f"jwtauth {release}"
html_static_path = ["_static"]
html_css_files = ["tables.css"]
html_baseurl = os.environ.get("READTHEDOCS_CANONICAL_URL", "")

RUSTDOC = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")) / "doc"
HAS_RUSTDOC = (RUSTDOC / "jwtauth/index.html").is_file()


def copy_rustdoc(app, exception):
    """Put the pages that ``cargo doc`` has made into ``rustdoc/``, if there are any."""
    if exception is None and HAS_RUSTDOC and app.builder.format == "html":
        shutil.copytree(RUSTDOC, Path(app.outdir) / "rustdoc", dirs_exist_ok=True)


def link_rustdoc(app, docname, source):
    """Link the pages of ``cargo doc`` from both pages on APIs."""
    if docname in ("reference/python", "reference/rust"):
        links = [f'<a href="../rustdoc/{name}/index.html">{name}</a>' for name in ("jwtauth", "jwtauth_axum")]
        source[0] += f"\n## The crates' own pages\n\nFrom their doc comments: {', '.join(links)}.\n"


def setup(app):
    if HAS_RUSTDOC:
        app.connect("source-read", link_rustdoc)
    app.add_lexer("html", HtmlDjangoLexer)  # the templates of the guides
    app.connect("build-finished", copy_rustdoc)
