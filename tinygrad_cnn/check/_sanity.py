"""The checks of ``tc.train.sanity_check``."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from numbers import Real
from typing import Any

import numpy as np

from .. import nn
from .._core.context import no_grad
from .._core.tensor import Tensor, raw
from ..errors import ArgumentError, DtypeError
from ..optim import Adam, Optimizer
from ..train import Batches, Loss, LRRange
from ..train.evaluation import forward, hits
from ..train.metrics import predictions
from ..typing import Array
from .audit import audit
from .gradcheck import gradcheck
from .sanity import LayerOutput, Status, Verdict

_AT_LEAST = 10  # examples that the statistics are of
# Bounds between ok, warning and failed.
_HIGH_LOSS, _FAR_TOO_HIGH, _LOW_LOSS = 1.5, 3.0, 0.7  # times the loss of equal scores
_SCALES, _EXTREME_SCALES = (1e-2, 1e2), (1e-4, 1e4)  # of an output, inputs being 1
_ODD_INPUTS = 10.0  # standard deviations or means
_CHECKED = 16  # elements whose gradients are compared with differences
_GRADIENT_EXAMPLES = 3
_RATES = (1e-3, 1e-2, 1e-4)  # of Adam, for the tiny set
_LEFT = 0.05  # of the loss at the start, where there are no classes
_TOO_SMALL = 100.0  # times less than the suggested rate
_BREAKS = {"no_gradient", "detached", "dead_relu", "saved_changed", "exploding"}


def leave_out_dropout(model: nn.Module) -> None:
    """Let what zeroes units at random zero none."""
    for module in model.modules():
        if "Dropout" in type(module).__name__ and hasattr(module, "p"):
            module.p = 0.0


def half_squared_norm(model: nn.Module) -> Tensor:
    """The penalty of weight decay: half of the sum of all squared weights, without biases."""
    total = Tensor(np.float64(0.0))
    for parameter in _weights(model).values():
        total = total + 0.5 * (parameter * parameter).sum()
    return total


def sample(data: Batches, examples: int) -> tuple[Array, Array]:
    """The first batches of the data, as many as it takes for so many examples.

    Raises:
        ArgumentError: there is none.
        DtypeError: inputs or targets are no arrays.
    """
    parts: tuple[list[Array], list[Array]] = [], []
    for batch in data:
        for part, into, name in zip(batch, parts, ("inputs", "targets"), strict=True):
            if not isinstance(part, (Tensor, np.ndarray, list)):
                raise DtypeError(
                    f"sanity_check: the {name} of a batch are a {type(part).__name__}, expected"
                    " an array or a Tensor"
                )
            into.append(np.asarray(raw(part)))
        if sum(map(len, parts[1])) >= max(examples, _AT_LEAST):
            break
    if not sum(map(len, parts[1])):
        raise ArgumentError("sanity_check: the data gave no batch")
    return np.concatenate(parts[0]), np.concatenate(parts[1])


class Bench:
    """A copy of a model on a few examples of its data.

    Attributes:
        is_finite: whether the initial loss is.
        layers: the outputs of the layers with weights.
    """

    def __init__(self, model: nn.Module, loss: Loss, inputs: Array, targets: Array) -> None:
        self.model, self.loss, self._x, self._y = model, loss, inputs, targets
        # Tools that write to parameters and buffers work on further copies.
        with no_grad(), np.errstate(all="ignore"):
            self._outputs, self.layers = self._watched()
            self._start = float(forward(lambda _: self._outputs, loss, inputs, targets)[0].item())
        self.is_finite = math.isfinite(self._start)

    def _watched(self) -> tuple[Any, tuple[LayerOutput, ...]]:
        """The outputs, and those of each layer with weights of its own."""
        found: dict[str, LayerOutput] = {}
        twin = copy.deepcopy(self.model)
        for name, module in twin.named_modules():
            if any(p.ndim > 1 for p in module.parameters(recurse=False)):
                module.register_forward_hook(_recorder(name or type(module).__name__, found))
        return twin(Tensor(self._x)), tuple(found.values())

    def inputs(self) -> Verdict:
        """Whether the examples are of a size that layers are initialised for, and of all sorts."""
        expected = "mean and deviation about 0 and 1, several classes"
        with np.errstate(all="ignore"):
            mean, std = float(self._x.mean(dtype=float)), float(self._x.std(dtype=float))
        labels = np.unique(self._y) if self._y.dtype.kind in "iu" else None
        found = f"mean {mean:.2g}, deviation {std:.2g}"
        if labels is not None:
            found += f", {len(labels)} classes in {len(self._y)} examples"
        status: Status = "warning"
        if not math.isfinite(mean + std):
            status, advice = "failed", "pixels are NaN or infinite: look for a division by zero"
        elif std == 0:
            status, advice = "failed", "all inputs are the same number"
        elif max(abs(mean), std) > _ODD_INPUTS:
            advice = "pixels from 0 to 255? Scale them: data.Normalize(train.mean, train.std)"
        elif std < 1 / _ODD_INPUTS**2:
            advice = "the inputs hardly differ: were they divided by 255 twice?"
        elif labels is not None and len(labels) == 1 and len(self._y) >= _AT_LEAST:
            advice = "a batch of one class, as in data sorted by class: DataLoader(shuffle=True)"
        else:
            status, advice = "ok", ""
        return Verdict("inputs", status, found, expected, advice)

    def initial_loss(self) -> Verdict:
        """Whether an untrained model is as unsure as one whose scores are all equal."""
        if not isinstance(self._outputs, Tensor):
            found, expected = f"loss {self._start:.4g}", "unknown, since the outputs are no Tensor"
            status: Status = "skipped" if self.is_finite else "failed"
            return Verdict("initial loss", status, found, expected)
        equal = Tensor(np.zeros_like(self._outputs.data))
        chance = float(self.loss(equal, self._y).item())
        expected = f"about {chance:.4g}{_known_as(chance, equal.shape)}"
        with np.errstate(all="ignore"):
            deviation = float(np.std(self._outputs.data, dtype=float))
        found = f"loss {self._start:.4g}, outputs of deviation {deviation:.2g}"
        if not self.is_finite:
            advice = "NaN or infinity: tc.detect_anomaly() names the operation that made it first"
            return Verdict("initial loss", "failed", found, expected, advice)
        share = self._start / chance if chance else 1.0
        if share > _HIGH_LOSS:
            advice = (
                "the scores are large and wrong from the start: the initial weights, those of the"
                " last layer above all, are too large, or the inputs are"
            )
            status = "failed" if share > _FAR_TOO_HIGH else "warning"
            return Verdict("initial loss", status, found, expected, advice)
        if share < _LOW_LOSS:
            advice = "better than by chance: is the model trained already, or the label an input?"
            return Verdict("initial loss", "warning", found, expected, advice)
        return Verdict("initial loss", "ok", found, expected)

    def activations(self) -> Verdict:
        """Whether signals keep their size from layer to layer."""
        low, high = _SCALES
        expected = f"from {low:g} to {high:g} times that of the inputs"
        if not self.layers:
            return Verdict("activations", "ok", "no layer with weights", expected)
        size = float(self._x.std(dtype=float)) or 1.0
        weakest = min(self.layers, key=lambda layer: layer.std)
        strongest = max(self.layers, key=lambda layer: layer.std)
        found = f"deviation {_of(weakest)} to {_of(strongest)}"
        status: Status = "ok"
        bounds_of: dict[Status, tuple[float, float]] = {
            "warning": _SCALES,
            "failed": _EXTREME_SCALES,
        }
        for bad, bounds in bounds_of.items():
            if not bounds[0] <= weakest.std / size <= strongest.std / size <= bounds[1]:
                status = bad
        advice = ""
        if status != "ok":
            advice = (
                "signals vanish or explode on their way, and gradients with them: initialise with"
                " nn.init.kaiming_normal_ before ReLUs, or put batch norm between the layers"
            )
        return Verdict("activations", status, found, expected, advice)

    def training_step(self) -> Verdict:
        """What one step does without an error, as ``audit`` sees it."""
        twin = copy.deepcopy(self.model)
        optimizer = Adam(_trainable(twin), lr=1e-3)

        def step() -> None:
            self.loss(twin(Tensor(self._x)), self._y).backward()
            optimizer.step()

        findings = audit(step, calls=1, restore=False).findings
        if not findings:
            return Verdict("training step", "ok", "no silent break", "no silent break")
        kinds = sorted({finding.kind for finding in findings})
        status: Status = "failed" if _BREAKS.intersection(kinds) else "warning"
        advice = "; ".join(f"{finding.message} (fix: {finding.fix})" for finding in findings)
        return Verdict("training step", status, ", ".join(kinds), "no silent break", advice)

    def regularisation(self, penalty: Callable[[nn.Module], Tensor]) -> Verdict:
        """Whether a penalty makes the loss rise, and pulls at each weight."""
        expected = "a higher loss, a gradient for each weight"
        twin = copy.deepcopy(self.model)
        twin.zero_grad()
        if not _weights(twin):
            return Verdict("regularisation", "ok", "no weights, only biases", expected)
        value = penalty(twin)
        if not isinstance(value, (Tensor, Real)) or np.size(raw(value)) != 1:
            raise DtypeError(f"sanity_check: penalty returned {value!r:.60}, expected one number")
        found = f"loss {self._start:.4g}, {self._start + float(raw(value)):.4g} with the penalty"
        advice = ""
        if not float(raw(value)) > 0:
            advice = "the penalty is not positive: are all weights zero, or is its sign wrong?"
        elif not isinstance(value, Tensor) or value.node is None:
            advice = "the penalty has no gradient: compute it with Tensors, not with NumPy"
        else:
            value.backward()
            missed = [name for name, weight in _weights(twin).items() if weight.grad is None]
            if missed:
                advice = f"the penalty leaves out {', '.join(missed)}"
        status: Status = "failed" if advice else "ok"
        return Verdict("regularisation", status, found, expected, advice)

    def gradients(self) -> Verdict:
        """Whether the recorded gradients of a few examples agree with differences."""
        twin = copy.deepcopy(self.model)
        parameters = _trainable(twin)
        parameters = parameters[:: -(-len(parameters) // _CHECKED)]
        x = self._x[:_GRADIENT_EXAMPLES]
        if x.dtype.kind == "f":
            x = x.astype(np.float64)
        y = self._y[:_GRADIENT_EXAMPLES]
        report = gradcheck(
            lambda *_: self.loss(twin(Tensor(x)), y),
            parameters,
            sample=max(1, _CHECKED // len(parameters)),
        )
        checked = sum(row.checked for row in report.rows)
        found = f"relative error {report.error:.0e} in {checked} elements"
        if report.ok:
            return Verdict("gradients", "ok", found, "below 1e-06")
        wrong = [row.label for row in report.rows if not row.ok]
        wrong = wrong or [str(law) for law in report.laws if not law.ok]
        advice = (
            f"{', '.join(wrong)}: a gradient rule is wrong, or the loss is not differentiable"
            " there; tc.check.gradcheck with the same arguments says more"
        )
        return Verdict("gradients", "failed", found, "below 1e-06", advice)

    def tiny_set(self, examples: int, steps: int) -> Verdict:
        """Whether a few examples can be learned by heart."""
        x, y = self._x[:examples], self._y[:examples]
        is_classified = predictions(self._outputs, self._y) is not None
        goal = 1.0 if is_classified else 1 - _LEFT
        best = (-math.inf, 0)
        for rate in _RATES:
            best = max(best, self._learned(x, y, rate, steps, goal), key=lambda tried: tried[0])
            if best[0] >= goal:
                break
        share = f"{100 * max(best[0], 0):.0f} % of"
        what = f"{len(x)} examples right" if is_classified else "the loss gone"
        found = f"after {best[1]} steps {share} {what}"
        expected = "all of them" if is_classified else f"at least {100 * goal:.0f} %"
        if best[0] >= goal:
            return Verdict("tiny set", "ok", found, expected)
        advice = (
            "a model that can't learn a few examples by heart won't learn more of them: do the"
            " labels belong to the inputs, do gradients reach every layer, do equal inputs have"
            " different labels, is the model far too small?"
        )
        return Verdict("tiny set", "failed", found, expected, advice)

    def _learned(
        self, x: Array, y: Array, rate: float, steps: int, goal: float
    ) -> tuple[float, int]:
        """The largest share of examples that was hit, or else of the loss that went, and when."""
        twin = copy.deepcopy(self.model)
        optimizer = Adam(_trainable(twin), lr=rate)
        best, start = (-math.inf, 0), math.nan
        for step in range(steps + 1):
            twin.zero_grad()
            value, outputs = forward(twin, self.loss, Tensor(x), y)
            if not math.isfinite(value.item()):
                break
            start = value.item() if step == 0 else start
            hit = hits(outputs, y)
            share = 1 - value.item() / start if hit is None else float(hit.mean())
            best = max(best, (share, step), key=lambda tried: tried[0])  # the first of equal ones
            if share >= goal:
                break
            value.backward()
            optimizer.step()
        return best


def learning_rate(found: LRRange, optimizer: Optimizer | None) -> Verdict:
    """Whether the loss falls at the optimiser's learning rate."""
    name = "learning rate"
    if found.lowest is None or found.suggested is None:
        advice = (
            "no learning rate lowers the loss: see the other checks; with fewer than some fifty"
            " batches= the test may be too short"
        )
        return Verdict(name, "failed", "the loss never falls", "it falls at some rate", advice)
    chosen = optimizer.param_groups[0]["lr"] if optimizer else None
    expected = f"about {found.suggested:.1e}, below {found.lowest:.1e}"
    if chosen is None:
        return Verdict(name, "ok", "none given", expected)
    status: Status = "ok"
    advice = ""
    if found.limit is not None and chosen >= found.limit:
        status = "failed"
        advice = f"far too large: the loss explodes from {found.limit:.1e} on"
    elif chosen > found.lowest:
        status = "warning"
        advice = "too large: the loss is past its lowest point there"
    elif chosen < found.suggested / _TOO_SMALL:
        status = "warning"
        advice = "very small: the loss hardly falls there, and the run takes longer than it need"
    return Verdict(name, status, f"rate {chosen:.1e}", expected, advice)


def _recorder(name: str, found: dict[str, LayerOutput]) -> Callable[..., None]:
    """A hook that notes the outputs of a layer."""

    def record(module: nn.Module, args: Any, output: Any) -> None:
        if isinstance(output, Tensor):
            mean, std = (float(of(output.data, dtype=float)) for of in (np.mean, np.std))
            found[name] = LayerOutput(name, mean, std)

    return record


def _of(layer: LayerOutput) -> str:
    return f"{layer.std:.2g} ({layer.name})"


def _known_as(chance: float, shape: tuple[int, ...]) -> str:
    """What the loss of equal scores is called, if it is one of the well-known."""
    classes = shape[1] if len(shape) > 1 else 1
    if math.isclose(chance, math.log(classes), rel_tol=1e-5):
        return f" = ln {classes}"
    return f" = {classes} - 1" if math.isclose(chance, classes - 1, rel_tol=1e-5) else ""


def _trainable(model: nn.Module) -> list[nn.Parameter]:
    return [parameter for parameter in model.parameters() if parameter.requires_grad]


def _weights(model: nn.Module) -> dict[str, nn.Parameter]:
    """The trainable matrices and kernels, not the biases."""
    named = model.named_parameters()
    return {name: p for name, p in named if p.ndim > 1 and p.requires_grad}
