"""The architectures at work: first weights, a step of training, errors in words."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from architectures import count, images, unweighted

import tinygrad_cnn as tc
from tinygrad_cnn import models, nn
from tinygrad_cnn.errors import ArgumentError, ShapeError

# -- first weights -------------------------------------------------------------------------


def test_filters_start_as_he_advises() -> None:
    model = models.build("resnet18", generator=np.random.default_rng(0))
    for stage, out_channels in (("layer2", 128), ("layer4", 512)):
        weight = getattr(model, stage)[1].conv1.weight.data
        assert weight.std() == pytest.approx(np.sqrt(2 / (9 * out_channels)), rel=0.01)
        assert abs(weight.mean()) < 1e-3
    fc = model.fc.weight.data
    assert abs(fc).max() <= 512**-0.5
    assert fc.std() == pytest.approx((3 * 512) ** -0.5, rel=0.01)


def test_weights_of_alexnet_start_as_the_paper_says() -> None:
    model: Any = models.AlexNet2012(classes=2, generator=np.random.default_rng(0))
    biases = {name: set(layer.bias.data) for name, layer in model.named_children() if count(layer)}
    ones = ("conv2", "conv4", "conv5", "fc6", "fc7")
    assert biases == {name: {float(name in ones)} for name in biases}
    for layer in (model.conv1, model.conv3, model.fc7):
        assert layer.weight.data.std() == pytest.approx(0.01, rel=0.02)


def test_linear_layers_of_vgg_start_small() -> None:
    model: Any = models.VGG(11, classes=10, generator=np.random.default_rng(0))
    assert model.classifier[3].weight.data.std() == pytest.approx(0.01, rel=0.01)
    assert model.features[3].weight.data.std() == pytest.approx(np.sqrt(2 / (9 * 128)), rel=0.02)
    assert not any(p.data.any() for name, p in model.named_parameters() if name.endswith("bias"))


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_weights_are_drawn_in_every_dtype(dtype: Any) -> None:
    model: Any = models.CifarResNet(8, dtype=dtype, generator=np.random.default_rng(0))
    for name, parameter in model.named_parameters():
        assert parameter.dtype == dtype
        assert name.endswith("bias") or np.all(parameter.data != 0)
    assert model.layer3[0].conv2.weight.data.std() == pytest.approx(np.sqrt(2 / (9 * 64)), rel=0.02)


@pytest.mark.parametrize("name", ["cifar_resnet20", "googlenet", "network_in_network", "resnet18"])
def test_every_weight_is_drawn(name: str) -> None:
    """No layer keeps the zeros that stand in for what is drawn afterwards."""
    for key, parameter in models.build(name).named_parameters():
        if key.endswith("weight"):
            assert np.count_nonzero(parameter.data) > 0.99 * parameter.size, key


def test_a_seed_determines_every_bit() -> None:
    for name in ("preact_resnet20", "googlenet", "cifar10_quick"):
        states = [models.build(name, generator=np.random.default_rng(1)).state_dict() for _ in "ab"]
        assert [a.tobytes() for a in states[0].values()] == [
            a.tobytes() for a in states[1].values()
        ]
    tc.manual_seed(3)
    first = models.CifarResNet(8).conv1.weight.data
    tc.manual_seed(3)
    assert (models.CifarResNet(8).conv1.weight.data == first).all()


# -- training ------------------------------------------------------------------------------

# The smallest images that make sense; models of fixed size take their own.
SIZES = {
    "alexnet": 63, "all_convolutional": 16, "cifar_resnet20": 16, "googlenet": 64,
    "googlenet_bn": 64, "network_in_network": 16, "preact_resnet20": 16, "resnet18": 64,
    "resnet50": 64
}  # fmt: skip
FIXED = ("alexnet2012", "cifar10_quick", "convnetjs_cifar10", "zfnet")


@pytest.mark.parametrize("name", [*SIZES, *FIXED, pytest.param("vgg11_bn", marks=pytest.mark.slow)])
def test_every_parameter_gets_a_gradient(name: str) -> None:
    model: Any = models.build(name, classes=10, generator=np.random.default_rng(0))
    size = SIZES.get(name, model.input_shape[1])
    scores = model(images(2, 3, size, size))
    assert scores.shape == (2, 10)
    tc.functional.cross_entropy(scores, np.array([3, 7])).backward()
    for key, parameter in model.named_parameters():
        assert parameter.grad is not None, key
        assert np.isfinite(parameter.grad.data).all(), key
        assert parameter.grad.data.any(), key


@pytest.mark.parametrize("name", ["all_convolutional", "network_in_network"])
def test_scores_may_be_negative(name: str) -> None:
    """A ReLU on them, as the papers have it, leaves classes without any gradient."""
    model = models.build(name, generator=np.random.default_rng(0)).eval()
    scores = model(images(4, 3, 32, 32)).data
    assert (scores < 0).any()
    assert (scores > 0).any()


def test_auxiliary_classifiers_speak_in_training_only() -> None:
    model: Any = models.GoogLeNet(classes=10, aux_logits=True, generator=np.random.default_rng(0))
    x, labels = images(2, 3, 64, 64), np.array([3, 7])
    outputs = model(x)
    assert outputs._fields == ("logits", "aux_logits2", "aux_logits1")
    assert [scores.shape for scores in outputs] == [(2, 10)] * 3
    loss = models.auxiliary_loss(outputs, labels)
    own, late, early = (tc.functional.cross_entropy(scores, labels).item() for scores in outputs)
    assert loss.item() == pytest.approx(own + 0.3 * (late + early), rel=1e-6)
    loss.backward()
    assert all(p.grad is not None and p.grad.data.any() for p in model.parameters())
    plain = model.eval()(x)
    assert models.auxiliary_loss(plain, labels).item() == pytest.approx(
        tc.functional.cross_entropy(plain, labels).item()
    )


def test_fit_trains_googlenet_with_its_auxiliary_classifiers() -> None:
    model = models.GoogLeNet(classes=2, aux_logits=True, generator=np.random.default_rng(0))
    tc.manual_seed(0)
    batches = [(images(4, 3, 32, 32), np.array([0, 1, 0, 1]))]
    history = tc.train.fit(
        model,
        batches,
        epochs=2,
        validation=batches,
        optimizer=tc.optim.SGD(model.parameters(), lr=0.01),
        loss=models.auxiliary_loss,
        progress=False,
    )
    assert history.epochs[-1].validation_accuracy is not None


# -- errors --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "shape", "message"),
    [
        ("alexnet2012", (1, 3, 224, 224), r"AlexNet2012 is made for images \(N, 3, 227, 227\)"),
        ("zfnet", (1, 3, 200, 200), r"ZFNet is made for images \(N, 3, 224, 224\), got \(1, 3, 2"),
        ("alexnet", (1, 3, 32, 32), r"AlexNet is made for images \(N, 3, 224, 224\), got \(1, 3"),
        ("resnet18", (1, 1, 64, 64), r"got \(1, 1, 64, 64\): conv2d: .* 1 channels, .* expects 3"),
        ("resnet18", (3, 64, 64), r"got \(3, 64, 64\): conv2d: expected .*\(N, C, H, W\)"),
        ("lenet5", (1, 1, 32, 32), r"LeNet5 is made for images \(N, 1, 28, 28\)"),
        ("convnetjs_cifar10", (1, 3, 28, 28), r"\(N, 3, 32, 32\), got \(1, 3, 28, 28\): linear"),
        ("all_convolutional", (1, 3, 8, 8), r"AllConvolutional is made for images"),
        ("cifar_resnet20", (8, 3, 32), "CifarResNet is made for images"),
    ],
)
def test_other_images_are_refused_in_words(name: str, shape: tuple[int, ...], message: str) -> None:
    model = unweighted(name, classes=2).eval()
    with pytest.raises(ShapeError, match=message), tc.no_grad():
        model(np.zeros(shape, np.float32))


def test_an_error_of_another_cause_is_left_as_it_is() -> None:
    model: Any = models.CifarResNet(8)
    model.layer1 = nn.Linear(3, 3)
    with pytest.raises(ShapeError, match=r"^linear"):
        model(np.zeros((1, 3, 32, 32), np.float32))


def test_a_slice_of_a_model_is_a_model_of_no_size() -> None:
    part = models.NetworkInNetwork()[:3]
    assert part(np.zeros((1, 3, 5, 5), np.float32)).shape == (1, 160, 5, 5)
    with pytest.raises(ShapeError, match=r"^conv2d"):
        part(np.zeros((1, 4, 5, 5), np.float32))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: models.VGG(15), "VGG: depth=15, expected one of 11, 13, 16, 19"),
        (lambda: models.VGG("16"), "VGG: depth='16', expected"),  # type: ignore[arg-type]
        (lambda: models.ResNet(20), "ResNet: depth=20, expected one of 18, 34, 50, 101, 152"),
        (lambda: models.ResNet([18]), r"ResNet: depth=\[18\]"),  # type: ignore[arg-type]
        (lambda: models.CifarResNet(18), "CifarResNet: depth=18, expected 6n [+] 2: 8, 14, 20, 26"),
        (lambda: models.CifarResNet(2), "depth=2, expected"),
        (lambda: models.CifarResNet(20.0), "depth=20.0, expected"),  # type: ignore[arg-type]
        (lambda: models.CifarResNet(shortcut="C"), "shortcut='C', expected one of A, B"),
        (lambda: models.PreActResNet(16, bottleneck=True), "depth=16, expected 9n [+] 2: 11, 20"),
        (lambda: models.AlexNet(in_channels=0), "Conv2d: in_channels=0"),
        (lambda: models.CifarQuick(classes=0), "Linear: out_features=0"),
        (lambda: models.CifarQuick(image_size=11), "image_size=11, expected an integer"),
        (lambda: models.ConvNetJSCifar(image_size=7), "image_size=7, expected"),
        (lambda: models.ConvNetJSCifar(image_size="32"), "image_size='32'"),  # type: ignore[arg-type]
        (lambda: models.GoogLeNet(classes=2.5), "out_features=2.5"),  # type: ignore[arg-type]
        (lambda: models.build("vgg16", depth=11), "'vgg16' has no option depth; it has"),
        (lambda: models.build("vgg"), "no model is called 'vgg'; there are alexnet, "),
        (lambda: models.model_options(["vgg"]), "no model is called \\['vgg'\\]"),  # type: ignore[arg-type]
        (lambda: models.PadShortcut(32, 16), "out_channels=16, expected an integer of at least 32"),
        (lambda: models.PadShortcut(16, 32, 0), "PadShortcut: stride=0"),
    ],
)
def test_impossible_settings_are_refused(call: Any, message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        call()
