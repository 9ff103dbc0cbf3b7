"""docs/distributed.md: its code runs and prints what the page says."""

from __future__ import annotations

from pathlib import Path

import pytest
from documents import printed_and_promised

PAGE = Path(__file__).parents[2] / "docs" / "distributed.md"


def test_the_page_runs(capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("webdataset")
    pytest.importorskip("llvmlite")
    blocks = list(printed_and_promised(PAGE, capsys))
    assert len(blocks) == 3
    for where, printed, promised in blocks:
        assert printed == promised, where
