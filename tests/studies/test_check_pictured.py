"""Figures that are pictures: what each kind shows of the files of a cell, and what it says where they are not there."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from medrobust.errors import UserError
from medrobust.recipes.study import PartSpec
from medrobust.study.figures import figures
from medrobust.study.grid import make_grid
from medrobust.study.pack import pack
from medrobust.study.page import check_study
from medrobust.study.pictured import Pictured
from medrobust.study.read import pack_classes, read_study
from medrobust.study.run import run_study
from studies.make_check import NUM, Folder, condition, result
from studies.toys import mini

AT = "data=xray model=small training=standard split=0"
LABELS = np.arange(NUM) % 2
PGD = {"attack": "pgd", "epsilon": 1 / 255}


def png() -> bytes:
    buffer = io.BytesIO()
    Image.new("L", (2, 2), 128).save(buffer, format="PNG")
    return buffer.getvalue()


def folder(tmp_path: Path, entry: dict[str, Any], **more: Any) -> tuple[Path, Path]:
    """A study with one audit that is done, and the folder of its run."""
    clean, attacked = LABELS.copy(), 1 - LABELS
    clean[:3] = 1  # image 0 and image 2 are read as positive, though they are not
    conditions = [
        condition("none", 0.0, 18) | {"answers": pack_classes(clean.tolist())},
        condition("pgd", 1 / 255, 0) | {"answers": pack_classes(attacked.tolist())},
    ]
    made = Folder(tmp_path / "study", figures=[{"name": "F", **entry}])
    made.add(AT, "paper", result(conditions, "paper") | more)
    run = next((made.write() / "cells").iterdir()) / "run"
    (run / "images").mkdir(parents=True)
    (run.parent / "cell.json").write_text("{}")
    (run / "explain").mkdir()
    return made.folder, run


def one(study: Path) -> Pictured:
    (found,) = figures(read_study(study), ())
    assert isinstance(found, Pictured)
    return found


def test_confusion_is_counted_from_the_answers(tmp_path: Path) -> None:
    study, _ = folder(tmp_path, {"kind": "confusion", "where": PGD})
    (panel,) = one(study).panels
    clean, attacked = panel.parts
    assert clean.counts == ((8, 2), (0, 10))
    assert attacked.counts == ((0, 10), (10, 0))
    assert (clean.words, attacked.words) == ("18 of 20 right", "0 of 20 right")
    assert clean.classes == ("no", "yes")
    assert attacked.title == "Pgd at linf 1/255"


def test_a_result_without_answers_has_no_confusion(tmp_path: Path) -> None:
    study, _ = folder(tmp_path, {"kind": "confusion", "where": PGD}, conditions=[condition("none", 0.0, 18)])
    (panel,) = one(study).panels
    assert not panel.parts
    assert "holds no answers" in panel.words


def gallery(run: Path, *frames: tuple[float, int]) -> None:
    """A gallery of one image of class no; frames are (budget in grey levels, prediction)."""
    row: dict[str, Any] = {
        "image_id": "a0",
        "label": 0,
        "clean_prediction": 0,
        "clean_probabilities": [0.8, 0.2],
        "clean_png": "clean.png",
        "frames": [
            {
                "norm": "linf",
                "epsilon": grey / 255,
                "attack": "pgd" if prediction else "",
                "prediction": prediction,
                "probabilities": [0.4, 0.6] if prediction else [0.7, 0.3],
                "adversarial_png": f"{grey:g}.png",
                "perturbation_png": "change.png",
                "amplification": 25.0,
            }
            for grey, prediction in frames
        ],
    }
    (run / "images" / "gallery.json").write_text(json.dumps({"images": [row]}))
    for name in ("clean", "change", *(f"{grey:g}" for grey, _ in frames)):
        (run / "images" / f"{name}.png").write_bytes(png())


@pytest.mark.parametrize(("frames", "shown"), [(((1, 0), (2, 1), (4, 1)), "2"), (((0.5, 1), (1, 1)), "1")])
def test_an_example_is_wrong_at_the_budget_or_the_next(
    tmp_path: Path, frames: tuple[tuple[float, int], ...], shown: str
) -> None:
    study, run = folder(tmp_path, {"kind": "examples", "where": PGD})
    gallery(run, *frames)
    (panel,) = one(study).panels
    assert [part.title for part in panel.parts][:2] == ["Untouched", "The change"]
    assert panel.parts[2].title.startswith(f"Within {shown} grey level")
    assert panel.parts[2].words == "read as yes (60%); pgd"
    assert all(part.png.startswith("data:image/png;base64,") for part in panel.parts)


def test_no_example_where_nothing_was_misled_and_none_in_packed_results(tmp_path: Path) -> None:
    study, run = folder(tmp_path, {"kind": "examples", "where": PGD})
    gallery(run, (1, 0), (2, 0))
    assert one(study).panels[0].words == "no image of its gallery was misled"
    pack(study, tmp_path / "kept")
    assert not list((tmp_path / "kept").rglob("*.png"))
    assert "stay where the study was run" in one(tmp_path / "kept").panels[0].words


def explained(run: Path, verdict: str = "passed") -> None:
    three = {"value": 0.5, "low": 0.25, "high": 0.75}
    row = {
        "name": "saliency",
        "title": "Saliency",
        "num_images": 7,
        "sanity": {"verdict": verdict, "rank_correlation": three, "reason": ""},
        "agreement": {"ssim": three, "rank_correlation": three, "shift": three},
        "lesion": {"mass": {"clean": three, "attacked": three, "chance": three}},
        "pictures": [
            {"image_id": "a", "clean_png": "c.png", "attacked_png": "d.png", "answer": 0, "answer_attacked": 1}
        ],
    }
    plane = {
        "norm": "linf",
        "classes": ["no", "yes"],
        "ids": ["a", "b"],
        "labels": [0, 1],
        "smallest": [1 / 255, None],
        "num_images": 2,
        "method": "tsne",
        "layer": "linear",
        "k": 1,
        "trustworthiness": 0.9,
        "neighbors_kept": 0.5,
        "fill_agrees": 1.0,
        "budgets": [1 / 255, 2 / 255],
        "places": [[0.25, 0.25], [0.75, 0.75], [0.7, 0.7]],
        "answers": [0, 1, 1],
        "at": [[0, 1], [0, 1], [2, 1]],
        "size": 2,
        "runs": [[0, 2], [1, 2]],
    }
    pool = {"layer": "1 (MaxPool2d)", "num_images": 7, "before": three, "after": three, "after_less_before": three}
    pictures = [{"image_id": "a", "png": "r.png"}]
    content = {"maps": [row], "classes": ["no", "yes"], "boundary": plane, "residual": pool | {"pictures": pictures}}
    (run / "explain.json").write_text(json.dumps(content))
    for name in ("c.png", "d.png", "r.png"):
        (run / "explain" / name).write_bytes(png())


def test_maps_have_pictures_when_they_passed_the_test(tmp_path: Path) -> None:
    study, run = folder(tmp_path, {"kind": "maps", "map": "saliency"})
    assert "explain=on" in one(study).panels[0].words
    explained(run)
    (panel,) = one(study).panels
    assert [part.words for part in panel.parts] == ["read as no", "read as yes"]
    assert "SSIM 0.50 [0.25, 0.75]" in panel.words
    assert "Inside the lesion lie 0.50 [0.25, 0.75] of the map" in panel.words
    explained(run, "failed")
    (panel,) = one(study).panels
    assert not panel.parts
    assert "failed the sanity test" in panel.words


def test_the_boundary_is_drawn_untouched_and_at_the_budget(tmp_path: Path) -> None:
    study, run = folder(tmp_path, {"kind": "boundary", "where": {"attack": "pgd", "epsilon": "2/255"}})
    explained(run)
    (panel,) = one(study).panels
    assert [part.words[:29] for part in panel.parts] == [
        "2 images, 0 changed by an att",
        "2 images, 1 changed by an att",
    ]
    assert all(part.svg.startswith("<svg") for part in panel.parts)
    assert "are not those of the network" in panel.words
    study, run = folder(tmp_path / "small", {"kind": "boundary", "where": PGD})
    explained(run)  # at 1/255 nothing was changed yet
    assert one(study).panels[0].parts[1].words.startswith("2 images, 0 changed")


def test_residual_maps_and_their_numbers(tmp_path: Path) -> None:
    study, run = folder(tmp_path, {"kind": "residual"})
    explained(run)
    (panel,) = one(study).panels
    assert [part.title for part in panel.parts] == ["Residual map 1"]
    assert "1 (MaxPool2d), 7 images: relative change of the features 0.50 [0.25, 0.75] before" in panel.words


def test_packed_results_keep_planes_and_numbers_and_no_picture(tmp_path: Path) -> None:
    for entry in ({"kind": "boundary"}, {"kind": "maps", "map": "saliency"}, {"kind": "residual"}):
        here = tmp_path / str(entry["kind"])
        study, run = folder(here, dict(entry))
        explained(run)
        pack(study, here / "kept")
        assert not list((here / "kept").rglob("*.png"))
        (before,), (after,) = one(study).panels, one(here / "kept").panels
        if entry["kind"] == "boundary":
            assert after == before
        else:
            assert before.parts
            assert not after.parts
            assert after.words.startswith(before.words.rstrip("."))
            assert "stay where the study was run" in after.words


def test_the_pages_hold_the_pictures_and_allow_them(tmp_path: Path) -> None:
    study, run = folder(tmp_path, {"kind": "examples", "where": PGD, "words": "An image"})
    gallery(run, (1, 1))
    made = check_study(study)
    made.write(study)
    page, text = (study / "check.html").read_text(), (study / "check.md").read_text()
    assert page.count("data:image/png;base64,") == 3
    assert "img-src data:" in page
    assert "An image. Drawn in check.html." in text
    assert "within 1 grey level read as yes (60%); pgd" in text


@pytest.mark.parametrize(
    ("entry", "place"),
    [
        ({"kind": "pictures"}, "figures.1.kind"),
        ({"kind": "maps"}, "figures.1.map"),
        ({"kind": "maps", "map": "salience"}, "figures.1.map"),
        ({"kind": "examples", "map": "saliency"}, "figures.1.map"),
        ({"kind": "examples", "series": "model"}, "figures.1.series"),
        ({"kind": "examples", "where": {"model": "tiny"}}, "figures.1.where.model"),
        ({"kind": "examples", "where": "model=small"}, "figures.1.where"),
        ({"kind": "examples", "protocols": ["honest"]}, "figures.1.protocols"),
        ({"kind": "confusion", "where": {"attack": "pgd", "epsilon": "one"}}, "conditions.pgd"),
    ],
)
def test_what_is_no_figure_is_refused(tmp_path: Path, entry: dict[str, Any], place: str) -> None:
    study, _ = folder(tmp_path, entry)
    with pytest.raises(UserError) as found:
        one(study)
    assert found.value.place == place


def test_a_real_run_shows_every_kind(tmp_path: Path) -> None:
    kinds = [{"kind": "maps", "map": "saliency"}] + [{"kind": kind} for kind in ("examples", "confusion", "boundary")]
    where = {"where": {"attack": "worst", "epsilon": "64/255", "training": "standard"}}
    recipe = mini(
        train={"epochs": 12, "optimizer": {"lr": 0.01}},
        audit={"explain": "on", "threat": {"epsilons": ["1/255", "64/255"]}, "data": {"limit": 16}},
        axes={"training": {"adversarial": {"init": {}}}},
        figures=[{"name": "F", **kind, **where} for kind in kinds],
        profiles={"smoke": {"keep": {"seed": ["0"], "training": ["standard"]}}},
    )
    recipe = replace(recipe, protocols={"honest": PartSpec()})
    ran = run_study(make_grid(recipe, "smoke"), tmp_path / "out")
    assert set(ran.statuses.values()) == {"done"}
    study = read_study(tmp_path / "out")
    found = {one.kind: one.panels[0] for one in figures(study, ()) if isinstance(one, Pictured)}
    lacking = {kind: panel.words for kind, panel in found.items() if not panel.parts}
    assert not lacking
    outcome = study.outcomes[0]
    for part, attack, epsilon in zip(found["confusion"].parts, ("none", "worst"), (0.0, 64 / 255), strict=True):
        condition = outcome.condition(attack, "", epsilon)
        assert condition is not None
        right = sum(part.counts[i][i] for i in range(2))
        assert (
            right
            == outcome.correct(condition).sum()
            == round(condition["metrics"]["accuracy"]["value"] * outcome.result["num_images"])
        )
