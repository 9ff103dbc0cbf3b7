"""The files around the package: what they promise about each other."""

from __future__ import annotations

import re
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest

import tinygrad_cnn

ROOT = Path(__file__).parents[1]
MAKEFILE = (ROOT / "Makefile").read_text("utf-8")


@pytest.mark.parametrize("name", ["README.md", "CONTRIBUTING.md"])
def test_make_knows_each_command_that_the_documents_name(name: str) -> None:
    commands = re.findall(r"\bmake ([a-z]+)", (ROOT / name).read_text("utf-8"))
    assert commands
    assert {c for c in commands if not re.search(rf"^{c}:", MAKEFILE, re.MULTILINE)} == set()


def test_the_links_of_the_documents_lead_somewhere() -> None:
    documents = [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")]
    for document in documents:
        links = re.findall(r"\]\((?!https?:|#)([^)#]+)", document.read_text("utf-8"))
        assert [link for link in links if not (ROOT / link).exists()] == [], document.name


def test_changelog_opens_with_this_version() -> None:
    versions = re.findall(r"^## (\S+)", (ROOT / "CHANGELOG.md").read_text("utf-8"), re.MULTILINE)
    assert versions[0] == tinygrad_cnn.__version__


def test_pre_commit_and_make_run_the_same_tools() -> None:
    hooks = (ROOT / ".pre-commit-config.yaml").read_text("utf-8")
    hooked = set(re.findall(r"entry: \.venv/bin/(\w+)", hooks))
    linted = re.search(r"^lint:.*\n((?:\t.*\n)+)", MAKEFILE, re.MULTILINE)
    assert linted
    assert hooked == set(re.findall(r"\$\(BIN\)/(\w+)", linted[1]))


def test_each_extra_that_the_code_asks_for_exists() -> None:
    """``MissingExtraError`` tells the reader what to install; that must be installable."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    extras = project["optional-dependencies"]
    sources = [path.read_text("utf-8") for path in (ROOT / "tinygrad_cnn").rglob("*.py")]
    asked = re.findall(r"MissingExtraError\(\s*\"([\w-]+)\",\s*\"(\w+)\"", "\n".join(sources))
    assert asked
    for package, extra in asked:
        names = {re.split(r"[^\w-]", requirement)[0].lower() for requirement in extras[extra]}
        assert package.lower() in names


def test_no_file_depends_on_one_machine() -> None:
    """No absolute path of somebody's machine, no package index: an install uses the user's."""
    if not (shutil.which("git") and (ROOT / ".git").exists()):
        pytest.skip("not a git working copy: no list of tracked files")
    command = ["git", "ls-files", "-z"]
    listed = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
    hosts = [r"pypi\.", r"pythonhosted\.", r"index-url", r"anaconda\.org", r"npmjs\."]
    tied = re.compile(r"(?<![\w.~}])/(?:home|root|work|opt)/|" + "|".join(hosts))
    found = []
    for name in filter(None, listed.stdout.split("\0")):
        path = ROOT / name
        if path == Path(__file__) or path.suffix in {".h5", ".npz", ".png"} or not path.is_file():
            continue
        if path.name == "viz-global.js":  # of others; its /home is the file system inside of it
            continue
        lines = path.read_text("utf-8").splitlines()
        found += [f"{name}:{number}" for number, line in enumerate(lines, 1) if tied.search(line)]
    assert not found
