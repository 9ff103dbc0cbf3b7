"""What the units of every layer see of the image.

``receptive_field`` finds the law that all units of a layer follow, ``receptive_field_box`` the
exact region of a single one. Both read the recorded graph. Gradients would not do: a ReLU that is
off and the losers of a max-pool hide what could reach a unit, and weights may cancel. Nor would a
formula over a list of layers: branches, skips and dense layers need no case of their own here.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from ... import nn
from ..._core.node import Node
from ...errors import ArgumentError, GraphError, ShapeError
from ...typing import Shape
from ._box import Box, Unit, receptive_field_box
from ._calls import Call, Run, batch, run, variable
from ._laws import Law
from ._table import Cells, as_html, as_text
from ._tracked import Tracked
from ._tracking import step

__all__ = [
    "Box",
    "ReceptiveField",
    "ReceptiveFields",
    "Unit",
    "receptive_field",
    "receptive_field_box",
]


@dataclass(frozen=True)
class ReceptiveField:
    """What the units of one layer see: along each axis in space ``start + stride * unit`` on.

    Attributes:
        name, type: of the layer.
        output_shape: of what it returned.
        image: the size of the image.
        laws: for each axis.
    """

    name: str
    type: str
    output_shape: Shape
    image: Shape
    laws: tuple[Law, ...]

    @property
    def size(self) -> Shape:
        """How many pixels a unit sees along each axis, those beyond the border included.

        A unit that sees the whole image, as behind a linear layer, sees no more than that.
        Behind a transposed convolution units may see different amounts: then the most.
        """
        return tuple(law.size for law in self.laws)

    @property
    def stride(self) -> tuple[int | Fraction, ...]:
        """How many pixels further the next unit sees; 0 where all see the same."""
        return tuple(law.stride for law in self.laws)

    @property
    def start(self) -> tuple[int | None, ...]:
        """The first pixel that unit 0 sees; minus 3 is 3 pixels before the border.

        Of padding, the layers from the image to here have this much in total. None where unit 0
        sees nothing.
        """
        return tuple(law.start for law in self.laws)

    def sees(self, *place: int) -> tuple[tuple[int, int], ...] | None:
        """What one unit sees of the image: along each axis (first, end), the end exclusive.

        Args:
            place: of the unit, in space: its row and its column.

        Returns:
            The part of the law that lies inside of the image; None if there is none. Where a
            stride leaves the last rows of a layer unused, less may reach a unit at the border:
            ``receptive_field_box`` is exact there too.

        Raises:
            ShapeError: not one number for each axis.

        >>> import tinygrad_cnn as tc
        >>> fields = tc.models.receptive_field(tc.models.LeNet5(), (1, 28, 28))
        >>> fields["pool1"].sees(0, 13)  # two rows of conv1, which sees 5 and pads 2
        ((0, 4), (24, 28))
        """
        if len(place) != len(self.laws):
            raise ShapeError(
                f"ReceptiveField.sees: {self.name} has {len(self.laws)} axes in space, got {place}"
            )
        found = []
        for law, unit, n in zip(self.laws, place, self.image, strict=True):
            seen = law.sees(unit)
            if seen is None or seen[1] < 0 or seen[0] >= n:
                return None
            found.append((max(seen[0], 0), min(seen[1] + 1, n)))
        return tuple(found)

    def __str__(self) -> str:
        return "x".join(map(str, self.size))


@dataclass(frozen=True)
class ReceptiveFields(Sequence[ReceptiveField]):
    """The receptive fields of a model, in order of execution; ``print`` shows them as a table.

    Attributes:
        model: the class of the model.
        image: the size of the image, without channels.
        fields: one for each call of a layer, or of a function outside of the layers.
    """

    model: str
    image: Shape
    fields: tuple[ReceptiveField, ...]

    def __getitem__(self, key: Any) -> Any:
        """By number, or by the name of the layer, which is taken as it ran last."""
        if not isinstance(key, str):
            return self.fields[key]
        for field in reversed(self.fields):
            if field.name == key:
                return field
        known = ", ".join(field.name for field in self.fields)
        raise ArgumentError(f"receptive_field: {key!r:.60} is no layer that ran; there are {known}")

    def __len__(self) -> int:
        return len(self.fields)

    def __iter__(self) -> Iterator[ReceptiveField]:
        return iter(self.fields)

    def _cells(self) -> list[Cells]:
        header = ("layer", "type", "output shape", "sees", "stride", "from")
        rows = [
            (f.name, f.type, str(f.output_shape), str(f), *map(_several, (f.stride, f.start)))
            for f in self.fields
        ]
        return [header, *rows]

    def _note(self) -> str:
        size = "x".join(map(str, self.image))
        return f"{self.model} on {size}: the first unit sees 'sees' pixels from pixel 'from' on"

    def __str__(self) -> str:
        return as_text(self._cells(), 3, self._note(), totals=0)

    def _repr_html_(self) -> str:
        """The table as notebooks show it."""
        return as_html(self._cells(), self._note(), totals=0)


def _several(values: tuple[Any, ...]) -> str:
    """One number if all are the same."""
    texts = ["-" if value is None else str(value) for value in values]
    return texts[0] if len(set(texts)) == 1 else ", ".join(texts)


def receptive_field(model: nn.Module, input_shape: Shape | None = None) -> ReceptiveFields:
    """How many pixels the units of each layer see, how far apart, and from where on.

    Exact through branches, skips, dilation, pools, transposed convolutions and slices. Where
    branches of different size meet, the largest counts. For a plain stack the size is 1 + the sum
    over the layers of (F - 1) times the product of the strides before. The model runs once, as in
    use, and is left as it was.

    Args:
        model: any module that takes images, signals or volumes.
        input_shape: of one, (C, H, W), or of a batch, (N, C, H, W); by default the model's own
            ``input_shape``.

    Raises:
        ArgumentError: no model or no shape, or a layer returns no array.
        ShapeError: the shape has no axis in space, or does not fit the model.
        GraphError: nothing that the model computes depends on the image.

    Sources: Dumoulin and Visin (2016), A guide to convolution arithmetic for deep learning;
    Araujo, Norris and Sim (2019), Computing receptive fields of convolutional neural networks.

    Three layers of 3x3 see as much as one of 7x7, with 27 C² weights in the place of 49 C²:

    >>> import tinygrad_cnn as tc
    >>> C = 16
    >>> stack = tc.nn.Sequential(*[tc.nn.Conv2d(C, C, 3, bias=False) for _ in range(3)])
    >>> print(tc.models.receptive_field(stack, (C, 12, 12)))
    layer  type    output shape     sees  stride  from
    --------------------------------------------------
    0      Conv2d  (1, 16, 10, 10)   3x3       1     0
    1      Conv2d  (1, 16, 8, 8)     5x5       1     0
    2      Conv2d  (1, 16, 6, 6)     7x7       1     0
    Sequential on 12x12: the first unit sees 'sees' pixels from pixel 'from' on
    >>> large = tc.nn.Conv2d(C, C, 7, bias=False)
    >>> [sum(p.size for p in net.parameters()) // C**2 for net in (stack, large)]
    [27, 49]
    """
    owner = "receptive_field"
    shape = getattr(model, "input_shape", None) if input_shape is None else input_shape
    if shape is None:
        raise ArgumentError(f"{owner}: pass input_shape, such as (3, 224, 224)")
    x = variable(_one(shape, model, owner))
    fields = fields_by_call(run(model, x, owner), x.shape)
    if not fields:
        raise GraphError(f"{owner}: nothing that the model computes depends on the image")
    shown = tuple(field for call, field in fields.items() if not call.is_idle)
    return ReceptiveFields(type(model).__name__, x.shape[2:], shown)


def _one(shape: Any, model: nn.Module, owner: str) -> Any:
    """A batch of the shape of one example, (C, L) or (C, H, W), or of a batch."""
    lengths = tuple(shape) if isinstance(shape, (tuple, list)) else ()
    x = batch((1, *lengths) if len(lengths) in (2, 3) else shape, model, owner)
    if x.ndim < 3:
        raise ShapeError(f"{owner}: input_shape={shape!r:.60}, expected (C, H, W)")
    return x


def fields_by_call(ran: Run, shape: Shape) -> dict[Call, ReceptiveField]:
    """The receptive field of every call that depends on the image, which has this shape."""
    tracked = _tracked(ran, shape)
    return {
        call: ReceptiveField(
            call.name, call.type, call.output_shape, shape[2:], tracked[call.output].unit_laws
        )
        for call in ran.calls
        if call.output in tracked
    }


def _tracked(ran: Run, shape: Shape) -> dict[Node | None, Tracked]:
    """What every vertex sees that depends on the image."""
    found: dict[Node | None, Tracked] = {ran.image: Tracked.of_image(shape)}
    found.pop(None, None)
    for operation in ran.operations:
        operands = [found.get(parent) if parent else None for parent in operation.node.parents]
        if any(operands):
            found[operation.node] = step(
                operation.name, operands, operation.shapes, operation.shape, operation.node.params
            )
    return found
