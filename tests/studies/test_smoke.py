"""Every study that comes with medrobust runs at its smallest size, from its recipe to its verdicts."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from medrobust.files import read_json
from medrobust.study.expected import read_expected
from medrobust.study.grid import make_grid
from medrobust.study.hypotheses import judge
from medrobust.study.merge import at_profile
from medrobust.study.page import check_study
from medrobust.study.read import RESULT, read_study
from medrobust.study.recipe import EXPECTED, bundled, read_study_recipe
from medrobust.study.run import run_study

NAMES = sorted(bundled())


def test_the_four_papers_are_there() -> None:
    assert NAMES == ["joel2021", "li2024-dpaat", "rodriguez2022", "sun2022-mirst-dm"]


@pytest.mark.parametrize("name", NAMES)
def test_smoke(name: str, tmp_path: Path) -> None:
    grid = make_grid(read_study_recipe(name), "smoke")
    out, expected = tmp_path / "out", bundled()[name] / EXPECTED
    ran = run_study(grid, out, expected=expected)
    assert ran.errors == {}
    assert set(ran.statuses.values()) == {"done"}
    study = read_study(out)
    assert study.num_done == study.num_jobs == len(study.jobs) > 0
    for outcome in study.outcomes:
        attacks = {one["attack"] for one in outcome.result["conditions"]}
        assert "none" in attacks
        assert ("worst" in attacks) == (outcome.protocol == "honest")
    found = check_study(out)
    assert len(found.verdicts) == len(read_expected(expected)) * len(found.protocols)
    assert {one.name for one in judge(study)} == {one["name"] for one in grid.recipe.hypotheses}
    for path in found.write(out):
        text = path.read_text(encoding="utf-8")
        assert text
        assert str(tmp_path) not in text
    before = {path: path.stat().st_mtime_ns for path in out.glob(f"cells/*/{RESULT}")}
    assert set(run_study(grid, out, expected=expected).statuses.values()) == {"done"}  # and does nothing
    assert {path: path.stat().st_mtime_ns for path in out.glob(f"cells/*/{RESULT}")} == before


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("profile", ["cpu", "paper"])
def test_every_place_resolves(name: str, profile: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MEDROBUST_DATA", raising=False)
    grid = make_grid(read_study_recipe(name), profile)  # refuses what is wrong, whether its data are here or not
    assert grid.jobs
    assert all(job.cannot for job in grid.jobs)
    assert grid.cells == {}


RESULTS = sorted(path.parent for folder in bundled().values() for path in folder.glob("results/*/study.json"))


@pytest.mark.parametrize("folder", RESULTS, ids=lambda path: f"{path.parents[1].name}-{path.name}")
def test_committed_results_say_what_their_page_says(folder: Path, tmp_path: Path) -> None:
    from dataclasses import asdict

    study, said = read_study(folder), read_json(folder / "study.json")
    assert said["profile"] == folder.name
    recipe = read_study_recipe(folder.parents[1])
    cut = at_profile(recipe, folder.name)  # results of another recipe would be described by the wrong words
    plain = json.loads(json.dumps([cut.hypotheses, cut.figures, cut.conditions]))
    assert [said["hypotheses"], said["figures"], said["conditions"]] == plain
    assert (said["words"], said["title"]) == (recipe.profiles[folder.name].words, recipe.title)
    assert said["axes"] == {axis: list(values) for axis, values in cut.axes.items()}
    found = check_study(folder, expected=folder.parents[1] / EXPECTED, judged=[asdict(one) for one in judge(study)])
    for path in found.write(tmp_path):
        assert path.read_text(encoding="utf-8") == (folder / path.name).read_text(encoding="utf-8"), path.name
