"""The sanity checks tell a healthy start from the usual broken ones, and leave no trace."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest

import tinygrad_cnn as tc
import tinygrad_cnn.functional as F
from tinygrad_cnn import nn
from tinygrad_cnn.data import DataLoader, Digits
from tinygrad_cnn.errors import ArgumentError, DtypeError, OutOfBoundsError, TinygradCnnError
from tinygrad_cnn.train import sanity_check

QUICK = {"batches": 20}


def _data(dataset: Any = None) -> DataLoader:
    return DataLoader(dataset or Digits("train"), 32, shuffle=True, seed=0)


def _model() -> nn.Sequential:
    return tc.models.DigitsNet(generator=np.random.default_rng(0))


def _statuses(report: Any) -> dict[str, str]:
    return {verdict.name: verdict.status for verdict in report.verdicts}


def _wrong(report: Any) -> set[str]:
    return {name for name, status in _statuses(report).items() if status != "ok"}


# -- what it tells apart -------------------------------------------------------------------


def test_a_healthy_model_passes_every_check() -> None:
    report = sanity_check(_model(), _data())
    assert report.ok
    assert set(_statuses(report).values()) == {"ok"}
    assert report["initial loss"].expected == "about 2.303 = ln 10"
    assert report["tiny set"].found.endswith("100 % of 20 examples right")
    assert [layer.name for layer in report.layers] == ["conv1", "conv2", "fc1", "fc2"]


def test_weights_that_are_too_large_show_in_the_initial_loss() -> None:
    model = _model()
    for parameter in model.parameters():
        parameter.data *= 100
    report = sanity_check(model, _data(), **QUICK)
    assert not report.ok
    assert {"initial loss", "activations", "training step"} <= _wrong(report)
    assert "too large" in report["initial loss"].advice


def test_weights_that_are_too_small_leave_the_loss_but_not_the_activations() -> None:
    model = _model()
    for parameter in model.parameters():
        parameter.data *= 0.01
    report = sanity_check(model, _data(), **QUICK)
    assert report["initial loss"].status == "ok"
    assert report["activations"].status == "warning"


def test_shuffled_labels_pass_since_any_few_can_be_learned_by_heart() -> None:
    digits = Digits("train")
    digits.labels = np.random.default_rng(0).permutation(digits.labels)
    report = sanity_check(_model(), _data(digits), **QUICK)
    assert report["tiny set"].status == "ok"


def test_equal_inputs_with_different_labels_can_not_be_learned_by_heart() -> None:
    digits = Digits("train")
    digits.images = np.repeat(digits.images[:1], len(digits), axis=0)
    report = sanity_check(_model(), _data(digits), steps=20, **QUICK)
    assert report["tiny set"].status == "failed"
    assert not report.ok


def test_dead_relus_are_found() -> None:
    model = _model()
    model.conv2.bias.data -= 10
    report = sanity_check(model, _data(), steps=5, **QUICK)
    assert report["training step"].status == "failed"
    assert "dead_relu" in report["training step"].found


def test_a_layer_that_gets_no_gradient_is_found() -> None:
    class Cut(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first = nn.Linear(64, 16, generator=np.random.default_rng(0))
            self.last = nn.Linear(16, 10, generator=np.random.default_rng(1))

        def forward(self, x: Any) -> Any:
            return self.last(F.relu(self.first(F.flatten(x, 1))).detach())

    report = sanity_check(Cut(), _data(), **QUICK)
    assert report["training step"].status == "failed"
    assert "first.weight" in report["training step"].advice


def test_frozen_layers_are_no_fault() -> None:
    model = _model()
    model.conv1.requires_grad_(False)
    assert sanity_check(model, _data(), **QUICK)["training step"].status == "ok"


def test_a_wrong_gradient_rule_is_found() -> None:
    wrong_relu = tc.primitive(
        "relu_that_lets_all_gradients_through",
        lambda x: np.maximum(x, 0),
        (lambda g, ans, x: g,),
    )

    class Broken(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first = nn.Linear(64, 16, generator=np.random.default_rng(0))
            self.last = nn.Linear(16, 10, generator=np.random.default_rng(1))

        def forward(self, x: Any) -> Any:
            return self.last(wrong_relu(self.first(F.flatten(x, 1))))

    report = sanity_check(Broken(), _data(), **QUICK)
    assert report["gradients"].status == "failed"
    assert "first.weight" in report["gradients"].advice
    assert "last.weight" not in report["gradients"].advice


@pytest.mark.parametrize(
    ("lr", "status"), [(1e3, "failed"), (0.1, "ok"), (1e-7, "warning")], ids=str
)
def test_the_learning_rate_of_the_optimizer_is_judged(lr: float, status: str) -> None:
    model = _model()
    optimizer = tc.optim.SGD(model.parameters(), lr=lr, momentum=0.9)
    report = sanity_check(model, _data(), optimizer=optimizer)
    assert report["learning rate"].status == status
    assert report.lr_range.optimizer == "SGD"


@pytest.mark.parametrize(
    ("change", "word"),
    [(lambda x: 255 * x, "255"), (lambda x: x / 255**2, "twice"), (lambda x: 0 * x, "same")],
)
def test_odd_inputs_are_said(change: Any, word: str) -> None:
    batches = [(change(np.asarray(x.data)), y) for x, y in _data()][:5]
    report = sanity_check(_model(), batches, steps=2, **QUICK)
    assert word in report["inputs"].advice


def test_data_sorted_by_class_are_said() -> None:
    digits = Digits("train")
    order = np.argsort(digits.labels, kind="stable")
    data = DataLoader(digits.subset(order), 32)
    assert "shuffle=True" in sanity_check(_model(), data, steps=2, **QUICK)["inputs"].advice


def test_a_trained_model_is_said() -> None:
    model = _model()
    tc.train.fit(model, _data(), epochs=2, optimizer=tc.optim.Adam(model.parameters(), lr=0.01))
    verdict = sanity_check(model, _data(), **QUICK)["initial loss"]
    assert verdict.status == "warning"
    assert "trained" in verdict.advice


@pytest.mark.parametrize(
    ("penalty", "word"),
    [
        (lambda model: -sum((p * p).sum() for p in model.parameters()), "sign"),
        (lambda model: float((model.conv1.weight.data**2).sum()), "no gradient"),
        (lambda model: (model.fc1.weight**2).sum(), "conv1.weight, conv2.weight, fc2.weight"),
    ],
)
def test_a_penalty_that_does_not_pull_is_found(penalty: Any, word: str) -> None:
    verdict = sanity_check(_model(), _data(), penalty=penalty, **QUICK)["regularisation"]
    assert verdict.status == "failed"
    assert word in verdict.advice


def test_the_svm_starts_at_one_less_than_the_classes() -> None:
    report = sanity_check(_model(), _data(), loss=F.hinge_loss, **QUICK)
    assert report["initial loss"].expected == "about 9 = 10 - 1"
    assert report["initial loss"].status == "ok"


def test_regression_has_no_classes_to_get_right() -> None:
    rng = np.random.default_rng(0)
    x = rng.standard_normal((64, 4))
    data = DataLoader((x, x @ rng.standard_normal((4, 1))), 16, shuffle=True, seed=0)
    model = nn.Sequential(
        nn.Linear(4, 16, generator=rng), nn.Tanh(), nn.Linear(16, 1, generator=rng)
    )
    report = sanity_check(model, data, loss=F.mse_loss)
    assert report["tiny set"].status == "ok"
    assert "of the loss gone" in report["tiny set"].found


@pytest.mark.parametrize("odd", [np.nan, np.inf])
def test_a_loss_that_is_not_finite_skips_what_follows(odd: float) -> None:
    model = _model()
    model.fc2.bias.data[3] = odd
    report = sanity_check(model, _data(), **QUICK)
    statuses = _statuses(report)
    assert statuses.pop("initial loss") == "failed"
    assert statuses.pop("inputs") == "ok"
    assert set(statuses.values()) == {"skipped"}
    assert not report.ok
    with pytest.raises(ArgumentError, match="skipped"):
        report.plot()


def test_dropout_and_batch_norm_are_no_hindrance() -> None:
    rng = np.random.default_rng(0)
    model = nn.Sequential(
        nn.Conv2d(1, 8, 3, padding=1, generator=rng),
        nn.BatchNorm2d(8),
        nn.ReLU(),
        nn.Flatten(),
        nn.Dropout(0.5),
        nn.Linear(512, 10, generator=rng),
    )
    report = sanity_check(model, _data(), **QUICK)
    assert {"gradients", "tiny set", "training step"}.isdisjoint(_wrong(report))


# -- no trace ------------------------------------------------------------------------------


def test_everything_is_afterwards_as_it_was() -> None:
    generator = tc.manual_seed(5)
    model = nn.Sequential(
        nn.Conv2d(1, 4, 3, generator=np.random.default_rng(0)),
        nn.BatchNorm2d(4),
        nn.ReLU(),
        nn.Flatten(),
        nn.Dropout(0.5),
        nn.Dropout(0.5, generator=np.random.default_rng(3)),
        nn.Linear(144, 10, generator=np.random.default_rng(1)),
    )
    model[1].eval()
    data = _data()
    optimizer = tc.optim.Adam(model.parameters(), lr=0.01)
    F.cross_entropy(model(next(iter(data))[0]), np.zeros(32, int)).backward()
    optimizer.step()
    tensors = [*model.parameters(), *model.buffers()]
    arrays = [(tensor.data, tensor.data.copy()) for tensor in tensors]
    gradients = [(p.grad.data, p.grad.data.copy()) for p in model.parameters()]
    rest = (
        generator.bit_generator.state,
        model[5].generator.bit_generator.state,
        optimizer.state_dict(),
        [module.training for module in model.modules()],
        [module.p for module in model.modules() if isinstance(module, nn.Dropout)],
        data.epoch,
    )
    before = copy.deepcopy(rest)

    sanity_check(model, data, optimizer=optimizer, steps=3, **QUICK)

    for tensor, (array, values) in zip(tensors, arrays, strict=True):
        assert tensor.data is array
        np.testing.assert_array_equal(array, values)
    for parameter, (array, values) in zip(model.parameters(), gradients, strict=True):
        assert parameter.grad.data is array
        np.testing.assert_array_equal(array, values)
    after = (
        generator.bit_generator.state,
        model[5].generator.bit_generator.state,
        optimizer.state_dict(),
        [module.training for module in model.modules()],
        [module.p for module in model.modules() if isinstance(module, nn.Dropout)],
        data.epoch,
    )
    np.testing.assert_equal(after, before)


def test_the_same_call_gives_the_same_report() -> None:
    data = _data()
    net = nn.Sequential(_model(), nn.Dropout(0.2))
    first, second = (str(sanity_check(net, data, **QUICK)) for _ in range(2))
    assert first == second


# -- the report, and mistakes --------------------------------------------------------------


def test_the_report_shows_itself_in_text_and_html(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    net = nn.Sequential({"<script>": nn.Flatten(), "fc": nn.Linear(64, 10)})
    net.fc.weight.name = "<script>"
    report = sanity_check(net, _data(), penalty=lambda m: (m.fc.bias**2).sum() + 1, **QUICK)
    text = str(report)
    for verdict in report.verdicts:
        assert verdict.name in text
        assert verdict.advice in text
    assert "learning-rate range test: Adam" in text
    assert "<script>" not in report._repr_html_()
    with pytest.raises(OutOfBoundsError, match="no check is named 'loss'; there are inputs"):
        report["loss"]


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        ({"examples": 0}, "sanity_check: examples=0"),
        ({"steps": 1.5}, "sanity_check: steps=1.5"),
        ({"batches": 1}, "sanity_check: batches=1"),
        ({"seed": -1}, "sanity_check: seed=-1"),
        ({"loss": "cross_entropy"}, "sanity_check: loss='cross_entropy'"),
        ({"penalty": 0.1}, "sanity_check: penalty=0.1"),
        ({"optimizer": 0.1}, "sanity_check: optimizer=0.1"),
        ({"data": Digits("train")}, "sanity_check: expected batches, got the data set"),
        ({"data": []}, "sanity_check: list has no batch"),
        ({"data": iter([])}, "can't be read again"),
        ({"model": nn.Linear}, "sanity_check: model="),
        ({"model": nn.ReLU()}, "nothing to train"),
    ],
)
def test_mistakes_in_the_call_are_refused(arguments: dict[str, Any], match: str) -> None:
    with pytest.raises(ArgumentError, match=match):
        sanity_check(**{"model": _model(), "data": _data(), **arguments})


@pytest.mark.parametrize("penalty", [lambda model: None, lambda model: model.fc1.weight**2])
def test_a_penalty_that_is_no_number_is_refused(penalty: Any) -> None:
    with pytest.raises(DtypeError, match=r"penalty returned .*, expected one number"):
        sanity_check(_model(), _data(), penalty=penalty, **QUICK)


def test_a_loss_that_is_no_tensor_is_refused() -> None:
    with pytest.raises(DtypeError, match=r"the loss function returned 1\.0"):
        sanity_check(_model(), _data(), loss=lambda outputs, targets: 1.0)


def test_a_model_with_several_outputs() -> None:
    class Two(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net = _model()

        def forward(self, x: Any) -> Any:
            scores = self.net(x)
            return scores, scores

    def both(outputs: Any, targets: Any) -> Any:
        return F.cross_entropy(outputs[0], targets) + F.cross_entropy(outputs[1], targets)

    report = sanity_check(Two(), _data(), loss=both)
    assert _statuses(report)["initial loss"] == "skipped"
    assert report.ok


def test_a_batch_that_is_no_array_and_a_model_that_does_not_fit() -> None:
    with pytest.raises(DtypeError, match="the inputs of a batch are a dict"):
        sanity_check(_model(), [({"x": 1}, np.zeros(4, int))])
    with pytest.raises(TinygradCnnError, match="channels"):
        sanity_check(_model(), [(np.zeros((4, 3, 8, 8), np.float32), np.zeros(4, int))])


def test_a_model_that_can_not_be_copied_is_refused() -> None:
    model = _model()
    model.log = (line for line in ())  # generators can't be copied
    with pytest.raises(ArgumentError, match="DigitsNet can't be copied"):
        sanity_check(model, _data())
