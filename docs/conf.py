"""Sphinx configuration; `make docs` builds."""

import os

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.settings")
django.setup()

import jwtauth  # noqa: E402  (its models need Django's apps)

project = "jwtauth"
author = "jwtauth contributors"
copyright = f"2026, {author}"
release = version = jwtauth.__version__

extensions = ["myst_parser", "sphinx.ext.autodoc"]
exclude_patterns = ["_build", "reliability-table.md", "seams-table.md"]
nitpicky = False
autodoc_member_order = "bysource"
autodoc_typehints = "description"
myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3
html_theme = "furo"
html_title = f"jwtauth {release}"
