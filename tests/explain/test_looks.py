"""Networks that look at the lesion and at a marker are told apart, and the report says which is which."""

from __future__ import annotations

import importlib.util
import json
import os
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch

from medrobust.explain.lesion import inside_lesions
from medrobust.explain.looks import looks, together
from medrobust.records.intervals import Estimate, Grouping
from medrobust.report.sections.explain import SECTION
from medrobust.report.sections.section import Seen

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "looks_at.py"
DATA = os.environ.get("MEDROBUST_DATA", "")
FINE = ("saliency", "smooth_grad", "integrated_gradients")


def mass(clean: float, chance: float, middle: float, half: float = 0.02) -> dict[str, Estimate]:
    """Relevance inside with intervals of the same width."""
    at = {"clean": clean, "chance": chance, "clean_over_chance": clean - chance, "clean_over_middle": clean - middle}
    return {name: Estimate(value, value - half, value + half) for name, value in at.items()}


@pytest.mark.parametrize(
    ("found", "places", "verdict", "words"),
    [
        (
            mass(0.41, 0.12, 0.25),
            None,
            "lesion",
            "looks at the lesion more than chance (0.41 against 0.12 of the area)",
        ),
        (mass(0.41, 0.12, 0.25), 9, "lesion", "more than chance"),
        (mass(0.05, 0.12, 0.25), None, "elsewhere", "does not look at the lesion more than chance (0.05 against 0.12"),
        (mass(0.15, 0.12, 0.25), None, "elsewhere", "something else decides"),  # surely less than 0.18
        (mass(0.17, 0.12, 0.25), None, "not known", "a map of the middle"),
        (mass(0.26, 0.12, 0.25), None, "not known", "a map of the middle"),
        (mass(0.13, 0.12, 0.25, 0.1), None, "not known", "cannot be told apart from chance"),
        (mass(0.05, 0.12, 0.25), 33, "not known", "less than four places"),  # 33 x 0.12 = 3.96
        (mass(0.05, 0.12, 0.25), 34, "elsewhere", "something else decides"),
        (mass(float("nan"), 0.12, 0.25), None, "not known", "no relevance"),
    ],
)
def test_the_rule(found: dict[str, Estimate], places: int | None, verdict: str, words: str) -> None:
    said = looks(found, places)
    assert said.verdict == verdict
    assert words in said.words
    assert "nan" not in said.words


def test_the_rule_on_maps_made_by_hand() -> None:
    masks = torch.zeros(120, 16, 16, dtype=torch.bool)
    masks[:, 2:6, 2:6] = True
    by = Grouping(np.arange(120))
    random = torch.rand(120, 16, 16, generator=torch.Generator().manual_seed(0))
    inside, outside = masks + 0.01, ~masks + 0.01
    verdicts = [looks(inside_lesions(maps, None, masks, by)["mass"]).verdict for maps in (inside, outside, random)]
    assert verdicts == ["lesion", "elsewhere", "elsewhere"]
    few = slice(0, 8)
    at_random = inside_lesions(random[few], None, masks[few], Grouping(np.arange(8)))
    assert looks(at_random["mass"]).verdict == "not known"
    assert "attacked" not in at_random["mass"]


def test_what_several_maps_say_together() -> None:
    assert together({"A": "lesion", "B": "lesion", "C": "not known"}).words == (
        "The classifier looks at the lesion, say A and B; C cannot tell."
    )
    assert together({"A": "elsewhere"}).verdict == "elsewhere"
    found = together({"A": "lesion", "B": "elsewhere"})
    assert found.verdict == "disagree"
    assert found.words.startswith("The maps disagree")
    assert together({"A": "not known"}).verdict == together({}).verdict == "not known"


@pytest.fixture(scope="module")
def bench() -> ModuleType:
    spec = importlib.util.spec_from_file_location("looks_at", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def told_apart(bench: ModuleType, spec: str, color: str, epochs: int, folder: Path) -> None:
    """Train both networks and hold the maps, the words and the section to what is known of them."""
    learned, tested = (bench.cases(spec, color, split) for split in ("train", "test"))
    assert not set(learned.groups) & set(tested.groups)
    seen = bench.shown(tested)
    assert bool((seen.y == 1).all())
    assert bool((seen.x[:, :, bench.marker(seen.x)] == 1).all())
    assert not bool((seen.masks & bench.marker(seen.x)).any())
    found: dict[str, Any] = {}
    for looks_at in ("lesion", "marker"):
        model = bench.train(learned, looks_at, epochs)
        of_lesion, of_marker = bench.follows(model, tested)
        assert (of_lesion > 0.7, of_marker > 0.9) == (looks_at == "lesion", looks_at == "marker")
        found[looks_at] = bench.explained(model, seen, FINE)
    assert found["lesion"]["looks"]["verdict"] == "lesion"
    assert found["marker"]["looks"]["verdict"] == "elsewhere"
    for left, right in zip(found["lesion"]["maps"], found["marker"]["maps"], strict=True):
        inside, outside = (row["lesion"]["mass"]["clean"] for row in (left, right))
        assert inside["low"] > outside["high"], left["name"]
    for looks_at, words in (("lesion", "looks at the lesion, say"), ("marker", "so that something else decides, say")):
        (folder / "explain.json").write_text(json.dumps(found[looks_at]))
        shown = SECTION.build(Seen({}, {}, "", folder, "", 0, None, None, {}))
        assert words in shown["looks"]
        row = found[looks_at]["maps"][0]["lesion"]["mass"]
        numbers = f"({row['clean']['value']:.2f} against {row['chance']['value']:.2f} of the area)"
        assert numbers in shown["said"][0]


def test_both_networks_on_the_phantom(bench: ModuleType, tmp_path: Path) -> None:
    told_apart(bench, "phantom:dermoscopy@64,count=400", "rgb", 8, tmp_path)


@pytest.mark.slow
@pytest.mark.skipif(not DATA, reason="set MEDROBUST_DATA to the folder of real images")
def test_both_networks_on_busi(bench: ModuleType, tmp_path: Path) -> None:
    spec, color, epochs = bench.SETS["busi"]
    told_apart(bench, spec.format(data=DATA), color, epochs, tmp_path)
