"""ConvNetJS's CIFAR-10 network on 20,000 images, and PyTorch's beside it.

The network and the augmentation are those of the demonstration (Karpathy 2014): three times a
convolution with filters of 5x5, ReLU and max-pooling, then one fully connected layer; images are
mirrored and shifted by up to two pixels. The demonstration takes batches of 4 and Adadelta; here
it is SGD with momentum, and one cycle of the learning rate.

The images are those of data_batch_1 and data_batch_2, and the first 1,000 test images. The
accuracy is that of the last epoch: none is chosen by looking at test images.

    python examples/cifar10_convnetjs.py --root DATA                    four minutes for each seed
    python examples/cifar10_convnetjs.py --root DATA --compare-torch    PyTorch besides

DATA holds the folder cifar-10-batches-bin; by default TINYGRAD_CNN_DATA names it. A rerun gives the
same numbers, apart from times.

PyTorch trains the same network from the same initial weights on the very same batches. Rounding
alone differs, and after some hundred steps has made two different networks of equal quality. On
1,000 images two such networks differ by a point or so, one way or the other: means over the seeds
are what compares.
"""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean
from typing import Any

from _runs import draw, first, parser

import tinygrad_cnn as tc
from tinygrad_cnn import nn
from tinygrad_cnn.data import (
    CIFAR10,
    Compose,
    DataLoader,
    Mirrored,
    Normalize,
    RandomHorizontalFlip,
    RandomShift,
)

EPOCHS, BATCH, SEEDS = 10, 32, (0, 1, 2)
SGD: dict[str, Any] = {"lr": 0.02, "momentum": 0.9, "nesterov": True, "weight_decay": 1e-4}


def loaders(root: str | None, images: int | None, seed: int) -> tuple[DataLoader, DataLoader]:
    """Augmented batches to train on, and batches to test on."""
    training = first(CIFAR10(root, batches=(1, 2)), images)
    tests = first(CIFAR10(root, "test-first-1000"), images)
    normalize = Normalize(training.mean, training.std)
    augment = Compose([RandomHorizontalFlip(), RandomShift(2), normalize])
    train = DataLoader(training, BATCH, shuffle=True, seed=seed, transform=augment)
    return train, DataLoader(tests, 500, transform=normalize)


def ours(model: nn.Module, train: DataLoader, test: DataLoader, epochs: int) -> float:
    """Train here; the test accuracy after the last epoch."""
    sgd = tc.optim.SGD(model.parameters(), **SGD)
    cycle = tc.optim.OneCycleLR(
        sgd, SGD["lr"], epochs=epochs, steps_per_epoch=len(train), pct_start=0.25
    )
    history = tc.train.fit(
        model,
        train,
        epochs=epochs,
        validation=test,
        schedule=cycle,
        schedule_every="batch",
        keep_best=False,
    )
    print(history)
    both = tc.train.evaluate(model, test, views=Mirrored())
    print(f"test accuracy with the mirror images: {100 * both.accuracy:.2f} %", flush=True)
    return float(history[-1].validation_accuracy)


def pytorchs(twin: Any, train: DataLoader, test: DataLoader, epochs: int) -> float:
    """Train in PyTorch, from the same weights and on the same batches."""
    import torch

    sgd = torch.optim.SGD(twin.parameters(), **SGD)
    cycle = torch.optim.lr_scheduler.OneCycleLR(
        sgd, SGD["lr"], epochs=epochs, steps_per_epoch=len(train), pct_start=0.25
    )
    accuracy = 0.0
    for epoch in range(1, epochs + 1):
        losses, hits = [], []
        for x, y in train:
            loss = torch.nn.functional.cross_entropy(twin(_tensor(x)), _tensor(y))
            sgd.zero_grad()
            loss.backward()
            sgd.step()
            cycle.step()
            losses += [loss.item()] * len(y)
        for x, y in test:
            with torch.no_grad():
                hits += (twin(_tensor(x)).argmax(1).numpy() == y).tolist()
        accuracy = fmean(hits)
        print(f"{epoch:5}  {fmean(losses):.4f}  {100 * accuracy:.2f} %", flush=True)
    return accuracy


def torch_network(model: nn.Module) -> Any:
    """The same layers of PyTorch's, with the weights of ours."""
    import torch

    def block(channels: int, filters: int) -> list[Any]:
        convolution = torch.nn.Conv2d(channels, filters, 5, padding=2)
        return [convolution, torch.nn.ReLU(), torch.nn.MaxPool2d(2)]

    twin = torch.nn.Sequential(
        *block(3, 16), *block(16, 20), *block(20, 20), torch.nn.Flatten(), torch.nn.Linear(320, 10)
    )
    for theirs, parameter in zip(twin.parameters(), model.parameters(), strict=True):
        theirs.data = _tensor(parameter)
    return twin


def _tensor(x: Any) -> Any:
    import torch

    return torch.tensor(x.numpy() if isinstance(x, tc.Tensor) else x)


def main(arguments: Sequence[str] | None = None) -> None:
    """Train with each seed, here and in PyTorch; evaluate, draw."""
    made = parser(__doc__, EPOCHS)
    made.add_argument("--seeds", type=int, nargs="+", default=SEEDS)
    made.add_argument("--compare-torch", action="store_true", help="needs torch")
    options = made.parse_args(arguments)
    found: dict[str, list[float]] = {"tinygrad_cnn": [], "PyTorch": []}
    for seed in options.seeds:
        model = tc.models.ConvNetJSCifar(generator=tc.manual_seed(seed))
        twin = torch_network(model) if options.compare_torch else None
        if seed == options.seeds[0]:
            print(
                f"{sum(parameter.size for parameter in model.parameters()):,} parameters: {model}"
            )
        print(f"tinygrad_cnn, seed {seed}")
        train, test = loaders(options.root, options.images, seed)
        found["tinygrad_cnn"].append(ours(model, train, test, options.epochs))
        if options.figures and seed == options.seeds[0]:
            draw(model, test, options.figures, "cifar10-convnetjs")
        if twin is not None:
            print(f"PyTorch, seed {seed}: epoch, loss, test accuracy")
            again = loaders(options.root, options.images, seed)
            found["PyTorch"].append(pytorchs(twin, *again, options.epochs))
    for engine, accuracies in found.items():
        if accuracies:
            each = ", ".join(f"{100 * accuracy:.2f}" for accuracy in accuracies)
            print(f"{engine}: test accuracy {each}, mean {100 * fmean(accuracies):.2f} %")


if __name__ == "__main__":
    main()
