"""The pages of the documentation: built ones are up to date, and links lead somewhere."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from docs.build_doctor_page import PAGE, page

DOCS = Path(__file__).parents[1] / "docs"


def test_the_page_of_the_doctor_is_what_a_run_gives() -> None:
    assert page() == PAGE.read_text("utf-8"), "python docs/build_doctor_page.py writes it anew"


@pytest.mark.parametrize("document", sorted(DOCS.glob("*.md")), ids=lambda path: path.name)
def test_the_links_of_a_page_lead_somewhere(document: Path) -> None:
    links = re.findall(r"\]\((?!https?:|#)([^)#]+)", document.read_text("utf-8"))
    assert [link for link in links if not (DOCS / link).exists()] == []
