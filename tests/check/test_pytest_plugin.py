"""The plugin as a test suite uses it."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from pathlib import Path

import numpy as np
import pytest

from tinygrad_cnn.check.pytest_plugin import assert_gradients as function

pytest_plugins = ["pytester"]

ROOT = Path(__file__).parents[2]
MAX_MILLISECONDS = 20.0


def square(x):
    return x * x


def test_right_gradients_pass():
    function(square, {"x": np.array([1.0, 2.0])}, lambda dout, x: 2 * x * dout)


def test_wrong_gradients_fail_with_the_report():
    with pytest.raises(AssertionError) as failed:
        function(square, [np.array([1.0, 2.0])], [np.array([-2.0, -4.0])])
    assert "sign" in str(failed.value)


def test_a_failure_shows_the_report_and_the_line_of_the_test(pytester):
    pytester.makepyfile("""
        import numpy as np

        def forward(x, w):
            return x @ w, (x, w)

        def backward(dout, cache):
            x, w = cache
            return dout @ w.T, 2 * x.T @ dout

        def test_matmul(assert_gradients):
            x, w = np.random.default_rng(0).normal(size=(2, 3, 3))
            dout = np.arange(9.0).reshape(3, 3)
            assert_gradients(lambda x, w: x @ w, {"x": x, "w": w}, backward, forward, dout)

        def test_square(assert_gradients):
            assert_gradients(lambda x: x * x, [np.ones(2)], lambda dout, x: 2 * x * dout)
    """)
    result = pytester.runpytest("-p", "tinygrad_cnn_pytest")
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(
        ["*assert_gradients(lambda x, w*", "*gradient of w: scale*", "*fix: *"]
    )
    result.stdout.no_fnmatch_line("*pytest_plugin.py*raise*")
    result.stdout.no_fnmatch_line("*__tracebackhide__*")


def test_the_fixture_is_listed(pytester):
    result = pytester.runpytest("-p", "tinygrad_cnn_pytest", "--fixtures")
    result.stdout.fnmatch_lines(["*assert_gradients*"])


def test_the_installation_registers_the_plugin():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    modules = project["tool"]["setuptools"]["py-modules"]
    assert project["project"]["entry-points"]["pytest11"] == {name: name for name in modules}


def test_where_unused_it_costs_next_to_nothing():
    script = (
        "import sys, time, pytest; start = time.perf_counter(); import tinygrad_cnn_pytest;"
        "print(1000 * (time.perf_counter() - start), 'numpy' in sys.modules)"
    )
    runs = [
        subprocess.run(
            [sys.executable, "-c", script], cwd=ROOT, check=True, capture_output=True, text=True
        ).stdout.split()
        for _ in range(3)
    ]
    assert min(float(milliseconds) for milliseconds, _ in runs) < MAX_MILLISECONDS
    assert {numpy for _, numpy in runs} == {"False"}
