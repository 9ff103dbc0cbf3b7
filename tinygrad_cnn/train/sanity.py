"""Sanity checks before a long training run, as one call.

- ``inputs``: finite, about centred and of size 1; labels of several classes in a batch;
- ``initial loss``: that of equal scores, such as ln C for softmax, C - 1 for the SVM;
- ``activations``: the outputs of the layers neither vanish nor explode;
- ``training step``: what ``tc.check.audit`` finds, such as dead ReLUs or missing gradients;
- ``regularisation``: a penalty makes the loss rise, and has a gradient for every weight;
- ``gradients``: recorded ones agree with differences, ``tc.check.gradcheck``;
- ``tiny set``: a few examples are learned by heart;
- ``learning rate``: that of the optimiser, against ``lr_range_test``; ``report.plot()``
  draws it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from .. import functional as F
from .. import nn
from .._core.tensor import Tensor
from ..optim import Optimizer
from .evaluation import Batches, Loss

if TYPE_CHECKING:
    from ..check import SanityReport

__all__ = ["sanity_check"]


def sanity_check(
    model: nn.Module,
    data: Batches,
    *,
    loss: Loss = F.cross_entropy,
    optimizer: Optimizer | None = None,
    penalty: Callable[[nn.Module], Tensor] | None = None,
    examples: int = 20,
    steps: int = 200,
    batches: int = 100,
    seed: int = 0,
) -> SanityReport:
    """Check a model, its data and its learning rate before a long run; ``print`` the report.

    Inputs, initial loss, activations, a training step, regularisation, gradients, a tiny set and
    the learning rate: for each the report says what was found, what was expected, and what a
    failure usually means. The text of ``tc.train.sanity`` describes them one by one.

    Copies are trained: model, optimiser, loader and generators are afterwards as they were.
    Dropout is left out, but for the range test. What no check sees are wrong labels, and too
    little data: any few examples can be learned by heart. It takes some hundred forward passes
    of three examples, up to 3 * ``steps`` training steps of ``examples``, and ``batches`` steps.

    Args:
        model: about to be trained.
        data: pairs of inputs and targets, such as a ``DataLoader`` yields; the first of them are
            looked at.
        loss: ``loss(outputs, targets)``, the mean over the batch, without regularisation.
        optimizer: whose learning rate is judged; by default Adam with lr 0.001, as in ``fit``.
        penalty: ``penalty(model)``, by default half of the squared norm of all weights.
        examples: of the tiny set.
        steps: that it may take to learn them, for each of three learning rates of Adam.
        batches: of the range test.
        seed: of what is drawn.

    Returns:
        The report: ``ok``, ``verdicts``, ``report["tiny set"]``, ``lr_range``, ``plot(path)``.

    Raises:
        ArgumentError: an argument does not fit, or the model can't be copied.
        DtypeError: inputs or targets are no arrays, or loss or penalty no number.

    Source: A. Karpathy, J. Johnson, CS231n notes, "Neural Networks Part 3: Learning and
    Evaluation", sanity checks and babysitting the learning process.

    >>> import tinygrad_cnn as tc
    >>> from tinygrad_cnn.data import DataLoader, Digits
    >>> model = tc.models.DigitsNet(generator=tc.manual_seed(0))
    >>> data = DataLoader(Digits("train"), batch_size=32, shuffle=True, seed=0)
    >>> report = tc.train.sanity_check(model, data)
    >>> report.ok, report["initial loss"].expected
    (True, 'about 2.303 = ln 10')
    """
    from ..check.sanity import examine

    return examine(
        model, data, loss, optimizer, penalty, examples=examples, steps=steps, batches=batches,
        seed=seed,
    )  # fmt: skip
