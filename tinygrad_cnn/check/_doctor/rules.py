"""The right rule of each function, as a line of mathematics."""

from __future__ import annotations

from ..._core.context import enclosing
from ..._core.node import Node
from .._trace import Trace

# By scope or primitive; g is the gradient of what it returns, y that result.
_RULES = {
    "add": "z = x + y:  dx = g,  dy = g, each summed over the axes that were broadcast",
    "avg_pool2d": "dx[window] += g / (FH * FW)",
    "batch_norm": "xhat = (x - mean) / sqrt(var + eps),  h = g * weight:\n"
    "dx = (h - mean(h) - xhat * mean(h * xhat)) / sqrt(var + eps)\n"
    "dweight = sum(g * xhat),  dbias = sum(g), over everything but the channel",
    "conv2d": "dW = dOut_row X_col^T,  db = sum of dOut over N, OH, OW,\n"
    "dX_col = W_row^T dOut_row, each column added back where its window lay",
    "cross_entropy": "dscores = (softmax(scores) - onehot(y)) / N",
    "divide": "z = x / y:  dx = g / y,  dy = -g x / y^2",
    "dropout": "dx = g * mask / (1 - p)",
    "exp": "y = exp(x):  dx = g y",
    "getitem": "y = x[i]:  dx[i] += g, for each time that i names the element",
    "hinge_loss": "dscores[j] = [margin_j > 0] / N for j != y,  dscores[y] = -sum of the others",
    "linear": "y = x W^T + b:  dx = g W,  dW = g^T x,  db = sum of g over the examples",
    "log": "y = log(x):  dx = g / x",
    "log_softmax": "dx = g - softmax(x) * sum(g)",
    "matmul": "Z = X Y:  dX = g Y^T,  dY = X^T g",
    "max": "the gradient goes to the winner",
    "max_pool2d": "dx[winner of window] += g[window]",
    "maximum": "the gradient goes to the larger operand",
    "mean": "dx = g / n",
    "mse_loss": "dx = 2 (x - target) / n",
    "multiply": "z = x y:  dx = g y,  dy = g x",
    "relu": "dx = g * [x > 0]",
    "sigmoid": "y = sigmoid(x):  dx = g * y * (1 - y)",
    "softmax": "p = softmax(x):  dx = p * (g - sum(g * p))",
    "sqrt": "y = sqrt(x):  dx = g / (2 y)",
    "subtract": "z = x - y:  dx = g,  dy = -g, each summed over the axes that were broadcast",
    "subtract_mean": "dx = g - mean(g)",
    "sum": "dx = g, repeated along the summed axes",
    "tanh": "y = tanh(x):  dx = g * (1 - y^2)",
    "where": "z = x where m, else y:  dx = g * m,  dy = g * (1 - m)",
}


def rule_of(trace: Trace, name: str) -> str:
    """The rules of the functions that consume an input directly."""
    variable = next(v for v in trace.inputs if v is not None and v.name == name)
    found: dict[str, str] = {}
    for node in trace.nodes:
        if any(parent is variable.node for parent in node.parents):
            for label in _labels(node):
                if label in _RULES:
                    found[label] = _RULES[label]
                    break
    return "\n".join(f"{label}: {rule}" for label, rule in found.items())


def _labels(node: Node) -> list[str]:
    """The names of a node's functions, the outermost first, and its own."""
    labels = [scope.name for scope in enclosing(node.scope) if scope.kind == "function"][::-1]
    return [*labels, node.primitive.name] if node.primitive else labels
