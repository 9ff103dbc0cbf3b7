"""Attempts in other styles, at functions composed of plain operations: no layer by its name."""

from __future__ import annotations

import numpy as np

import tinygrad_cnn as tc
from tinygrad_cnn import functional as F

from .case import Array, Function, apart, labels, normal
from .losses import softmax_minus_one

Y = labels(0, 3, 1, 4, 2, 3)
SCORES = {"scores": normal(6, 5), "y": Y}


def _softmax(x):
    weights = tc.exp(x - x.max(axis=-1, keepdims=True))
    return weights / weights.sum(axis=-1, keepdims=True)


def _attention(q, k, v):
    return _softmax(q @ tc.transpose(k) / np.sqrt(q.shape[1])) @ v


def _batch_norm(x, gamma, beta):
    mu = x.mean(axis=0)
    var = ((x - mu) ** 2).mean(axis=0)
    return gamma * (x - mu) / tc.sqrt(var + 1e-5) + beta


def _group_norm(x, gamma, beta):
    z = x.reshape(4, -1)
    mu = z.mean(axis=1, keepdims=True)
    var = ((z - mu) ** 2).mean(axis=1, keepdims=True)
    return gamma * ((z - mu) / tc.sqrt(var + 1e-5)).reshape(*x.shape) + beta


def _svm(scores, y):
    n = np.arange(len(y))
    margins = tc.maximum(0, scores - scores[n, y].reshape(-1, 1) + 1.0)
    return (margins.sum() - len(y)) / len(y)


def _logistic(x, w, b, target):
    p = tc.sigmoid(x @ w + b)
    return -(target * tc.log(p) + (1 - target) * tc.log(1 - p)).mean()


PARAMETERS = {"gamma": normal(4, seed=1), "beta": normal(4, seed=2)}
CHANNELS = {"gamma": normal(1, 4, 1, 1, seed=1), "beta": normal(1, 4, 1, 1, seed=2)}
TOKENS = {"q": normal(4, 3), "k": normal(4, 3, seed=1), "v": normal(4, 3, seed=2)}
IMAGES = {"x": normal(2, 3, 5, 5), "w": normal(4, 3, 3, 3), "b": normal(4)}
PIXELS = {"x": apart(2, 2, 4, 4)}

softmax = Function("composed softmax", _softmax, {"x": normal(4, 5)}, layer=True)
attention = Function("attention", _attention, TOKENS, layer=True)
batch = Function("composed batch norm", _batch_norm, {"x": normal(7, 4), **PARAMETERS}, layer=True)
group = Function("group norm", _group_norm, {"x": normal(2, 4, 3, 3), **CHANNELS}, layer=True)
svm = Function("composed svm", _svm, SCORES, upstream=1.0, layer=True)
cross_entropy = Function(
    "softmax loss",
    lambda scores, y: F.cross_entropy(scores, y),
    SCORES,
    upstream="ones",
    layer=True,
)
conv = Function("conv in loops", lambda x, w, b: F.conv2d(x, w, b, padding=1), IMAGES, layer=True)
average = Function("average", lambda x: F.avg_pool2d(x, 2), PIXELS, layer=True)
largest = Function("pool", lambda x: F.max_pool2d(x, 2), PIXELS, layer=True)
spread = Function("global average", lambda x: x.mean(axis=(2, 3)), PIXELS, layer=True)
relu = Function("composed relu", lambda x: tc.maximum(x, 0), {"x": apart(4, 5)})
logistic = Function(
    "logistic regression",
    _logistic,
    {"x": normal(6, 3), "w": normal(3), "b": normal(1), "target": labels(0, 1, 1, 0, 1, 0)},
    upstream="ones",
    layer=True,
)


def _probabilities(z) -> Array:
    weights = np.exp(z - z.max(axis=-1, keepdims=True))
    return weights / weights.sum(axis=-1, keepdims=True)


# -- softmax and attention -----------------------------------------------------------------


@softmax.broken(x="diagonal_only")
def diagonal(dout, x):
    p = _probabilities(x)
    return dout * p * (1 - p)


@softmax.broken(x="wrong_axis")
def sums_over_the_batch(dout, x):
    p = _probabilities(x)
    return p * (dout - (dout * p).sum(axis=0, keepdims=True))


@softmax.correct()
def one_jacobian_after_another(dout, x):
    rows = zip(_probabilities(x), dout, strict=True)
    return np.stack([(np.diag(p) - np.outer(p, p)) @ d for p, d in rows])


def _attended(dout, q, k, v):
    """The probabilities, the gradient by the scaled products, and the scale; all right."""
    scale = np.sqrt(q.shape[1])
    p = _probabilities(q @ k.T / scale)
    dp = dout @ v.T
    return p, dp, p * (dp - (dp * p).sum(axis=1, keepdims=True)), scale


@attention.broken(q="scale", k="scale")
def scale_forgotten(dout, q, k, v):
    p, _, ds, _ = _attended(dout, q, k, v)
    return ds @ k, ds.T @ q, p.T @ dout


@attention.broken(q="diagonal_only", k="diagonal_only")
def softmax_as_a_sigmoid(dout, q, k, v):
    p, dp, _, scale = _attended(dout, q, k, v)
    ds = dp * p * (1 - p) / scale
    return ds @ k, ds.T @ q, p.T @ dout


@attention.broken(k="transposed", v="transposed")
def nothing_transposed(dout, q, k, v):
    p, _, ds, scale = _attended(dout, q, k, v)
    return ds @ k / scale, ds @ q / scale, p @ dout


@attention.correct()
def in_einsum(dout, q, k, v):
    p, _, ds, scale = _attended(dout, q, k, v)
    return {
        "v": np.einsum("qk,qd->kd", p, dout),
        "q": np.einsum("qk,kd->qd", ds, k) / scale,
        "k": np.einsum("qk,qd->kd", ds, q) / scale,
    }


# -- normalisation -------------------------------------------------------------------------


def _normalized(x):
    std = np.sqrt(x.var(axis=0) + 1e-5)
    return (x - x.mean(axis=0)) / std, std


@batch.broken(x="diagonal_only")
def statistics_as_constants(dout, x, gamma, beta):
    xhat, std = _normalized(x)
    return dout * gamma / std, (dout * xhat).sum(axis=0), dout.sum(axis=0)


@batch.broken(x="missing_path diagonal_only")
def variance_as_a_constant(dout, x, gamma, beta):
    xhat, std = _normalized(x)
    h = dout * gamma / std
    return h - h.mean(axis=0), (dout * xhat).sum(axis=0), dout.sum(axis=0)


@batch.broken(x="missing_mean scale")
def simplified_without_one_over_n(dout, x, gamma, beta):
    xhat, std = _normalized(x)
    h, n = dout * gamma, len(x)
    dx = (n * h - h.sum(axis=0) - xhat * (h * xhat).sum(axis=0)) / std
    return dx, (dout * xhat).sum(axis=0), dout.sum(axis=0)


@batch.correct()
def on_the_transpose(dout, x, gamma, beta):
    xhat, std = (a.T for a in _normalized(x))
    h = (dout * gamma).T
    means = h.mean(axis=1, keepdims=True), (h * xhat).mean(axis=1, keepdims=True)
    dx = (h - means[0] - xhat * means[1]) / std[:, None]
    return dx.T, np.diag(dout.T @ xhat.T), dout.T @ np.ones(len(x))


@group.broken(x="diagonal_only")
def groups_as_constants(dout, x, gamma, beta):
    z = x.reshape(4, -1).T
    xhat, std = _normalized(z)
    xhat, std = xhat.T.reshape(x.shape), np.repeat(std, z.shape[0]).reshape(x.shape)
    over = {"axis": (0, 2, 3), "keepdims": True}
    return dout * gamma / std, (dout * xhat).sum(**over), dout.sum(**over)


# -- losses --------------------------------------------------------------------------------


def _counted(scores, y):
    """1 where a wrong class violates the margin."""
    n = np.arange(len(y))
    violated = (scores - scores[n, y][:, None] + 1 > 0) * 1.0
    violated[n, y] = 0
    return violated


@svm.broken(scores="missing_mean")
def not_divided(dout, scores, y):
    dx = _counted(scores, y)
    dx[np.arange(len(y)), y] = -dx.sum(axis=1)
    return dout * dx


@svm.broken(scores="overwritten")
def right_class_assigned_in_the_loop(dout, scores, y):
    dx = np.zeros_like(scores)
    for i in range(scores.shape[0]):
        for j in range(scores.shape[1]):
            if j != y[i] and scores[i, j] - scores[i, y[i]] + 1 > 0:
                dx[i, j] = 1
                dx[i, y[i]] = -1
    return dout * dx / len(y)


@logistic.broken(x="sign", w="sign", b="sign")
def target_minus_probability(dout, x, w, b, target):
    error = dout * (target - 1 / (1 + np.exp(-(x @ w + b)))) / len(x)
    return np.outer(error, w), x.T @ error, error.sum(keepdims=True)


@logistic.correct()
def through_the_probability(dout, x, w, b, target):
    p = 1 / (1 + np.exp(-(x @ w + b)))
    dz = dout * (-(target / p) + (1 - target) / (1 - p)) / len(x) * p * (1 - p)
    return dz[:, None] * w, dz @ x, dz.sum(keepdims=True)


# -- windows -------------------------------------------------------------------------------


def _looped(dout, x, w, write):
    """A convolution with padding 1, back through loops over windows and filters."""
    padded = np.pad(x, ((0, 0), (0, 0), (1, 1), (1, 1)))
    dpadded, dw = np.zeros_like(padded), np.zeros_like(w)
    for n, k, i, j in np.ndindex(dout.shape):
        window = (n, slice(None), slice(i, i + 3), slice(j, j + 3))
        write(dpadded, window, dout[n, k, i, j] * w[k])
        dw[k] += dout[n, k, i, j] * padded[window]
    return dpadded[:, :, 1:-1, 1:-1], dw, dout.sum(axis=(0, 2, 3))


@conv.broken(x="overwritten")
def overwrites_across_filters_too(dout, x, w, b):
    def write(target, window, part):
        target[window] = part

    return _looped(dout, x, w, write)


@conv.broken(x="rows_columns_swapped")
def puts_windows_back_with_i_for_j(dout, x, w, b):
    def write(target, window, part):
        n, c, rows, columns = window
        target[n, c, columns, rows] += part

    return _looped(dout, x, w, write)


@conv.correct()
def sizes_written_out(dout, x, w, b):
    dx, dw = np.zeros((2, 3, 7, 7)), np.zeros((4, 3, 3, 3))
    padded = np.pad(x, ((0, 0), (0, 0), (1, 1), (1, 1)))
    for i in range(5):
        for j in range(5):
            dx[:, :, i : i + 3, j : j + 3] += np.einsum("nk,kchw->nchw", dout[:, :, i, j], w)
            window = padded[:, :, i : i + 3, j : j + 3]
            dw += np.einsum("nk,nchw->kchw", dout[:, :, i, j], window)
    return dx[:, :, 1:-1, 1:-1], dw, dout.sum(axis=(0, 2, 3))


@average.correct()
def tiles_without_a_rest(dout, x):
    return np.kron(dout, np.ones((2, 2))) / 4


@spread.correct()
def count_of_pixels_written_out(dout, x):
    return dout[:, :, None, None] * np.ones_like(x) / 16


@largest.correct()
def number_of_images_written_out(dout, x):
    dx = np.zeros_like(x)
    for n, c, i, j in np.ndindex(2, 2, 2, 2):
        window = (n, c, slice(2 * i, 2 * i + 2), slice(2 * j, 2 * j + 2))
        dx[window] += (x[window] == x[window].max()) * dout[n, c, i, j]
    return dx


# -- closures over what the forward pass saved ---------------------------------------------


@relu.correct(fresh=True)
def mask_of_the_forward_pass():
    mask = relu.inputs["x"] > 0
    return lambda dout, x: dout * mask


@cross_entropy.correct(fresh=True)
def labels_of_the_notebook():
    return lambda dout, scores, y: dout * softmax_minus_one(scores, Y) / 6
