"""The README's Python blocks run as printed, one after the other as a reader types them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

README = Path(__file__).parents[1] / "README.md"


def test_readme_code_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    text = README.read_text("utf-8")
    blocks = list(re.finditer(r"^```python\n(.*?)^```$", text, re.MULTILINE | re.DOTALL))
    assert blocks
    monkeypatch.chdir(tmp_path)
    session: dict[str, Any] = {}
    for block in blocks:
        first = text.count("\n", 0, block.start(1))
        exec(compile("\n" * first + block[1], README, "exec"), session)
        printed = capsys.readouterr().out
        # A trailing comment says what is printed: `print(…)  # 24.7041`.
        for promised in re.findall(r"^print\(.*\)  # (.+)$", block[1], re.MULTILINE):
            assert promised in printed
