"""tinygrad_cnn, eager or compiled."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import tinygrad_cnn as tc

from . import layers


def training(
    build: layers.Build,
    weights: Sequence[layers.Array],
    sgd: Mapping[str, float],
    compiler: Mapping[str, Any] | None = None,
) -> layers.Training:
    """A step; ``compiler`` has the options of ``tc.compile``, None means eager."""
    network = _load(build, weights)
    optimizer = tc.optim.SGD(network.parameters(), **sgd)

    def step(x: Any, y: Any) -> Any:
        optimizer.zero_grad()
        loss = tc.functional.cross_entropy(network(x), y)
        loss.backward()
        optimizer.step()
        return loss

    run = _compiled(step, compiler)
    return lambda x, y: float(run(tc.as_tensor(x), tc.as_tensor(y)).item())


def inference(
    build: layers.Build,
    weights: Sequence[layers.Array],
    compiler: Mapping[str, Any] | None = None,
) -> layers.Inference:
    """The scores of images."""
    network = _load(build, weights).eval()
    run = _compiled(lambda x: network(x), compiler)

    def scores(x: layers.Array) -> Any:
        with tc.no_grad():
            return run(tc.as_tensor(x)).numpy()

    return scores


def _load(build: layers.Build, weights: Sequence[layers.Array]) -> Any:
    network = build(tc.nn)
    network.load_state_dict(dict(zip(network.state_dict(), weights, strict=True)))
    return network


def _compiled(function: Callable[..., Any], options: Mapping[str, Any] | None) -> Any:
    return function if options is None else tc.compile(function, **options)
