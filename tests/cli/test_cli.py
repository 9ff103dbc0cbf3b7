"""The command line, as a user types it."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pytest

from tinygrad_cnn.cli import main


def run(capsys, *arguments):
    status = main(arguments)
    captured = capsys.readouterr()
    return status, captured.out, captured.err


def test_help_names_every_command_and_an_example(capsys):
    with pytest.raises(SystemExit) as stop:
        main(["--help"])
    assert stop.value.code == 0
    text = capsys.readouterr().out
    assert all(f"tinygrad-cnn {name}" in text for name in ("demo", "train", "predict", "check"))


@pytest.mark.parametrize("command", ["demo", "train", "predict", "summary", "check", "play"])
def test_every_command_explains_itself(capsys, command):
    with pytest.raises(SystemExit) as stop:
        main([command, "--help"])
    assert stop.value.code == 0
    assert len(capsys.readouterr().out) > 300


def test_it_runs_as_a_module():
    command = [sys.executable, "-m", "tinygrad_cnn", "summary", "lenet5", "--input", "1,28,28"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "61,706" in done.stdout


def test_summary_uses_the_sizes_given(capsys):
    status, out, _ = run(capsys, "summary", "convnetjs", "--input", "3,32,32")
    assert status == 0
    assert "(1, 8, 32, 32)" in out


def test_summary_is_as_deep_as_asked_for_and_tells_the_time(capsys):
    status, out, _ = run(capsys, "summary", "lenet5", "--depth", "1", "--time")
    assert status == 0
    assert out.splitlines()[0].split()[-2:] == ["sees", "ms"]
    assert "14x14" in out


def test_check_compares_every_parameter(capsys):
    status, out, _ = run(capsys, "check", "digits", "--sample", "2")
    assert status == 0
    assert "conv1.weight" in out
    assert "all gradients agree" in out


def test_train_then_predict(capsys, tmp_path):
    out_folder = tmp_path / "run"
    status, _, _ = run(capsys, "train", "--epochs", "1", "--out", str(out_folder))
    assert status == 0
    lines = (out_folder / "log.jsonl").read_text().splitlines()
    assert all(json.loads(line) for line in lines)
    status, out, _ = run(capsys, "predict", str(out_folder / "model.npz"))
    assert status == 0
    accuracy = float(out.split("accuracy ")[1].split("%")[0])
    assert accuracy > 50

    image_module = pytest.importorskip("PIL.Image")
    picture = tmp_path / "black.png"
    image_module.fromarray(np.zeros((20, 20), np.uint8)).save(picture)
    status, out, _ = run(capsys, "predict", str(out_folder / "model.npz"), str(picture))
    assert status == 0
    assert "%" in out


def test_a_model_for_images_of_any_size_takes_what_is_no_square(capsys):
    status, out, _ = run(capsys, "summary", "cifar_resnet20", "--input", "1,24,32")
    assert status == 0
    assert "269,434" in out  # 288 less than with three colours


def test_a_folder_of_images_is_a_data_set(capsys, tmp_path, rng):
    image_module = pytest.importorskip("PIL.Image")
    for number, name in enumerate(["dark", "light"]):
        (tmp_path / "images" / name).mkdir(parents=True)
        for i in range(10):
            pixels = rng.integers(0, 100, (12, 12, 3)) + 150 * number
            picture = image_module.fromarray(pixels.astype(np.uint8))
            picture.save(tmp_path / "images" / name / f"{i}.png")
    arguments = ("--data", str(tmp_path / "images"), "--model", "convnetjs", "--epochs", "2")
    status, _, err = run(capsys, "train", *arguments, "--out", str(tmp_path / "run"))
    assert (status, err) == (0, "")
    one = tmp_path / "images" / "light" / "0.png"
    status, out, _ = run(capsys, "predict", str(tmp_path / "run" / "model.npz"), str(one))
    assert status == 0
    assert "light" in out


def _folder_of_mixed_sizes(root):
    image_module = pytest.importorskip("PIL.Image")
    for number, name in enumerate(["dark", "light"]):
        (root / name).mkdir(parents=True)
        for i in range(5):
            pixels = np.full((10 + i, 20, 3), 50 + 150 * number, np.uint8)
            image_module.fromarray(pixels).save(root / name / f"{i}.png")
    return root


def test_images_of_mixed_sizes_are_resized(capsys, tmp_path, monkeypatch):
    _folder_of_mixed_sizes(tmp_path / "images")
    monkeypatch.chdir(tmp_path)
    arguments = ("train", "--data", "images", "--model", "convnetjs", "--epochs", "1")
    status, _, err = run(capsys, *arguments)
    assert status == 2
    assert "size=(height, width)" in err
    status, _, err = run(capsys, *arguments, "--size", "12,16")
    assert status == 2
    assert "the model 'convnetjs' takes square images, not 12x16" in err
    assert [path.name for path in tmp_path.iterdir()] == ["images"]
    status, _, err = run(capsys, *arguments, "--size", "12,12")
    assert (status, err) == (0, "")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    status, out, _ = run(capsys, "predict", str(tmp_path / "run" / "model.npz"))
    assert status == 0
    assert "2 test images" in out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["train", "--size", "8,8"], "--size is for folders of images"),
        (["summary", "convnetjs", "--input", "1,24,32"], "takes square images, not 24x32"),
        (["summary", "all_convolutional", "--input", "3,8,8"], "made for images (N, 3, 32, 32)"),
        (["train", "--data", "nothing"], "no data set is called 'nothing'"),
        (["train", "--model", "nothing"], "no model is called 'nothing'"),
        (["train", "--data", "mnist", "--root", "no/such/folder"], "no/such/folder"),
        (["train", "--model", "convnetjs", "--out", "/dev/null"], "/dev/null"),
        (["train", "--model", "lenet5"], "expected 28 or 32"),
        (["summary", "nothing"], "no model is called 'nothing'"),
        (["predict", "no/such/file.npz"], "no/such/file.npz"),
    ],
)
def test_mistakes_get_one_clear_line(capsys, tmp_path, monkeypatch, arguments, message):
    monkeypatch.chdir(tmp_path)
    status, _, err = run(capsys, *arguments)
    assert status == 2
    assert message in err
    assert "Traceback" not in err
    assert list(tmp_path.iterdir()) == []


def test_a_damaged_model_file_is_refused(capsys, tmp_path):
    path = tmp_path / "model.npz"
    path.write_bytes(b"not an archive")
    status, _, err = run(capsys, "predict", str(path))
    assert status == 2
    assert "is no model" in err
    assert "pickle" not in err


@pytest.mark.parametrize("damage", ["half", "16 bits", "text", "folder"])
def test_a_file_that_is_no_picture_of_8_bits_is_refused(capsys, tmp_path, damage):
    image_module = pytest.importorskip("PIL.Image")
    status, _, _ = run(capsys, "train", "--epochs", "1", "--out", str(tmp_path))
    assert status == 0
    path = tmp_path / "picture.png"
    if damage == "folder":
        path.mkdir()
    elif damage == "text":
        path.write_text("no picture")
    else:
        dtype = np.uint16 if damage == "16 bits" else np.uint8
        image_module.fromarray(np.arange(400, dtype=dtype).reshape(20, 20)).save(path)
        if damage == "half":
            path.write_bytes(path.read_bytes()[:60])
    status, _, err = run(capsys, "predict", str(tmp_path / "model.npz"), str(path))
    assert status == 2
    assert str(path) in err


def test_a_model_for_other_images_is_refused_with_its_alternatives(capsys, tmp_path, shared):
    arguments = ("--data", "mnist", "--root", str(shared / "data"), "--model", "digits")
    status, _, err = run(capsys, "train", *arguments, "--out", str(tmp_path / "run"))
    assert status == 2
    assert "the model 'digits' does not fit images of 28x28" in err
    assert "lenet5" in err


@pytest.mark.parametrize(
    "arguments",
    [
        ["train", "--epochs", "0"],
        ["train", "--seed", "-1"],
        ["train", "--size", "8"],
        ["summary", "lenet5", "--input", "1,28"],
    ],
)
def test_impossible_options_are_refused_by_the_parser(capsys, arguments):
    with pytest.raises(SystemExit) as stop:
        main(arguments)
    assert stop.value.code == 2


@pytest.mark.parametrize("command", ["demo", "train"])
def test_a_file_in_the_place_of_the_output_folder(capsys, tmp_path, command):
    taken = tmp_path / "taken"
    taken.write_text("mine")
    status, _, err = run(capsys, command, "--epochs", "1", "--out", str(taken))
    assert status != 0
    assert "is a file, expected a folder" in err
    assert taken.read_text() == "mine"
