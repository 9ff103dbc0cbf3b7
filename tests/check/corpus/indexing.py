"""Mistakes in embeddings, slices, padding, joins and shape changes."""

from __future__ import annotations

import numpy as np

import tinygrad_cnn as tc

from .case import Function, labels, normal

WORDS = labels(3, 0, 3, 1, 3)
embedding = Function(
    "embedding", lambda w, words: w[words], {"w": normal(4, 3), "words": WORDS}, layer=True
)
picked = Function(
    "pick a class",
    lambda x, y: x[np.arange(4), y],
    {"x": normal(4, 3), "y": labels(2, 0, 1, 1)},
)
window = Function("slice", lambda x: x[1:4], {"x": normal(6, 2)})
joined = Function(
    "concatenate",
    lambda x, y: tc.concatenate([x, y], axis=1),
    {"x": normal(4, 2), "y": normal(4, 2, seed=1)},
)
padded = Function("pad", lambda x: tc.pad(x, ((2, 1), (1, 2))), {"x": normal(4, 5)})
turned = Function("transpose", lambda x: x.transpose(0, 2, 1), {"x": normal(2, 3, 4)})
rolled = Function("difference", lambda x: x[1:] - x[:-1], {"x": normal(6, 2)})


@embedding.broken(w="overwritten")
def assigns_rows(dout, w, words):
    dw = np.zeros_like(w)
    dw[words] = dout
    return dw


@embedding.broken(w="overwritten")
def adds_through_an_index(dout, w, words):
    dw = np.zeros_like(w)
    dw[words] += dout
    return dw


@embedding.broken(w="wrong_index")
def words_counted_from_one(dout, w, words):
    dw = np.zeros_like(w)
    np.add.at(dw, words - 1, dout)
    return dw


@embedding.broken(w="mean_for_sum")
def averages_repeated_words(dout, w, words):
    dw = np.zeros_like(w)
    np.add.at(dw, words, dout)
    return dw / len(words)


@embedding.broken(w="wrong_shape")
def one_row_for_each_word(dout, w, words):
    return dout


@picked.broken(x="wrong_index")
def column_after(dout, x, y):
    dx = np.zeros_like(x)
    dx[np.arange(4), (y + 1) % 3] = dout
    return dx


@picked.broken(x="missing_mask")
def whole_rows(dout, x, y):
    return np.tile(dout[:, None], (1, 3))


@picked.broken(x="wrong_index")
def first_row(dout, x, y):
    dx = np.zeros_like(x)
    for n in range(4):
        dx[0, y[n]] += dout[n]
    return dx


@window.broken(x="wrong_index")
def one_too_early(dout, x):
    dx = np.zeros_like(x)
    dx[0:3] = dout
    return dx


@window.broken(x="wrong_shape")
def slice_alone(dout, x):
    return dout


@joined.broken(x="swapped_outputs", y="swapped_outputs")
def second_half_first(dout, x, y):
    return dout[:, 2:], dout[:, :2]


@joined.broken(x="wrong_index", y="wrong_index")
def every_other_column(dout, x, y):
    return dout[:, ::2], dout[:, 1::2]


@padded.broken(x="padding_offset")
def wrong_end(dout, x):
    return dout[1:-2, 2:-1]


@padded.broken(x="padding_offset")
def begins_at_zero(dout, x):
    H, W = x.shape
    return dout[:H, :W]


@padded.broken(x="wrong_shape padding_offset")
def not_cropped(dout, x):
    return dout


@turned.broken(x="transposed wrong_shape")
def not_turned_back(dout, x):
    return dout


@turned.at(inputs={"x": normal(2, 3, 3)}).broken(x="transposed")
def not_turned_back_unnoticed(dout, x):
    return dout.copy()


@turned.broken(x="wrong_shape rows_columns_swapped transposed wrong_index")
def reshaped_instead(dout, x):
    return dout.reshape(x.shape)


@rolled.broken(x="missing_path overwritten")
def later_one_alone(dout, x):
    dx = np.zeros_like(x)
    dx[1:] = dout
    return dx


@rolled.broken(x="sign")
def earlier_minus_later(dout, x):
    dx = np.zeros_like(x)
    dx[:-1] += dout
    dx[1:] -= dout
    return dx


@rolled.broken(x="overwritten")
def second_write_wins(dout, x):
    dx = np.zeros_like(x)
    dx[1:] = dout
    dx[:-1] = -dout
    return dx
