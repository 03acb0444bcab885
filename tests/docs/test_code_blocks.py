"""The code of the documentation runs: Python on phantom images, commands up to where they need a user's files."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
import typer
import yaml
from torch import nn
from typer.testing import CliRunner

import medrobust as mr
from medrobust.attacks.sets import choose
from medrobust.cli.main import app
from medrobust.data import DATASETS
from medrobust.errors import UserError
from medrobust.recipes.yaml import audit_recipe, read_recipe, study_recipe, train_recipe
from medrobust.records.limits import limits_of
from medrobust.resolve import make_attacks
from medrobust.study.grid import make_grid

from .pages import PAGES, ROOT, Block, blocks, name_of

ALL = [block for page in PAGES for block in blocks(page)]
# Files of medrobust itself are tried in test_how_to_add.
PYTHON = [block for block in ALL if block.language == "python" and not block.title.startswith("src/")]
COMMAND = re.compile(r"^(?:\$ )?(medrobust .+?)(?:\s+#.*)?$", flags=re.M)


def commands(block: Block) -> list[str]:
    return COMMAND.findall(block.text.replace("\\\n", " "))


SHELL = [(block, line) for block in ALL if block.language == "bash" for line in commands(block)]
REFUSED = [(block, line) for block in ALL if block.text.startswith("$ medrobust") for line in commands(block)]


@pytest.fixture(scope="session")
def given() -> dict[str, Any]:
    """What the README asks for: images, their classes and patients."""
    phantom = mr.open_images("phantom:ultrasound@32,count=60", view=mr.View(color="grey"), split="all")
    batch = phantom.batch(range(len(phantom)))
    return {"x": batch.x, "y": batch.y, "patients": list(phantom.groups), "index": batch.index}


@pytest.mark.parametrize("page", dict.fromkeys(block.page for block in PYTHON), ids=name_of)
def test_python(page: Path, given: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MEDROBUST_CACHE", "off")
    net = nn.Sequential(nn.Conv2d(1, 4, 3, 2, 1), nn.ReLU(), nn.AdaptiveAvgPool2d(4), nn.Flatten(), nn.Linear(64, 2))
    scope: dict[str, Any] = {"net": net, **given}
    for block in (block for block in PYTHON if block.page == page):
        # Line numbers of an error are those of the page.
        exec(compile("\n" * (block.line - 1) + block.text, name_of(page), "exec"), scope)


def _parsed(line: str) -> Iterator[tuple[Any, dict[str, Any]]]:
    """The commands of a line with their parameters. Errors: those of the command line for unknown options."""
    command, words = typer.main.get_command(app), shlex.split(line)[1:]
    while hasattr(command, "commands"):
        assert words[0] in command.commands, f"{words[0]} is no command of {line!r}"
        command, words = command.commands[words[0]], words[1:]
    return command, command.make_context(command.name, words).params


def _recipe(page: Path, file: Path | None) -> dict[str, Any]:
    """The recipe that a page calls by this name, in the first line of its block; {} for one of the reader's own."""
    for block in blocks(page):
        if block.language == "yaml" and file is not None and block.text.startswith(f"# {file}\n"):
            return dict(yaml.safe_load(block.text))
    return {}


def _check(block: Block, line: str) -> None:
    command, said = _parsed(line)
    overrides = said.get("overrides") or []
    if command.name == "audit":
        options = {"model.name": said["model"], "model.weights": said["weights"], "data.name": said["data"]}
        recipe = audit_recipe({**_recipe(block.page, said["recipe"]), **read_recipe(None, overrides, options)})
        make_attacks(choose(recipe.attacks, tuple(recipe.threat.grids())).attacks)
        assert recipe.data.name.partition(":")[0] in DATASETS
    elif command.name == "train":
        content = _recipe(block.page, said["recipe"])
        train_recipe({**content, **read_recipe(None, overrides, {"on_collapse": said["on_collapse"]})})
    elif command.name == "ls":
        result = CliRunner().invoke(app, shlex.split(line)[1:])
        assert result.exit_code == 0, result.output


@pytest.mark.parametrize(("block", "line"), SHELL, ids=lambda one: one if isinstance(one, str) else str(one))
def test_command(block: Block, line: str) -> None:
    _check(block, line)


@pytest.mark.parametrize(("block", "line"), REFUSED, ids=lambda one: one if isinstance(one, str) else str(one))
def test_refused_command_says_what_the_page_says(block: Block, line: str) -> None:
    with pytest.raises(UserError) as refused:
        _check(block, line)
    assert f"medrobust: {refused.value}\n" in block.text


@pytest.mark.parametrize("block", [block for block in ALL if block.language == "yaml"], ids=str)
def test_recipe(block: Block) -> None:
    content = yaml.safe_load(block.text)
    if isinstance(content, list):
        assert limits_of(content)
        return
    if "study" in content:
        grid = make_grid(study_recipe(content), "paper")
        assert grid.jobs
        return
    try:
        train_recipe(content)
    except UserError as in_training:
        try:
            audit_recipe(content)
        except UserError as in_audit:
            pytest.fail(f"neither a recipe of training ({in_training}) nor of an audit ({in_audit})")


def test_targets_of_make_exist() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    texts = [page.read_text(encoding="utf-8") for page in [*PAGES, ROOT / "CONTRIBUTING.md"]]
    wanted = {name for text in texts for name in re.findall(r"\bmake (\w+)(?=\s{2,}#|`|$| &&)", text, flags=re.M)}
    assert {"demo", "test"} <= wanted
    assert {name for name in wanted if not re.search(rf"^{name}:", makefile, flags=re.M)} == set()


def test_there_is_code() -> None:
    assert len(PYTHON) > 15
    assert len(SHELL) > 20
    assert torch.get_num_threads() >= 1
