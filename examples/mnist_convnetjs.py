"""ConvNetJS's MNIST network, trained to 99 % on MNIST.

Two convolutions with filters of 5x5, ReLU and max-pooling, then one fully connected layer: the
network of the demonstration (Karpathy 2014). As there, it learns from windows of 24x24 at random
places of the images, and a test image is judged by an average over several windows. The
demonstration takes batches of 20 and Adadelta; here it is SGD with momentum, and one cycle of the
learning rate. The accuracy is that of the last epoch: none is chosen by looking at test images.

    python examples/mnist_convnetjs.py --root DATA        two to four minutes

DATA holds the folder mnist; by default TINYGRAD_CNN_DATA names it. A rerun gives the same numbers,
apart from times.
"""

from __future__ import annotations

from collections.abc import Sequence

from _runs import draw, first, parser

import tinygrad_cnn as tc
from tinygrad_cnn.data import MNIST, CenterCrop, DataLoader, FiveCrop, RandomCrop

EPOCHS, BATCH, MAX_LR, SIDE = 8, 64, 0.1, 24


def main(arguments: Sequence[str] | None = None) -> None:
    """Train, evaluate, draw."""
    options = parser(__doc__, EPOCHS).parse_args(arguments)
    training = first(MNIST(options.root, "train"), options.images)
    tests = first(MNIST(options.root, "test"), options.images)
    train = DataLoader(training, BATCH, shuffle=True, seed=0, transform=RandomCrop(SIDE))
    test = DataLoader(tests, 500, transform=CenterCrop(SIDE))

    model = tc.models.ConvNetJS(image_size=SIDE, generator=tc.manual_seed(0))
    print(f"{sum(parameter.size for parameter in model.parameters()):,} parameters: {model}")
    sgd = tc.optim.SGD(
        model.parameters(), lr=MAX_LR, momentum=0.9, nesterov=True, weight_decay=1e-4
    )
    cycle = tc.optim.OneCycleLR(
        sgd, MAX_LR, epochs=options.epochs, steps_per_epoch=len(train), pct_start=0.25
    )
    history = tc.train.fit(
        model,
        train,
        epochs=options.epochs,
        validation=test,
        schedule=cycle,
        schedule_every="batch",
        keep_best=False,
    )
    print(history)

    windows = tc.train.evaluate(model, DataLoader(tests, 500), views=FiveCrop(SIDE))
    print(f"test accuracy, window in the middle: {100 * history[-1].validation_accuracy:.2f} %")
    print(f"test accuracy, average of 5 windows: {100 * windows.accuracy:.2f} %")
    if options.figures:
        draw(model, test, options.figures, "mnist-convnetjs")


if __name__ == "__main__":
    main()
