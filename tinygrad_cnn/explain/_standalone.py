"""Functions that generated code brings along: plain NumPy, readable by themselves.

Their source is copied into the code by name, so each stands alone, without annotations.
"""

import numpy as np


def one_hot(labels, classes):
    """Rows of zeros with a 1 at each label: (N,) -> (N, classes)."""
    return (np.arange(classes) == labels[..., None]).astype(float)


def im2col(x, size, stride=(1, 1), padding=(0, 0), dilation=(1, 1)):
    """Each window over images as a column: (N, C, H, W) -> (C*FH*FW, OH*OW*N)."""
    (fh, fw), (sh, sw), (ph, pw), (dh, dw) = size, stride, padding, dilation
    x = np.pad(x, ((0, 0), (0, 0), (ph, ph), (pw, pw)))
    n, c, h, w = x.shape
    oh, ow = (h - dh * (fh - 1) - 1) // sh + 1, (w - dw * (fw - 1) - 1) // sw + 1
    windows = np.empty((c, fh, fw, oh, ow, n), x.dtype)
    for i in range(fh):
        for j in range(fw):  # the pixels that lie at (i, j) of their window: (N, C, OH, OW)
            top, left = i * dh, j * dw
            pixels = x[:, :, top : top + sh * oh : sh, left : left + sw * ow : sw]
            windows[:, i, j] = pixels.transpose(1, 2, 3, 0)
    return windows.reshape(c * fh * fw, oh * ow * n)


def col2im(columns, shape, size, stride=(1, 1), padding=(0, 0), dilation=(1, 1)):
    """Each column added back where its window lay in images of that shape (N, C, H, W)."""
    (fh, fw), (sh, sw), (ph, pw), (dh, dw) = size, stride, padding, dilation
    n, c, h, w = shape[0], shape[1], shape[2] + 2 * ph, shape[3] + 2 * pw
    oh, ow = (h - dh * (fh - 1) - 1) // sh + 1, (w - dw * (fw - 1) - 1) // sw + 1
    windows = columns.reshape(c, fh, fw, oh, ow, n)
    x = np.zeros((n, c, h, w), columns.dtype)
    for i in range(fh):
        for j in range(fw):
            top, left = i * dh, j * dw
            pixels = windows[:, i, j].transpose(3, 0, 1, 2)  # (N, C, OH, OW)
            x[:, :, top : top + sh * oh : sh, left : left + sw * ow : sw] += pixels
    return x[:, :, ph : h - ph, pw : w - pw]


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


def window_argmax(x, size, stride=(1, 1), dilation=(1, 1)):
    """The place of the first largest pixel of each window, row by row: (N, C, OH, OW)."""
    (fh, fw), (sh, sw), (dh, dw) = size, stride, dilation
    extent = (dh * (fh - 1) + 1, dw * (fw - 1) + 1)
    windows = np.lib.stride_tricks.sliding_window_view(x, extent, axis=(2, 3))
    windows = windows[:, :, ::sh, ::sw, ::dh, ::dw]  # (N, C, OH, OW, FH, FW)
    return windows.reshape(*windows.shape[:4], fh * fw).argmax(axis=-1)


def gather_windows(x, switches, size, stride=(1, 1), dilation=(1, 1)):
    """From each window over x, (N, C, H, W), the pixel that its switch names: (N, C, OH, OW)."""
    n, c, i, j = np.indices(switches.shape, sparse=True)
    row, column = np.divmod(switches.astype(int), size[1])  # of the pixel in its window
    return x[n, c, i * stride[0] + row * dilation[0], j * stride[1] + column * dilation[1]]


def scatter_windows(g, switches, shape, size, stride=(1, 1), dilation=(1, 1)):
    """Zeros of shape (N, C, H, W) with each number of g added to the pixel of its switch."""
    n, c, i, j = np.indices(switches.shape, sparse=True)
    row, column = np.divmod(switches.astype(int), size[1])  # of the pixel in its window
    out = np.zeros(shape, g.dtype)
    pixels = n, c, i * stride[0] + row * dilation[0], j * stride[1] + column * dilation[1]
    np.add.at(out, pixels, g)
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
