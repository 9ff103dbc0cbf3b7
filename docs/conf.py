"""How Sphinx builds the site: ``make docs`` writes build/site/index.html."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))

import generated_pages  # noqa: E402  # beside this file

import tinygrad_cnn  # noqa: E402

project, copyright = "tinygrad_cnn", "the authors of tinygrad_cnn (MIT licence)"
version = release = tinygrad_cnn.__version__

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx_gallery.gen_gallery",
]
exclude_patterns = ["tutorial", "generated/pages"]
myst_heading_anchors = 3
suppress_warnings = ["ref.python"]  # several classes have an attribute of one name
autodoc_typehints = "signature"
autodoc_member_order = "groupwise"
napoleon_use_ivar = True
napoleon_use_rtype = False
add_module_names = False

html_theme = "furo"
html_title = "tinygrad_cnn"
html_extra_path = ["generated/pages"]
html_copy_source = False
html_show_sphinx = False

sphinx_gallery_conf = {
    "examples_dirs": "tutorial",
    "gallery_dirs": "generated/tutorial",
    "filename_pattern": r"\.py$",
    "abort_on_example_error": True,
    "capture_repr": ("_repr_html_", "__repr__"),
    "image_scrapers": ("matplotlib", "generated_pages.svg_scraper"),
    "within_subsection_order": "FileNameSortKey",
    "show_memory": False,
    "write_computation_times": False,
    "download_all_examples": False,
    "remove_config_comments": True,
}


def setup(app: Any) -> None:
    """Pages that are made from what the package says of itself come first."""
    app.connect("config-inited", lambda app, config: generated_pages.write(HERE / "generated"))
