"""A network that was trained on photographs, fine-tuned to clothes.

ResNet-20 with the weights that Y. Idelbayev trained on CIFAR-10 (pytorch_resnet_cifar10) learns
Fashion-MNIST from 1,000 images: first a new head alone, on frozen layers, then everything.

    python examples/fine_tuning.py WEIGHTS --root DATA        about a minute

WEIGHTS is the file resnet20-12fca82f.th. DATA holds the folder fashion-mnist; by default
TINYGRAD_CNN_DATA names it. A rerun gives the same numbers.

Freezing concerns parameters: ``requires_grad_(False)`` keeps gradients and the optimiser away from
them. Batch normalisation also has running statistics, which are no parameters: in training mode a
frozen layer goes on to normalise by the batch at hand and to follow its mean and variance. Here
this is wanted, as clothes on black have other statistics than photographs. ``KeepStatistics`` below
shows how to hold them too; ``--keep-statistics`` uses it, for comparison.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Self

import numpy as np
from _runs import first, parser

import tinygrad_cnn as tc
from tinygrad_cnn import nn
from tinygrad_cnn.data import ArrayDataset, DataLoader, FashionMNIST, Normalize
from tinygrad_cnn.errors import ArgumentError, DataError
from tinygrad_cnn.models import CifarResNet

TRAINING, TEST, BATCH = 1000, 1000, 50
# Of the images that the network was trained on, as published with it.
NORMALIZE = Normalize((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))


class KeepStatistics(CifarResNet):
    """A ResNet whose batch normalisation uses the statistics that it came with, in training too."""

    def train(self, mode: bool = True) -> Self:
        """Training mode for all layers but those of batch normalisation."""
        super().train(mode)
        for module in self.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.training = False
        return self


def as_photographs(dataset: ArrayDataset) -> ArrayDataset:
    """Grey images of 28x28, with a border of black, as colour images of 32x32."""
    images, labels = dataset.batch(np.arange(len(dataset)))
    padded = np.pad(images, ((0, 0), (0, 0), (2, 2), (2, 2)))
    return ArrayDataset(np.repeat(padded, 3, axis=1), labels, classes=dataset.classes)


def main(arguments: Sequence[str] | None = None) -> None:
    """Load, train the head, train all; print the accuracy before and after each."""
    command = parser(__doc__, epochs=3)
    command.add_argument("weights", type=Path, help="the file resnet20-12fca82f.th")
    command.add_argument("--keep-statistics", action="store_true", help="of batch normalisation")
    options = command.parse_args(arguments)
    if not options.weights.is_file():
        command.error(
            f"{options.weights}: no such file; resnet20-12fca82f.th is published with"
            " pytorch_resnet_cifar10 (github.com/akamaster/pytorch_resnet_cifar10)"
        )
    try:
        training, tests = (FashionMNIST(options.root, split) for split in ("train", "test"))
    except (ArgumentError, DataError) as error:
        command.error(str(error))
    training = as_photographs(first(training, options.images or TRAINING))
    tests = as_photographs(first(tests, options.images or TEST))
    train = DataLoader(training, BATCH, shuffle=True, seed=0, transform=NORMALIZE)
    test = DataLoader(tests, 250, transform=NORMALIZE)

    tc.manual_seed(0)
    model = (KeepStatistics if options.keep_statistics else CifarResNet)(20)
    # The file is older than PyTorch's count of the batches that the statistics are of.
    counts = {key: 0 for key in model.state_dict() if key.endswith("num_batches_tracked")}
    model.load_state_dict(counts | tc.io.load(options.weights))
    model.linear = nn.Linear(64, len(training.classes))  # of CIFAR-10's classes nothing is kept

    def show(when: str) -> None:
        print(f"{when:22} {100 * tc.train.evaluate(model, test).accuracy:.1f} % of test images")

    show("before:")
    model.requires_grad_(False)
    model.linear.requires_grad_(True)
    head = tc.optim.Adam(model.linear.parameters(), lr=0.01)
    tc.train.fit(model, train, epochs=options.epochs, optimizer=head)
    show("after the head alone:")

    model.requires_grad_(True)
    everything = tc.optim.Adam(model.parameters(), lr=0.001)
    tc.train.fit(model, train, epochs=options.epochs, optimizer=everything)
    show("after all layers:")


if __name__ == "__main__":
    main()
