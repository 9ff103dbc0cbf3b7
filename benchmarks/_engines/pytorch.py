"""PyTorch, eager in either of its memory formats, or through ``torch.compile``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch.nn import functional as F

from . import layers


def training(
    build: layers.Build,
    weights: Sequence[layers.Array],
    sgd: Mapping[str, float],
    channels_last: bool = False,
    compiled: bool = False,
) -> layers.Training:
    """A step."""
    network, layout = _load(build, weights, channels_last)
    optimizer = torch.optim.SGD(network.parameters(), **sgd)
    run = _compiled(network) if compiled else network

    def step(x: layers.Array, y: layers.Array) -> float:
        optimizer.zero_grad()
        scores = run(torch.from_numpy(x).contiguous(memory_format=layout))
        loss = F.cross_entropy(scores, torch.from_numpy(y))
        loss.backward()
        optimizer.step()
        return float(loss.item())

    return step


def inference(
    build: layers.Build,
    weights: Sequence[layers.Array],
    channels_last: bool = False,
    compiled: bool = False,
) -> layers.Inference:
    """The scores of images."""
    network, layout = _load(build, weights, channels_last)
    run = _compiled(network.eval()) if compiled else network.eval()

    def scores(x: layers.Array) -> Any:
        with torch.inference_mode():
            return run(torch.from_numpy(x).contiguous(memory_format=layout)).numpy()

    return scores


def _load(build: layers.Build, weights: Sequence[layers.Array], channels_last: bool) -> Any:
    layout = torch.channels_last if channels_last else torch.contiguous_format
    network = build(torch.nn)
    values = (torch.tensor(value) for value in weights)
    network.load_state_dict(dict(zip(network.state_dict(), values, strict=True)))
    return network.to(memory_format=layout), layout


def _compiled(network: Any) -> Any:
    torch.compiler.reset()  # each network is compiled for its own batch size
    return torch.compile(network, dynamic=False)
