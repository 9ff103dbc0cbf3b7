"""Writes the Keras files beside this script, with real Keras (3.15.1; its PyTorch backend).

    KERAS_BACKEND=torch python tests/io/data/make_keras_files.py

The tests need neither Keras nor this script: they compare with the outputs kept in keras.npz.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

HERE = Path(__file__).parent
RNG = np.random.default_rng(0)


def chain(keras: Any) -> Any:
    """Kinds of layers in a row, with pixels that are flattened, 3x2 of 8 channels."""
    layers = keras.layers
    return keras.Sequential(
        [
            keras.Input((10, 8, 3)),
            layers.Conv2D(4, 3, strides=1),
            layers.BatchNormalization(),
            layers.ReLU(),
            layers.DepthwiseConv2D(3, depth_multiplier=2),
            layers.MaxPooling2D(2),
            layers.Flatten(),
            layers.BatchNormalization(center=True, scale=True),
            layers.Dense(5, activation="relu"),
            layers.Dropout(0.5),
            layers.Dense(3, name="head"),
        ]
    )


def branches(keras: Any) -> Any:
    """A functional model: a residual sum, a grouped and a transposed convolution, other norms."""
    layers = keras.layers
    images = keras.Input((6, 5, 4))
    x = layers.Conv2D(4, 3, padding="same", use_bias=False)(images)
    x = layers.GroupNormalization(2, epsilon=1e-5)(x)
    x = layers.Add()([images, layers.Conv2D(4, 3, padding="same", groups=2)(x)])
    x = layers.Conv2DTranspose(3, 2, strides=2)(x)
    x = layers.LayerNormalization(epsilon=1e-5)(layers.GlobalAveragePooling2D()(x))
    return keras.Model(images, layers.Dense(2, use_bias=False)(x))


def attributes(keras: Any) -> Any:
    """Layers that are attributes, in an order that only the class knows."""

    class Net(keras.Model):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.last = keras.layers.Dense(3)
            self.first = keras.layers.Dense(3)
            self.flatten = keras.layers.Flatten()

        def call(self, images: Any) -> Any:
            return self.last(keras.ops.relu(self.first(self.flatten(images))))

    return Net()


def main() -> None:
    """Write them all."""
    import keras

    kept = {}
    shapes = {"chain": (10, 8, 3), "branches": (6, 5, 4), "attributes": (2, 2, 3)}
    for make in (chain, branches, attributes):
        name = make.__name__
        images = RNG.normal(size=(3, *shapes[name])).astype(np.float32)
        model = make(keras)
        model(images)
        model.set_weights([RNG.uniform(0.5, 1.5, w.shape) / 2 for w in model.get_weights()])
        model.save_weights(HERE / f"{name}.weights.h5")
        kept[f"{name}_images"] = images
        kept[f"{name}_outputs"] = np.asarray(model.predict(images, verbose=0))
    np.savez(HERE / "keras.npz", **kept)


if __name__ == "__main__":
    main()
