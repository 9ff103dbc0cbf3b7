"""A training run as one HTML page: what it learned, and what it still gets wrong."""

from __future__ import annotations

import base64
import html
import io
import math
import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import functional as F
from .. import nn
from .._core.tensor import Tensor
from ..errors import ArgumentError, TinygradCnnError
from ..models import summary
from ..train import Batches, History, Loss
from ..typing import Array
from ._examples import Examination, Example, examine
from ._figure import check_matplotlib, data_uri, picture
from ._html import page, resource, write_page
from ._probe import check_model, softmax, untouched
from .activations import activations
from .confusion import confusion_matrix
from .curves import learning_curves
from .filters import filters
from .graph import graph

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["TrainingReport"]

_PIXELS = 96  # along an edge that a picture of a mistake has at most
_SETTINGS = {
    "parameters": "parameters",
    "loss": "loss function",
    "optimizer": "optimiser",
    "schedule": "schedule",
    "clip_norm": "gradient clipped at",
}
_NUMBERS = 4  # of an output that a table shows


class TrainingReport:
    """A page about a run: ``fit(…, report="report.html")`` makes one.

    Made before the run, since it shows the filters as they were; written after it. The page is
    one file and needs no network. It shows learning curves, confusion matrix, worst mistakes,
    filters before and after, activations and graph of one example, and the layers; what does not
    apply to a model is left out and said.

    Args:
        model: about to be trained; it is only read.
        data: what it learns from.
        validation: what mistakes are looked for in; by default ``data``. The first 10,000
            examples are looked at.
        loss: ``loss(outputs, targets)``, as in ``fit``.

    Raises:
        ArgumentError: ``model`` is no module.
        MissingExtraError: matplotlib is not installed.

    >>> import tempfile, numpy as np, tinygrad_cnn as tc
    >>> batch = np.eye(2, dtype=np.float32), np.array([0, 1])
    >>> model = tc.nn.Linear(2, 2)
    >>> report = tc.draw.TrainingReport(model, [batch])
    >>> history = tc.train.fit(model, [batch], epochs=3)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     report.write(f"{folder}/report.html", history).name
    'report.html'
    """

    def __init__(
        self,
        model: nn.Module,
        data: Batches,
        *,
        validation: Batches | None = None,
        loss: Loss = F.cross_entropy,
    ) -> None:
        check_matplotlib()
        check_model("TrainingReport", model)
        self.model, self.loss = model, loss
        self._data = data if validation is None else validation
        self._what = "training" if validation is None else "validation"
        convolutions = (m for m in model.modules() if isinstance(m, nn.Conv2d))
        self._layer = next(convolutions, None)
        self._before = None if self._layer is None else _copy(self._layer.weight)

    def write(
        self,
        path: str | os.PathLike[str],
        history: History,
        settings: Mapping[str, Any] | None = None,
    ) -> Path:
        """Write the page; the model is as the run left it.

        Args:
            path: of the file, which takes the place of an earlier one when it is whole.
            history: what ``fit`` returned.
            settings: more to say about the run: ``"parameters"``, ``"loss"``, ``"optimizer"``,
                ``"schedule"``, ``"clip_norm"``.

        Raises:
            ArgumentError: the folder does not exist, or ``path`` is one.
        """
        found = examine(self.model, self._data, self.loss)
        kind = type(self.model).__name__
        sections: dict[str, Callable[[], str]] = {
            "Learning curves": lambda: _image(learning_curves(history), "loss and accuracy"),
            "Confusion matrix": lambda: self._confusion(found),
            "Worst mistakes": lambda: self._mistakes(found),
            "Filters": self._filters,
            "Activations": lambda: self._activations(found),
            "Graph": lambda: self._graph(found),
            "Layers": lambda: _summary(self.model, found),
        }
        body = [f"<h1>{html.escape(kind)}: a training run</h1>", _facts(history, settings or {})]
        body += [_section(title, make) for title, make in sections.items()]
        text = page(f"{kind}: a training run", "\n".join(body), styles=[resource("report.css")])
        return write_page(path, text)

    def _examined(self, found: Examination) -> str:
        """On what data."""
        part = "all" if found.is_all else "the first"
        return f"{part} {found.count:,} examples of the {self._what} data"

    def _confusion(self, found: Examination) -> str:
        if found.has_nan:
            raise ArgumentError("the model gives NaN scores")
        if found.confusion is None:
            raise ArgumentError("the targets are no classes")
        figure = confusion_matrix(found.confusion, classes=found.classes)
        return _note(f"On {self._examined(found)}.") + _image(figure, "confusion matrix")

    def _mistakes(self, found: Examination) -> str:
        if not found.classified:
            if not found.worst:
                raise ArgumentError("the model returns no array")
            said = f"The highest losses among {self._examined(found)}."
            return _note(said) + _table(found.worst)
        if found.has_nan:
            raise ArgumentError("the model gives NaN scores")
        if not found.worst:
            return _note(f"None among {self._examined(found)}.")
        wrong = found.confusion.sum() - found.confusion.trace()  # type: ignore[union-attr]
        said = f"{int(wrong):,} mistakes among {self._examined(found)}, the highest losses first."
        cards = (_card(example, found.classes) for example in found.worst)
        return f'{_note(said)}<div class="cards">{"".join(cards)}</div>'

    def _filters(self) -> str:
        if self._layer is None or self._before is None:
            raise ArgumentError("the model has no Conv2d")
        before = _image(filters(self._before), "filters before training")
        after = _image(filters(_copy(self._layer.weight)), "filters after training")
        said = _note("The first convolution; each filter is divided by its largest magnitude.")
        return (
            f'{said}<div class="pair"><figure>{before}<figcaption>before</figcaption></figure>'
            f"<figure>{after}<figcaption>after</figcaption></figure></div>"
        )

    def _activations(self, found: Examination) -> str:
        inputs, targets = _first(found)
        if inputs.ndim != 4:
            raise ArgumentError("the inputs are no images")
        figure = activations(self.model, inputs, classes=found.classes)
        label = f", class {_name(int(targets[0]), found.classes)}" if found.classified else ""
        said = f"An example of the {self._what} data{label}."
        return f'{_note(said)}<div class="natural">{_image(figure, "activations")}</div>'

    def _graph(self, found: Examination) -> str:
        inputs, targets = _first(found)
        with untouched(self.model):
            view = graph(self.loss(self.model(Tensor(inputs)), targets), zoom="functions")
        drawn = view._repr_mimebundle_().get("image/svg+xml")
        said = _note("The loss of one example, one box for each function.")
        if drawn is None:
            listing = html.escape(view.dot)
            missing = "Graphviz is not installed; this is the DOT text of the picture"
            return f"{said}<details><summary>{missing}</summary><pre>{listing}</pre></details>"
        uri = f"data:image/svg+xml;base64,{base64.b64encode(drawn.encode()).decode('ascii')}"
        return f'{said}<div class="graph"><img src="{uri}" alt="graph of the loss"></div>'


# -- parts of the page ---------------------------------------------------------------------


def _section(title: str, make: Callable[[], str]) -> str:
    """A part of the page; what a model or its data are not made for is left out."""
    try:
        body = make()
    except TinygradCnnError as error:
        body = _note(f"Left out: {error}.")
    return f"<section>\n<h2>{title}</h2>\n{body}\n</section>"


def _note(text: str) -> str:
    return f'<p class="muted">{html.escape(text)}</p>'


def _image(figure: Figure, description: str) -> str:
    width, height = (round(100 * inches) for inches in figure.get_size_inches())
    source = data_uri(figure)
    return f'<img src="{source}" alt="{description}" width="{width}" height="{height}">'


def _facts(history: History, settings: Mapping[str, Any]) -> str:
    pairs = "".join(
        f"<div><dt>{html.escape(name)}</dt><dd>{html.escape(value)}</dd></div>"
        for name, value in _stated(history, settings)
    )
    return f'<dl class="facts">{pairs}</dl>'


def _stated(history: History, settings: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """What the run was, and how it ended."""
    epochs = f"{len(history)}, then interrupted" if history.interrupted else str(len(history))
    yield "epochs", epochs
    best = history.best
    if best is not None:
        measured = best.validation_loss is not None
        loss = best.validation_loss if measured else best.loss
        accuracy = best.validation_accuracy if measured else best.accuracy
        data = "validation" if measured else "training"
        yield f"{data} loss", f"{loss:.4f}"
        if accuracy is not None:
            yield f"{data} accuracy", f"{100 * accuracy:.2f} %"
        yield "best epoch" if measured else "last epoch", str(best.epoch)
        yield "time", f"{sum(row.seconds for row in history):,.1f} s"
        yield "last learning rate", f"{history[-1].learning_rate:.3g}"
    for name, value in settings.items():
        if name in _SETTINGS and value is not None:
            yield _SETTINGS[name], f"{value:,}" if isinstance(value, int) else str(value)


def _summary(model: nn.Module, found: Examination) -> str:
    return f'<div class="wide">{summary(model, _first(found)[0])._repr_html_()}</div>'


def _first(found: Examination) -> tuple[Array, Array]:
    if found.first is None:
        raise ArgumentError("the inputs are no array")
    return found.first


def _card(example: Example, classes: tuple[str, ...] | None) -> str:
    """A mistake as a picture, if it is an image, and what was said of it."""
    probabilities = softmax(example.output.astype(np.float64))
    predicted = int(probabilities.argmax())
    true, taken = (html.escape(_name(i, classes)) for i in (int(example.target), predicted))
    return (
        f"<figure>{_thumbnail(example.input)}<figcaption><b>{true}</b> taken for <b>{taken}</b><br>"
        f"{100 * probabilities[predicted]:.1f} %, loss {example.loss:.2f}<br>"
        f'<span class="muted">example {example.number}</span></figcaption></figure>'
    )


def _thumbnail(image: Array | None) -> str:
    """A small picture; nothing for what is no image (C, H, W)."""
    import matplotlib.image

    if image is None or image.ndim != 3:
        return ""
    step = math.ceil(max(image.shape[1:]) / _PIXELS)
    buffer = io.BytesIO()
    pixels = picture(image)[::step, ::step]
    matplotlib.image.imsave(buffer, pixels, format="png", cmap="gray", vmin=0, vmax=1)
    return (
        f'<img src="data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode()}" alt="">'
    )


def _table(examples: list[Example]) -> str:
    rows = "".join(
        f"<tr><td>{example.number}</td><td>{example.loss:.4g}</td>"
        f"<td>{_numbers(example.target)}</td><td>{_numbers(example.output)}</td></tr>"
        for example in examples
    )
    names = "".join(f"<th>{name}</th>" for name in ("example", "loss", "target", "output"))
    return f'<div class="wide"><table><tr>{names}</tr>{rows}</table></div>'


def _numbers(values: Array) -> str:
    flat = np.ravel(values)
    more = ", …" if flat.size > _NUMBERS else ""
    return ", ".join(f"{value:.4g}" for value in flat[:_NUMBERS]) + more


def _name(label: int, classes: tuple[str, ...] | None) -> str:
    return str(label) if classes is None else classes[label]


def _copy(weight: nn.Parameter) -> Tensor:
    return Tensor(np.array(weight.data), requires_grad=True, name=weight.name)
