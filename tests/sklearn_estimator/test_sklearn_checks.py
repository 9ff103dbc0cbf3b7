"""ConvNetClassifier keeps the contract of scikit-learn: every check of ``check_estimator``."""

from __future__ import annotations

from typing import Any

import pytest

pytest.importorskip("sklearn", reason="needs the extra sklearn")

from sklearn.utils.estimator_checks import estimator_checks_generator

from tinygrad_cnn.sklearn import ConvNetClassifier

# Some checks fit on noise, in which nothing converges.
pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

QUICK: dict[str, Any] = {"max_iter": 20, "learning_rate_init": 0.01}


def _checks(**settings: Any) -> list[Any]:
    """A test for each check; none is expected to fail."""
    return [
        pytest.param(estimator, check, id=_name(check))
        for estimator, check in estimator_checks_generator(ConvNetClassifier(**settings))
    ]


def _name(check: Any) -> str:
    return " ".join([check.func.__name__, *(f"{k}={v}" for k, v in check.keywords.items())])


@pytest.mark.parametrize(("estimator", "check"), _checks(**QUICK))
def test_the_contract_holds(estimator: Any, check: Any) -> None:
    check(estimator)


@pytest.mark.slow
@pytest.mark.parametrize(("estimator", "check"), _checks())
def test_the_contract_holds_with_default_settings(estimator: Any, check: Any) -> None:
    check(estimator)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("estimator", "check"),
    _checks(
        **QUICK,
        architecture="INPUT -> FC-30 -> RELU -> DROPOUT-0.1 -> FC",
        solver="rmsprop",
        standardize=False,
    ),
)
def test_the_contract_holds_with_other_settings(estimator: Any, check: Any) -> None:
    check(estimator)
