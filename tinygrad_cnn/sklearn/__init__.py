"""An estimator for scikit-learn's tools: pipelines, searches, cross-validation (extra ``sklearn``).

>>> from sklearn.datasets import load_iris
>>> import tinygrad_cnn as tc
>>> X, y = load_iris(return_X_y=True)
>>> net = tc.sklearn.ConvNetClassifier(learning_rate_init=0.01, random_state=0).fit(X, y)
>>> net.score(X, y) > 0.95
True
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ._classifier import ConvNetClassifier

__all__ = ["ConvNetClassifier"]


def __getattr__(name: str) -> Any:
    if name == "ConvNetClassifier":  # made with scikit-learn's classes, so when it is asked for
        from ._classifier import ConvNetClassifier

        return ConvNetClassifier
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
