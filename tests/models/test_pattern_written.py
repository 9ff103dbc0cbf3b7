"""Models written as patterns: the same layers come back, in the shortest text there is."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

import tinygrad_cnn.functional as F
from tinygrad_cnn import models, nn
from tinygrad_cnn.errors import ArgumentError, GraphError, PatternError
from tinygrad_cnn.models import from_pattern, to_pattern
from tinygrad_cnn.models.pattern._fold import Spellings, fold

CHAINS = {
    "lenet5": "INPUT-1x28x28 -> CONV5-6 -> RELU -> POOL -> CONV5-16-p0 -> RELU -> POOL -> FC-120"
    " -> RELU -> FC-84 -> RELU -> FC",
    "digits": "INPUT-1x8x8 -> CONV-16 -> RELU -> POOL -> CONV -> RELU -> POOL -> FC-64 -> RELU"
    " -> FC",
    "convnetjs": "INPUT-1x28x28 -> CONV5-8 -> RELU -> POOL -> CONV5 -> RELU -> POOL3 -> FC",
    "convnetjs_cifar10": "INPUT -> CONV5-16 -> RELU -> POOL -> [CONV5-20 -> RELU -> POOL]*2 -> FC",
    "cifar10_quick": "INPUT -> CONV5 -> POOL3-s2-ceil -> RELU -> CONV5-32 -> RELU"
    " -> AVGPOOL3-s2-ceil -> CONV5 -> RELU -> AVGPOOL3-s2-ceil -> FC-64 -> FC",
    "all_convolutional": "INPUT -> DROPOUT-0.2 -> [CONV-96 -> RELU]*2 -> CONV-s2 -> RELU -> DROPOUT"
    " -> [CONV-192 -> RELU]*2 -> CONV-s2 -> RELU -> DROPOUT -> CONV-p0"
    " -> [RELU -> CONV1]*2 -> GAP",
}


@pytest.mark.parametrize("name", CHAINS)
def test_named_models(name: str, rng: np.random.Generator) -> None:
    """What is written computes what the model computes, with the model's parameters in it."""
    model = models.build(name, dtype=np.float64).eval()
    pattern = to_pattern(model)
    assert pattern == CHAINS[name]
    copy = from_pattern(pattern, dtype=np.float64).eval()
    keys = list(copy.state_dict())
    copy.load_state_dict(dict(zip(keys, model.state_dict().values(), strict=True)))
    images = rng.normal(size=(2, *copy.input_shape))
    np.testing.assert_array_equal(copy(images).data, model(images).data)


@pytest.mark.slow
def test_vgg16() -> None:
    model = models.VGG(16)
    pattern = to_pattern(model)
    assert pattern == (
        "INPUT-3x224x224 -> [CONV-64 -> RELU]*2 -> POOL -> [CONV -> RELU]*2 -> POOL"
        " -> [[CONV -> RELU]*3 -> POOL]*3 -> [FC-4096 -> RELU -> DROPOUT]*2 -> FC-1000"
    )
    copy = from_pattern(pattern)
    shapes = [[p.shape for p in net.parameters()] for net in (model, copy)]
    assert shapes[0] == shapes[1]
    assert sum(p.size for p in copy.parameters()) == 138_357_544


def test_functions_and_nested_modules() -> None:
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.features = nn.Sequential(
                nn.Sequential(nn.Conv2d(3, 32, 3, padding="same"), nn.ReLU(), nn.Identity()),
                nn.Sequential(nn.Conv2d(32, 32, 3, padding=((1, 1), (1, 1))), nn.ReLU()),
            )
            self.avgpool = nn.AdaptiveAvgPool2d(8)  # changes nothing at this size
            self.classifier = nn.Linear(32 * 8 * 8, 10)

        def forward(self, x: Any) -> Any:
            x = F.max_pool2d(self.features(x), 2)
            x = self.avgpool(F.avg_pool2d(F.leaky_relu(x, 0.125), 2))
            return self.classifier(F.flatten(F.tanh(x), 1))

    written = "INPUT -> [CONV -> RELU]*2 -> POOL -> LRELU-0.125 -> AVGPOOL -> TANH -> FC"
    assert to_pattern(Net(), (3, 32, 32)) == written
    assert to_pattern(from_pattern(written)) == written


@pytest.mark.parametrize(
    ("function", "word"),
    [
        (F.elu, "ELU"),
        (F.gelu, "GELU"),
        (F.hardtanh, "HARDTANH"),
        (F.leaky_relu, "LRELU"),
        (F.relu, "RELU"),
        (F.selu, "SELU"),
        (F.sigmoid, "SIGMOID"),
        (F.silu, "SILU"),
        (F.softplus, "SOFTPLUS"),
        (F.tanh, "TANH"),
        (lambda x: F.max_pool2d(x, 3, stride=2, ceil_mode=True), "POOL3-s2-ceil"),
        (lambda x: F.avg_pool2d(x, (1, 2)), "AVGPOOL1x2"),
        (lambda x: F.lp_pool2d(x, 2, 2), "L2POOL"),
        (lambda x: F.local_response_norm(x, 3, 3e-4, k=2.0), "LRN-3"),
        (lambda x: F.adaptive_avg_pool2d(x, 1), "GAP"),
        (F.global_avg_pool2d, "GAP"),
    ],
)
def test_functions_as_words(function: Callable[[Any], Any], word: str) -> None:
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.fc = nn.Linear(function(np.zeros((1, 3, 32, 32))).size, 10)

        def forward(self, x: Any) -> Any:
            y = function(x)
            return self.fc(F.flatten(y, 1) if y.ndim > 2 else y)

    assert to_pattern(Net(), (3, 32, 32)) == f"INPUT -> {word} -> FC"


def test_all_sizes_if_asked_for() -> None:
    model = from_pattern("INPUT -> [[CONV -> RELU]*2 -> POOL]*2 -> DROPOUT -> FC -> LRELU -> FC")
    assert to_pattern(model, sizes=True) == (
        "INPUT-3x32x32 -> [CONV3-32 -> RELU]*2 -> POOL2 -> [CONV3-64 -> RELU]*2 -> POOL2"
        " -> DROPOUT-0.5 -> FC-128 -> LRELU-0.01 -> FC-10"
    )


def test_a_model_is_left_as_it_was() -> None:
    model = from_pattern("INPUT-1x8x8 -> CONV-4 -> BN -> DROPOUT -> FC").train()
    before = {key: value.tobytes() for key, value in model.state_dict().items()}
    to_pattern(model)
    assert {key: value.tobytes() for key, value in model.state_dict().items()} == before
    assert all(module.training and not module._forward_hooks for module in model.modules())
    assert all(p.grad is None for p in model.parameters())


@pytest.mark.parametrize(
    ("layers", "message"),
    [
        ([nn.Conv2d(3, 4, 3, padding_mode="reflect")], "0 is Conv2d.* padding_mode='reflect'"),
        ([nn.Conv2d(3, 4, 3, flip=True)], "cannot say flip=True"),
        ([nn.Conv2d(3, 4, 2, padding="same")], "cannot say padding='same', unequal at the sides"),
        ([nn.MaxPool2d(2, dilation=2)], r"dilation=\(2, 2\)"),
        ([nn.AvgPool2d(2, count_include_pad=False)], "count_include_pad=False"),
        ([nn.LPPool2d(4, 2)], "norm_type=4"),
        ([nn.BatchNorm2d(3, eps=1e-3)], "eps=0.001"),
        ([nn.BatchNorm2d(3, affine=False)], "weight=None"),
        ([nn.LocalResponseNorm(5)], "cannot say k=1.0"),
        ([nn.LocalResponseNorm(5, k=2.0)], "LRN has AlexNet's alpha, 0.0005"),
        ([nn.LeakyReLU(-0.5)], "a slope below 0"),
        ([nn.GELU("tanh")], "approximate='tanh'"),
        ([nn.Softmax()], "0 is Softmax.*there is no word for it"),
        ([nn.AdaptiveAvgPool2d(1), nn.Conv2d(3, 4, 1)], "here no Flatten follows"),
        ([nn.AdaptiveAvgPool2d(4)], "output_size=4"),
    ],
)
def test_what_has_no_word_is_refused(layers: list[nn.Module], message: str) -> None:
    with pytest.raises(GraphError, match=rf"to_pattern: .*{message}"):
        to_pattern(nn.Sequential(*layers), (3, 8, 8))


def test_a_residual_network_is_no_chain() -> None:
    model = models.CifarResNet(20)
    with pytest.raises(GraphError, match=r"no chain of layers: layer3\.2 computes add"):
        to_pattern(model)


@pytest.mark.parametrize("input", [None, (8, 8), 3, (1, 3, 8, 8)])
def test_the_size_of_the_images_must_be_known(input: Any) -> None:
    with pytest.raises(ArgumentError, match=r"expected \(channels, height, width\)"):
        to_pattern(nn.Sequential(nn.Flatten(), nn.Linear(192, 2)), input)


# -- every pattern comes back ----------------------------------------------------------------

_CONV = st.tuples(
    st.sampled_from(["CONV", "CONV1", "CONV3", "CONV5", "CONV1x3", "CONV2-p0"]),
    st.sampled_from(["", "-2", "-32"]),
    st.sampled_from(["", "-s2", "-s1x2", "-nobias"]),
).map("".join)
_POOL = st.sampled_from(["POOL?", "POOL", "POOL3-s2-p1", "AVGPOOL?", "POOL3-s2-ceil", "L2POOL"])
_ACTIVATION = st.sampled_from(["RELU", "LRELU", "LRELU-0.2", "TANH", "BN", "DROPOUT-0.25", "LRN-3"])
_FC = st.sampled_from(["FC", "FC-16", "FC-128", "FC-10", "FC-nobias"])


def _chains(layer: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    """Layers and groups in a row, groups in groups down to the third level."""
    chain = item = layer
    for _ in range(3):
        chain = st.lists(item, min_size=1, max_size=3).map(" -> ".join)
        item = layer | st.tuples(chain, st.integers(0, 3)).map(
            lambda group: "[{}]*{}".format(*group)
        )
    return chain


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from(["INPUT", "INPUT-2x16x16", "INPUT[9x8x1]"]),
    _chains(_CONV | _POOL | _ACTIVATION),
    _chains(_FC | _ACTIVATION),
    st.sampled_from(["FC", "FC-3", "FC -> RELU", "GAP"]),
)
def test_what_is_written_comes_back(first: str, volume: str, vector: str, last: str) -> None:
    """from_pattern(to_pattern(model)) has the model's layers, and to_pattern is stable."""
    middle = f" -> {vector}" if last != "GAP" else ""
    text = f"{first} -> {volume}{middle} -> {last}"
    try:
        model = from_pattern(text, filters=4, hidden=8)
    except PatternError as error:  # too many pools for the size of the images
        assume("below 1" not in error.message)
        raise
    written = to_pattern(model)
    copy = from_pattern(written)
    assert repr(copy) == repr(model)
    assert copy.input_shape == model.input_shape
    assert to_pattern(copy) == written
    assert repr(from_pattern(to_pattern(model, sizes=True))) == repr(model)


# -- nothing shorter says the same -----------------------------------------------------------


@cache
def _shortest(layers: tuple[Spellings, ...]) -> int:
    """The length of the shortest text, by trying every split and every repetition."""
    n = len(layers)
    lengths = [min(map(len, layers[0]))] if n == 1 else []
    lengths += [_shortest(layers[:i]) + 4 + _shortest(layers[i:]) for i in range(1, n)]
    for count in range(2, n + 1):
        if n % count == 0:
            size = n // count
            copies = [layers[i : i + size] for i in range(0, n, size)]
            group = tuple(frozenset.intersection(*column) for column in zip(*copies, strict=True))
            if all(group):
                lengths.append(_shortest(group) + 3 + len(str(count)))
    return min(lengths)


_SPELLINGS = st.sampled_from(
    [frozenset(["A"]), frozenset(["BB"]), frozenset(["A", "A-1"]), frozenset(["A-1"])]
)


@settings(max_examples=200, deadline=None)
@given(st.lists(_SPELLINGS, min_size=1, max_size=9))
def test_no_text_is_shorter(layers: list[Spellings]) -> None:
    text = fold(layers)
    assert len(text) == _shortest(tuple(layers))
    unfolded = _unfolded(text)
    assert len(unfolded) == len(layers)
    assert all(word in spellings for word, spellings in zip(unfolded, layers, strict=True))


def _unfolded(text: str) -> list[str]:
    """The words of a folded text, its repetitions written out by replacing them one by one."""
    while found := re.search(r"\[([^\[\]]*)\]\*(\d+)", text):
        copies = " -> ".join([found[1]] * int(found[2]))
        text = text[: found.start()] + copies + text[found.end() :]
    return text.split(" -> ")


def test_long_rows_fold() -> None:
    relu = frozenset(["RELU"])
    assert fold([relu] * 200) == "[RELU]*200"
    mixed = [frozenset([word]) for word in "ABAC" * 60]
    assert fold(mixed) == "[A -> B -> A -> C]*60"
