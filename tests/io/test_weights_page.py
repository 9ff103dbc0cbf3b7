"""docs/weights.md: its code runs and prints what the page says."""

from __future__ import annotations

from pathlib import Path

import pytest
from documents import printed_and_promised

PAGE = Path(__file__).parents[2] / "docs" / "weights.md"


def test_the_page_runs(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("safetensors")
    pytest.importorskip("onnx")
    monkeypatch.chdir(tmp_path)
    blocks = list(printed_and_promised(PAGE, capsys))
    assert len(blocks) >= 4
    for where, printed, promised in blocks:
        assert printed == promised, where
