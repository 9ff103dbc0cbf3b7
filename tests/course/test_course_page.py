"""The page about the course: each block prints exactly what stands beside or below it."""

from __future__ import annotations

import re
from operator import attrgetter
from pathlib import Path

import pytest
from documents import printed_and_promised

import tinygrad_cnn as tc
from tinygrad_cnn import functional as F

PAGE = Path(__file__).parents[2] / "docs" / "course.md"


def test_every_example_prints_what_the_page_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    blocks = 0
    for where, printed, promised in printed_and_promised(PAGE, capsys):
        assert printed == promised, where
        blocks += 1
    assert blocks > 20


def test_every_call_that_the_tables_name_exists() -> None:
    rows = [line for line in PAGE.read_text("utf-8").splitlines() if line.startswith("|")]
    calls = re.findall(r"\b(F|tc)\.([\w.]+\w)", "\n".join(rows))
    assert len(calls) > 50
    for module, path in calls:
        assert callable(attrgetter(path)({"F": F, "tc": tc}[module])), path
