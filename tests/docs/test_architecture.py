"""What the page about the architecture says of the code is so."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import Any

import pytest
import torch
from typer.testing import CliRunner

import medrobust
import medrobust.auditing.audit
import medrobust.report.html  # with all that a command imports: only the run is watched
from medrobust.cli.main import app

from .pages import ROOT

PAGE = (ROOT / "docs" / "explanation" / "architecture.md").read_text(encoding="utf-8")
SOURCE = Path(medrobust.__file__).parent
BUDGET = 0.0123  # no other number of an audit is this one
MOST = 6


class Arrived(Exception):  # noqa: N818 - not an error: the budget is where it should be
    """The projection was reached."""


def holds(value: Any, depth: int = 0) -> bool:
    """Whether a local variable is the budget, or a plain container of it."""
    if isinstance(value, str):
        return (
            str(BUDGET) in value and len(value) < 100
        )  # not the text of the recipe, which the folder of the run keeps
    if isinstance(value, float):
        return abs(value - BUDGET) < 1e-9
    if isinstance(value, torch.Tensor):
        return value.is_floating_point() and 0 < value.numel() < 64 and bool(((value - BUDGET).abs() < 1e-8).any())
    if type(value) in (list, tuple, dict) and depth < 2:
        return any(holds(one, depth + 1) for one in (value.values() if isinstance(value, dict) else value))
    return False


def walk() -> Iterator[str]:
    """The files of medrobust in which a local variable holds the budget, until the projection returns."""
    seen: dict[str, None] = {}

    def look(frame: FrameType, event: str, argument: Any) -> None:
        path = Path(frame.f_code.co_filename)
        if event not in ("call", "return") or SOURCE not in path.parents:
            return
        sys.setprofile(None)
        if any(holds(value) for name, value in frame.f_locals.items()):
            seen[path.relative_to(SOURCE).as_posix()] = None
        arrived = event == "return" and (path.name, frame.f_code.co_name) == ("norms.py", "project")
        if arrived:
            raise Arrived
        sys.setprofile(look)

    command = ["audit", "attacks=[pgd]", f"threat.epsilons=[{BUDGET}]", "data.limit=2", "--out", "run"]
    sys.setprofile(look)
    try:
        result = CliRunner().invoke(app, command)
    finally:
        sys.setprofile(None)
    assert isinstance(result.exception, Arrived), result.output
    return iter(seen)


def test_the_way_of_a_budget_is_as_the_page_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    section = PAGE.partition("## The way of a budget")[2].partition("\n## ")[0]
    changes = re.findall(r"^\| `([\w/]+\.py)`", section, flags=re.M)
    helpers = re.findall(r"`([\w/]+\.py)`", section.partition("Helpers on the way")[2].partition("\n\n")[0])
    assert len(changes) <= MOST
    assert sorted(walk()) == sorted({*changes, *helpers})


def test_the_tree_names_every_folder_and_file() -> None:
    tree = PAGE.partition("```text\n")[2].partition("```")[0]
    there = {path.name for path in SOURCE.iterdir() if path.is_dir() and path.name not in ("__pycache__", "default")}
    assert set(re.findall(r"^  (\w+)/", tree, flags=re.M)) == there
    files = {path.name for path in SOURCE.glob("*.py")} - {"__main__.py"}
    assert set(re.findall(r"\w+\.py", re.sub(r"\n  \w+/.*", "", tree))) == files


def test_links_to_the_registries_are_right() -> None:
    rows = re.findall(r"^\| \[[^|]+\| `([\w/]+)/`[^|]*\| `([\w/.]+)` \|$", PAGE, flags=re.M)
    assert len(rows) == 5
    for folder, registry in rows:
        assert (SOURCE / folder).is_dir()
        assert (SOURCE / registry).is_file()
