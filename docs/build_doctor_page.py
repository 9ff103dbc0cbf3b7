"""Write doctor.md anew: its code is run, and what it prints is put below it.

    python docs/build_doctor_page.py

Figures that are nothing but rounding differ between machines; the page has "< 1e-12" for them.
"""

from __future__ import annotations

import ast
import inspect
import io
import linecache
import re
import sys
import textwrap
from collections.abc import Callable, Iterator
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "doctor.md"
ROUNDING = re.compile(r"0\.0e\+00|\d\.\de-1[3-9]")
LAYERS = "<ten layers>\n"  # where they stand in the text

TEXT = """\
# The doctor: why is this gradient wrong?

`tc.check.diagnose` compares a backward pass that you wrote with autograd, and says of each gradient
that is wrong what is wrong with it. This page is built by `docs/build_doctor_page.py`: every report
below is what the code above it printed. Rounding is shown as `< 1e-12`.

```python
import numpy as np
import tinygrad_cnn as tc
import tinygrad_cnn.functional as F

def tanh_backward(dout, x):
    return dout * (1 - x**2)

x = np.array([[0.5, -0.25, 1.5], [-1.0, 2.0, 0.75]])
print(tc.check.diagnose(F.tanh, {"x": x}, tanh_backward))
```

The derivative of y = tanh(x) is 1 - y², in which x was put for y. `diagnose` takes

- a *reference*: the same function composed in tinygrad_cnn;
- *inputs*, by name or in order;
- the *hand*: a backward `(dout, *inputs) -> gradients`; or a backward `(dout, cache) -> gradients`
  with `forward=` a function `(*inputs) -> (out, cache)`; or merely arrays. A backward is better,
  for the doctor calls it again on other inputs: another batch size, an image that is not square,
  windows that overlap, another gradient from above.

A cause is reported when it is proved: the gradient, repaired (rescaled, summed, transposed,
completed), agrees with autograd, or autograd with that one rule broken gives the same numbers.

## Ten broken layers

They come from [examples/ten_broken_layers.py](../examples/ten_broken_layers.py), which has the
references and inputs as well, and prints all ten reports.

<ten layers>

## When nothing is wrong

A right gradient is right however it is written, and whatever it does at ties and kinks, such as
the half slope at zero here, which is all that the relative error shows. Other inputs are tried too,
and the report says which:

```python
def relu_backward(dout, x):
    return dout * (1 + np.sign(x)) / 2

print(tc.check.diagnose(F.relu, {"x": np.array([-1.0, 0.0, 2.0])}, relu_backward))
```

## When it says unknown

A wrong name is worse than none. Where no repair agrees, the verdict is `unknown`, with the elements
to compare by hand:

```python
def invented(dout, x):
    return dout * np.where(x > 0, 1 + 0.1 * x**2, 0.01 * x)

print(tc.check.diagnose(F.relu, {"x": np.array([-1.0, 0.5, 2.0])}, invented))
```

Expect it

- when one gradient has several mistakes: some pairs are tried, no more;
- when the backward follows a formula of another function altogether;
- when the search takes more than some seconds: give it a small example.

With arrays in place of a backward nothing can be confirmed on other numbers. And the reference is
taken for right; whether it is, gradcheck answers.

## What gradcheck adds

`tc.check.gradcheck` needs no backward of yours: it compares what autograd records with complex
steps and central differences, says at which step these were best, and names each kink it met.

```python
def hinge(x):
    return F.relu(x * x * x - x).sum()

x = tc.tensor([-0.5, 0.3, 1.0, 1.5], requires_grad=True, name="x")
print(tc.check.gradcheck(hinge, [x]))
```

At `x = 1` any slope from 0 to 2 is accepted, for the function bends there. In the last table the
error of differences falls with the step, until rounding takes over; the star marks the best.

## What mutate adds

A check is as good as its inputs. `tc.check.mutate` breaks each rule that a function uses in each
way that people do, and lists the mistakes that a check *on these inputs* would not notice:

```python
def downsample(x, w):
    return F.conv2d(x, w, stride=2)

normal = np.random.default_rng(0).standard_normal
print(tc.check.mutate(downsample, {"x": normal((1, 2, 4, 4)), "w": normal((3, 2, 2, 2))}))
```

The remedies, taken at their word:

```python
def downsample(x, w):
    return F.conv2d(x, w, stride=(2, 1))

inputs = {"x": normal((2, 2, 9, 5)), "w": normal((3, 2, 3, 3))}
print(tc.check.mutate(downsample, inputs, upstream=normal((2, 3, 4, 3))))
```

## In a test suite

The pytest fixture `assert_gradients` comes with the installation. It takes the arguments of
`diagnose`, and fails with the report:

```python
def test_tanh_backward(assert_gradients):
    x = np.random.default_rng(0).normal(size=(2, 3))
    assert_gradients(F.tanh, {"x": x}, tanh_backward)
```

Without pytest, `tc.check.assert_gradients` is the same function.

## On the command line

    tinygrad-cnn grade submission.py --hints 3

runs the doctor over a whole file of CS231n-style layers, gives points, and at hint level 3 prints
cause, rule and fix; see [grading.md](grading.md).
"""


def page() -> str:
    """The page, from a fresh run."""
    session: dict[str, Any] = {}
    built, line = "", 0
    for block in re.split(r"(```python\n.*?```\n)", TEXT, flags=re.DOTALL):
        built += block
        if block.startswith("```python"):
            code = block.removeprefix("```python\n").removesuffix("```\n")
            built += _printed("\n" * line + code, session)
            line += code.count("\n")
    return built.replace(LAYERS, "\n".join(_sections()))


def _printed(code: str, session: dict[str, Any]) -> str:
    """What code prints, as a block; reports may quote its lines."""
    linecache.cache["example.py"] = (len(code), None, code.splitlines(keepends=True), "example.py")
    with redirect_stdout(io.StringIO()) as printed:
        exec(compile(code, "example.py", "exec"), session)
    return f"\n{_report(printed.getvalue())}" if printed.getvalue() else ""


def _sections() -> Iterator[str]:
    """For each broken layer the code, the report, and what the mistake was."""
    from ten_broken_layers import broken_layers

    for number, layer in enumerate(broken_layers(), 1):
        code, mistake = _code_and_docstring(layer.code)
        report = _report(layer.diagnose().to_text())
        yield f"### {number}. {layer.title}\n\n```python\n{code}```\n\n{report}\n{mistake}\n"


def _report(text: str) -> str:
    return f"```text\n{ROUNDING.sub('< 1e-12', text).rstrip()}\n```\n"


def _code_and_docstring(function: Callable[..., Any]) -> tuple[str, str]:
    """The source of a function without its docstring, and that, wrapped."""
    source = inspect.getsource(function)
    docstring = ast.parse(source).body[0].body[0]
    lines = source.splitlines(keepends=True)
    code = "".join(lines[: docstring.lineno - 1] + lines[docstring.end_lineno :])
    return code, textwrap.fill(inspect.getdoc(function) or "", 100)


if __name__ == "__main__":
    sys.path.append(str(ROOT / "examples"))
    PAGE.write_text(page(), "utf-8")
