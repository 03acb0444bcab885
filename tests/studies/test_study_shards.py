"""An audit whose parts are shared out ends with the rows of one process."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import pytest

from medrobust.auditing.audit import run_audit
from medrobust.auditing.setup import resolve
from medrobust.errors import UserError
from medrobust.files import read_json
from medrobust.recipes.yaml import audit_recipe, dump
from medrobust.study import shards
from medrobust.study.launchers.how import How
from medrobust.study.shards import spread

RECIPE = audit_recipe(
    {
        "data": {"name": "phantom:ultrasound@64,count=120", "limit": 70, "split": "all"},
        "attacks": {"fgsm": {}, "pgd": {"num_steps": 3}},
        "threat": {"epsilons": ["1/255", "4/255"]},
        "certify": "off",
        "batch_size": 16,
    }
)


@pytest.fixture(autouse=True)
def _small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    module = importlib.import_module("medrobust.measuring.measure")
    monkeypatch.setattr(module, "CHUNKS", {"cpu": (20, 2**26)})  # workers read the size of a part from the layout


def _run(out: Path, launcher: str | None = None) -> tuple[bytes, dict[str, Any]]:
    shared = None if launcher is None else spread(RECIPE, launcher, How(2))
    folder = run_audit(resolve(RECIPE), out, dump(RECIPE), checks=(), spread=shared)
    assert not (folder / "parts").exists()
    return (folder / "records.parquet").read_bytes(), read_json(folder / "audit.json")


@pytest.mark.parametrize("launcher", ["serial", "processes", pytest.param("ray", marks=pytest.mark.slow)])
def test_rows_are_those_of_one_process(launcher: str, tmp_path: Path) -> None:
    if launcher == "ray":
        pytest.importorskip("ray")
    rows, content = _run(tmp_path / "alone")
    shared_rows, shared = _run(tmp_path / "shared", launcher)
    assert shared_rows == rows
    assert shared["worst_case"] == content["worst_case"]
    assert [shared["cost"][name] for name in ("forwards", "backwards")] == [
        content["cost"][name] for name in ("forwards", "backwards")
    ]


def test_each_part_is_measured_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[int] = []
    real = shards.measure_parts

    def counted(model: Any, images: Any, plan: Any, parts: Path, wanted: tuple[int, ...], **more: Any) -> int:
        seen.extend(wanted)
        return real(model, images, plan, parts, wanted, **more)

    monkeypatch.setattr(shards, "measure_parts", counted)
    _run(tmp_path / "shared", "serial")
    assert seen == [1, 2, 3]  # of 70 images in parts of 20, the first is measured before


def test_a_part_that_fails_elsewhere_is_measured_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*args: Any, **more: Any) -> int:
        raise RuntimeError("no memory left")

    rows, _ = _run(tmp_path / "alone")
    monkeypatch.setattr(shards, "measure_parts", fails)
    assert _run(tmp_path / "shared", "serial")[0] == rows


def test_what_cannot_be_is_refused() -> None:
    with pytest.raises(UserError, match="unknown launcher 'proceses'"):
        spread(RECIPE, "proceses")
    with pytest.raises(UserError, match="is for the launcher ray"):
        spread(RECIPE, "processes", How(address="ray://somewhere:10001"))
