"""compare.html: the differences of two runs on one page that needs nothing else."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ..auditing.compare import budget_text, p_text, shown
from ..files import write_atomic
from .page import TEMPLATES, environment

POLICY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"
WORDS = {"met": "pass", "not met": "fail", "undecided": "warn"}


def write_compare_page(content: dict[str, Any], folder: Path) -> Path:
    """Write compare.html from what compare.json holds; returns its path."""
    path = folder / "compare.html"
    write_atomic(path, compare_page(content))
    return path


def compare_page(content: dict[str, Any]) -> str:
    """The page as text."""
    from markupsafe import Markup

    made = environment()
    made.globals |= {"shown": shown, "budget_text": budget_text, "p_text": p_text, "sign": WORDS.__getitem__}
    style = Markup((TEMPLATES / "style.css").read_text(encoding="utf-8").strip())
    return made.get_template("compare.html.j2").render(content, style=style, policy=POLICY)
