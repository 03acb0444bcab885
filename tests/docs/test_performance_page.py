"""The page of figures is what the results say."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_the_page_is_made_from_the_results() -> None:
    said = "import all as figures; print(figures.page(), end='')"
    made = subprocess.run(
        [sys.executable, "-c", said], cwd=ROOT / "benchmarks", capture_output=True, text=True, check=True
    ).stdout
    assert (ROOT / "docs" / "performance.md").read_text() == made, "run python benchmarks/all.py --page"
    assert str(ROOT) not in made
    assert str(Path.home()) not in made
