"""
1. A scalar and its derivative
==============================

A Tensor records what is done to it. ``backward`` walks the record from the result to the variables,
and multiplies local derivatives on the way.
"""

import tinygrad_cnn as tc


def variables():
    return (
        tc.tensor(-2.0, requires_grad=True, name="x"),
        tc.tensor(5.0, requires_grad=True, name="y"),
        tc.tensor(-4.0, requires_grad=True, name="z"),
    )


x, y, z = variables()
f = (x + y) * z
f.backward()
print(f, x.grad, y.grad, z.grad)

# %%
# The product hands ``z`` to the sum, and the sum hands on what it gets. The picture shows the
# record, with the gradients that flow back.

x, y, z = variables()
picture = tc.draw.graph((x + y) * z, zoom="numbers", backward=True, show=("value", "gradient"))

# %%
# The same as formulas, written for this very expression:

print(tc.explain.derive((x + y) * z).numpy())

# %%
# Derivatives of any order: the gradient is an expression as well.

print([tc.grad(lambda t: t**3)(2.0), tc.grad(tc.grad(lambda t: t**3))(2.0)])
