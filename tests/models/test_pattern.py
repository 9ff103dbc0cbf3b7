"""Models from layer patterns: the course's own, the sizes that are left out, the notes."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pytest

import tinygrad_cnn as tc
from tinygrad_cnn import models, nn
from tinygrad_cnn.errors import ArgumentError
from tinygrad_cnn.models import from_pattern, to_pattern
from tinygrad_cnn.models.pattern import plan

VGG16 = """
    INPUT: [224x224x3]
    -> [CONV3-64 -> RELU]*2 -> POOL2
    -> [CONV3-128 -> RELU]*2 -> POOL2
    -> [CONV3-256 -> RELU]*3 -> POOL2
    -> [[CONV3-512 -> RELU]*3 -> POOL2]*2
    -> [FC-4096 -> RELU]*2 -> FC-1000
"""
GRAMMAR = "INPUT -> [[CONV -> RELU]*N -> POOL?]*M -> [FC -> RELU]*K -> FC"


def _settings(model: nn.Module) -> list[str]:
    return [repr(module) for module in model.children()]


@pytest.mark.parametrize(
    ("pattern", "written", "layers"),
    [
        ("INPUT -> FC", None, "flatten fc1"),
        ("INPUT -> CONV -> RELU -> FC", None, "conv1 relu1 flatten fc1"),
        (
            r"INPUT -> [CONV -> RELU -> POOL]\*2 -> FC -> RELU -> FC",
            "INPUT -> [CONV -> RELU -> POOL]*2 -> FC -> RELU -> FC",
            "conv1 relu1 pool1 conv2 relu2 pool2 flatten fc1 relu3 fc2",
        ),
        (
            "INPUT -> [CONV -> RELU -> CONV -> RELU -> POOL]*3 -> [FC -> RELU]*2 -> FC",
            "INPUT -> [[CONV -> RELU]*2 -> POOL]*3 -> [FC -> RELU]*2 -> FC",
            "conv1 relu1 conv2 relu2 pool1 conv3 relu3 conv4 relu4 pool2 conv5 relu5 conv6 relu6"
            " pool3 flatten fc1 relu7 fc2 relu8 fc3",
        ),
        (
            "[INPUT - CONV - RELU - POOL - FC]",
            "INPUT -> CONV -> RELU -> POOL -> FC",
            "conv1 relu1 pool1 flatten fc1",
        ),
    ],
)
def test_the_patterns_of_the_course(
    pattern: str, written: str | None, layers: str, rng: np.random.Generator
) -> None:
    model = from_pattern(pattern, generator=rng)
    assert [name for name, _ in model.named_modules()][1:] == layers.split()
    assert model.input_shape == (3, 32, 32)
    assert model.notes == ()
    images = rng.normal(size=(2, 3, 32, 32)).astype(np.float32)
    scores = model(images)
    assert scores.shape == (2, 10)
    tc.functional.cross_entropy(scores, [3, 7]).backward()
    assert all(p.grad is not None and np.any(p.grad.data) for p in model.parameters())
    assert to_pattern(model) == (written or pattern)


@pytest.mark.parametrize(
    "pattern",
    [
        "INPUT -> [[CONV -> RELU]*2 -> POOL]*2 -> FC",
        "INPUT \u2192 ((conv \u2192 relu)\u00d72 \u2192 pool)\u00d72 \u2192 fc",
        "input, [[Conv, Relu]*2, Pool]*2, Fc, softmax",
        "INPUT-CONV-RELU-CONV-RELU-POOL-CONV-RELU-CONV-RELU-POOL-FC",
        "INPUT->[[CONV3-32->RELU->CONV3->RELU->POOL2]->[CONV3-64->RELU]*2->POOL2-s2]->FC-10",
        "INPUT-3x32x32 - [[CONV-s1-p1 - RELU]*2 - MAXPOOL]*2 - [TANH]*0 - FC",
        "INPUT: [32 x 32 x 3]\n  -> [[CONV -> RELU]*2 -> POOL]*2\n  -> FLATTEN -> FC\n",
    ],
)
def test_one_model_in_many_spellings(pattern: str) -> None:
    expected = from_pattern("INPUT -> [[CONV -> RELU]*2 -> POOL]*2 -> FC")
    assert repr(from_pattern(pattern)) == repr(expected)


def test_filters_double_behind_pools_up_to_512() -> None:
    def filters(pattern: str, **settings: Any) -> list[int]:
        steps = plan(pattern, (3, 256, 256), **settings).steps
        return [step.after[0] for step in steps if step.layer.word == "CONV"]

    assert filters("INPUT -> [CONV -> POOL]*7 -> FC") == [32, 64, 128, 256, 512, 512, 512]
    assert filters("INPUT -> [CONV]*2 -> [POOL]*2 -> CONV -> FC") == [32, 32, 64]
    assert filters("INPUT -> CONV-20 -> POOL -> CONV -> CONV-7 -> CONV -> FC") == [20, 40, 7, 7]
    assert filters("INPUT -> CONV-600 -> POOL -> CONV -> FC") == [600, 600]
    assert filters("INPUT -> [CONV -> POOL]*2 -> FC", filters=8) == [8, 16]
    assert filters("INPUT -> CONV -> RELU -> CONV1 -> GAP", classes=7) == [32, 7]


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("CONV", nn.Conv2d(8, 32, 3, padding=1)),
        ("CONV5", nn.Conv2d(8, 32, 5, padding=2)),
        ("CONV5-16-s2-p0", nn.Conv2d(8, 16, 5, stride=2)),
        ("CONV3-16-d2", nn.Conv2d(8, 16, 3, padding=2, dilation=2)),
        ("CONV-16-g8-nobias", nn.Conv2d(8, 16, 3, padding=1, groups=8, bias=False)),
        ("CONV1x7-6-s1x2", nn.Conv2d(8, 6, (1, 7), stride=(1, 2), padding=(0, 3))),
        ("CONV2-p0", nn.Conv2d(8, 32, 2)),
        ("POOL", nn.MaxPool2d(2)),
        ("POOL3", nn.MaxPool2d(3)),
        ("POOL3-s2-p1", nn.MaxPool2d(3, 2, 1)),
        ("POOL3-s2-ceil", nn.MaxPool2d(3, 2, ceil_mode=True)),
        ("AVGPOOL4", nn.AvgPool2d(4)),
        ("L2POOL", nn.LPPool2d(2, 2)),
        ("GAP", nn.GlobalAvgPool2d()),
        ("BN", nn.BatchNorm2d(8)),
        ("LRN", nn.LocalResponseNorm(5, alpha=5e-4, k=2.0)),
        ("DROPOUT-0.25", nn.Dropout(0.25)),
        ("LRELU-0.2", nn.LeakyReLU(0.2)),
        ("PRELU", nn.PReLU()),
        ("TANH", nn.Tanh()),
        ("SIGMOID", nn.Sigmoid()),
        ("ELU", nn.ELU()),
        ("SELU", nn.SELU()),
        ("GELU", nn.GELU()),
        ("SILU", nn.SiLU()),
        ("SOFTPLUS", nn.Softplus()),
        ("HARDTANH", nn.Hardtanh()),
    ],
)
def test_every_word(word: str, expected: nn.Module, rng: np.random.Generator) -> None:
    model = from_pattern(f"INPUT-8x17x17 -> {word} -> FC")
    assert repr(model[0]) == repr(expected)
    assert model.eval()(rng.normal(size=(1, 8, 17, 17)).astype(np.float32)).shape == (1, 10)
    assert repr(from_pattern(to_pattern(model))) == repr(model)


def test_batch_norm_behind_a_linear_layer_is_of_vectors() -> None:
    model = from_pattern("INPUT -> FC-5 -> BN -> RELU -> FC")
    assert isinstance(model.bn1, nn.BatchNorm1d)
    assert from_pattern(to_pattern(model)).bn1.num_features == 5


@pytest.mark.parametrize(
    ("size", "side"), [(32, 1), (28, 7), (12, 3), (6, 3), (7, 7), (2, 1), (1, 1)]
)
def test_an_optional_pool_halves_what_is_even(size: int, side: int) -> None:
    planned = plan("INPUT -> [POOL?]*5 -> FC", (1, size, size))
    assert planned.steps[-2].before == (1, side, side)
    assert planned.notes == ()


def test_optional_pools_as_told() -> None:
    def layers(told: bool | None) -> str:
        model = from_pattern(GRAMMAR, (1, 14, 14), optional_pools=told, N=1, M=2, K=0)
        return to_pattern(model)

    first = "INPUT-1x14x14 -> "
    assert layers(None) == first + "CONV -> RELU -> POOL -> CONV -> RELU -> FC"
    assert layers(True) == first + "[CONV -> RELU -> POOL]*2 -> FC"
    assert layers(False) == first + "[CONV -> RELU]*2 -> FC"
    with pytest.raises(ArgumentError, match=r"pool2: .* is below 1"):
        from_pattern(GRAMMAR, (1, 2, 2), optional_pools=True, N=0, M=2, K=0)


def test_zero_of_everything_is_the_linear_classifier() -> None:
    model = from_pattern(GRAMMAR, N=0, M=0, K=0)
    assert to_pattern(model) == "INPUT -> FC"
    assert sum(p.size for p in model.parameters()) == 3072 * 10 + 10


def test_three_small_filters_cost_27_c2_and_one_large_49_c2() -> None:
    c = 10
    stack = plan(f"INPUT -> [CONV3-{c}-nobias -> RELU]*3 -> FC", (c, 16, 16))
    single = plan(f"INPUT -> CONV7-{c}-nobias -> RELU -> FC", (c, 16, 16))
    weights = [
        sum(step.parameters for step in planned.steps if step.layer.word == "CONV")
        for planned in (stack, single)
    ]
    assert weights == [27 * c * c, 49 * c * c]


def test_vgg16_as_the_notes_list_it() -> None:
    planned = plan(VGG16)
    assert planned.parameters == 138_357_544
    words = ("CONV", "POOL", "FC")
    rows = [step for step in planned.steps if step.layer.word in words]
    volumes = [
        (64, 224, 224), (64, 224, 224), (64, 112, 112), (128, 112, 112), (128, 112, 112),
        (128, 56, 56), (256, 56, 56), (256, 56, 56), (256, 56, 56), (256, 28, 28), (512, 28, 28),
        (512, 28, 28), (512, 28, 28), (512, 14, 14), (512, 14, 14), (512, 14, 14), (512, 14, 14),
        (512, 7, 7), (4096,), (4096,), (1000,),
    ]  # fmt: skip
    assert [step.after for step in rows] == volumes
    weights = {step.name: step.parameters - step.after[0] for step in rows if step.parameters}
    assert weights["conv1"] == 1_728
    assert weights["conv13"] == 2_359_296
    assert weights["fc1"] == 102_760_448
    assert weights["fc3"] == 4_096_000
    lines = str(planned).splitlines()
    assert lines[1] == "conv1    64x224x224         1,792"
    assert lines[-1].split() == ["total", "138,357,544"]


def test_the_first_loss_is_near_ln_c(rng: np.random.Generator) -> None:
    pattern = "INPUT -> [[CONV -> RELU]*3 -> POOL]*4 -> [FC -> RELU]*2 -> FC"
    model = from_pattern(pattern, classes=20, generator=rng, dtype=np.float64)
    scores = model(rng.normal(size=(8, 3, 32, 32)))
    loss = tc.functional.cross_entropy(scores, rng.integers(0, 20, 8)).item()
    assert abs(loss - np.log(20)) < 0.1
    assert np.std(scores.data) > 0.01  # the signal has come through 15 layers
    loss_by = tc.functional.cross_entropy(model(rng.normal(size=(8, 3, 32, 32))), [0] * 8)
    loss_by.backward()
    gradients = [np.linalg.norm(p.grad.data) for p in model.parameters() if p.grad is not None]
    assert min(gradients) > 1e-4


def test_a_seed_determines_every_bit_and_dtype_is_kept() -> None:
    pattern = "INPUT-1x8x8 -> CONV-4 -> BN -> PRELU -> POOL -> FC"
    make = [
        from_pattern(pattern, dtype=np.float64, generator=np.random.default_rng(1)) for _ in "ab"
    ]
    states = [{k: v.tobytes() for k, v in model.state_dict().items()} for model in make]
    assert states[0] == states[1]
    assert {p.dtype for p in make[0].parameters()} == {np.dtype(np.float64)}
    assert {p.dtype for p in from_pattern(pattern).parameters()} == {np.dtype(np.float32)}


def test_a_model_travels_and_shows_itself() -> None:
    model = from_pattern("INPUT-1x8x8 -> CONV-4 -> RELU -> POOL -> FC")
    copy = pickle.loads(pickle.dumps(model))
    assert (copy.input_shape, copy.pattern, copy.notes) == ((1, 8, 8), model.pattern, ())
    rows = models.summary(model, (1, 1, 8, 8)).rows
    assert [row.name for row in rows][:3] == ["conv1", "relu1", "pool1"]
    drawn = tc.draw.graph(model(tc.zeros(1, 1, 8, 8)), "layers").dot
    assert all(f"{name}: " in drawn for name in ("conv1", "relu1", "pool1", "fc1"))
    with pytest.raises(tc.errors.ShapeError, match=r"made for images \(N, 1, 8, 8\)"):
        model(tc.zeros(1, 1, 7, 7))


@pytest.mark.parametrize(
    ("pattern", "note"),
    [
        ("INPUT-1x14x14 -> [CONV -> RELU -> POOL]*2 -> FC", "pool2: windows of 2x2 at stride 2x2"),
        ("INPUT -> CONV5-8-p0 -> RELU -> FC", "conv1: 32x32 becomes 28x28; without -p"),
        ("INPUT -> CONV -> RELU -> CONV7 -> RELU -> FC", "with 27C² weights instead of 49C²"),
        ("INPUT -> CONV -> RELU -> POOL4 -> FC", "pool1: a pool of 4x4 throws most away"),
        ("INPUT -> CONV -> CONV -> RELU -> FC", "conv2 follows conv1 with nothing nonlinear"),
        ("INPUT -> [FC]*2", "fc2 follows fc1"),
        ("INPUT -> [CONV -> RELU]*4 -> FC", "conv4 is the fourth CONV without a pool"),
        ("INPUT -> [FC -> RELU]*3 -> FC", "3 FC layers before the last"),
        ("INPUT -> FC -> RELU", "RELU behind the last FC changes the scores"),
        ("INPUT -> FC -> SOFTMAX", "SOFTMAX is part of the loss"),
        ("INPUT -> CONV -> RELU", "no FC: what comes out is no scores but a volume (32, 32, 32)"),
    ],
)
def test_what_leaves_the_rules_of_thumb_is_noted(pattern: str, note: str) -> None:
    assert [found for found in from_pattern(pattern).notes if note in found], plan(pattern).notes
    assert len(plan(pattern).notes) == 1


@pytest.mark.parametrize(
    "pattern",
    [
        GRAMMAR,
        "INPUT-3x64x64 -> CONV7-s2 -> RELU -> POOL -> [CONV -> BN -> RELU -> POOL]*2 -> GAP -> FC",
        "INPUT-3x227x227 -> CONV11-s4-p0 -> RELU -> POOL3-s2 -> [CONV -> RELU]*3 -> POOL3-s2 -> FC",
        "INPUT -> [CONV -> RELU]*2 -> AVGPOOL32 -> FC",
    ],
)
def test_what_keeps_the_rules_has_no_notes(pattern: str) -> None:
    repeats = {"N": 3, "M": 4, "K": 2} if pattern == GRAMMAR else {}
    assert plan(pattern, **repeats).notes == ()  # type: ignore[arg-type]
