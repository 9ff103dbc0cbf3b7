"""Documents whose Python blocks run, one after the other, and print what the page says."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest


def printed_and_promised(
    document: Path, capsys: pytest.CaptureFixture[str]
) -> Iterator[tuple[str, list[str], list[str]]]:
    """Run each Python block as a reader types them.

    Yields where a block is, the lines that it printed, and those that the document says it prints:
    in a comment behind a call, ``print(…)  # 24.7``, and in the text blocks below it.
    """
    text = document.read_text("utf-8")
    blocks = list(re.finditer(r"^```(python|text)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL))
    session: dict[str, Any] = {}
    for number, block in enumerate(blocks):
        if block[1] == "text":
            continue
        line = text.count("\n", 0, block.start(2)) + 1
        exec(compile("\n" * (line - 1) + block[2], document, "exec"), session)
        promised = re.findall(r"^print\(.*\)  # (.+)$", block[2], re.MULTILINE)
        for below in blocks[number + 1 :]:
            if below[1] == "python":
                break
            promised += below[2].splitlines()
        printed = [found.rstrip() for found in capsys.readouterr().out.splitlines()]
        yield f"{document.name}:{line}", printed, promised
