"""The reference networks on one image: the same scores as eager mode, and the same bits again."""

from __future__ import annotations

import numpy as np
import pytest

import tinygrad_cnn as tc
from benchmarks import _nets
from tinygrad_cnn.compiler import explain

pytest.importorskip("llvmlite")


@pytest.mark.parametrize("net", _nets.NETS)
def test_scores_of_one_image(net: str) -> None:
    model, image = _nets.model(net).eval(), _nets.batch(net, 1)[0]

    @tc.compile
    def scores(x: tc.Tensor) -> tc.Tensor:
        with tc.no_grad():
            return model(x)

    first, again = scores(image).numpy().copy(), scores(image).numpy()
    with tc.no_grad():
        expected = model(image).numpy()
    assert "lanes of a vector are its channels" in explain(scores)
    assert np.array_equal(first, again)
    assert np.abs(first - expected).max() < 1e-5 * np.abs(expected).max()
