"""Every test that the page of mended faults names is there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "reference" / "faults.md").read_text(encoding="utf-8")
ROWS = [line for line in PAGE.splitlines() if re.match(r"\| [NF]\d+ ", line)]


def named(row: str) -> list[tuple[str, str]]:
    """The (file, test) pairs of a row; the test is empty where the whole file is meant."""
    found: list[tuple[str, str]] = []
    for file, test in re.findall(r"`(tests/[\w/]+\.py)?(?:::(\w+))?`", row):
        if file or test:
            found.append((file or found[-1][0], test))
    return found


def test_all_faults_have_a_row() -> None:
    ids = [row.split()[1] for row in ROWS]
    assert ids == [f"N{k}" for k in range(1, 19)] + [f"F{k}" for k in range(1, 17)]


@pytest.mark.parametrize("row", ROWS, ids=[row.split()[1] for row in ROWS])
def test_the_tests_of_a_row_exist(row: str) -> None:
    pairs = named(row)
    assert pairs
    for file, test in pairs:
        code = (ROOT / file).read_text(encoding="utf-8")
        assert f"def {test}(" in code if test else "def test_" in code, (file, test)
