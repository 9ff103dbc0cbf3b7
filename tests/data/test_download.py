"""Downloads, from a server on this machine: whole files arrive, others leave nothing behind."""

from __future__ import annotations

import gzip
import hashlib
import io
import sys
import tarfile
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import numpy as np
import pytest

from tinygrad_cnn.data import CIFAR10, MNIST, cifar
from tinygrad_cnn.errors import DataError, MissingExtraError

IMAGES = gzip.compress(bytes([0, 0, 8, 3, 0, 0, 0, 2, 0, 0, 0, 1, 0, 0, 0, 1, 50, 60]), mtime=0)
LABELS = gzip.compress(bytes([0, 0, 8, 1, 0, 0, 0, 2, 3, 4]), mtime=0)
RECORD = bytes([5]) + bytes(3072)


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *args: Any) -> None:
        """Leave the test's output alone."""


@pytest.fixture
def served(tmp_path: Path) -> Iterator[tuple[Path, str]]:
    """A folder, and the address under which its files can be fetched."""
    pytest.importorskip("pooch")
    folder = tmp_path / "served"
    folder.mkdir()
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=folder)) as server:
        thread = Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield folder, f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()
        thread.join()


@pytest.fixture
def mnist(served: tuple[Path, str], monkeypatch: Any) -> Path:
    """The folder of a server of a made-up MNIST test set."""
    folder, url = served
    monkeypatch.setattr(MNIST, "_url", url)
    for name, content in (("images-idx3", IMAGES), ("labels-idx1", LABELS)):
        path = folder / f"t10k-{name}-ubyte.gz"
        path.write_bytes(content)
        monkeypatch.setitem(MNIST._md5, path.name, hashlib.md5(content).hexdigest())
    return folder


def _files(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.rglob("*") if path.is_file())


def test_absent_files_are_fetched_once(mnist: Path, tmp_path: Path) -> None:
    root = tmp_path / "new" / "root"
    dataset = MNIST(root, "test", download=True)
    assert dataset.images.ravel().tolist() == [50, 60]
    assert dataset.labels.tolist() == [3, 4]
    for path in mnist.iterdir():
        path.unlink()
    again = MNIST(root, "test", download=True)
    np.testing.assert_array_equal(again.images, dataset.images)


def test_nothing_is_fetched_unasked(mnist: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such file; check root, or pass download=True"):
        MNIST(tmp_path / "root", "test")
    assert not (tmp_path / "root").exists()


@pytest.mark.parametrize("content", [IMAGES[:-3], IMAGES + b"!", b"", b"<html>Moved</html>"])
def test_what_is_not_the_published_file_leaves_nothing(
    mnist: Path, tmp_path: Path, content: bytes
) -> None:
    (mnist / "t10k-images-idx3-ubyte.gz").write_bytes(content)
    with pytest.raises(DataError, match=r"t10k-images-idx3-ubyte\.gz: downloading http.* failed"):
        MNIST(tmp_path / "root", "test", download=True)
    assert _files(tmp_path / "root") == []


def test_a_server_without_the_file_leaves_nothing(mnist: Path, tmp_path: Path) -> None:
    (mnist / "t10k-images-idx3-ubyte.gz").unlink()
    with pytest.raises(DataError, match="404"):
        MNIST(tmp_path / "root", "test", download=True)
    assert _files(tmp_path / "root") == []


def test_without_pooch_the_extra_is_named(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setitem(sys.modules, "pooch", None)
    with pytest.raises(MissingExtraError, match=r"tinygrad-cnn\[data\]"):
        MNIST(tmp_path, "test", download=True)


@pytest.fixture
def archive(served: tuple[Path, str], monkeypatch: Any) -> Path:
    """A made-up CIFAR-10 archive that a server offers."""
    folder, url = served
    path = folder / "cifar-10-binary.tar.gz"
    with tarfile.open(path, "w:gz") as tar:
        for name in (*cifar._MD5, "readme.html"):
            member = tarfile.TarInfo(f"cifar-10-batches-bin/{name}")
            member.size = len(RECORD)
            tar.addfile(member, io.BytesIO(RECORD))
    monkeypatch.setattr(cifar, "_URL", url + path.name)
    monkeypatch.setattr(cifar, "_ARCHIVE_MD5", hashlib.md5(path.read_bytes()).hexdigest())
    monkeypatch.setattr(cifar, "_MD5", dict.fromkeys(cifar._MD5, hashlib.md5(RECORD).hexdigest()))
    return path


def test_archive_is_unpacked_into_the_files_it_is_read_from(archive: Path, tmp_path: Path) -> None:
    root = tmp_path / "root"
    assert CIFAR10(root, "test", download=True).labels.tolist() == [5]
    assert _files(root) == sorted(cifar._MD5)
    archive.unlink()
    assert CIFAR10(root, download=True).labels.tolist() == [5] * 5


def test_archive_leaves_files_alone_that_are_there(archive: Path, tmp_path: Path) -> None:
    own = tmp_path / "root/cifar-10-batches-bin/data_batch_3.bin"
    own.parent.mkdir(parents=True)
    own.write_bytes(b"mine")
    assert len(CIFAR10(tmp_path / "root", batches=(1,), download=True)) == 1
    assert own.read_bytes() == b"mine"


def test_damaged_archive_leaves_nothing(archive: Path, tmp_path: Path) -> None:
    archive.write_bytes(archive.read_bytes()[:-20])
    with pytest.raises(DataError, match=r"cifar-10-binary\.tar\.gz failed"):
        CIFAR10(tmp_path / "root", download=True)
    assert _files(tmp_path / "root") == []
    assert list((tmp_path / "root/cifar-10-batches-bin").iterdir()) == []
