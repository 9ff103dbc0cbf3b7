"""Points, findings and hints for a submission."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import tinygrad_cnn as tc
from tinygrad_cnn.check.grade import grade
from tinygrad_cnn.check.grade._optimisers import OPTIMISERS, steps
from tinygrad_cnn.cli import main
from tinygrad_cnn.errors import ArgumentError

SOLUTION = Path(__file__).parent / "submissions" / "solution.py"

# What a student has, what is made of it, and what has to be found: question, part, cause.
MISTAKES = [
    ("dw = x.reshape(x.shape[0], -1).T", "dw = -x.reshape(x.shape[0], -1).T",
     "affine", "gradient of w", "sign"),
    ("dx[cache <= 0] = 0", "pass", "relu", "gradient of x", "missing_mask"),
    ("+ b[k]", "- b[k]", "conv", "out", "values"),
    ("dout.sum(axis=(0, 2, 3))", "dout.mean(axis=(0, 2, 3))", "conv", "gradient of b",
     "mean_for_sum"),
    ("+= dout[n, c, i, j]", "= dout[n, c, i, j]", "max_pool", "gradient of x", "overwritten"),
    ("dx = (dxhat - dxhat.mean(axis=0) - xhat * np.mean(dxhat * xhat, axis=0)) / std",
     "dx = dxhat / std", "batchnorm", "gradient of x", "diagonal_only"),
    ("running_mean + (1 - momentum)", "running_mean + momentum", "batchnorm", "running_mean",
     "values"),
    ("np.sqrt(running_var + eps)", "np.sqrt(running_var)", "batchnorm", "out in test mode",
     "values"),
    ("np.sum(dout * xhat, axis=0), dout.sum(axis=0)", "dout.sum(axis=0), np.sum(dout * xhat, 0)",
     "layernorm", "gradient of beta", "swapped_outputs"),
    ("< p) / p", "< p)", "dropout", "out", "missing_dropout_scale"),
    ("return loss, p / n", "return loss, p", "softmax_loss", "gradient of x", "missing_mean"),
    ("return margins.sum() / n", "return [margins.sum() / n]", "svm_loss", "loss", "wrong_type"),
    ("w -= config", "w += config", "sgd", "first step", "sign"),
    ('config["velocity"] = v', "", "sgd_momentum", "later steps", "no_momentum"),
    ("(np.sqrt(cache) + eps)", "np.sqrt(cache + eps)", "rmsprop", "first step",
     "epsilon_inside_sqrt"),
    ("m / (1 - b1**t) / (np.sqrt(v / (1 - b2**t))", "m / (np.sqrt(v)", "adam", "later steps",
     "no_bias_correction"),
]  # fmt: skip


def with_mistakes():
    source = SOLUTION.read_text("utf-8")
    for right, wrong, *_ in MISTAKES:
        assert right in source, right
        source = source.replace(right, wrong)
    return source


@pytest.fixture(scope="module")
def right():
    return grade(SOLUTION)


@pytest.fixture(scope="module")
def wrong(tmp_path_factory):
    path = tmp_path_factory.mktemp("submission") / "wrong.py"
    path.write_text(with_mistakes(), "utf-8")
    return grade(path, hints=3)


def part_of(grades, question, name):
    (found,) = (q for q in grades.questions if q.name == question)
    (part,) = (p for p in found.parts if p.name == name)
    return part


def test_a_right_submission_gets_all_points(right):
    assert right.ok, str(right)
    assert right.points == right.out_of == 120
    assert len(right.questions) == 13


def test_a_backward_in_place_is_noted_and_costs_nothing(right):
    (relu,) = (q for q in right.questions if q.name == "relu")
    assert relu.points == relu.out_of
    assert "changes dout in place" in relu.notes[0]


@pytest.mark.parametrize(("question", "part", "cause"), [mistake[2:] for mistake in MISTAKES])
def test_a_mistake_is_found_and_named(wrong, question, part, cause):
    found = part_of(wrong, question, part)
    assert not found.ok
    assert cause in found.causes, str(wrong)


def test_what_is_right_beside_a_mistake_keeps_its_points(wrong):
    points = {q.name: q.points / q.out_of for q in wrong.questions}
    assert points["affine"] == pytest.approx(3 / 4)
    assert points["batchnorm"] == pytest.approx(4 / 7)
    assert points["sgd_momentum"] == pytest.approx(1 / 2)
    assert not wrong.ok


def test_each_level_of_hints_says_more(wrong):
    which, why, how = part_of(wrong, "affine", "gradient of w").hints
    assert which == "wrong: gradient of w"
    assert why.startswith("sign: ")
    assert "yours" in why
    assert "dY = X^T g" in how
    assert "fix: negate it" in how


@pytest.mark.parametrize("level", [1, 2, 3])
def test_table_and_json_hold_the_hints_up_to_the_level(wrong, level):
    grades = type(wrong)(wrong.submission, wrong.questions, level)
    document = json.loads(grades.to_json())
    part = document["questions"][0]["parts"][2]
    assert len(part["hints"]) == level
    assert part["causes"] == (["sign"] if level > 1 else [])
    text = grades.to_text()
    assert ("sign: " in text) == (level > 1)
    assert ("fix: negate it" in text) == (level > 2)
    assert document["points"] == grades.points
    assert f"total {grades.points:.2f} of 120 points" in text
    assert "<table>" in grades._repr_html_()


# -- other answers -------------------------------------------------------------------------


def graded(tmp_path, source, spec):
    submission, rules = tmp_path / "submission.py", tmp_path / "spec.toml"
    submission.write_text(source, "utf-8")
    rules.write_text(spec, "utf-8")
    return grade(submission, rules)


def test_names_points_and_titles_come_from_the_spec(tmp_path):
    source = "import numpy as np\ndef f(x): return np.maximum(x, 0), x\ndef b(d, c): return d\n"
    spec = '[[question]]\nkind="relu"\npoints=3\nforward="f"\nbackward="b"\nname="Rectifier"'
    (question,) = graded(tmp_path, source, spec).questions
    assert (question.name, question.points, question.out_of) == ("Rectifier", 1.5, 3)


def test_p_may_be_the_probability_to_drop(tmp_path):
    source = SOLUTION.read_text("utf-8").replace("< p) / p", "> p) / (1 - p)")
    keep, drop = '[[question]]\nkind = "dropout"\n', '[[question]]\nkind="dropout"\np = "drop"\n'
    grades = graded(tmp_path, source, keep + drop)
    assert part_of(type(grades)("", grades.questions[:1]), "dropout", "out").causes == (
        "keep_for_drop",
    )
    assert grades.questions[1].points == 1


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("x = 1", "there is no function relu_backward or relu_forward"),
        ("def relu_forward(x:", "it cannot be imported: line 1: SyntaxError"),
        ("import numpy\n1 / 0", "it cannot be imported: line 2: ZeroDivisionError"),
    ],
)
def test_a_question_without_an_answer_says_why(tmp_path, source, reason):
    (question,) = graded(tmp_path, source, '[[question]]\nkind = "relu"').questions
    assert question.points == 0
    assert question.stopped.startswith(reason)


@pytest.mark.parametrize(
    ("body", "cause", "evidence"),
    [
        ("raise NotImplementedError('later')", "raises", "line 4: NotImplementedError: later"),
        ("return None", "wrong_type", "None"),
        ("return 'gradient'", "wrong_type", "'gradient'"),
        ("return object()", "wrong_type", "object"),
        ("return dout * np.nan", "not_finite", "28 of 28 elements"),
        ("return dout, dout", "raises", "it returns 2 gradients, expected 1"),
        ("return dout * 1j", "wrong_type", "complex"),
        ("return dout.astype(object)", "wrong_type", "object"),
    ],
)
def test_an_answer_that_is_no_gradient(tmp_path, body, cause, evidence):
    source = "import numpy as np\ndef relu_forward(x): return np.maximum(x, 0), x\n"
    source += f"def relu_backward(dout, cache):\n    {body}\n"
    (question,) = graded(tmp_path, source, '[[question]]\nkind = "relu"').questions
    assert not question.stopped
    out, gradient = question.parts
    assert out.ok
    assert gradient.causes == (cause,)
    assert evidence in gradient.hints[1]


def test_what_was_printed_is_shown_where_points_are_lost(tmp_path):
    source = "def relu_forward(x):\n    print('shape', x.shape)\n    return x, x\n"
    source += "def relu_backward(dout, cache): return dout\n"
    grades = graded(tmp_path, source, '[[question]]\nkind = "relu"')
    assert "shape (4, 7)" in grades.to_text()


def test_a_submission_may_import_its_neighbours(tmp_path):
    (tmp_path / "helpers.py").write_text("def double(x): return 2 * x\n", "utf-8")
    source = "from helpers import double\ndef sgd(w, dw, config):\n"
    source += "    return w - double(dw) * config['learning_rate'] / 2, config\n"
    assert graded(tmp_path, source, '[[question]]\nkind = "sgd"').ok


# -- the spec ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("seed = ", "is no TOML file"),
        ("seed = 1", "there is no [[question]]"),
        ('[[question]]\nkind = "rnn"', "question kind 'rnn' is none of affine"),
        ('[[question]]\nkind = "relu"\npoints = 0', "expected a positive number"),
        ('[[question]]\nkind = "relu"\npoints = inf', "expected a positive number"),
        ('[[question]]\nkind = "relu"\nfunction = "f"', "['function'] means nothing here"),
        ('[[question]]\nkind = "dropout"\np = "both"', "expected 'keep' or 'drop'"),
        ('hints = 4\n[[question]]\nkind = "relu"', "hints = 4: expected 1, 2 or 3"),
        ('sed = 4\n[[question]]\nkind = "relu"', "sed"),
        ('seed = -1\n[[question]]\nkind = "relu"', "seed = -1"),
        ('[limits]\nseconds = "1"\n[[question]]\nkind = "relu"', "seconds = '1'"),
        ('[limits]\nmemory_mb = 0.5\n[[question]]\nkind = "relu"', "expected a whole number"),
    ],
)
def test_a_mistake_in_the_spec_is_named(tmp_path, text, message):
    with pytest.raises(ArgumentError) as refused:
        graded(tmp_path, "", text)
    assert message in str(refused.value)


# -- the references ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "build"),
    [
        ("sgd", lambda w, c: tc.optim.SGD(w, lr=c["learning_rate"])),
        ("sgd_momentum", lambda w, c: tc.optim.SGD(w, c["learning_rate"], c["momentum"])),
        ("rmsprop", lambda w, c: tc.optim.RMSprop(
            w, lr=c["learning_rate"], alpha=c["decay_rate"], eps=c["epsilon"])),
        ("adam", lambda w, c: tc.optim.Adam(
            w, lr=c["learning_rate"], betas=(c["beta1"], c["beta2"]), eps=c["epsilon"])),
    ],
)  # fmt: skip
def test_the_expected_steps_are_those_of_optim(kind, build):
    optimiser = OPTIMISERS[kind]
    w, gradients, config = steps(optimiser.config, seed=0)
    parameter = tc.tensor(w, requires_grad=True)
    stepper = build([parameter], config)
    for g, expected in zip(gradients, optimiser.weights(w, gradients), strict=True):
        parameter.grad = tc.tensor(g)
        stepper.step()
        np.testing.assert_allclose(parameter.numpy(), expected, rtol=1e-12)


# -- the command ---------------------------------------------------------------------------


def test_the_command_prints_writes_and_has_a_status(capsys, tmp_path):
    spec, out = tmp_path / "spec.toml", tmp_path / "out.json"
    spec.write_text('[[question]]\nkind = "sgd"\n', "utf-8")
    assert main(["grade", str(SOLUTION), "--spec", str(spec), "--json", str(out)]) == 0
    assert "total 1.00 of 1 points, solution.py" in capsys.readouterr().out
    assert json.loads(out.read_text("utf-8"))["questions"][0]["name"] == "sgd"
    spec.write_text('[[question]]\nkind = "sgd"\nfunction = "missing"\n', "utf-8")
    assert main(["grade", str(SOLUTION), "--spec", str(spec)]) == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["no/such/file.py"], "no/such/file.py"),
        ([str(SOLUTION), "--spec", "no/such/spec.toml"], "no/such/spec.toml"),
    ],
)
def test_a_missing_file_is_a_mistake_of_the_caller(capsys, arguments, message):
    assert main(["grade", *arguments]) == 2
    assert message in capsys.readouterr().err
