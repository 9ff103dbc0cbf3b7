"""A small training step to audit, and the finding of one kind in a report.

The line that a finding shall name carries the comment ``# here``.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import tinygrad_cnn as tc
from tinygrad_cnn import functional as F
from tinygrad_cnn import nn, optim
from tinygrad_cnn.check.audit import Audit, AuditFinding, audit

Change = Callable[[tc.Tensor], tc.Tensor]
IMAGES = np.random.default_rng(0).normal(size=(16, 1, 8, 8)).astype(np.float32)
LABELS = np.arange(16) % 10


class Net(nn.Module):
    """Convolution, batch norm, ``change``, and two linear layers with dropout between."""

    def __init__(self, change: Change) -> None:
        super().__init__()
        generator = np.random.default_rng(1)
        self.conv = nn.Conv2d(1, 4, 3, padding=1, generator=generator)
        self.norm = nn.BatchNorm2d(4)
        self.fc1 = nn.Linear(64, 20, generator=generator)
        self.drop = nn.Dropout(0.2)
        self.fc2 = nn.Linear(20, 10, generator=generator)
        self.change = change

    def forward(self, x: Any) -> tc.Tensor:
        h = F.max_pool2d(F.relu(self.norm(self.conv(tc.as_tensor(x)))), 2)
        h = F.relu(self.fc1(self.change(h).flatten(1)))
        return self.fc2(self.drop(h))


class Training:
    """A model with its optimiser, and a step on ``IMAGES``."""

    def __init__(self, change: Change = lambda h: h) -> None:
        self.model = Net(change)
        self.optimizer = optim.SGD(self.model.parameters(), lr=0.1, momentum=0.9)
        self.losses: list[float] = []

    def step(self) -> None:
        self.optimizer.zero_grad()
        scores = self.model(IMAGES)
        loss = F.cross_entropy(scores, LABELS)
        loss.backward()
        self.optimizer.step()
        self.losses.append(loss.item())

    def audit(self, step: Callable[[], Any] | None = None, **options: Any) -> Audit:
        return audit(step or self.step, model=self.model, **options)

    def state(self) -> list[Any]:
        """Everything that the step changes, copied."""
        tensors_ = (*self.model.parameters(), *self.model.buffers())
        gradients = [p.grad if p.grad is None else p.grad.data.copy() for p in tensors_]
        modes = [module.training for module in self.model.modules()]
        return [
            [t.data.copy() for t in tensors_], gradients, modes, self.optimizer.state_dict(),
            tc.default_generator().bit_generator.state,
        ]  # fmt: skip


def only(report: Audit, kind: str) -> AuditFinding:
    """The one finding of a kind, whose line is marked unless there is none."""
    [finding] = [finding for finding in report.findings if finding.kind == kind]
    if finding.where is not None:
        assert Path(finding.where.file).parent == Path(__file__).parent
        assert finding.where.text.endswith("# here"), finding.where
    return finding


def log(h: tc.Tensor) -> tc.Tensor:
    """What a step may look at without harm."""
    seen = [h.data.mean(), np.asarray(h).max(), h.detach().numpy().std(), h.sum().item()]
    assert f"{seen[0]:.2f}"
    assert round(seen[0], 2) >= 0
    return h
