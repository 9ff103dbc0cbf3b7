"""The README's Python blocks run as printed, one after the other as a reader types them."""

from __future__ import annotations

from pathlib import Path

import pytest
from documents import printed_and_promised

README = Path(__file__).parents[1] / "README.md"


def test_readme_code_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    blocks = 0
    for where, printed, promised in printed_and_promised(README, capsys):
        # A text block may show a part of what was printed.
        assert "\n".join(promised) in "\n".join(printed), where
        blocks += bool(promised)
    assert blocks > 3
