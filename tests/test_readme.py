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
    blocks = list(re.finditer(r"^```(python|text)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL))
    assert {block[1] for block in blocks} == {"python", "text"}
    monkeypatch.chdir(tmp_path)
    session: dict[str, Any] = {}
    printed = ""
    for block in blocks:
        if block[1] == "text":  # a part of what the block above printed
            assert block[2] in printed
            continue
        first = text.count("\n", 0, block.start(2))
        exec(compile("\n" * first + block[2], README, "exec"), session)
        printed = capsys.readouterr().out
        # A trailing comment says what is printed: `print(…)  # 24.7041`.
        for promised in re.findall(r"^print\(.*\)  # (.+)$", block[2], re.MULTILINE):
            assert promised in printed
