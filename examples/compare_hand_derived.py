"""Three answers to "what is the gradient?", side by side, for every layer of a ConvNet.

Autograd gets it from the recorded computation, ``hand_derived`` from a derivation on paper, and
central differences from values of the function alone. Where all three agree to many digits,
nothing is left to doubt; change a sign in ``hand_derived/`` and see which line of the table tells.

    python examples/compare_hand_derived.py
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import hand_derived as hand
import numpy as np
from hand_derived.windows import Array

import tinygrad_cnn as tc
import tinygrad_cnn.functional as F


@dataclass(frozen=True)
class Pair:
    """A hand-derived layer, the same layer of the package, and float64 inputs for both.

    Every input is differentiated; what is held fixed (labels, stride) is bound beforehand.
    """

    name: str
    forward: Callable[..., tuple[Any, Any]]
    backward: Callable[[Array, Any], Any]
    layer: Callable[..., tc.Tensor]
    inputs: tuple[Array, ...]

    def upstream(self) -> Array:
        """A gradient for the layer's output: random, so that no slope cancels by symmetry."""
        out, _ = self.forward(*self.inputs)
        return np.asarray(np.random.default_rng(1).standard_normal(np.shape(out)))

    def by_hand(self) -> tuple[Array, ...]:
        """The gradients of all inputs by the derivation on paper."""
        _, cache = self.forward(*self.inputs)
        gradients = self.backward(self.upstream(), cache)
        return gradients if isinstance(gradients, tuple) else (gradients,)

    def by_autograd(self) -> tuple[Array, ...]:
        """The gradients of all inputs by the package."""
        inputs = [tc.tensor(x, requires_grad=True) for x in self.inputs]
        self.layer(*inputs).backward(self.upstream())
        return tuple(np.asarray(x.grad) for x in inputs)

    def by_differences(self, forward: Callable[..., Any]) -> tuple[Array, ...]:
        """The gradients of all inputs by central differences of ``forward``."""
        dout = self.upstream()

        def objective(i: int, x: Array) -> float:
            out = forward(*self.inputs[:i], x, *self.inputs[i + 1 :])
            return float(np.sum(dout * np.asarray(out)))

        return tuple(
            hand.numeric_gradient(partial(objective, i), x) for i, x in enumerate(self.inputs)
        )


def largest_error(some: tuple[Array, ...], others: tuple[Array, ...]) -> float:
    """The worst relative error among the gradients of all inputs."""
    return max(hand.relative_error(a, b) for a, b in zip(some, others, strict=True))


def make_pairs() -> list[Pair]:
    """Every pair, on small random inputs from a fixed seed."""
    rng = np.random.default_rng(0)
    normal = rng.standard_normal
    labels = rng.integers(0, 5, 8)
    scores = (3 * normal((8, 5)),)
    images = normal((2, 3, 7, 6))
    filters = (images, normal((4, 3, 3, 2)), normal(4))
    channels = (images, normal(3), normal(3))
    mean, variance = normal(3), rng.uniform(0.5, 2, 3)
    mask = np.asarray(F.dropout(np.ones((4, 6)), 0.4, generator=np.random.default_rng(2)))
    return [
        Pair(
            "affine",
            hand.affine_forward,
            hand.affine_backward,
            lambda x, w, b: F.linear(x.reshape(len(x), -1), w.T, b),
            (normal((4, 2, 3)), normal((6, 5)), normal(5)),
        ),
        Pair("relu", hand.relu_forward, hand.relu_backward, F.relu, (normal((4, 6)),)),
        *(conv_pair("loops", filters, stride, pad) for stride, pad in ((1, 0), (2, 1))),
        *(conv_pair("im2col", filters, stride, pad) for stride, pad in ((1, 0), (2, 1))),
        *(pool_pair(images, *geometry) for geometry in ((2, 2, 0), (3, 2, 1))),
        loss_pair("softmax loss", hand.softmax_loss, F.cross_entropy, labels, scores),
        loss_pair("SVM loss", hand.svm_loss, F.hinge_loss, labels, scores),
        batchnorm_pair("(N, C)", tuple(normal(shape) for shape in ((8, 3), 3, 3))),
        batchnorm_pair("images", channels),
        Pair(
            "batchnorm, test",
            partial(hand.batchnorm_test_forward, running_mean=mean, running_var=variance),
            hand.batchnorm_test_backward,
            lambda x, w, b: F.batch_norm(x, tc.tensor(mean), tc.tensor(variance), w, b),
            channels,
        ),
        Pair(
            "dropout",
            lambda x: hand.dropout_forward(x, mask),
            hand.dropout_backward,
            lambda x: F.dropout(x, 0.4, generator=np.random.default_rng(2)),
            (normal((4, 6)),),
        ),
        Pair(
            "mean subtraction",
            hand.mean_subtraction_forward,
            hand.mean_subtraction_backward,
            F.subtract_mean,
            (images,),
        ),
    ]


def conv_pair(how: str, inputs: tuple[Array, ...], stride: int, pad: int) -> Pair:
    """A convolution by "loops" or by "im2col"."""
    return Pair(
        f"conv by {how}, stride {stride}, pad {pad}",
        partial(getattr(hand, f"conv_{how}_forward"), stride=stride, pad=pad),
        getattr(hand, f"conv_{how}_backward"),
        partial(F.conv2d, stride=stride, padding=pad),
        inputs,
    )


def pool_pair(images: Array, field: int, stride: int, pad: int) -> Pair:
    """Max-pooling; windows overlap where the stride is below the field."""
    return Pair(
        f"max-pool {field}x{field}, stride {stride}, pad {pad}",
        partial(hand.max_pool_forward, field=field, stride=stride, pad=pad),
        hand.max_pool_backward,
        partial(F.max_pool2d, kernel_size=field, stride=stride, padding=pad),
        (images,),
    )


def loss_pair(
    name: str,
    loss: Callable[..., tuple[float, Array]],
    layer: Callable[..., tc.Tensor],
    labels: Array,
    scores: tuple[Array],
) -> Pair:
    """A loss as a layer whose cache is its gradient: what comes from above only scales it."""
    return Pair(
        name,
        partial(loss, labels=labels),
        lambda dout, dscores: dout * dscores,
        partial(layer, target=labels),
        scores,
    )


def batchnorm_pair(name: str, inputs: tuple[Array, ...]) -> Pair:
    """Batch normalisation by the statistics of the batch."""
    return Pair(
        f"batchnorm, training, {name}",
        hand.batchnorm_train_forward,
        hand.batchnorm_train_backward,
        lambda x, w, b: F.batch_norm(x, weight=w, bias=b, training=True),
        inputs,
    )


def main() -> None:
    """Print the table."""
    print("Relative errors of the gradients of all inputs, float64\n")
    heading = f"{'layer':32}{'autograd vs hand-derived':>26}{'autograd vs differences':>26}"
    print(heading, "-" * len(heading), sep="\n")
    for pair in make_pairs():
        gradients = pair.by_autograd()
        with tc.no_grad():
            differences = pair.by_differences(pair.layer)
        to_hand = largest_error(gradients, pair.by_hand())
        print(f"{pair.name:32}{to_hand:26.1e}{largest_error(gradients, differences):26.1e}")
    print("\nFloat64 rounds at 1e-16; central differences are exact to about 1e-10.")


if __name__ == "__main__":
    main()
