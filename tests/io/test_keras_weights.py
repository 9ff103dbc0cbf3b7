"""Weights of Keras: files that it wrote, with its outputs; files that do not fit or are damaged."""

from __future__ import annotations

import contextlib
import random
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tinygrad_cnn as tc
from tinygrad_cnn import nn
from tinygrad_cnn.errors import ArgumentError, CheckpointError, DataError, MissingExtraError
from tinygrad_cnn.io import load_keras

h5py = pytest.importorskip("h5py")

FILES = Path(__file__).parent / "data"  # made by the script beside them
SEEDS = 200


def chain() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(3, 4, 3),
        nn.BatchNorm2d(4, eps=1e-3),
        nn.ReLU(),
        nn.Conv2d(4, 8, 3, groups=4),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.BatchNorm1d(8 * 3 * 2, eps=1e-3),
        nn.Linear(8 * 3 * 2, 5),
        nn.ReLU(),
        nn.Linear(5, 3),
    )


class Branches(nn.Module):
    """The functional model, its layers in Keras's order within each kind."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(4, 4, 3, padding=1, bias=False)
        self.norm1 = nn.GroupNorm(2, 4)
        self.conv2 = nn.Conv2d(4, 4, 3, padding=1, groups=2)
        self.up = nn.ConvTranspose2d(4, 3, 2, stride=2)
        self.pool = nn.GlobalAvgPool2d()
        self.norm2 = nn.LayerNorm(3)
        self.head = nn.Linear(3, 2, bias=False)

    def forward(self, x: Any) -> Any:
        x = tc.as_tensor(x)
        x = self.up(x + self.conv2(self.norm1(self.conv1(x))))
        return self.head(self.norm2(self.pool(x).reshape(-1, 3)))


def attributes() -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(12, 3), nn.ReLU(), nn.Linear(3, 3))


def small() -> nn.Module:
    return nn.Sequential(nn.Conv2d(1, 2, 3), nn.Flatten(), nn.Linear(8, 2))


def keras_file(path: Path, layers: dict[str, list[Any]], **attrs: Any) -> Path:
    """A file in the layout of Keras 3: the arrays of each layer, by its path."""
    with h5py.File(path, "w") as file:
        file.attrs.update(attrs)
        for layer, arrays in layers.items():
            for number, array in enumerate(arrays):
                file[f"{layer}/vars/{number}"] = array
    return path


def small_layers(dtype: Any = np.float32) -> dict[str, list[Any]]:
    shapes = {"layers/conv2d": [(3, 3, 1, 2), (2,)], "layers/dense": [(8, 2), (2,)]}
    rng = np.random.default_rng(0)
    return {k: [rng.normal(size=s).astype(dtype) for s in shape] for k, shape in shapes.items()}


# -- what Keras computed ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "make", "told"),
    [
        ("chain", chain, {}),
        ("branches", Branches, {}),
        ("attributes", attributes, {"layers": {"1": "first", "3": "last"}, "channels": {"1": 3}}),
    ],
)
def test_outputs_are_those_of_keras(
    name: str, make: Callable[[], nn.Module], told: dict[str, Any]
) -> None:
    model = make().eval()
    report = load_keras(FILES / f"{name}.weights.h5", model, **told)
    counts = {key for key in model.state_dict() if key.endswith("num_batches_tracked")}
    assert {transfer.key for transfer in report} == model.state_dict().keys() - counts
    with np.load(FILES / "keras.npz") as kept:
        images, expected = kept[f"{name}_images"], kept[f"{name}_outputs"]
    outputs = model(images.transpose(0, 3, 1, 2)).numpy()  # NHWC to NCHW
    assert np.abs(outputs - expected).max() <= 1e-5 * max(1.0, np.abs(expected).max())


def test_the_report_says_what_went_where() -> None:
    report = {t.key: t for t in load_keras(FILES / "chain.weights.h5", chain())}
    assert str(report["3.weight"]) == (
        "3.weight <- layers/depthwise_conv2d/vars/0 ((3, 3, 4, 2) to (8, 1, 3, 3))"
    )
    assert report["7.weight"].change == "pixels of 8 channels, (48, 5) to (5, 48)"
    assert report["9.weight"].source == "layers/dense_1/vars/0"
    assert str(report["9.bias"]) == "9.bias <- layers/dense_1/vars/1"


def test_layers_are_counted_not_sorted_as_words(tmp_path: Path) -> None:
    names = ["layers/dense", *(f"layers/dense_{n}" for n in range(1, 12))]
    path = keras_file(
        tmp_path / "a.h5", {k: [np.full((1, 1), n, "f4")] for n, k in enumerate(names)}
    )
    model = nn.Sequential(*(nn.Linear(1, 1, bias=False) for _ in names))
    load_keras(path, model)
    assert [layer.weight.item() for layer in model] == list(range(12))


def test_optimiser_and_seeds_are_no_layers(tmp_path: Path) -> None:
    extra = {
        "optimizer": [np.zeros((), "i4"), np.ones(3, "f4")],
        "layers/dropout/seed_generator": [np.zeros(2, "u4")],
    }
    report = load_keras(keras_file(tmp_path / "a.h5", {**small_layers(), **extra}), small())
    assert len(report) == 4


def test_flattening_without_a_module_for_it(tmp_path: Path) -> None:
    """LeNet-5 flattens in ``forward``: (400, 120) are the pixels of 16 channels."""
    shapes = [(5, 5, 1, 6), (5, 5, 6, 16), (400, 120), (120, 84), (84, 10)]
    rng, layers = np.random.default_rng(0), {}
    for n, shape in enumerate(shapes):
        number = n if n < 2 else n - 2
        name = f"layers/{'conv2d' if n < 2 else 'dense'}" + (f"_{number}" if number else "")
        layers[name] = [rng.normal(size=shape).astype("f4"), np.zeros(shape[-1], "f4")]
    model = tc.models.LeNet5()
    load_keras(keras_file(tmp_path / "a.h5", layers), model)
    there = layers["layers/dense"][0].reshape(5, 5, 16, 120)
    here = model.fc1.weight.numpy().reshape(120, 16, 5, 5)
    np.testing.assert_array_equal(here, there.transpose(3, 2, 0, 1))


@pytest.mark.parametrize("dtype", ["float16", "float64"])
def test_other_precisions_become_the_models(dtype: str, tmp_path: Path) -> None:
    model, layers = small(), small_layers(dtype)
    load_keras(keras_file(tmp_path / "a.h5", layers), model)
    np.testing.assert_array_equal(model[2].bias.numpy(), layers["layers/dense"][1].astype("f4"))


def test_filters_of_true_convolution_are_turned(tmp_path: Path) -> None:
    plain, turned = small(), small()
    turned[0] = nn.Conv2d(1, 2, 3, flip=True)
    for model in (plain, turned):
        load_keras(keras_file(tmp_path / "a.h5", small_layers()), model)
    x = np.random.default_rng(0).normal(size=(2, 1, 4, 4)).astype("f4")
    np.testing.assert_allclose(plain(x).numpy(), turned(x).numpy(), rtol=1e-5, atol=1e-6)


# -- what does not fit -----------------------------------------------------------------------


def refused(path: Path, model: nn.Module, error: type[Exception], **told: Any) -> str:
    """The message, once it is known that nothing was changed."""
    before = model.state_dict()
    with pytest.raises(error) as caught:
        load_keras(path, model, **told)
    for key, array in model.state_dict().items():
        np.testing.assert_array_equal(array, before[key])
    return str(caught.value)


def test_all_that_does_not_fit_is_in_one_message() -> None:
    model = nn.Sequential(
        nn.Conv2d(3, 4, 5), nn.BatchNorm2d(4, affine=False), nn.PReLU(), nn.BatchNorm1d(5),
        nn.Linear(10, 3), nn.Unflatten(1, (3, 1, 1)),
    )  # fmt: skip
    message = refused(FILES / "chain.weights.h5", model, CheckpointError, channels={"9": 3})
    assert message.count("\n") == 13  # one more for each other array of 3
    for problem in (
        "channels: the model has no module '9'",
        "2: no layer of Keras is known for a PReLU",
        "3: 5 numbers are no images of 4 channels",
        "4: 10 numbers are no images of 4 channels",
        "5: the order of pixels behind an Unflatten is not translated",
        "dense: the model has 1 (4), the file 2 (layers/dense, layers/dense_1)",
        "depthwise_conv2d: the model has none, the file 1 (layers/depthwise_conv2d)",
        "1: layers/batch_normalization has 4 arrays, the module 2: running_mean, running_var",
        "3.weight: /layers/batch_normalization_1/vars/0 has shape (48,), expected (5,)",
        "0.weight: /layers/conv2d/vars/0 has shape (3, 3, 3, 4), expected (5, 5, 3, 4)",
    ):
        assert problem in message


@pytest.mark.parametrize(
    ("told", "message"),
    [
        ({}, "does not tell what first, last correspond to; say it: layers={'1': 'first', …}"),
        ({}, "1: how many channels have the images that are flattened into its 12 numbers?"),
        ({"channels": {"1": 5}}, "12 numbers are no images of 5 channels"),
        ({"channels": {"1": "rgb"}}, "12 numbers are no images of 'rgb' channels"),
        ({"layers": {"1": "dense_9"}}, "'dense_9' for '1' is none of the file's first, last"),
        ({"layers": {"2": "first"}}, "layers: the model has no module '2' with weights"),
        (
            {"layers": {"1": "last", "3": "last"}},
            "layers: 'last' for '3' is none of the file's first",
        ),
    ],
)
def test_what_the_file_does_not_tell_has_to_be_said(told: dict[str, Any], message: str) -> None:
    path = FILES / "attributes.weights.h5"
    assert message in refused(path, attributes(), CheckpointError, **told)


def test_arguments_of_other_types() -> None:
    path = FILES / "chain.weights.h5"
    for call, message in (
        (lambda: load_keras(path, "model"), "expected a Module to load into, got 'model'"),
        (lambda: load_keras(3, chain()), "expected the path of a file, got 3"),
        (lambda: load_keras(path, chain(), layers=["a"]), "layers=.*expected a dict"),
        (lambda: load_keras(path, chain(), channels=3), "channels=3, expected a dict"),
    ):
        with pytest.raises(ArgumentError, match=message):
            call()


def test_a_read_only_model_is_left_as_it_was(tmp_path: Path) -> None:
    model = small()
    model[2].bias.data.flags.writeable = False
    path = keras_file(tmp_path / "a.h5", small_layers())
    assert "2.bias can't be written to" in refused(path, model, CheckpointError)


# -- files that are damaged, or made to do harm ----------------------------------------------


def _integers(file: Any) -> None:
    file["layers/dense/vars/1"][...] = 0
    del file["layers/dense/vars/1"]
    file["layers/dense/vars/1"] = np.zeros(2, "i4")


def _chunks(file: Any) -> None:
    del file["layers/dense/vars/1"]
    file.create_dataset("layers/dense/vars/1", data=np.zeros(2, "f4"), chunks=(1,))


def _elsewhere(file: Any) -> None:
    del file["layers/dense/vars/1"]
    file.create_dataset("layers/dense/vars/1", (2,), "f4", external=[("/etc/hostname", 0, 8)])


def _virtual(file: Any) -> None:
    del file["layers/dense/vars/1"]
    layout = h5py.VirtualLayout((2,), "f4")
    layout[:] = h5py.VirtualSource("other.h5", "x", (2,))
    file.create_virtual_dataset("layers/dense/vars/1", layout)


def _soft_link(file: Any) -> None:
    file["layers/dense_1"] = h5py.SoftLink("/layers/dense")


def _external_link(file: Any) -> None:
    del file["layers/dense/vars/1"]
    file["layers/dense/vars/1"] = h5py.ExternalLink("other.h5", "/x")


def _circle(file: Any) -> None:
    file["layers/dense/again"] = file["layers"]


def _array_outside(file: Any) -> None:
    file["layers/dense/kernel"] = np.zeros(2)


def _gap(file: Any) -> None:
    file["layers/dense/vars/5"] = np.zeros(2)


def _keras_2(file: Any) -> None:
    file.attrs["layer_names"] = ["dense"]


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        (_integers, CheckpointError, "has dtype int32, expected floating point"),
        (_chunks, CheckpointError, "not stored in one piece"),
        (_elsewhere, CheckpointError, "not stored in one piece"),
        (_virtual, CheckpointError, "not stored in one piece"),
        (_soft_link, DataError, "layers/dense_1 is a link to another place"),
        (_external_link, DataError, "layers/dense/vars/1 is no array"),
        (_circle, DataError, "more groups inside of groups"),
        (_array_outside, DataError, "layers/dense/kernel is an array outside of"),
        (_gap, DataError, "expected 0, 1"),
        (_keras_2, DataError, "layout of Keras 2"),
    ],
)
def test_what_keras_does_not_write_is_refused(
    change: Callable[[Any], None], error: type[Exception], message: str, tmp_path: Path
) -> None:
    path = keras_file(tmp_path / "a.h5", small_layers())
    with h5py.File(path, "r+") as file:
        change(file)
    found = refused(path, small(), error)
    assert message in found
    assert str(path) in found


def test_files_of_other_kinds(tmp_path: Path) -> None:
    path = tmp_path / "a.h5"
    assert "no such file" in refused(path, small(), DataError)
    path.write_bytes(b"no HDF5")
    assert "damaged, or no .weights.h5 file" in refused(path, small(), DataError)
    assert "no weights of a Keras model" in refused(keras_file(path, {}), small(), DataError)


def test_truncated_files_are_refused(tmp_path: Path) -> None:
    path = keras_file(tmp_path / "a.h5", small_layers())
    whole = path.read_bytes()
    for length in range(0, len(whole), 61):
        path.write_bytes(whole[:length])
        refused(path, small(), DataError)


def test_flipped_bits_load_numbers_or_are_refused(tmp_path: Path) -> None:
    """HDF5 keeps no checksum of such files: a number may change, nothing else may happen."""
    path = keras_file(tmp_path / "a.h5", small_layers())
    whole, rng = path.read_bytes(), random.Random(0)
    for _ in range(SEEDS):
        damaged = bytearray(whole)
        damaged[rng.randrange(len(whole))] ^= 1 << rng.randrange(8)
        path.write_bytes(damaged)
        with contextlib.suppress(DataError, CheckpointError):
            load_keras(path, small())


def test_without_h5py(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(MissingExtraError, match=r"tinygrad-cnn\[keras\]"):
        load_keras(FILES / "chain.weights.h5", chain())


def test_the_order_in_models_inside_of_models_has_to_be_said(tmp_path: Path) -> None:
    paths = ["layers/dense", "layers/functional/layers/dense", "layers/dense_1"]
    layers = {path: [np.full((1, 1), n, "f4")] for n, path in enumerate(paths)}
    path = keras_file(tmp_path / "a.h5", layers)
    model = nn.Sequential(*(nn.Linear(1, 1, bias=False) for _ in paths))
    assert "dense: the file does not tell the order of 3" in refused(path, model, CheckpointError)
    load_keras(path, model, layers={"1": paths[1]})  # the others are in one list
    assert [layer.weight.item() for layer in model] == [0, 1, 2]
