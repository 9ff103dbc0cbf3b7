"""What the pictures of networks share: figures, colours and images.

Figures are made without ``pyplot``: no window system is loaded, nothing is kept alive by a global
list, and the user's own plots stay as they are.

Colours tell the same to readers who see no red or green. They are those of the HTML pages:
cividis, which grows evenly in lightness for every eye (Nunez, Anderton and Renslow 2018); for
numbers with a sign blue over white to orange, so that zero is white and the sign is a hue. Lines
have the blue and vermilion of Okabe and Ito (2008).
"""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import ArgumentError, MissingExtraError
from ..typing import Array, Shape

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.colors import Colormap
    from matplotlib.figure import Figure

SEQUENTIAL = "cividis"
NEGATIVE, POSITIVE = "#4f97d0", "#ee9d45"
_DIVERGING = ("#0b3c78", NEGATIVE, "#f7f7f7", POSITIVE, "#8a3f00")  # as in base.css
BLUE, VERMILION = "#0072b2", "#d55e00"
INK, FAINT = "#33383d", "#b8bec4"
NOT_FINITE = "#cc79a7"  # of Okabe and Ito; in none of the colour maps
_LARGE = 200_000  # bytes of a figure in a page
_LONGEST = 24  # characters of the name of a class
_DPI = 100  # of the page: a picture has twice as many pixels, for screens that show them


def check_matplotlib() -> None:
    """Refuse to start what can't be drawn.

    Raises:
        MissingExtraError: matplotlib is not installed.
    """
    try:
        import matplotlib.figure  # noqa: F401
    except ImportError:
        raise MissingExtraError("matplotlib", "plot", "drawing pictures") from None


def new_figure(width: float, height: float) -> Figure:
    """An empty figure of so many inches, which shows itself in notebooks."""
    check_matplotlib()
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), dpi=_DPI, layout="constrained")
    # Notebooks know how to show a Figure only once pyplot is loaded.
    figure._repr_png_ = lambda: _notebook_png(figure)  # type: ignore[attr-defined]
    return figure


def diverging() -> Colormap:
    """The colours from negative over zero to positive."""
    from matplotlib.colors import LinearSegmentedColormap

    return LinearSegmentedColormap.from_list("diverging", _DIVERGING)


def png(figure: Figure) -> bytes:
    """The figure as PNG."""
    return _saved(figure, "png", {"Software": None}, dpi=2 * _DPI)


def data_uri(figure: Figure) -> str:
    """The figure for an HTML page: as SVG, which is crisp, unless that is large and PNG smaller."""
    import matplotlib

    with matplotlib.rc_context({"svg.hashsalt": "tinygrad_cnn"}):  # the same ids in every run
        svg = _saved(figure, "svg", {"Date": None, "Creator": None})
    kind, image = "svg+xml", svg
    if len(svg) > _LARGE and len(raster := png(figure)) < len(svg):
        kind, image = "png", raster
    return f"data:image/{kind};base64,{base64.b64encode(image).decode('ascii')}"


def _saved(figure: Figure, kind: str, metadata: dict[str, None], **settings: Any) -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, format=kind, metadata=metadata, **settings)
    return buffer.getvalue()


def _notebook_png(figure: Figure) -> tuple[bytes, dict[str, int]]:
    width, height = figure.get_size_inches() * _DPI
    return png(figure), {"width": round(width), "height": round(height)}


def plain(text: object) -> str:
    """Text as it is: between two dollar signs matplotlib would read mathematics."""
    return str(text).replace("$", r"\$")


def lengths(shape: Shape) -> str:
    """A shape as text, such as 3x32x32."""
    return "x".join(map(str, shape))


def bare(axes: Axes) -> Axes:
    """The axes without ticks and frame."""
    axes.set_axis_off()
    return axes


def picture(image: Array) -> Array:
    """An image (C, H, W) as matplotlib shows it: (H, W, 3), or (H, W) for other channels.

    Numbers from 0 to 1 are colours already; others, such as those of normalised images, are
    spread over that range; NaN and infinities are drawn as 0. Of channels that are no
    colours the mean is shown.
    """
    image = np.nan_to_num(np.asarray(image, np.float64), posinf=0.0, neginf=0.0)
    low, high = image.min(), image.max()
    if low < 0 or high > 1:
        image = (image - low) / ((high - low) or 1.0)
    return image.transpose(1, 2, 0) if len(image) == 3 else image.mean(axis=0)


def show_picture(axes: Axes, image: Array) -> None:
    """Draw an image (C, H, W)."""
    # interpolation "none": vector formats then hold the pixels themselves
    bare(axes).imshow(picture(image), cmap="gray", vmin=0, vmax=1, interpolation="none")


def largest(values: Array) -> float:
    """The largest finite magnitude, at least a little, as the limit of a diverging colour map."""
    return float(np.abs(values).max(initial=0.0, where=np.isfinite(values))) or 1.0


def mark_not_finite(axes: Axes, values: Array, **place: Any) -> None:
    """Lay a colour of their own over NaN and infinities among what ``imshow`` drew, (H, W)."""
    from matplotlib.colors import to_rgba

    missing = ~np.isfinite(values)
    if missing.any():
        axes.imshow(missing[..., np.newaxis] * to_rgba(NOT_FINITE), interpolation="none", **place)


def class_names(owner: str, classes: Sequence[str] | None, count: int) -> list[str]:
    """The given names, long ones shortened, by default the numbers.

    Raises:
        ArgumentError: there are not as many as classes.
    """
    names: list[Any] = list(range(count) if classes is None else classes)
    if len(names) != count:
        raise ArgumentError(f"{owner}: {len(names)} names in classes, for {count} classes")
    return [plain(_shortened(str(name))) for name in names]


def _shortened(name: str) -> str:
    return name if len(name) <= _LONGEST else f"{name[: _LONGEST - 1]}…"
