"""Pictures in folders."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tinygrad_cnn.data import ImageFolder
from tinygrad_cnn.errors import ArgumentError, DataError, MissingExtraError

Image = pytest.importorskip("PIL.Image")


@pytest.fixture
def pictures(tmp_path: Path, rng: Any) -> dict[str, Any]:
    """Noise of 6x5 pixels in two classes, by its file below ``tmp_path``."""
    names = ("cat/2.png", "cat/10.bmp", "dog/only.png")
    arrays = {name: rng.integers(0, 256, (6, 5, 3), dtype=np.uint8) for name in names}
    for name, array in arrays.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        Image.fromarray(array).save(tmp_path / name)
    return arrays


def test_folders_are_classes_in_the_order_of_names(tmp_path: Path, pictures: Any) -> None:
    (tmp_path / "README.txt").write_text("beside the classes")
    (tmp_path / "cat/.DS_Store").write_bytes(b"hidden")
    dataset = ImageFolder(tmp_path)
    assert dataset.classes == ("cat", "dog")
    assert dataset.labels.tolist() == [0, 0, 1]
    names = [Path(path).relative_to(tmp_path).as_posix() for path in dataset.paths]
    assert names == ["cat/10.bmp", "cat/2.png", "dog/only.png"]
    for name, image in zip(names, dataset.images, strict=True):
        np.testing.assert_array_equal(image, pictures[name].transpose(2, 0, 1))


def test_grey_and_resized(tmp_path: Path, pictures: Any) -> None:
    Image.new("L", (9, 4), 77).save(tmp_path / "dog/uniform.png")
    dataset = ImageFolder(tmp_path, mode="L", size=(3, 7))
    assert dataset.images.shape == (4, 1, 3, 7)
    assert np.unique(dataset.images[3]).tolist() == [77]
    assert ImageFolder(tmp_path, size=8).images.shape == (4, 3, 8, 8)


def test_pictures_of_different_sizes_are_refused(tmp_path: Path, pictures: Any) -> None:
    Image.new("RGB", (5, 7)).save(tmp_path / "dog/tall.png")
    with pytest.raises(DataError, match=r"tall.png: height and width \(7, 5\), expected \(6, 5\)"):
        ImageFolder(tmp_path)


def test_sixteen_bits_are_refused(tmp_path: Path, pictures: Any) -> None:
    Image.fromarray(np.full((6, 5), 60_000, np.uint16)).save(tmp_path / "dog/deep.png")
    with pytest.raises(DataError, match=r"deep.png: pixels of mode I;16, expected 8 bits"):
        ImageFolder(tmp_path)


@pytest.mark.filterwarnings("ignore:(Corrupt EXIF|Truncated File):UserWarning")
@pytest.mark.parametrize("extension", ["png", "jpg", "gif", "webp", "bmp", "ppm", "tiff"])
def test_truncated_pictures_are_refused(tmp_path: Path, rng: Any, extension: str) -> None:
    path = tmp_path / "cat" / f"x.{extension}"
    path.parent.mkdir()
    Image.fromarray(rng.integers(0, 256, (6, 5, 3), dtype=np.uint8)).save(path)
    content = path.read_bytes()
    assert len(ImageFolder(tmp_path)) == 1
    for size in range(0, len(content) // 2, 3):
        path.write_bytes(content[:size])
        with pytest.raises(DataError, match=rf"x\.{extension}: can't be read as a picture"):
            ImageFolder(tmp_path)


def test_what_holds_no_pictures_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no folder in it"):
        ImageFolder(tmp_path)
    (tmp_path / "cat").mkdir()
    with pytest.raises(DataError, match="no picture of the class 'cat'"):
        ImageFolder(tmp_path)
    (tmp_path / "cat/notes.txt").write_text("no picture")
    with pytest.raises(DataError, match=r"notes\.txt: can't be read as a picture"):
        ImageFolder(tmp_path)
    with pytest.raises(DataError, match="absent: can't be read as a folder"):
        ImageFolder(tmp_path / "absent")


@pytest.mark.parametrize(("options", "match"), [({"mode": "CMYK"}, "mode"), ({"size": 0}, "size")])
def test_options_outside_their_domain(tmp_path: Path, options: Any, match: str) -> None:
    with pytest.raises(ArgumentError, match=match):
        ImageFolder(tmp_path, **options)


def test_without_pillow_the_extra_is_named(tmp_path: Path, pictures: Any, monkeypatch: Any) -> None:
    monkeypatch.setitem(sys.modules, "PIL", None)
    with pytest.raises(MissingExtraError, match=r"tinygrad-cnn\[images\]"):
        ImageFolder(tmp_path)
