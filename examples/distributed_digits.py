"""Train on the bundled digits with several processes, and go on where a job was killed.

    mpiexec -n 2 python -m mpi4py examples/distributed_digits.py runs/digits

Every rank takes its share of each batch of 64; the run is that of one process. Start it again with
the same folder after a crash, or a kill, and it continues from its last checkpoint.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import Any

from tinygrad_cnn import data, distributed, models, optim, train
from tinygrad_cnn.random import manual_seed


def train_digits(
    communicator: distributed.Communicator,
    folder: str,
    epochs: int = 8,
    callbacks: Sequence[Any] = (),
) -> train.History:
    """Train on all ranks, from the newest checkpoint in the folder if there is one."""
    model = models.DigitsNet(generator=manual_seed(0))
    parallel = distributed.DataParallel(model, communicator)
    batches = data.DataLoader(
        data.Digits("train"), batch_size=64, shuffle=True, seed=0, share=parallel.share
    )
    held_out = data.DataLoader(data.Digits("test"), batch_size=256, share=parallel.share)
    return train.fit(
        model,
        batches,
        epochs=epochs,
        validation=held_out,
        optimizer=optim.SGD(model.parameters(), lr=0.05, momentum=0.9),
        checkpoints=folder,
        resume=True,
        callbacks=callbacks,
        distributed=parallel,
    )


def main() -> None:
    """Train, and let rank 0 tell how it went."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", help="of the checkpoints")
    parser.add_argument("--epochs", type=int, default=8)
    options = parser.parse_args()
    communicator = distributed.MPI()
    history = train_digits(communicator, options.folder, options.epochs)
    if not communicator.rank:
        best = history.best
        print(f"{communicator.size} ranks, best epoch {best.epoch}: {best.validation_accuracy:.1%}")


if __name__ == "__main__":
    main()
