"""Rewrites of models, each with a proof that the new one computes the same.

A rewrite leaves the given model alone and returns a ``Rewrite``: the new model, and a ``Proof``
with the measured difference of outputs and input gradients, and what parameters and operations
became of it. Where a rewrite does not apply it raises an error that says why.
"""

from __future__ import annotations

from ._proof import Proof, Rewrite
from .dense import conv_to_fc, fc_to_conv
from .layers import factor_convolutions, fold_batch_norm, pool_to_conv, remove_dropout

__all__ = [
    "Proof",
    "Rewrite",
    "conv_to_fc",
    "factor_convolutions",
    "fc_to_conv",
    "fold_batch_norm",
    "pool_to_conv",
    "remove_dropout",
]
