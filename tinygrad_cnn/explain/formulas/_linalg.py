"""Products of matrices, and Einstein summation."""

from __future__ import annotations

from .._formula import Formula, Operation, Rule, broadcast_sum, every

# -- matmul ----------------------------------------------------------------------------------------


def _matmul_rule(index: int) -> Rule:
    def texts(op: Operation) -> tuple[str, str]:
        transposed = ".T" if len(op.shapes[1 - index]) == 2 else ".swapaxes(-1, -2)"
        latex, numpy = (
            (r"$0^{\top} \, $g", f"$0{transposed} @ $g")
            if index
            else (r"$g \, $1^{\top}", f"$g @ $1{transposed}")
        )
        batch, shape = op.shape[:-2], op.shapes[index]
        before, after = broadcast_sum((*batch, *shape[-2:]), shape)
        return before + latex, f"({numpy}){after}" if after else numpy

    return Rule(
        lambda op: texts(op)[0],
        lambda op: texts(op)[1],
        name="the other operand, transposed, times it" if index else "times the other, transposed",
    )


# -- einsum ----------------------------------------------------------------------------------------


def _einsum(inputs: list[str], output: str, names: list[str]) -> str:
    return f"np.einsum('{','.join(inputs)}->{output}', {', '.join(names)})"


def _einsum_latex(inputs: list[str], output: str, names: list[str]) -> str:
    """``(sum_j x_ij y_jk)_ik``."""
    summed = "".join(dict.fromkeys(c for c in "".join(inputs) if c not in output))
    product = r" \, ".join(
        f"{{{name}}}_{{{letters}}}" if letters else name
        for name, letters in zip(names, inputs, strict=True)
    )
    total = rf"\sum_{{{summed}}} {product}" if summed else product
    return rf"\left( {total} \right)_{{{output}}}" if output else total


def _operands(op: Operation) -> list[str]:
    return [f"${i}" for i in range(len(op.shapes))]


def _exchanged(op: Operation, index: int) -> tuple[list[str], str, list[str]]:
    """The operand changes places with the result: both are sums over everything else."""
    inputs, names = list(op.params["inputs"]), _operands(op)
    output = inputs[index]
    inputs[index], names[index] = op.params["output"], "$g"
    return inputs, output, names


LINALG = {
    "matmul": Formula(
        r"$0 \, $1", "$0 @ $1", (_matmul_rule(0), _matmul_rule(1)), broadcasts=False
    ),
    "einsum": Formula(
        lambda op: _einsum_latex(op.params["inputs"], op.params["output"], _operands(op)),
        lambda op: _einsum(op.params["inputs"], op.params["output"], _operands(op)),
        every(
            lambda index: Rule(
                lambda op: _einsum_latex(*_exchanged(op, index)),
                lambda op: _einsum(*_exchanged(op, index)),
                name="multiplied by the other operands and summed over their indices",
            )
        ),
        broadcasts=False,
    ),
}  # fmt: skip
