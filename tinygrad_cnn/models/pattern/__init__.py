"""The layer-pattern language of the course: a ConvNet in one line.

    INPUT -> [[CONV -> RELU]*N -> POOL?]*M -> [FC -> RELU]*K -> FC

Layers stand in a row with arrows between (``->``, ``→``, a comma, or a hyphen, as in
``[INPUT - CONV - RELU - POOL - FC]``). Brackets group, also inside each other. ``*3`` repeats a
layer or group, ``*0`` leaves it out, ``*N`` repeats as often as the argument ``N=`` says. Capitals
and line breaks do not matter.

INPUT
    ``INPUT-3x32x32`` is channels x height x width, as an array has them; ``INPUT[32x32x3]`` is
    width x height x depth, as the course writes it.
CONV
    3x3 windows, stride 1 and the padding (F - 1)/2 that keeps the size. ``CONV5-16`` has 5x5
    windows and 16 filters. What else there is follows: ``-s2`` stride, ``-p0`` padding, ``-d2``
    dilation (PyTorch's: 1 has no gaps), ``-g2`` groups, ``-nobias``. Rows and columns may differ:
    ``CONV1x7-s1x2``.
POOL, AVGPOOL, L2POOL
    The maximum, the mean or the L2-norm of 2x2 windows at stride 2. ``POOL3`` has stride 3,
    ``POOL3-s2`` overlaps, ``-p1`` pads (not L2POOL), ``-ceil`` lets a last window reach beyond the
    end. ``POOL?`` is optional: it pools where its windows miss nothing of the volume: where height
    and width are even.
GAP
    Global average pooling: one number of each channel.
FC
    ``FC-4096`` has 4096 units; the last FC makes the scores. ``-nobias`` as above.
BN, LRN, DROPOUT
    Batch normalisation; local response normalisation as in AlexNet, ``LRN-5`` over 5 channels;
    ``DROPOUT-0.5``.
RELU
    Also ``LRELU-0.01``, PRELU, TANH, SIGMOID, ELU, SELU, GELU, SILU, SOFTPLUS, HARDTANH.
FLATTEN
    May be left out: FC implies it.
SOFTMAX
    May stand at the end and builds nothing, since it is part of the loss.

A CONV without a number has as many filters as the one before, twice as many (at most 512) behind a
pool; the first has 32, a hidden FC 128 units. Source: the sections on layer patterns and layer
sizing patterns of the notes of CS231n, https://cs231n.github.io/convolutional-networks/
"""

from __future__ import annotations

from ._build import PatternNet, Plan, from_pattern, plan
from ._write import to_pattern

__all__ = ["PatternNet", "Plan", "from_pattern", "plan", "to_pattern"]
