"""docs/checkpoints.md: its code runs and prints what the page says."""

from __future__ import annotations

from pathlib import Path

import pytest
from documents import printed_and_promised

PAGE = Path(__file__).parents[2] / "docs" / "checkpoints.md"


def test_the_page_of_checkpoints_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    blocks = list(printed_and_promised(PAGE, capsys))
    assert len(blocks) == 4
    for where, printed, promised in blocks:
        assert [line.strip() for line in printed] == [line.strip() for line in promised], where
