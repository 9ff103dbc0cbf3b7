"""Optimisers that scale each step by the gradients seen before, element by element.

In the formulas ``g`` is the gradient plus ``weight_decay * w``; all operations are elementwise.
"""

from __future__ import annotations

import numpy as np

from ..typing import Array
from .optimizer import Group, Optimizer, Params, State

__all__ = ["Adadelta", "Adagrad", "Adam", "AdamW", "RMSprop"]


def _average(mean: Array, value: Array, decay: float, spare: Array) -> None:
    """``mean = decay * mean + (1 - decay) * value`` in place; ``value`` may be ``spare``."""
    mean *= decay
    mean += np.multiply(value, 1 - decay, out=spare)


class Adagrad(Optimizer):
    """Divide by the root of the sum of all squared gradients.

    ::

        s = s + g**2
        w = w - lr / (1 + (step - 1) * lr_decay) * g / (sqrt(s) + eps)

    Args:
        params: Tensors or parameter groups.
        lr: learning rate.
        lr_decay: how fast the learning rate falls with the steps.
        weight_decay: weight of the L2 penalty.
        initial_accumulator_value: where ``s`` starts.
        eps: keeps the quotient finite.
        maximize: ascend.

    Raises:
        ArgumentError, DtypeError, GraphError: as for ``Optimizer``.

    Source: J. Duchi, E. Hazan, Y. Singer, Adaptive subgradient methods (2011).

    >>> import tinygrad_cnn as tc
    >>> w = tc.tensor([1.0, 2.0], requires_grad=True)
    >>> w.grad = tc.tensor([10.0, -0.1])
    >>> tc.optim.Adagrad([w], lr=0.5).step()
    >>> w
    tensor([0.5, 2.5], requires_grad=True)
    """

    def __init__(
        self,
        params: Params,
        lr: float = 1e-2,
        lr_decay: float = 0.0,
        weight_decay: float = 0.0,
        initial_accumulator_value: float = 0.0,
        eps: float = 1e-10,
        *,
        maximize: bool = False,
    ) -> None:
        defaults = {
            "lr": lr,
            "lr_decay": lr_decay,
            "weight_decay": weight_decay,
            "initial_accumulator_value": initial_accumulator_value,
            "eps": eps,
            "maximize": maximize,
        }
        super().__init__(params, defaults)

    def _slots(self, group: Group) -> dict[str, float]:
        return {"sum": group["initial_accumulator_value"]}

    def _update(self, array: Array, grad: Array, state: State, group: Group, spare: Array) -> None:
        total = state["sum"]
        total += np.multiply(grad, grad, out=spare)
        np.sqrt(total, out=spare)
        spare += group["eps"]
        np.divide(grad, spare, out=spare)
        spare *= group["lr"] / (1 + (state["step"] - 1) * group["lr_decay"])
        array -= spare


class RMSprop(Optimizer):
    """Divide by the root of the running mean of the squared gradients.

    ::

        s = alpha * s + (1 - alpha) * g**2
        m = alpha * m + (1 - alpha) * g                     (centered: s - m**2 for s below)
        v = momentum * v + g / (sqrt(s) + eps)
        w = w - lr * v

    Args:
        params: Tensors or parameter groups.
        lr: learning rate.
        alpha: decay of the running means.
        eps: keeps the quotient finite; it is added after the root.
        weight_decay: weight of the L2 penalty.
        momentum: what remains of the velocity ``v`` from step to step.
        centered: divide by the standard deviation of the gradients.
        maximize: ascend.

    Raises:
        ArgumentError, DtypeError, GraphError: as for ``Optimizer``.

    Sources: T. Tieleman, G. Hinton, Coursera lecture 6.5 (2012); centered: A. Graves,
    Generating sequences with recurrent neural networks (2013).

    >>> import tinygrad_cnn as tc
    >>> w = tc.tensor([1.0, 2.0], requires_grad=True)
    >>> w.grad = tc.tensor([10.0, -0.1])
    >>> tc.optim.RMSprop([w], lr=0.1, alpha=0.75, eps=0.0).step()
    >>> w
    tensor([0.8, 2.2], requires_grad=True)
    """

    def __init__(
        self,
        params: Params,
        lr: float = 1e-2,
        alpha: float = 0.99,
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        momentum: float = 0.0,
        centered: bool = False,
        *,
        maximize: bool = False,
    ) -> None:
        defaults = {
            "lr": lr,
            "alpha": alpha,
            "eps": eps,
            "weight_decay": weight_decay,
            "momentum": momentum,
            "centered": centered,
            "maximize": maximize,
        }
        super().__init__(params, defaults)

    def _slots(self, group: Group) -> dict[str, float]:
        names = ["square_avg"]
        names += ["grad_avg"] if group["centered"] else []
        names += ["momentum_buffer"] if group["momentum"] else []
        return dict.fromkeys(names, 0.0)

    def _update(self, array: Array, grad: Array, state: State, group: Group, spare: Array) -> None:
        alpha, square = group["alpha"], state["square_avg"]
        _average(square, np.multiply(grad, grad, out=spare), alpha, spare)
        if group["centered"]:
            mean = state["grad_avg"]
            _average(mean, grad, alpha, spare)
            np.multiply(mean, mean, out=spare)
            square = np.subtract(square, spare, out=spare)
        np.sqrt(square, out=spare)
        spare += group["eps"]
        direction = np.divide(grad, spare, out=spare)
        if group["momentum"]:
            velocity = state["momentum_buffer"]
            velocity *= group["momentum"]
            velocity += direction
            direction = velocity
        array -= np.multiply(direction, group["lr"], out=spare)


class Adadelta(Optimizer):
    """Scale the step to the size of the steps before, so that it has the parameter's unit.

    ::

        s = rho * s + (1 - rho) * g**2
        d = sqrt(u + eps) / sqrt(s + eps) * g
        u = rho * u + (1 - rho) * d**2
        w = w - lr * d

    Args:
        params: Tensors or parameter groups.
        lr: factor of the step.
        rho: decay of the running means.
        eps: starts the first step and keeps the quotient finite; added inside the roots.
        weight_decay: weight of the L2 penalty.
        maximize: ascend.

    Raises:
        ArgumentError, DtypeError, GraphError: as for ``Optimizer``.

    Source: M. Zeiler, ADADELTA: an adaptive learning rate method (2012).

    >>> import tinygrad_cnn as tc
    >>> w = tc.tensor([1.0, 2.0], requires_grad=True)
    >>> w.grad = tc.tensor([10.0, -0.1])
    >>> tc.optim.Adadelta([w]).step()
    >>> print(w.numpy().round(4))
    [0.9968 2.0032]
    """

    def __init__(
        self,
        params: Params,
        lr: float = 1.0,
        rho: float = 0.9,
        eps: float = 1e-6,
        weight_decay: float = 0.0,
        *,
        maximize: bool = False,
    ) -> None:
        defaults = {
            "lr": lr,
            "rho": rho,
            "eps": eps,
            "weight_decay": weight_decay,
            "maximize": maximize,
        }
        super().__init__(params, defaults)

    def _slots(self, group: Group) -> dict[str, float]:
        return {"square_avg": 0.0, "acc_delta": 0.0}

    def _update(self, array: Array, grad: Array, state: State, group: Group, spare: Array) -> None:
        rho, eps = group["rho"], group["eps"]
        _average(state["square_avg"], np.multiply(grad, grad, out=spare), rho, spare)
        delta = np.sqrt(state["acc_delta"] + eps)
        np.add(state["square_avg"], eps, out=spare)
        delta /= np.sqrt(spare, out=spare)
        delta *= grad
        _average(state["acc_delta"], np.multiply(delta, delta, out=spare), rho, spare)
        array -= np.multiply(delta, group["lr"], out=spare)


class Adam(Optimizer):
    """The running mean of the gradients over the root of that of their squares.

    ::

        m = beta1 * m + (1 - beta1) * g
        s = beta2 * s + (1 - beta2) * g**2                  (amsgrad: the largest s so far)
        w = w - lr * m / (1 - beta1**step) / (sqrt(s / (1 - beta2**step)) + eps)

    Args:
        params: Tensors or parameter groups.
        lr: learning rate.
        betas: decays of the two running means.
        eps: keeps the quotient finite.
        weight_decay: weight of the L2 penalty.
        amsgrad: never let ``s`` shrink.
        maximize: ascend.

    Raises:
        ArgumentError, DtypeError, GraphError: as for ``Optimizer``.

    Sources: D. Kingma, J. Ba, Adam: a method for stochastic optimization (2015); amsgrad:
    S. Reddi, S. Kale, S. Kumar, On the convergence of Adam and beyond (2018).

    >>> import tinygrad_cnn as tc
    >>> w = tc.tensor([1.0, 2.0], requires_grad=True)
    >>> w.grad = tc.tensor([10.0, -0.1])
    >>> tc.optim.Adam([w], lr=0.1).step()
    >>> print(w.numpy().round(4))
    [0.9 2.1]
    """

    def __init__(
        self,
        params: Params,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        amsgrad: bool = False,
        *,
        maximize: bool = False,
    ) -> None:
        defaults = {
            "lr": lr,
            "betas": betas,
            "eps": eps,
            "weight_decay": weight_decay,
            "amsgrad": amsgrad,
            "maximize": maximize,
        }
        super().__init__(params, defaults)

    def _slots(self, group: Group) -> dict[str, float]:
        names = ["exp_avg", "exp_avg_sq"] + ["max_exp_avg_sq"] * group["amsgrad"]
        return dict.fromkeys(names, 0.0)

    def _update(self, array: Array, grad: Array, state: State, group: Group, spare: Array) -> None:
        (beta1, beta2), step = group["betas"], state["step"]
        mean, square = state["exp_avg"], state["exp_avg_sq"]
        _average(mean, grad, beta1, spare)
        _average(square, np.multiply(grad, grad, out=spare), beta2, spare)
        if group["amsgrad"]:
            largest = state["max_exp_avg_sq"]
            square = np.maximum(largest, square, out=largest)
        np.sqrt(square, out=spare)
        spare /= (1 - beta2**step) ** 0.5
        spare += group["eps"]
        np.divide(mean, spare, out=spare)
        spare *= group["lr"] / (1 - beta1**step)
        array -= spare


class AdamW(Adam):
    """Adam with weight decay apart from the gradient: ``w = w - lr * weight_decay * w`` first.

    Args:
        params: Tensors or parameter groups.
        lr: learning rate.
        betas: decays of the two running means.
        eps: keeps the quotient finite.
        weight_decay: the part of a weight, times ``lr``, that a step removes.
        amsgrad: never let the mean of squares shrink.
        maximize: ascend.

    Raises:
        ArgumentError, DtypeError, GraphError: as for ``Optimizer``.

    Source: I. Loshchilov, F. Hutter, Decoupled weight decay regularization (2019).

    >>> import tinygrad_cnn as tc
    >>> w = tc.tensor([1.0, 2.0], requires_grad=True)
    >>> w.grad = tc.tensor([0.0, 0.0])
    >>> tc.optim.AdamW([w], lr=0.1, weight_decay=0.5).step()
    >>> w
    tensor([0.95, 1.9 ], requires_grad=True)
    """

    def __init__(
        self,
        params: Params,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 1e-2,
        amsgrad: bool = False,
        *,
        maximize: bool = False,
    ) -> None:
        super().__init__(params, lr, betas, eps, weight_decay, amsgrad, maximize=maximize)

    def _descent(self, array: Array, grad: Array, group: Group, out: Array) -> Array:
        array *= 1 - group["lr"] * group["weight_decay"]
        return np.negative(grad, out=out) if group["maximize"] else grad
