"""Derivations with blanks, and what the checker says of answers."""

from __future__ import annotations

import functools
import re

import numpy as np
import pytest
from derived_nets import (
    NETS,
    derivation,
    function_of,
    lenet,
    normalised,
    outcomes,
    replaced,
    scalar,
    two_layer,
)

import tinygrad_cnn as tc
import tinygrad_cnn.functional as F
from tinygrad_cnn.errors import ArgumentError, DtypeError
from tinygrad_cnn.explain._source import source_of
from tinygrad_cnn.explain.exercise import Exercise

# -- what is handed out ------------------------------------------------------------------------


def test_the_backward_pass_is_blank(solved):
    exercise, _ = solved
    assert list(exercise.blanks.values()) == [
        "p",
        "dscores",
        "db2",
        "dW2",
        "dh",
        "dz",
        "db1",
        "dW1",
    ]
    code = exercise.numpy()
    assert "    dW1 = ...  # (4, 10): your turn\n" in code
    assert "    z = X @ W1 + b1  # (5, 10)\n" in code
    assert code.count(" = ...") == 8
    assert exercise.latex().count(r"\boxed{\quad ? \quad}") == 8
    assert exercise.markdown().count(r"\boxed{\quad ? \quad}") == 8
    assert exercise.html().count('<mo lspace="0" rspace="0">?</mo>') == 8
    assert "dscores = (p" not in exercise.markdown() + exercise.html()
    assert exercise._repr_latex_() == exercise.latex()
    assert repr(exercise) == "<Exercise: 8 of 14 equations are blank>"


def test_the_page_can_be_written(solved, tmp_path):
    exercise, _ = solved
    path = exercise.html(tmp_path / "exercise")
    assert path == tmp_path / "exercise.html"
    assert path.read_text("utf-8") == exercise.html()
    with pytest.raises(ArgumentError, match="existing folder"):
        exercise.html(tmp_path / "none" / "exercise.html")


def test_the_program_itself_keeps_its_lines(solved):
    program, recording = two_layer()
    before = source_of(program)
    Exercise(program, recording).numpy()
    assert source_of(program) == before


def test_called_unfilled_it_says_what_is_missing(solved):
    exercise, _ = solved
    inputs = [np.array(array) for array in exercise._program.inputs.values()]
    with pytest.raises(NotImplementedError, match="still to be filled in: p, dscores"):
        function_of(exercise.numpy())(*inputs)
    partly = replaced(exercise.numpy(), ("p = ...", "p = np.exp(log_p)"))
    with pytest.raises(NotImplementedError, match=r"still to be filled in: dscores$"):
        function_of(partly)(*inputs)


@pytest.mark.parametrize("zoom", ["layers", "primitives"])
@pytest.mark.parametrize("net", NETS)
def test_filled_in_rightly_it_is_the_derivation(net, zoom):
    program, recording = NETS[net](zoom)
    exercise = Exercise(program, recording)
    rights = dict(
        re.findall(
            r"^    (\w+) = (\((?:\n     .*)+\n    \)|.*?)(?:  #.*)?$", source_of(program), re.M
        )
    )
    filled = re.sub(r"(\w+) = \.\.\.", lambda m: f"{m[1]} = {rights[m[1]]}", exercise.numpy())
    report = exercise.check(filled)
    assert report.ok, str(report)
    inputs = [np.array(array) for array in program.inputs.values()]
    loss, gradients = function_of(filled)(*inputs)
    right_loss, right = function_of(source_of(program))(*inputs)
    assert loss == right_loss
    for name, gradient in right.items():
        np.testing.assert_array_equal(gradients[name], gradient)


@pytest.mark.parametrize(
    ("blanks", "expected"),
    [
        ("gradients", ["db2", "dW2", "db1", "dW1"]),
        (8, ["dscores"]),
        ([12, 8, 8], ["dscores", "dz"]),
        (range(1, 3), ["z", "h"]),
    ],
)
def test_blanks_can_be_chosen(blanks, expected):
    exercise = Exercise(*two_layer(), blanks)
    assert list(exercise.blanks.values()) == expected
    assert re.findall(r"(\w+) = \.\.\.", exercise.numpy()) == expected


@pytest.mark.parametrize(
    ("blanks", "message"),
    [
        ("all", "blanks='all': expected 'backward', 'gradients' or numbers"),
        (0, "expected an integer of at least 1"),
        (99, "the equations are 1 to 14, the backward pass begins at 7"),
        ([], "the equations are 1 to 14"),
        (["dW1"], "blanks='dW1', expected an integer"),
        (None, "blanks=None: expected"),
    ],
)
def test_blanks_that_are_none(blanks, message):
    with pytest.raises(ArgumentError, match=message):
        Exercise(*two_layer(), blanks)


# -- mistakes ----------------------------------------------------------------------------------

DSCORES = "dscores = (p - one_hot(y, 3)) / len(y)"

MISTAKES = [
    (DSCORES, "dscores = p - one_hot(y, 3)", "missing_mean"),
    (DSCORES, "dscores = (one_hot(y, 3) - p) / len(y)", "sign"),
    (DSCORES, "dscores = p / len(y)", "missing_path"),
    (DSCORES, "dscores = (p - one_hot(y, 3)) / 4", "scale"),
    ("db2 = dscores.sum(axis=0)", "db2 = dscores", "missing_broadcast_sum"),
    ("db2 = dscores.sum(axis=0)", "db2 = dscores.mean(axis=0)", "mean_for_sum"),
    ("db1 = dz.sum(axis=0)", "db1 = dz.sum(axis=1)", "wrong_axis"),
    ("dW2 = h.T @ dscores", "dW2 = dscores.T @ h", "transposed"),
    ("dW2 = h.T @ dscores", "dW2 = z.T @ dscores", "wrong_saved_value"),
    ("dz = dh * (z > 0)", "dz = dh", "missing_mask"),
    ("dz = dh * (z > 0)", "dz = 1.0 * (z > 0)", "ignores_upstream"),
    ("db1 = dz.sum(axis=0)", "db1 = dh.sum(axis=0)", "missing_mask"),
    ("dW1 = X.T @ dz", "dW1 = X.T @ dz + 0.1 * W1", "extra_regularization"),
    ("dW1 = X.T @ dz", "dW1 = np.abs(X).T @ dz", "unknown"),
]


@pytest.mark.parametrize(("right", "wrong", "cause"), MISTAKES)
def test_a_mistake_is_named(solved, right, wrong, cause):
    exercise, source = solved
    target = right.split()[0]
    report = exercise.check(replaced(source, (right, wrong)))
    assert report.causes == {target: {cause}}
    assert outcomes(report) == {target: "wrong"}
    assert report[target].why == cause
    assert not report.ok
    as_text = {target: wrong.split(" = ")[1]}
    assert exercise.check(as_text).causes == {target: {cause}}


def test_one_mistake_costs_one_blank(solved):
    exercise, source = solved
    edits = [MISTAKES[0], MISTAKES[7], MISTAKES[9]]
    report = exercise.check(replaced(source, *[(right, wrong) for right, wrong, _ in edits]))
    assert report.causes == {
        "dscores": {"missing_mean"}, "dW2": {"transposed"}, "dz": {"missing_mask"},
    }  # fmt: skip
    assert set(outcomes(report)) == {"dscores", "dW2", "dz"}


def test_another_convention_at_a_kink_is_right():
    x = tc.tensor([-1.0, 0.0, 2.0], requires_grad=True)
    loss = F.relu(x).sum()
    program, recording = derivation(loss)
    exercise = Exercise(program, recording)
    source = source_of(program)
    wrong = source.replace("(x > 0)", "(x >= 0)")
    assert wrong != source
    report = exercise.check(wrong)
    assert report.ok
    assert "convention" in report["dx"].why


def test_mistakes_in_a_convolution():
    program, recording = lenet()
    exercise, source = Exercise(program, recording), source_of(program)
    edits = {
        "dconv2_bias": ("dconv2_row.sum(axis=1)", "dconv2_row.sum(axis=0)", "wrong_axis"),
        "dpool1_col": (
            "conv2_weight_row.T @ dconv2_row",
            "-conv2_weight_row.T @ dconv2_row",
            "sign",
        ),
        "dfc2_weight": ("dfc2.T @ relu3", "relu3.T @ dfc2", "transposed"),
        "dconv1": ("drelu * (conv1 > 0)", "drelu", "missing_mask"),
    }
    source = replaced(
        source, *[(f"{t} = {old}", f"{t} = {new}") for t, (old, new, _) in edits.items()]
    )
    assert exercise.check(source).causes == {t: {cause} for t, (_, _, cause) in edits.items()}


def test_mistakes_beside_batch_norm_and_dropout():
    program, recording = normalised()
    exercise, source = Exercise(program, recording), source_of(program)
    [line] = re.findall(r"^    (dfc_weight = .*?)(?:  #.*)?$", source, re.M)
    without = line.replace("dz2 * fc_weight + dz2 * fc_weight + ", "")
    report = exercise.check(replaced(source, (line, without)))
    assert report.causes == {"dfc_weight": {"missing_regularization"}}


def test_mistakes_in_numbers():
    program, recording = scalar("primitives")
    exercise, source = Exercise(program, recording), source_of(program)
    [line] = re.findall(r"^    (dz = .*?)(?:  #.*)?$", source, re.M)
    report = exercise.check(replaced(source, (line, "dz = dy * exp")))
    assert report.causes == {"dz": {"missing_path"}}
    assert exercise.check(replaced(source, (line, f"{line} * -1"))).causes != {}


def test_float32_is_checked_in_float64():
    program, recording = two_layer(dtype=np.float32)
    exercise = Exercise(program, recording)
    assert exercise.check(source_of(program)).ok
    assert exercise.check({"dW1": "(1 + 1e-6) * (X.T @ dz)"})["dW1"].outcome == "wrong"


def test_a_value_of_the_forward_pass_is_compared():
    exercise = Exercise(*two_layer(), [1])
    assert exercise.check({"z": "b1 + X @ W1"}).ok
    report = exercise.check({"z": "X @ W1"})
    assert (report["z"].outcome, report["z"].why) == ("wrong", "50 of 50 elements differ")
    assert "50 of 50" in str(report)
    assert exercise.check({"z": "W1"})["z"].why == "it has shape (4, 10), expected (5, 10)"


# -- errors of the answer ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("right", "wrong", "message"),
    [
        (
            "dh = dscores @ W2.T",
            "dh = dscoress @ W2.T",
            "NameError: name 'dscoress' is not defined",
        ),
        ("dh = dscores @ W2.T", "dh = dscores @ W2", "(shapes: dscores (5, 3), W2 (10, 3))"),
        ("dh = dscores @ W2.T", "w = W2.t\n    dh = dscores @ w", "no attribute 't'"),
        (
            "dh = dscores @ W2.T",
            "dh = [1, [2]]",
            "it is a list, expected real numbers of shape (5, 10)",
        ),
        ("dh = dscores @ W2.T", "dh = None", "it is a NoneType"),
        ("dh = dscores @ W2.T", "dh = 'W2'", "it is a str"),
        ("dh = dscores @ W2.T", "dh = dscores @ W2.T + 0j", "it is an array of complex128"),
        ("dh = dscores @ W2.T", "dh = np.array([None])", "it is an array of object"),
        ("dh = dscores @ W2.T", "dh = exit()", "SystemExit: None"),
    ],
)
def test_an_error_is_told_with_its_line_and_costs_one_blank(solved, right, wrong, message):
    exercise, source = solved
    answer = replaced(source, (right, wrong))
    report = exercise.check(answer)
    assert outcomes(report) == {"dh": "error"}
    assert message in report["dh"].why
    assert message in str(report)
    assert "Traceback" not in str(report)
    if "Error" in report["dh"].why:
        first = wrong.splitlines()[0]
        number = 1 + next(i for i, row in enumerate(answer.splitlines()) if first in row)
        assert report["dh"].why.startswith(f"line {number}, {first}: ")


def test_a_syntax_error_is_told(solved):
    exercise, source = solved
    report = exercise.check(replaced(source, ("dW1 = X.T @ dz", "dW1 = X.T @ (dz")))
    assert not report.ok
    assert re.search(r"line \d+, .*: SyntaxError: '\(' was never closed", report.notes[0])
    assert set(outcomes(report).values()) == {"not checked"}
    assert "nothing was filled in" not in str(report)


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        ("import nowhere_at_all\ndef loss_and_gradients(): pass", "ModuleNotFoundError"),
        ("def loss_and_gradients(X): return X", "TypeError"),
        ("x = 1", "no function loss_and_gradients"),
        ("X.T @ dz", "pass a mapping, such as {'dW1': 'an expression'}"),
        ("def loss_and_gradients(X, y, W1, b1, W2, b2): raise SystemExit", "SystemExit"),
        ("raise SystemExit('enough')", "no function loss_and_gradients"),
        (functools.partial(exit, 1), "positional argument"),
        (lambda *_: exit(3), "SystemExit: 3"),
        ("def loss_and_gradients(X, y, W1, b1, W2, b2): return 3", "expected the loss and a dict"),
        ("def loss_and_gradients(X, y, W1, b1, W2, b2): return 1 / 0", "ZeroDivisionError"),
    ],
)
def test_an_answer_that_is_wrong_as_a_whole(solved, answer, message):
    report = solved[0].check(answer)
    assert not report.ok
    assert message in report.notes[0]
    assert set(outcomes(report).values()) == {"not checked"}
    assert "not checked" in str(report)


def test_errors_in_expressions(solved):
    report = solved[0].check({"dW1": "X.T @ dzz", "db1": "dz.sum(", "dh": "dscores @ W2"})
    assert "NameError: name 'dzz'" in report["dW1"].why
    assert "SyntaxError" in report["db1"].why
    assert "(shapes: dscores (5, 3), W2 (10, 3))" in report["dh"].why
    later = solved[0].check({"dscores": "dW1"})
    assert "NameError: name 'dW1'" in later["dscores"].why


def test_the_first_error_is_told(solved):
    exercise, source = solved
    report = exercise.check(replaced(source, ("dW1 = X.T @ dz", "raise SystemExit")))
    assert [note.partition(", ")[2] for note in report.notes] == ["raise SystemExit: SystemExit"]
    assert outcomes(report) == {"dW1": "not checked"}


def test_what_is_no_answer(solved, tmp_path):
    exercise, _ = solved
    for twice in ({"dW1": "1", "W1": "2"}, {14: "1", "dW1": "1"}):
        with pytest.raises(ArgumentError, match="are one blank"):
            exercise.check(twice)
    with pytest.raises(DtypeError, match="got int; expected a function"):
        exercise.check(3)
    with pytest.raises(ArgumentError, match=r"'dW9' is no blank; the blanks are p \(7\)"):
        exercise.check({"dW9": "0"})
    with pytest.raises(ArgumentError, match="is no blank"):
        exercise.check({3: "0"})
    with pytest.raises(ArgumentError, match="cannot be read"):
        exercise.check(tmp_path / "none.py")
    with pytest.raises(ArgumentError, match="cannot be read"):
        exercise.check("none.py")
