"""The forms in which an exercise can be answered."""

from __future__ import annotations

import functools

import numpy as np
import pytest
from derived_nets import function_of, outcomes, replaced

import tinygrad_cnn as tc
from tinygrad_cnn._graph import read
from tinygrad_cnn.errors import OutOfBoundsError
from tinygrad_cnn.explain._program import build
from tinygrad_cnn.explain._source import source_of
from tinygrad_cnn.explain.exercise import Exercise


def answer_in_this_file(X, y, W1, b1, W2, b2):
    z = X @ W1 + b1
    h = np.maximum(0, z)
    scores = h @ W2 + b2
    p = softmax_of(scores)
    loss = -np.log(p[np.arange(len(y)), y]).mean()
    dscores = p.copy()
    dscores[np.arange(len(y)), y] -= 1
    dscores /= len(y)
    dW2 = np.zeros_like(W2)
    for n in range(len(y)):
        dW2 += np.outer(h[n], dscores[n])
    db2 = np.zeros_like(b2)
    np.add.at(db2, slice(None), dscores.sum(axis=0))
    dh = np.empty_like(h)
    np.matmul(dscores, W2.T, out=dh)
    dz = dh
    dz[z < 0] = 0
    dW1, db1 = X.T @ dz, dz.mean(axis=0)  # the mistake
    return loss, {"W1": dW1, "b1": db1, "W2": dW2, "b2": db2}


def softmax_of(scores):
    e = np.exp(scores - scores.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


def test_a_function_as_people_write_it(solved):
    report = solved[0].check(answer_in_this_file)
    assert outcomes(report) == {"db1": "wrong"}
    assert report.causes == {"db1": {"mean_for_sum"}}


def test_an_error_in_a_function_names_the_line_of_its_file(solved):
    def answer(X, y, W1, b1, W2, b2):
        dz = X @ W2
        return 0.0, {"W1": dz}

    report = solved[0].check(answer)
    line = answer.__code__.co_firstlineno + 1
    assert report["dz"].why.startswith(f"line {line}, dz = X @ W2: ValueError")


def test_a_file(solved, tmp_path):
    exercise, source = solved
    path = tmp_path / "answer.py"
    path.write_text(source, "utf-8")
    assert exercise.check(path).ok
    assert exercise.check(str(path)).ok


def own_way(X, y, W1, b1, W2, b2, sign=1):
    hidden = X @ W1 + b1
    e = np.exp(np.maximum(hidden, 0) @ W2 + b2)
    q = e / e.sum(axis=1, keepdims=True)
    q[np.arange(5), y] -= 1
    q = q / 5
    back = q @ W2.T * (hidden > 0)
    grads = {"b1": back.sum(0), "b2": sign * q.sum(0)}
    grads["W1"], grads["W2"] = X.T @ back, np.maximum(hidden, 0).T @ q
    return 0.0, grads


@pytest.mark.parametrize("answer", [own_way, functools.partial(own_way, sign=1)])
def test_other_ways_lead_there_too(solved, answer):
    report = solved[0].check(answer)
    assert report.ok
    expected = dict.fromkeys(("dscores", "dh", "dz"), "not used")
    assert {t: o for t, o in outcomes(report).items() if t != "p"} == expected


def test_a_mistake_in_a_function_without_source(solved):
    report = solved[0].check(functools.partial(own_way, sign=-1))
    assert report.causes == {"db2": {"sign"}}


def test_arrays(solved):
    exercise, source = solved
    inputs = [np.array(array) for array in exercise._program.inputs.values()]
    loss, right = function_of(source)(*inputs)
    assert exercise.check(right).ok
    assert exercise.check((loss, right)).ok
    report = exercise.check({**right, "W2": right["W2"].T})
    assert report.causes == {"dW2": {"transposed"}}
    assert exercise.check({"dW2": tc.tensor(right["W2"])})["dW2"].outcome == "right"
    assert exercise.check({10: right["W2"].tolist()})["dW2"].outcome == "right"


def test_what_is_left_out_is_open(solved):
    report = solved[0].check({"dscores": "(p - one_hot(y, 3)) / 5"})
    assert report["dscores"].outcome == "right"
    assert set(outcomes(report).values()) == {"open"}
    assert not report.ok
    with pytest.raises(OutOfBoundsError, match="'dV' is no blank; the blanks are p, dscores"):
        report["dV"]
    assert str(report).startswith("exercise: 1 of 8 blanks are right")
    assert set(outcomes(solved[0].check({"W1": "..."})).values()) == {"open"}


def test_an_entry_may_be_an_assignment_and_an_empty_one_is_open(solved):
    check = solved[0].check
    assert check({"dW1": "dW1 = X.T @ dz"})["dW1"].outcome == "right"
    assert "expected an expression, or dW1 =" in check({"dW1": "dW2 = X.T @ dz"})["dW1"].why
    for nothing in ("", "  ", "# later", "..."):
        assert check({"dW1": nothing})["dW1"].outcome == "open"
    assert check({"dW1": "exit()"})["dW1"].why == "exit(): SystemExit: None"


def test_an_intermediate_value_may_be_asked_for():
    x = tc.tensor([1.0, 2.0, 4.0], requires_grad=True)
    h = tc.exp(x)
    loss = (h * h).sum()
    recording = read(loss)
    program = build(recording, {"h": recording.vertex(h.node)}, {id(h.node): "h"}, "layers")
    exercise = Exercise(program, recording)
    assert exercise.check(source_of(program)).ok
    report = exercise.check(functools.partial(lambda sign, x: (0.0, {"h": sign * np.exp(x)}), -2))
    assert report.causes == {"dh": {"sign"}}


def test_an_error_in_a_helper_of_the_same_file_names_its_line(solved):
    def answer(X, y, W1, b1, W2, b2):
        dz = broken(X)
        return 0.0, {"W1": dz}

    line = broken.__code__.co_firstlineno + 1
    why = solved[0].check(answer)["dz"].why
    assert (
        why
        == f"line {line}, return x / nothing_here: NameError: name 'nothing_here' is not defined"
    )


def broken(x):
    return x / nothing_here  # noqa: F821


def test_what_was_given_and_changed_is_noted(solved):
    exercise, source = solved
    report = exercise.check(replaced(source, ("h = np.maximum(0, z)", "h = np.maximum(1, z)")))
    assert report.notes == ("h was given and has another value now; the right one was used",)
    assert outcomes(report) == {}


def test_gradients_returned_under_another_name_are_noted(solved):
    exercise, source = solved
    swapped = source.replace("'b1': db1", "'b1': db2")
    assert swapped != source
    report = exercise.check(swapped)
    assert report.notes == ("what it returns as 'b1' is not db1",)


def test_answers_cannot_harm_the_exercise(solved):
    exercise, source = solved
    assert not exercise.check(
        replaced(source, ("dW1 = X.T @ dz", "X[:] = 0; dW1 = dz; y[:] = 0"))
    ).ok
    assert exercise.check(source).ok


def test_the_report_in_a_notebook(solved):
    html = solved[0].check({"dW1": "'<script>' + dz"})._repr_html_()
    assert "<script>" not in html
    assert "&lt;script&gt;" in html
