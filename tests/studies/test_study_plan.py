"""The plan: how each cell stands, why, and how long it will take."""

from __future__ import annotations

import importlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from medrobust.cli.main import app
from medrobust.errors import UserError
from medrobust.study.cell import Cell
from medrobust.study.claim import claim
from medrobust.study.grid import Grid, make_grid
from medrobust.study.plan import lines, plan
from medrobust.study.read import RESULT, read_study
from medrobust.study.run import run_study
from medrobust.study.worker import Do, Log, folder_of, is_done, work
from studies.toys import at_once, counted, failing, mini, notes, weights


def grid(**changes: Any) -> Grid:
    return make_grid(mini(**changes), "smoke")


def after_seconds(seconds: float) -> Do:
    """Cells that say that they took so long."""

    def do(cell: Cell, run: Path, start: Path | None, log: Log) -> Mapping[str, Any]:
        return {**weights(cell), "seconds": seconds}

    return do


def all_of(made: Grid) -> list[Cell]:
    return list(made.cells.values())


def files(folder: Path) -> dict[Path, tuple[int, int]]:
    """Every file and when it was written."""
    return {path: (path.stat().st_mtime_ns, path.stat().st_size) for path in folder.rglob("*")}


def test_an_empty_folder_misses_all_and_stays_empty(tmp_path: Path) -> None:
    planned = plan(grid(), tmp_path / "cells")
    assert {one.status for one in planned} == {"missing"}
    assert {one.why for one in planned} == {"no cell of this kind is done"}
    assert {one.seconds for one in planned} == {None}
    assert not list(tmp_path.iterdir())
    *_, last = lines(grid(), planned)
    assert last == "6 cells of mini, profile smoke: 6 missing"


def test_what_differs_from_the_nearest_is_said(tmp_path: Path) -> None:
    work(all_of(grid()), tmp_path, do=at_once)
    assert {one.status for one in plan(grid(), tmp_path)} == {"done"}
    changes = {"train": {"optimizer.lr": 0.25, "epochs": 3}}
    first = plan(grid(**changes), tmp_path)[0]
    assert first.status == "missing"
    rate = grid().cells[next(iter(grid().cells))].recipe["optimizer"]["lr"]
    said = {f"optimizer.lr {rate} -> 0.25", "epochs 1 -> 3"}
    assert set(first.why.removeprefix("differs from the nearest in ").split("; ")) == said
    audits = [one for one in plan(grid(audit={"seed": 5}), tmp_path) if one.status == "missing"]
    assert len(audits) == 4
    assert {one.why for one in audits} == {"differs from the nearest in seed 0 -> 5"}
    data = plan(grid(train={"data.name": "phantom:ultrasound@32,count=61"}), tmp_path)
    assert data[0].why.endswith("the content of the data")
    retrained = next(one for one in data if one.cell.kind == "audit")
    assert "the training that it audits" in retrained.why
    many = plan(grid(train={"epochs": 2, "batch_size": 3, "seed": 9, "optimizer.lr": 0.3, "accumulate": 2}), tmp_path)
    assert many[0].why.endswith(" and 1 more")  # of four: the seed is that of the axis


def test_how_a_cell_stands(tmp_path: Path) -> None:
    made = grid()
    first, second, *_ = all_of(made)
    assert (first.kind, second.kind) == ("train", "audit")

    def stands(cell: Cell) -> tuple[str, str]:
        one = next(one for one in plan(made, tmp_path) if one.cell.key == cell.key)
        return one.status, one.why

    with claim(folder_of(tmp_path, first)):
        assert stands(first) == ("running", "a worker holds its claim")
    work([first, second], tmp_path, do=at_once)
    assert stands(second) == ("done", "")
    # The training was done again, and found other weights.
    path = folder_of(tmp_path, first) / RESULT
    path.write_text(json.dumps({**json.loads(path.read_text()), "weights": "others"}))
    assert stands(first)[0] == "done"
    assert stands(second) == ("stale", "the weights that it measured are not those of its training now")
    assert work([second], tmp_path, do=lambda cell, *more: {"weights": "others"}) == {second.key: "done"}
    assert is_done(tmp_path, second)
    # Its values were written over.
    (folder_of(tmp_path, first) / "cell.json").write_text("{}")
    assert stands(first) == ("stale", "its files are not of the values that it has now")
    path.write_text("{")
    assert stands(first)[0] == "missing"
    (folder_of(tmp_path, first) / "run").mkdir()
    assert stands(first) == ("missing", "it was begun and goes on")


def test_times_are_known_after_a_cell_that_is_alike(tmp_path: Path) -> None:
    made = grid()
    first = all_of(made)[0]
    work([first], tmp_path, do=after_seconds(10.0))
    planned = plan(grid(train={"epochs": 4}), tmp_path)
    seconds = {one.cell.title: one.seconds for one in planned}
    assert seconds["standard 0"] == pytest.approx(40)  # four times the epochs
    steps = planned[0].cell.recipe["attack"]["options"]["num_steps"]
    assert seconds["adversarial 0"] == pytest.approx(40 * (1 + steps))  # an attack in each pass
    assert seconds["standard 0 honest"] is None  # no audit was done
    *_, last = lines(made, planned)
    assert "of computing for 2 of 6 cells to do" in last
    assert plan(made, tmp_path)[0].seconds is None  # done


def test_a_run_does_what_is_missing_and_says_what_it_did(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("medrobust.study.worker.real", counted)
    said = list[str]()
    ran = run_study(grid(), tmp_path / "out", say=said.append)
    assert ran.counts == {"done": 6}
    assert len(said) == len(notes(tmp_path / "out")) == 6
    assert all(line.startswith("done ") for line in said)
    before = files(tmp_path / "out" / "cells")
    again = run_study(grid(), tmp_path / "out", say=said.append)
    assert again.counts == {"done": 6}
    assert len(said) == 6
    assert files(tmp_path / "out" / "cells") == before
    study = read_study(tmp_path / "out")
    assert (study.num_done, study.num_jobs) == (4, 4)


def test_only_cells_that_are_named_are_done_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("medrobust.study.worker.real", counted)
    run_study(grid(), tmp_path)
    run_study(grid(), tmp_path, force="*adversarial-0-paper")
    did = [one["cell"] for one in notes(tmp_path)]
    assert len(did) == 7
    assert did[-1] == "adversarial 0 paper"
    with pytest.raises(UserError, match="no cell is named"):
        run_study(grid(), tmp_path, force="*none-of-them*")
    with claim(folder_of(tmp_path / "cells", all_of(grid())[0])), pytest.raises(UserError, match="works on"):
        run_study(grid(), tmp_path, force="*")
    assert len(notes(tmp_path)) == 7


def test_failed_cells_are_done_again_for_who_asks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("medrobust.study.worker.real", failing)
    bad = {
        "axes": {"training": {"bad": {"train": {"epochs": 2}}}},
        "profiles": {"smoke": {"keep": {"training": ["bad", "standard"]}}},
    }
    ran = run_study(grid(**bad), tmp_path)
    assert ran.counts == {"failed": 1, "blocked": 2, "done": 3}
    assert list(ran.errors.values()) == ["ValueError: as it was told to"]
    assert [(job.axes["training"], why) for job, why in read_study(tmp_path).failed] == [
        ("bad", "ValueError: as it was told to")
    ] * 2
    assert run_study(grid(**bad), tmp_path).counts == ran.counts
    assert len(notes(tmp_path)) == 4
    (tmp_path / "well").touch()
    with pytest.raises(UserError, match="is not empty"):
        run_study(grid(**bad), tmp_path / "cells")
    assert run_study(grid(**bad), tmp_path, retry_failed=True).counts == {"done": 6}
    assert len(notes(tmp_path)) == 4 + 3


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"launcher": "proceses"}, "processes"),
        ({"workers": -1}, "--workers"),
        ({"threads": -1}, "--threads"),
        ({"address": "ray://x"}, "--address"),
    ],
)
def test_wrong_words_are_refused_before_anything_is_written(tmp_path: Path, given: Any, said: str) -> None:
    with pytest.raises(UserError, match=said):
        run_study(grid(), tmp_path / "out", **given)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("num_cores", "card", "device", "chosen"),
    [
        (4, False, "auto", "processes"),
        (1, False, "auto", "serial"),
        (4, True, "auto", "serial"),
        (4, True, "cpu", "processes"),
    ],
)
def test_auto_is_processes_unless_a_card_computes_or_there_is_one_core(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, num_cores: int, card: bool, device: str, chosen: str
) -> None:
    used: list[str] = []

    def launcher(name: str) -> Any:
        def launch(todo: Any, *given: Any) -> dict[str, str]:
            used.append(name)
            return {cell.key: "done" for cell in todo}

        return launch

    module = importlib.import_module("medrobust.study.run")
    monkeypatch.setattr(module, "cores", lambda: num_cores)
    monkeypatch.setattr("torch.cuda.is_available", lambda: card)
    monkeypatch.setattr(module, "LAUNCHERS", {name: launcher(name) for name in ("serial", "processes")})
    run_study(grid(train={"device": device}, audit={"device": device}), tmp_path / "out", launcher="auto")
    assert used == [chosen]


def test_another_study_is_not_written_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("medrobust.study.worker.real", at_once)
    run_study(grid(), tmp_path)
    with pytest.raises(UserError, match="holds the study mini"):
        run_study(grid(study="other"), tmp_path)


def test_read_only_writes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "recipe.yaml"
    path.write_text("study: s\ntrain: {data: {name: 'phantom:ultrasound@32,count=60'}}\nprofiles: {cpu: {}}\n")
    monkeypatch.chdir(tmp_path)
    before = files(tmp_path)
    result = CliRunner().invoke(app, ["study", "run", str(path), "--read-only"])
    assert result.exit_code == 0, result.output
    assert "2 cells of s, profile cpu: 2 missing" in result.output
    assert files(tmp_path) == before
