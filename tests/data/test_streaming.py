"""Data sets that are not in memory: mapped files and tar shards, whole, damaged and hostile."""

from __future__ import annotations

import contextlib
import io
import tarfile
from collections.abc import Callable
from itertools import islice
from pathlib import Path

import numpy as np
import pytest

import tinygrad_cnn as tc
from tinygrad_cnn.data import DataLoader, MappedDataset, Shards, open_npy, write_shards
from tinygrad_cnn.errors import ArgumentError, CheckpointError, DataError, ShapeError

N = 23
IMAGES = np.arange(N * 4, dtype=np.uint8).reshape(N, 1, 2, 2)
LABELS = np.arange(N) % 7


@pytest.fixture
def shards(tmp_path: Path) -> list[str]:
    pytest.importorskip("webdataset")
    return write_shards(tmp_path, IMAGES, LABELS, per_shard=5)


def tar(path: Path, *members: tuple[str, bytes], change: Callable = lambda info: info) -> str:
    with tarfile.open(path, "w") as archive:
        for name, content in members:
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(change(info), io.BytesIO(content))
    return str(path)


def npy(array: np.ndarray) -> bytes:
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


def read(data: Shards) -> list[tuple[int, int]]:
    """First pixel and label of each example, in order."""
    return [
        (round(float(image.ravel()[0]) * 255), int(label))
        for images, labels in data
        for image, label in zip(images.numpy(), labels, strict=True)
    ]


ALL = [(int(image.ravel()[0]), int(label)) for image, label in zip(IMAGES, LABELS, strict=True)]


# -- mapped ---------------------------------------------------------------------------------


def test_a_mapped_data_set_is_that_of_the_arrays(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.asfortranarray(IMAGES))
    np.save(tmp_path / "y.npy", LABELS)
    mapped = MappedDataset(tmp_path / "x.npy", tmp_path / "y.npy")
    assert not mapped.images.flags.owndata
    options = {"batch_size": 4, "shuffle": True, "seed": 3}
    for (x, y), (u, v) in zip(
        DataLoader(mapped, **options), DataLoader((IMAGES, LABELS), **options), strict=True
    ):
        assert np.array_equal(x.numpy(), u.numpy())
        assert np.array_equal(y, v)


def test_a_mapped_array_cannot_be_written_to(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", IMAGES)
    with pytest.raises(ValueError, match="read-only"):
        open_npy(tmp_path / "x.npy")[0] = 1


def test_every_truncation_and_bit_flip_of_an_npy_file_is_an_array_or_an_error(
    tmp_path: Path,
) -> None:
    whole, path = npy(IMAGES[:2]), tmp_path / "x.npy"
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        with pytest.raises(DataError, match=r"x\.npy"):
            open_npy(path)
    for bit in range(8 * 128):  # the header
        damaged = bytearray(whole)
        damaged[bit // 8] ^= 1 << bit % 8
        path.write_bytes(damaged)
        with contextlib.suppress(DataError):
            assert open_npy(path).nbytes <= len(whole)


@pytest.mark.parametrize("array", [np.array([{}]), np.array(["a"]), np.zeros(2, "i4,f8"), 1j])
def test_other_things_than_real_numbers_are_not_mapped(tmp_path: Path, array: object) -> None:
    np.save(tmp_path / "x.npy", array)
    with pytest.raises(DataError, match=r"x\.npy"):
        open_npy(tmp_path / "x.npy")


def test_a_header_that_claims_more_than_there_is_takes_no_memory(tmp_path: Path) -> None:
    whole = npy(np.zeros((2, 3), np.uint8))
    (tmp_path / "x.npy").write_bytes(whole.replace(b"(2, 3), }          ", b"(9999999, 9999999)}"))
    with pytest.raises(DataError, match="do not hold"):
        open_npy(tmp_path / "x.npy")
    with pytest.raises(DataError):
        open_npy(tmp_path / "none.npy")


# -- shards ---------------------------------------------------------------------------------


def test_shards_in_order_are_the_data(shards: list[str]) -> None:
    assert len(shards) == 5
    assert read(Shards(shards, 4)) == ALL
    [images, labels] = next(iter(Shards(shards, 4)))
    assert images.shape == (4, 1, 2, 2)
    assert (images.dtype, labels.dtype) == (np.float32, np.int64)


def test_the_library_reads_the_same_examples(shards: list[str]) -> None:
    from webdataset import tariterators

    there = []
    for path in shards:
        with open(path, "rb") as file:
            files = ({**part, "__url__": path} for part in tariterators.tar_file_iterator(file))
            for sample in tariterators.group_by_keys(files):
                image = np.load(io.BytesIO(sample["npy"]))
                there.append((int(image.ravel()[0]), int(sample["cls"])))
    assert there == ALL


def test_shuffled_shards_hold_everything_once_in_an_order_of_the_epoch(shards: list[str]) -> None:
    data, again = (Shards(shards, 4, shuffle=True, buffer=7, seed=5) for _ in range(2))
    first, second = read(data), read(data)
    assert sorted(first) == sorted(second) == sorted(ALL)
    assert first != second != ALL
    assert [read(again), read(again)] == [first, second]
    assert read(Shards(shards, 4, shuffle=True, buffer=7, seed=6)) != first


def test_ranks_read_their_files(shards: list[str]) -> None:
    parts = [read(Shards(shards, 4, shuffle=True, seed=5, share=(rank, 3))) for rank in range(3)]
    assert sorted(sum(parts, [])) == sorted(ALL)  # noqa: RUF017
    with pytest.raises(ArgumentError, match="5 files for 6 ranks"):
        Shards(shards, share=(5, 6))


def test_an_epoch_is_resumed_in_its_middle(shards: list[str]) -> None:
    data = Shards(shards, 4, shuffle=True, buffer=7, seed=5, transform=_noisy)
    read(data)
    state = data.state_dict()
    whole = [images.numpy() for images, _ in data]
    fresh = Shards(shards, 4, shuffle=True, buffer=7, seed=9, transform=_noisy)
    fresh.load_state_dict(state)
    rest = [images.numpy() for images, _ in fresh.iterate_from(2)]
    assert all(np.array_equal(a, b) for a, b in zip(whole[2:], rest, strict=True))
    with pytest.raises(CheckpointError, match="expected a seed"):
        fresh.load_state_dict({"seed": "0", "epoch": 1})


def _noisy(images: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    return images + generator.random(images.shape, np.float32)


def test_a_run_on_shards_is_that_on_arrays(shards: list[str]) -> None:
    def losses(batches: object) -> list[float]:
        model = tc.nn.Sequential(
            tc.nn.Flatten(), tc.nn.Linear(4, 7, generator=np.random.default_rng(0))
        )
        run = tc.train.fit(model, batches, epochs=2, progress=False, compile=False)
        return [row.loss for row in run]

    assert losses(Shards(shards, 8)) == losses(DataLoader((IMAGES, LABELS), 8))


def test_pictures_are_decoded(tmp_path: Path) -> None:
    image_module = pytest.importorskip("PIL.Image")
    pixels, file = np.arange(12, dtype=np.uint8).reshape(2, 2, 3), io.BytesIO()
    image_module.fromarray(pixels).save(file, "PNG")
    path = tar(tmp_path / "a.tar", ("a/1.png", file.getvalue()), ("a/1.CLS", b"3\n"))
    [(images, labels)] = Shards([path], image="png")
    assert np.array_equal(images.numpy()[0] * 255, pixels.transpose(2, 0, 1))
    assert labels.tolist() == [3]
    damaged = tar(tmp_path / "b.tar", ("a/1.png", file.getvalue()[:30]), ("a/1.cls", b"3"))
    with pytest.raises(DataError, match=r"b\.tar: a/1\.png"):
        list(Shards([damaged], image="png"))


def test_every_truncation_of_a_shard_is_an_error(tmp_path: Path) -> None:
    path = Path(tar(tmp_path / "a.tar", ("1.npy", npy(IMAGES[0])), ("1.cls", b"1")))
    whole = path.read_bytes()
    end = 512 * 2 + 512 * 2  # two headers, two contents; the rest is zeros
    for length in [*range(0, end, 7), end, end + 511]:
        path.write_bytes(whole[:length])
        with pytest.raises(DataError, match=r"a\.tar"):
            list(Shards([path]))


def test_flipped_bits_are_an_error_or_other_pixels(tmp_path: Path) -> None:
    path = Path(tar(tmp_path / "a.tar", ("1.npy", npy(IMAGES[0])), ("1.cls", b"1")))
    whole, rng = path.read_bytes(), np.random.default_rng(0)
    for bit in rng.choice(8 * 2048, 1500, replace=False):
        damaged = bytearray(whole)
        damaged[bit // 8] ^= 1 << bit % 8
        path.write_bytes(damaged)
        try:
            assert sum(len(labels) for _, labels in Shards([path])) == 1
        except (DataError, ShapeError) as error:
            assert "a.tar" in str(error)  # noqa: PT017


def _sparse(info: tarfile.TarInfo) -> tarfile.TarInfo:
    info.pax_headers = {"GNU.sparse.major": "0", "GNU.sparse.size": str(2**40),
                        "GNU.sparse.map": f"0,{info.size}"}  # fmt: skip
    return info


def _link(info: tarfile.TarInfo) -> tarfile.TarInfo:
    info.type, info.linkname, info.size = tarfile.SYMTYPE, "/etc/passwd", 0
    return info


@pytest.mark.parametrize("change", [_sparse, _link])
def test_what_is_no_plain_file_is_refused(tmp_path: Path, change: Callable) -> None:
    path = tar(tmp_path / "a.tar", ("1.npy", npy(IMAGES[0])), change=change)
    with pytest.raises(DataError, match="no plain file"):
        list(Shards([path]))


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ([("1.npy", b"")], "no .cls"),
        ([("1.cls", b"1")], "no .npy"),
        ([("1.cls", b"-1"), ("1.npy", npy(IMAGES[0]))], "is no label"),
        ([("1.cls", b"9" * 30), ("1.npy", npy(IMAGES[0]))], "is no label"),
        ([("1.cls", b"1"), ("1.npy", b"x")], "can't be read"),
        ([("1.cls", b"1"), ("1.npy", npy(np.arange(3)))], "dtype int64"),
        ([("1.cls", b"1"), ("1.cls", b"1")], "twice"),
    ],
)
def test_wrong_examples_are_named(
    tmp_path: Path, members: list[tuple[str, bytes]], message: str
) -> None:
    with pytest.raises(DataError, match=message) as caught:
        list(Shards([tar(tmp_path / "a.tar", *members)]))
    assert "a.tar" in str(caught.value)


def test_compressed_shards_are_refused(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "a.tar", "w:gz") as archive:
        archive.addfile(tarfile.TarInfo("1.cls"))
    with pytest.raises(DataError, match=r"a\.tar"):
        list(Shards([tmp_path / "a.tar"]))


def test_wrong_arguments(tmp_path: Path) -> None:
    for wrong in ("a.tar", []):
        with pytest.raises(ArgumentError):
            Shards(wrong)
    with pytest.raises(ArgumentError, match="image="):
        Shards(["a"], image="pickle")
    with pytest.raises(ArgumentError, match="whole numbers"):
        write_shards(tmp_path, IMAGES, LABELS - 1)
    with pytest.raises(ShapeError):
        write_shards(tmp_path, IMAGES, LABELS[1:])


# -- shares of a loader ------------------------------------------------------------------------


@pytest.mark.parametrize("size", [1, 2, 3, 5])
def test_the_shares_of_a_batch_make_the_batch(size: int) -> None:
    whole = DataLoader((IMAGES, LABELS), 6, shuffle=True, seed=2)
    parts = [
        DataLoader((IMAGES, LABELS), 6, shuffle=True, seed=2, share=(rank, size))
        for rank in range(size)
    ]
    for (images, labels), *shares in zip(whole, *parts, strict=True):
        assert np.array_equal(np.concatenate([x.numpy() for x, _ in shares]), images.numpy())
        assert np.array_equal(np.concatenate([y for _, y in shares]), labels)
        lengths = [len(y) for _, y in shares]
        assert max(lengths) - min(lengths) <= 1


@pytest.mark.parametrize("share", [(1, 1), (-1, 2), (0, 0), 1, (0, 1, 2), (0.0, 2)])
def test_a_rank_outside_of_its_job_is_refused(share: object) -> None:
    with pytest.raises(ArgumentError, match="share="):
        DataLoader((IMAGES, LABELS), share=share)


def test_transforms_draw_for_each_rank(tmp_path: Path) -> None:
    same = (np.zeros((4, 1, 2, 2), np.uint8), np.zeros(4, int))
    one, two = (
        next(iter(DataLoader(same, 4, seed=1, transform=_noisy, share=(rank, 2))))[0].numpy()
        for rank in range(2)
    )
    assert not np.array_equal(one, two)
    assert len(list(islice(DataLoader(same, 1, transform=_noisy, share=(0, 2)), 4))) == 4
