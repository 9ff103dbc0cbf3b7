"""ConvNetClassifier in use: what it learns, repeats, stores, and how it works with other tools."""

from __future__ import annotations

import copy
import pickle
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

pytest.importorskip("sklearn", reason="needs the extra sklearn")

from sklearn.base import clone
from sklearn.datasets import load_iris
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import GridSearchCV, cross_val_score, train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import tinygrad_cnn as tc
from tinygrad_cnn import nn
from tinygrad_cnn.data import Digits
from tinygrad_cnn.errors import MissingExtraError
from tinygrad_cnn.sklearn import ConvNetClassifier
from tinygrad_cnn.typing import Shape

DIGITS = Digits("train")
IMAGES, LABELS = DIGITS.images[:400], DIGITS.labels[:400]  # (N, 1, 8, 8), 0 to 16
ROWS = IMAGES.reshape(len(IMAGES), -1)
SMALL = "INPUT -> CONV-8 -> RELU -> POOL -> DROPOUT-0.1 -> FC"
QUICK: dict[str, Any] = {"max_iter": 3, "tol": 10.0, "n_iter_no_change": 2, "random_state": 0}


def small(**settings: Any) -> Any:
    return ConvNetClassifier(SMALL, **{"image_shape": (8, 8), **QUICK, **settings})


def linear(input_shape: Shape, classes: int) -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(int(np.prod(input_shape)), classes))


def same_bits(one: Any, other: Any) -> bool:
    states = one.model_.state_dict(), other.model_.state_dict()
    return all(np.array_equal(states[0][name], states[1][name]) for name in states[0])


# -- learning ------------------------------------------------------------------------------


def test_it_learns_digits_from_images_of_each_form() -> None:
    net = ConvNetClassifier(SMALL, tol=0.01, learning_rate_init=0.01, random_state=0)
    net.fit(IMAGES, LABELS)
    rest = DIGITS.images[400:]
    assert net.score(rest, DIGITS.labels[400:]) > 0.9
    flat = clone(net).set_params(image_shape=(1, 8, 8)).fit(ROWS, LABELS)
    grey = clone(net).fit(IMAGES[:, 0], LABELS)
    assert same_bits(net, flat)
    assert same_bits(net, grey)
    assert np.array_equal(net.predict_proba(rest), grey.predict_proba(rest.reshape(-1, 64)))


def test_it_learns_a_table_whose_labels_are_strings() -> None:
    data = load_iris()
    names = data.target_names[data.target]
    net = ConvNetClassifier(learning_rate_init=0.01, random_state=0).fit(data.data * 1e6, names)
    assert net.classes_.tolist() == ["setosa", "versicolor", "virginica"]
    assert net.score(data.data * 1e6, names) > 0.95
    assert set(net.predict(data.data * 1e6)) == set(names)


def test_probabilities_have_the_dtype_of_the_data_and_sum_to_one() -> None:
    net = small().fit(IMAGES, LABELS)
    for dtype, expected in (("f4", "f4"), ("f8", "f8"), ("u1", "f4"), ("i8", "f4")):
        found = net.predict_proba(ROWS.astype(dtype))
        assert found.dtype == expected
        np.testing.assert_allclose(found.sum(axis=1), 1, rtol=1e-6)


def test_constant_features_do_no_harm() -> None:
    table = np.column_stack([ROWS[:, :20], np.full(len(ROWS), 0.1)])
    net = ConvNetClassifier(linear, **QUICK).fit(table, LABELS)
    assert net.std_[-1] == 1
    assert np.isfinite(net.predict_proba(table)).all()


def test_the_model_is_made_as_asked_for() -> None:
    asked: list[Any] = [SMALL, "digits", linear, linear((1, 8, 8), 10), None]
    made = [ConvNetClassifier(one, **QUICK).fit(IMAGES, LABELS).model_ for one in asked]
    kinds = [type(model).__name__ for model in made]
    assert kinds == ["PatternNet", "DigitsNet", "Sequential", "Sequential", "PatternNet"]
    assert not any(module.training for model in made for module in model.modules())


def test_training_goes_on_from_a_module_and_leaves_it_as_it_was() -> None:
    module = linear((64,), 10)
    before = module.state_dict()
    net = ConvNetClassifier(module, solver=tc.optim.Adagrad, weight_decay=1e-3, **QUICK)
    net.fit(ROWS, LABELS)
    assert all(np.array_equal(before[name], values) for name, values in module.state_dict().items())
    assert np.abs(net.model_.state_dict()["1.weight"] - before["1.weight"]).max() < 0.2


# -- when it ends --------------------------------------------------------------------------


def test_training_ends_when_the_loss_no_longer_falls() -> None:
    net = small(max_iter=50, tol=10.0, n_iter_no_change=4).fit(IMAGES, LABELS)
    assert net.n_iter_ == 5  # the first is an improvement upon nothing
    assert len(net.loss_curve_) == 5
    with pytest.warns(ConvergenceWarning, match="max_iter=2 epochs"):
        small(max_iter=2, tol=0.0).fit(IMAGES, LABELS)


def test_early_stopping_keeps_the_weights_of_the_best_epoch() -> None:
    net = small(early_stopping=True, max_iter=60, tol=0.0, learning_rate_init=0.02)
    net.set_params(validation_fraction=0.25, n_iter_no_change=5).fit(IMAGES, LABELS)
    history = net.history_
    assert history.best is not None
    assert 1 < history.best.epoch < len(history)
    state = np.random.RandomState(0)
    state.randint(2**31 - 1)  # for what the run draws
    _, held_out, _, labels = train_test_split(
        ROWS, LABELS, test_size=0.25, stratify=LABELS, random_state=state
    )
    assert net.score(held_out, labels) == history.best.validation_accuracy


def test_an_interrupted_run_keeps_what_it_learned(monkeypatch: pytest.MonkeyPatch) -> None:
    from tinygrad_cnn.sklearn import _classifier

    def interrupt(*_: object) -> bool:
        raise KeyboardInterrupt

    monkeypatch.setattr(_classifier._Plateau, "__call__", interrupt)
    with pytest.warns(UserWarning, match="interrupted"):
        net = small().fit(IMAGES, LABELS)
    assert net.n_iter_ == 1
    assert net.predict(ROWS).shape == (400,)


# -- going on ------------------------------------------------------------------------------


def test_partial_fit_learns_from_parts() -> None:
    net = small(learning_rate_init=0.02)
    for _ in range(6):
        for part in np.array_split(np.arange(400), 4):
            net.partial_fit(IMAGES[part], LABELS[part], classes=range(10))
    assert len(net.loss_curve_) == 24
    assert net.score(IMAGES, LABELS) > 0.9


def test_partial_fit_knows_labels_that_come_later() -> None:
    net = small().partial_fit(IMAGES[LABELS < 2], LABELS[LABELS < 2], classes=range(10))
    assert net.predict_proba(IMAGES).shape == (400, 10)
    net.partial_fit(IMAGES, LABELS)


def test_fit_starts_anew_unless_it_is_to_start_warm() -> None:
    net = small(max_iter=5, n_iter_no_change=4)
    first = net.fit(IMAGES, LABELS).loss_curve_
    assert net.fit(IMAGES, LABELS).loss_curve_ == first
    net.set_params(warm_start=True).fit(IMAGES, LABELS)
    assert net.loss_curve_[:5] == first
    assert net.loss_curve_[5] < first[4]


# -- repeating and storing -----------------------------------------------------------------


def test_a_seed_gives_the_same_bits_and_leaves_the_generators_alone() -> None:
    tc.manual_seed(1)
    expected = tc.rand(3).numpy()
    tc.manual_seed(1)
    nets = [small().fit(IMAGES, LABELS) for _ in range(2)]
    nets.append(small(random_state=np.random.RandomState(0)).fit(IMAGES, LABELS))
    assert np.array_equal(tc.rand(3).numpy(), expected)
    assert same_bits(nets[0], nets[1])
    assert same_bits(nets[0], nets[2])
    assert not same_bits(nets[0], small(random_state=1).fit(IMAGES, LABELS))


@pytest.mark.parametrize("copied", [lambda net: pickle.loads(pickle.dumps(net)), copy.deepcopy])
def test_a_copy_predicts_and_goes_on_to_the_same_bits(copied: Any) -> None:
    blank = copied(small())
    assert blank.get_params() == small().get_params()
    net = small().fit(IMAGES, LABELS)
    twin = copied(net)
    assert np.array_equal(net.predict_proba(ROWS), twin.predict_proba(ROWS))
    for one in (net, twin):
        one.partial_fit(IMAGES, LABELS)
    assert same_bits(net, twin)


def test_a_clone_has_the_settings_and_nothing_learned() -> None:
    net = ConvNetClassifier(linear, solver=tc.optim.AdamW, **QUICK).fit(ROWS, LABELS)
    blank = clone(net)
    assert blank.get_params() == net.get_params()
    assert not hasattr(blank, "model_")
    other = clone(ConvNetClassifier(linear((64,), 10)))
    assert isinstance(other.architecture, nn.Sequential)


# -- other tools ---------------------------------------------------------------------------


def test_a_search_in_two_processes_finds_what_one_process_finds() -> None:
    pipeline = make_pipeline(StandardScaler(), small())
    grid = {
        "convnetclassifier__architecture": [SMALL, linear],
        "convnetclassifier__learning_rate_init": [0.02, 1e-6],
    }
    found = [
        GridSearchCV(pipeline, grid, cv=2, n_jobs=jobs).fit(ROWS, LABELS) for jobs in (None, 2)
    ]
    scores = [search.cv_results_["mean_test_score"] for search in found]
    assert np.array_equal(*scores)
    assert found[0].best_params_["convnetclassifier__learning_rate_init"] == 0.02
    assert found[1].score(ROWS, LABELS) > 0.5


def test_cross_validation_takes_images() -> None:
    scores = cross_val_score(small(learning_rate_init=0.02), IMAGES, LABELS, cv=3)
    assert scores.shape == (3,)
    assert scores.min() > 0.5


def test_threads_predict_side_by_side() -> None:
    net = small().fit(IMAGES, LABELS)  # with dropout, which must not wake up
    expected = net.predict_proba(ROWS)
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(net.predict_proba, [ROWS] * 8))
    assert all(np.array_equal(one, expected) for one in found)


def test_without_scikit_learn_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.partition(".")[0] == "sklearn"]:
        monkeypatch.setitem(sys.modules, name, None)
    monkeypatch.delitem(sys.modules, "tinygrad_cnn.sklearn._classifier")
    with pytest.raises(MissingExtraError, match=r"tinygrad-cnn\[sklearn\]"):
        _ = tc.sklearn.ConvNetClassifier
    with pytest.raises(AttributeError, match="ConvNetRegressor"):
        _ = tc.sklearn.ConvNetRegressor
