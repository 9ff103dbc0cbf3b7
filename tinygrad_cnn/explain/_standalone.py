"""Functions that generated code brings along: plain NumPy, readable by themselves.

Their source is copied into the code by name, so each stands alone, without annotations.
"""

import numpy as np


def one_hot(labels, classes):
    """Rows of zeros with a 1 at each label: (N,) -> (N, classes)."""
    return (np.arange(classes) == labels[..., None]).astype(float)


def im2col(x, size, stride=1, padding=0, dilation=1):
    """Each window over images as a column: (N, C, H, W) -> (C*FH*FW, OH*OW*N)."""
    stride, padding, dilation = np.broadcast_arrays(stride, padding, dilation, size)[:3]
    x = np.pad(x, ((0, 0), (0, 0), *((p, p) for p in padding)))
    sides = zip(x.shape[2:], size, stride, dilation)
    out = [(n - d * (f - 1) - 1) // s + 1 for n, f, s, d in sides]
    windows = np.empty((x.shape[1], *size, *out, x.shape[0]), x.dtype)
    for place in np.ndindex(*size):  # the pixels that lie there in their window: (N, C, OH, OW)
        sides = zip(place, dilation, stride, out)
        inside = [slice(i * d, i * d + s * n, s) for i, d, s, n in sides]
        windows[:, *place] = np.moveaxis(x[:, :, *inside], 0, -1)
    return windows.reshape(x.shape[1] * np.prod(size), -1)


def col2im(columns, shape, size, stride=1, padding=0, dilation=1):
    """Each column added back where its window lay in images of that shape (N, C, H, W)."""
    stride, padding, dilation = np.broadcast_arrays(stride, padding, dilation, size)[:3]
    padded = [n + 2 * p for n, p in zip(shape[2:], padding)]
    sides = zip(padded, size, stride, dilation)
    out = [(n - d * (f - 1) - 1) // s + 1 for n, f, s, d in sides]
    windows = columns.reshape(shape[1], *size, *out, shape[0])
    x = np.zeros((*shape[:2], *padded), columns.dtype)
    for place in np.ndindex(*size):
        sides = zip(place, dilation, stride, out)
        inside = [slice(i * d, i * d + s * n, s) for i, d, s, n in sides]
        x[:, :, *inside] += np.moveaxis(windows[:, *place], -1, 0)  # (N, C, OH, OW)
    return x[:, :, *(slice(p, p + n) for n, p in zip(shape[2:], padding))]


def sigmoid(x):
    """1 / (1 + exp(-x)); exp is taken of numbers up to 0 alone, so that nothing overflows."""
    small = np.exp(-np.abs(x))
    return np.where(x >= 0, 1.0, small) / (1.0 + small)


def power_slope(x, y):
    """The derivative of x**y by x: y * x**(y - 1), but 0 (not 0 * inf) where both are 0."""
    both_zero = (x == 0) & (y == 0)
    return y * np.where(both_zero, 1.0, x) ** (y - 1)


def log_or_zero(x):
    """ln x, with 0 where x = 0: there x**y * ln x tends to 0, but 0 * -inf is NaN."""
    return np.log(np.where(x == 0, 1.0, x))


def first_largest(x, axis):
    """1 at the first largest element over these axes, in row-major order, else 0: shape of x."""
    order = [i for i in range(x.ndim) if i not in axis] + list(axis)
    moved = x.transpose(order)
    rows = moved.reshape(*moved.shape[: -len(axis)], -1)  # (…, all elements over the axes)
    first = np.arange(rows.shape[-1]) == rows.argmax(axis=-1, keepdims=True)
    return first.reshape(moved.shape).transpose(np.argsort(order))


def shares_of_largest(x, axis):
    """Equal shares, together 1, for all the largest elements over these axes: shape of x."""
    wins = (x == x.max(axis=axis, keepdims=True)) | np.isnan(x)
    return wins / wins.sum(axis=axis, keepdims=True)


def products_of_others(x, axis):
    """For each element the product of the others over these axes, zeros or not: shape of x."""
    order = [i for i in range(x.ndim) if i not in axis] + list(axis)
    moved = x.transpose(order)
    rows = moved.reshape(*moved.shape[: -len(axis)], 1, -1)  # (…, 1, n)
    itself = np.eye(rows.shape[-1], dtype=bool)
    others = np.where(itself, 1.0, rows).prod(axis=-1)  # (…, n)
    return others.reshape(moved.shape).transpose(np.argsort(order))


def scatter_add(g, index, shape):
    """Zeros of a shape with g added at an index; what is named twice receives both."""
    out = np.zeros(shape, np.asarray(g).dtype)
    np.add.at(out, index, g)
    return out


def window_argmax(x, size, stride=1, dilation=1):
    """The place of the first largest pixel of each window, row by row: (N, C, OH, OW)."""
    stride, dilation = np.broadcast_arrays(stride, dilation, size)[:2]
    extent = [d * (f - 1) + 1 for f, d in zip(size, dilation)]
    axes = tuple(range(2, x.ndim))
    windows = np.lib.stride_tricks.sliding_window_view(x, extent, axis=axes)
    steps = [slice(None, None, step) for step in (*stride, *dilation)]
    windows = windows[:, :, *steps]  # (N, C, OH, OW, FH, FW)
    return windows.reshape(*windows.shape[: x.ndim], -1).argmax(axis=-1)


def gather_windows(x, switches, size, stride=1, dilation=1):
    """From each window over x, (N, C, H, W), the pixel that its switch names: (N, C, OH, OW)."""
    stride, dilation = np.broadcast_arrays(stride, dilation, size)[:2]
    n, c, *windows = np.indices(switches.shape, sparse=True)
    places = np.unravel_index(switches, size)  # of the pixel in its window
    sides = zip(windows, stride, places, dilation)
    return x[n, c, *(i * s + place * d for i, s, place, d in sides)]


def scatter_windows(g, switches, shape, size, stride=1, dilation=1):
    """Zeros of shape (N, C, H, W) with each number of g added to the pixel of its switch."""
    stride, dilation = np.broadcast_arrays(stride, dilation, size)[:2]
    n, c, *windows = np.indices(switches.shape, sparse=True)
    places = np.unravel_index(switches, size)  # of the pixel in its window
    sides = zip(windows, stride, places, dilation)
    out = np.zeros(shape, g.dtype)
    np.add.at(out, (n, c, *(i * s + place * d for i, s, place, d in sides)), g)
    return out


def erf(x):
    """The error function of each element."""
    import math

    return np.vectorize(math.erf, otypes=[float])(x)


def filled(**values):
    """Raise an error that names what is still to be filled in."""
    missing = [name for name, value in values.items() if value is ...]
    if missing:
        raise NotImplementedError(f"still to be filled in: {', '.join(missing)}")
