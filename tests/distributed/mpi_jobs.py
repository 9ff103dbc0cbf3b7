"""What the tests of ``distributed`` run: ``mpiexec … python -m mpi4py mpi_jobs.py NAME FOLDER``.

A job writes what rank 0 found to ``FOLDER/NAME-SIZE.npz``.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import Any

import numpy as np

import tinygrad_cnn as tc
from tinygrad_cnn import data, distributed, nn, optim, train
from tinygrad_cnn import functional as F

Array = np.ndarray
SHARES = {1: [10], 2: [7, 3], 3: [4, 0, 6], 4: [5, 1, 4, 0]}


class Branches(nn.Module):
    """A net with a branch that is not used, a frozen parameter and two dtypes."""

    def __init__(self) -> None:
        super().__init__()
        generator = np.random.default_rng(3)
        self.conv = nn.Conv2d(1, 4, 3, generator=generator).double()
        self.norm = nn.BatchNorm2d(4, dtype=np.float64)
        self.head = nn.Linear(4 * 36, 10, generator=generator).double()
        self.unused = nn.Linear(2, 2, generator=generator)
        self.temperature = nn.Parameter(np.float32(0.5))
        self.conv.bias.requires_grad = False

    def forward(self, x: Any) -> tc.Tensor:
        x = F.relu(self.norm(self.conv(x)))
        return self.head(F.flatten(x, 1)) * self.temperature


def joined_batch() -> tuple[Array, Array]:
    """Ten examples."""
    rng = np.random.default_rng(7)
    return rng.standard_normal((10, 1, 8, 8)), rng.integers(0, 10, 10)


def gradients_of_one(synchronise: bool) -> dict[str, Any]:
    """Those of one process, which knows nothing of ranks."""
    model = Branches()
    model.norm.train(synchronise)
    x, y = joined_batch()
    value = F.cross_entropy(model(x), y)
    value.backward()
    return described(model, value.item())


def described(model: nn.Module, loss: float) -> dict[str, Any]:
    grads = {k: p.grad.numpy() for k, p in model.named_parameters() if p.grad is not None}
    return {"loss": loss, **grads, **{f"buffer {k}": b.numpy() for k, b in model.named_buffers()}}


def gradients(communicator: distributed.Communicator, synchronise: bool) -> dict[str, Any]:
    """The gradients and the loss of ``joined_batch``, each rank with its share."""
    model = Branches()
    for parameter in model.parameters():  # only those of rank 0 count
        parameter.data = parameter.data + communicator.rank
    model.norm.train(synchronise)  # else statistics over a share are not those of the batch
    parallel = distributed.DataParallel(model, communicator, synchronise=synchronise)
    ends = np.cumsum([0, *SHARES[communicator.size]])
    x, y = (array[slice(*ends[communicator.rank :][:2])] for array in joined_batch())
    loss = 0.0
    if len(y):
        value = F.cross_entropy(model(x), y)
        value.backward()
        loss = value.item()
    else:
        parallel.without_data(x)
    return described(model, parallel.reduce(len(y), loss))


def digits_net(norm: bool) -> nn.Module:
    generator = np.random.default_rng(1)
    layers = [
        nn.Conv2d(1, 4, 3, generator=generator),
        *([nn.BatchNorm2d(4)] if norm else []),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(144, 10, generator=generator),
    ]
    return nn.Sequential(*layers).double()


def run(
    communicator: distributed.Communicator | None, *, norm: bool, compile: bool, folder: Any = None,
    resume: bool = False, callback: Any = None, epochs: int = 3,
) -> dict[str, Any]:  # fmt: skip
    """The history and the weights of a run on 66 digits; the last batch has two.

    Without a communicator that of one process which knows nothing of ranks.
    """
    model, parallel, share = digits_net(norm), None, (0, 1)
    if communicator is not None:
        parallel = distributed.DataParallel(model, communicator, synchronise=norm)
        share = parallel.share
    digits = data.Digits("train")
    pair = digits.images[:66] / 16, digits.labels[:66]
    loader = data.DataLoader(pair, 16, shuffle=True, seed=5, share=share)
    held_out = data.DataLoader((digits.images[66:99] / 16, digits.labels[66:99]), 32, share=share)
    history = train.fit(
        model, loader, epochs=epochs, validation=held_out,
        optimizer=optim.SGD(model.parameters(), lr=0.1, momentum=0.9), clip_norm=1.0,
        keep_best=False, compile=compile, progress=False, seed=0, distributed=parallel,
        checkpoints=None if folder is None else train.Checkpoints(folder, every=2),
        resume=resume, callbacks=[callback] if callback else [],
    )  # fmt: skip
    names = "loss", "accuracy", "validation_loss", "validation_accuracy"
    found = {name: [getattr(row, name) for row in history] for name in names}
    return found | model.state_dict()


def killed(communicator: distributed.Communicator, folder: Path) -> dict[str, Any]:
    """A run that is killed in its second epoch on the last rank, unless it is resumed."""
    resume = (folder / "kept").exists()

    def die(history: Any, model: Any) -> None:
        if len(history) == 2 and not resume and communicator.rank == communicator.size - 1:
            os.kill(os.getpid(), signal.SIGKILL)

    return run(
        communicator, norm=False, compile=False, folder=folder / "kept", resume=resume, callback=die
    )


def different(communicator: distributed.Communicator) -> dict[str, Any]:
    """The errors about ranks that do not fit together, which every rank gets."""
    seeds = data.DataLoader(joined_batch(), 4, seed=communicator.rank)
    net, problems = digits_net(False), []
    for wrong in (
        lambda: distributed.DataParallel(nn.Linear(2, 2 + communicator.rank), communicator),
        lambda: train.fit(
            net, seeds, epochs=1, progress=False, compile=False,
            distributed=distributed.DataParallel(net, communicator),
        ),
    ):  # fmt: skip
        try:
            wrong()
        except tc.errors.ArgumentError as error:
            problems.append(str(error))
    return {"problems": problems}


def main(name: str, folder: Path) -> None:
    """Run a job and write what rank 0 found."""
    communicator = distributed.MPI()
    if name == "gradients":
        found = {
            f"{key}|{synchronise}": value
            for synchronise in (False, True)
            for key, value in gradients(communicator, synchronise).items()
        }
    elif name == "run":
        found = {
            f"{key}|{kind}": value
            for kind, options in RUNS.items()
            for key, value in run(communicator, **options).items()
        }
    elif name == "different":
        found = different(communicator)
    elif name == "raising":
        if communicator.rank:
            raise ValueError("on this rank alone")
        communicator.barrier()
    else:
        found = killed(communicator, folder)
    if not communicator.rank:
        np.savez(folder / f"{name}-{communicator.size}.npz", **found)


RUNS: dict[str, dict[str, bool]] = {
    "eager": {"norm": False, "compile": False},
    "compiled": {"norm": False, "compile": True},
    "synchronised": {"norm": True, "compile": False},
}

if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
