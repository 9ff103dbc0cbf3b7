"""
3. Convolution is a matrix product
==================================

A convolution multiplies its filters with every window of the image. ``im2col`` writes the windows
side by side, so that one matrix product does it all.
"""

import numpy as np

import tinygrad_cnn as tc
import tinygrad_cnn.functional as F

image = tc.tensor(np.arange(25.0).reshape(1, 1, 5, 5), name="image")
edges = np.array([[0.0, 1, 0], [1, -4, 1], [0, 1, 0]])
filters = tc.tensor(edges.reshape(1, 1, 3, 3), requires_grad=True, name="filters")

columns = tc.im2col(image, (3, 3))
result = F.conv2d(image, filters)
print(columns.shape, result.shape)
print(np.allclose(edges.reshape(1, 9) @ columns.numpy(), result.numpy().reshape(1, 9)))

# %%
# So its gradient is that of a product, and of taking windows: both are in the record.

picture = tc.draw.graph(F.conv2d(image, filters).sum(), zoom="primitives")

# %%
# How large the result is, is a formula; where it gives no whole number, ``fit="exact"`` says so.

try:
    F.conv2d(image, filters, stride=2, padding=1, fit="exact")
    F.conv2d(image, filters, stride=4, padding=1, fit="exact")
except tc.errors.ShapeError as error:
    print(error)
