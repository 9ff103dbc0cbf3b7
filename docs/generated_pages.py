"""Pages of the site that are made of what the package and its benchmarks say.

``docs/conf.py`` calls ``write`` before it builds.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

import tinygrad_cnn as tc
import tinygrad_cnn.functional as F
from tinygrad_cnn import models, nn

HERE = Path(__file__).parent
RESULTS = HERE.parent / "benchmarks" / "results"


def write(folder: Path) -> None:
    """All of them."""
    pages = folder / "pages"
    pages.mkdir(parents=True, exist_ok=True)
    (folder / "benchmarks.md").write_text(benchmarks(), "utf-8")
    (folder / "derivations.md").write_text(derivations(pages), "utf-8")


# -- benchmarks --------------------------------------------------------------------------------


def benchmarks() -> str:
    """Every kept run, table by table."""
    parts = [
        "# Benchmarks",
        "The runs behind every published figure: medians, with quartiles in brackets."
        " How they are made, and how to read them, is told beside the scripts, in"
        " `benchmarks/README.md`.",
    ]
    for path in sorted(RESULTS.glob("*.json")):
        run = json.loads(path.read_text("utf-8"))
        parts += [f"## {run['title']}", f"`benchmarks/{path.stem}.py` on {_machine(run)}"]
        parts += [_table(table) for table in run["tables"]]
        parts += [f"- {note.removeprefix('- ')}" for note in run["notes"]]
    return "\n\n".join(parts) + "\n"


def _machine(run: dict[str, Any]) -> str:
    versions = ", ".join(f"{name} {number}" for name, number in run["versions"].items())
    settings = ", ".join(f"{name} {value}" for name, value in run["settings"].items())
    machine = f"{run['processor']}, {run['cores']} cores, Python {run['python']}"
    return f"{machine}; {versions}; {settings}."


def _table(table: dict[str, Any]) -> str:
    columns = table["columns"]
    rows = [columns, ["---"] * len(columns), *table["rows"]]
    return "\n".join("| " + " | ".join(map(_cell, row)) + " |" for row in rows)


def _cell(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, dict):
        return f"{value['median']:.3g} ({value['low']:.3g} to {value['high']:.3g})"
    return f"{value:.4g}" if isinstance(value, float) else str(value).replace("|", r"\|")


# -- derivations -------------------------------------------------------------------------------


def _softmax_classifier() -> tc.Tensor:
    x = tc.tensor(np.ones((5, 3)), requires_grad=True, name="x")
    w = tc.tensor(np.ones((4, 3)), requires_grad=True, name="w")
    return F.cross_entropy(F.linear(x, w), np.arange(5) % 4)


def _layers(*layers: nn.Module) -> tc.Tensor:
    x = tc.tensor(np.random.default_rng(0).normal(size=(4, 2, 6, 6)), name="x")
    return nn.Sequential(*layers)(x).sum()


def _lenet() -> tc.Tensor:
    images = np.random.default_rng(0).random((4, 1, 28, 28), np.float32)
    return F.cross_entropy(models.LeNet5()(tc.tensor(images)), np.arange(4))


DERIVED = {
    "A softmax classifier": _softmax_classifier,
    "A convolution": lambda: _layers(nn.Conv2d(2, 3, 3, padding=1)),
    "Convolution, ReLU and max-pooling": lambda: _layers(
        nn.Conv2d(2, 3, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)
    ),
    "Batch normalisation": lambda: _layers(nn.BatchNorm2d(2)),
    "LeNet-5 with its loss": _lenet,
}


def derivations(folder: Path) -> str:
    """One page for each of a few graphs, and the list of them."""
    tc.manual_seed(0)
    lines = [
        "# Derivations",
        "Written by `tc.explain.derive`, which reads a recorded graph and writes down the chain"
        " rule for it. Each is checked against autograd while it is made: beside it stands how far"
        " its NumPy code is from `backward`.",
        "| of | backward pass | relative distance |\n|---|---|---|",
    ]
    rows = []
    for number, (title, graph) in enumerate(DERIVED.items(), 1):
        derivation = tc.explain.derive(graph())
        name = f"derivation_{number}.html"
        derivation.html(folder / name)
        rows.append(f'| {title} | <a href="{name}">derivation</a> | {derivation.error:.1e} |')
    return "\n\n".join(lines) + "\n" + "\n".join(rows) + "\n"


# -- pictures ----------------------------------------------------------------------------------


def svg_scraper(block: Any, block_vars: dict[str, Any], gallery_conf: dict[str, Any]) -> str:
    """For sphinx-gallery: the graph that a block of a tutorial has put into ``picture``."""
    from sphinx_gallery.scrapers import figure_rst

    picture = block_vars["example_globals"].pop("picture", None)
    if picture is None:
        return ""
    path = Path(next(block_vars["image_path_iterator"])).with_suffix(".svg")
    picture.svg(path)
    return str(figure_rst([str(path)], gallery_conf["src_dir"]))
