"""The generated page of planted defects lists those that there are; `scripts/planted_table.py` makes it."""

from __future__ import annotations

from pathlib import Path

from planted.defects import DEFECTS
from planted.sound import SOUND

PAGE = Path(__file__).parents[2] / "docs" / "explanation" / "planted-defects.md"


def test_the_page_lists_every_case() -> None:
    text = PAGE.read_text(encoding="utf-8")
    for case in (*DEFECTS, *SOUND):
        assert f"| {case.name} | {case.words} |" in text, case.name
    for case in DEFECTS:
        (line,) = [line for line in text.splitlines() if line.startswith(f"| {case.name} | {case.words} |")]
        seen = {name.strip("* ") for name in line.split("|")[4].split(",")}
        assert set(case.caught) <= seen, case.name
    assert f"{len(DEFECTS)} of {len(DEFECTS)} defects. Sound and accused: 0 of {len(SOUND)}." in text
