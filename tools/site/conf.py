"""How Sphinx makes a site of the pages: MyST reads them, Furo lays them out."""

from __future__ import annotations

import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

_PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]

project = "Heliostat"
author = "The Heliostat authors"
copyright = "the Heliostat authors, BSD 3-Clause"
version = release = _PROJECT["version"]

extensions = ["myst_parser", "tools.site.diagrams"]
myst_enable_extensions = ["attrs_block"]
myst_heading_anchors = 4  # as a forge makes them
root_doc = "index"
nitpicky = True
suppress_warnings = ["myst.xref_ambiguous"]

smartquotes = False  # sentences and commands stand as they are said and typed

html_theme = "furo"
html_title = "Heliostat"
html_static_path = ["static"]
html_css_files = ["heliostat.css"]
html_logo = "static/logo.svg"
html_favicon = "static/logo.svg"
html_copy_source = False
html_show_sourcelink = False
html_show_sphinx = False
pygments_style = "tango"
pygments_dark_style = "github-dark"
html_theme_options = {
    "light_css_variables": {
        "color-brand-primary": "#8a5a00",
        "color-brand-content": "#1257b0",
        "color-background-primary": "#fbfcfd",
        "color-background-secondary": "#f3f6f9",
        "color-foreground-primary": "#15202b",
    },
    "dark_css_variables": {
        "color-brand-primary": "#f2b93b",
        "color-brand-content": "#6aaeff",
        "color-background-primary": "#0f151b",
        "color-background-secondary": "#141c24",
        "color-foreground-primary": "#dbe4ec",
    },
}
