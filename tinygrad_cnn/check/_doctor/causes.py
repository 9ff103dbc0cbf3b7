"""The names of what can be wrong with a hand-derived gradient, and what to do about each."""

from __future__ import annotations

from typing import NamedTuple


class Cause(NamedTuple):
    """What a code stands for, and the usual fix."""

    title: str
    fix: str


CAUSES: dict[str, Cause] = {
    "sign": Cause("the sign is reversed", "negate it"),
    "scale": Cause("it is off by a constant factor", "multiply by the factor that is missing"),
    "missing_mean": Cause("the 1/N of the mean is missing", "divide by the number of examples"),
    "mean_for_sum": Cause("it averages where the function sums", "use sum instead of mean"),
    "transposed": Cause(
        "a matrix is transposed", "transpose it; let the shapes of a non-square case guide you"
    ),
    "wrong_axis": Cause("it sums over the wrong axis", "sum over the axes that were broadcast"),
    "missing_broadcast_sum": Cause(
        "the sum over a broadcast axis is missing",
        "what broadcasting repeats forward, the backward has to sum",
    ),
    "overwritten": Cause(
        "a contribution overwrites another instead of being added",
        "use += where a value is used more than once",
    ),
    "unflipped_kernel": Cause(
        "the kernel is not flipped",
        "the input gradient is a full correlation with the kernel rotated by 180 degrees",
    ),
    "stride_ignored": Cause(
        "the stride is ignored", "window (i, j) starts at pixel (i * stride, j * stride)"
    ),
    "padding_offset": Cause(
        "the padding is cut off at the wrong place", "crop [pad : pad + H] and [pad : pad + W]"
    ),
    "rows_columns_swapped": Cause(
        "rows and columns are exchanged, which a square image hides",
        "rows go with H and FH, columns with W and FW",
    ),
    "missing_mask": Cause("the mask is left out", "multiply by the mask of the forward pass"),
    "wrong_mask": Cause(
        "the mask is a wrong one", "the mask of the forward pass, from the layer's own input"
    ),
    "missing_dropout_scale": Cause(
        "the 1/(1 - p) of dropout is missing", "multiply by the scaled mask of the forward pass"
    ),
    "diagonal_only": Cause(
        "only the Jacobian's diagonal is there, as if each output depended on its own input alone",
        "add the terms through the sums and means that all share",
    ),
    "missing_path": Cause("a term of the sum is missing", "add the contribution of that path"),
    "missing_regularization": Cause(
        "the gradient of the regularisation is missing", "add it to the weight's gradient"
    ),
    "extra_regularization": Cause(
        "a multiple of the input was added, as of a penalty that the function has not",
        "leave it out",
    ),
    "ignores_upstream": Cause(
        "the upstream gradient is ignored", "multiply by dout, the chain rule's other factor"
    ),
    "wrong_index": Cause(
        "the gradient goes to another element than the one that was read",
        "index with the labels or indices of the forward pass",
    ),
    "repeated_term": Cause("a term is counted twice", "add each path once"),
    "swapped_outputs": Cause(
        "two gradients are exchanged", "return them in the order of the inputs"
    ),
    "wrong_saved_value": Cause(
        "the rule uses another value than the forward pass had",
        "save what the rule needs, before it changes",
    ),
    "tie_convention": Cause(
        "every winner of a tie gets the whole gradient",
        "give it to one winner, or equal shares to all",
    ),
    "kink": Cause(
        "the function has a kink there",
        "take a one-sided derivative, and smaller steps if these are differences",
    ),
    "precision": Cause("digits are lost", "compute in float64, and in a form that does not cancel"),
    "wrong_shape": Cause("the shape is wrong", "a gradient has the shape of its input"),
    "not_finite": Cause(
        "it is NaN or infinite where the gradient is finite",
        "look for 0 / 0, 0 * inf, the logarithm of 0 and overflow on the way",
    ),
    "forward_differs": Cause(
        "it is right for the hand-written forward, which differs from the reference",
        "compare the two forwards first",
    ),
    "mutates_input": Cause(
        "the backward changes its inputs",
        "work on copies, and avoid in-place operators on arguments",
    ),
    "state_between_calls": Cause(
        "a second call gives something else",
        "start from zeros in each call and keep nothing between calls",
    ),
    "unknown": Cause(
        "it is wrong, and nothing that was tried explains why",
        "compare the elements below with a calculation by hand",
    ),
}
