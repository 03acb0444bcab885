"""The gallery: which pictures are kept, which frame the slider shows, what never enters the page."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest

from medrobust.report.pictures import NUM_BARS, Gallery, example, gallery, slider_data
from medrobust.report.words import Budget
from report.make_run import SEVEN, grid, make_audit, make_run


def opened(folder: Path, wanted: Budget | None = None, limit: int = 10**8, **options: Any) -> Gallery | None:
    make_run(folder, **options)
    entries = json.loads((folder / "images" / "gallery.json").read_text())["images"]
    return gallery(
        make_audit(**{k: v for k, v in options.items() if k == "classes"}), entries, folder / "images", wanted, limit
    )


def known(found: Gallery | None) -> Gallery:
    assert found is not None
    return found


def total(found: Gallery) -> int:
    return sum(map(len, found.uris))


def test_pictures_are_the_files_and_the_slider_starts_at_the_verdict(tmp_path: Path) -> None:
    sizes = grid("linf", 10)
    found = known(opened(tmp_path, Budget("linf", sizes[4])))
    assert [b.epsilon for b in found.budgets] == sizes
    assert found.start == 4
    assert not found.dropped
    frame = found.cases[2].frames[7]
    data = base64.b64decode(found.uris[frame.adversarial or 0].partition(",")[2])
    assert data == (tmp_path / "images" / "000002_linf_07_adversarial.png").read_bytes()


def test_too_many_pictures_lose_sizes_first_then_images(tmp_path: Path) -> None:
    wanted = Budget("linf", grid("linf", 10)[4])
    full = known(opened(tmp_path, wanted))
    for limit in (total(full) // 2, total(full) // 5, total(full) // 20):
        thin = known(opened(tmp_path, wanted, limit))
        assert total(thin) <= limit
        assert thin.budgets[thin.start] == wanted
        assert len(thin.budgets) < 10
        assert "sizes; all are in the folder images/" in thin.dropped[0]
        assert len(thin.cases) == 4 or len(thin.budgets) == 1
    assert len(thin.cases) < 4
    assert len(thin.dropped) == 2
    half = known(opened(tmp_path, wanted, total(full) // 2))
    assert {half.budgets[0], half.budgets[-1]} == {full.budgets[0], full.budgets[-1]}


def test_frames_that_are_missing_hold_the_nearest_smaller(tmp_path: Path) -> None:
    make_run(tmp_path)
    entries = json.loads((tmp_path / "images" / "gallery.json").read_text())["images"]
    entries[0]["frames"] = entries[0]["frames"][2:5]
    found = known(gallery(make_audit(), entries, tmp_path / "images", None))
    assert slider_data(found)["cases"][0]["positions"] == [0, 0, 0, 1, 2, 2, 2, 2, 2, 2]
    assert slider_data(found)["cases"][1]["positions"] == list(range(10))


@pytest.mark.parametrize("name", ["../audit.json", "/etc/hostname", "absent.png", "", None, 7])
def test_only_png_files_of_the_folder_enter_the_page(tmp_path: Path, name: Any) -> None:
    make_run(tmp_path)
    (tmp_path / "images" / "text.png").write_text("not a picture")
    entries = json.loads((tmp_path / "images" / "gallery.json").read_text())["images"]
    entries[0]["clean_png"] = name
    entries[1]["frames"][3]["adversarial_png"] = "text.png"
    found = known(gallery(make_audit(), entries, tmp_path / "images", None))
    assert len(found.cases) == 3
    assert found.cases[0].frames[3].adversarial is None
    assert all(base64.b64decode(uri.partition(",")[2]).startswith(b"\x89PNG") for uri in found.uris)
    assert "could not be read" in found.dropped[0]


def test_nothing_to_show(tmp_path: Path) -> None:
    assert opened(tmp_path, num_gallery=0) is None


def test_opening_pair_was_right_and_is_wrong_at_the_verdict(tmp_path: Path) -> None:
    wanted = Budget("linf", grid("linf", 10)[5])
    found = known(opened(tmp_path, wanted))
    pair = example(found, wanted)
    assert pair is not None
    case, frame = pair
    assert not case.wrong
    assert frame.wrong
    assert frame.budget == wanted
    strong = known(opened(tmp_path, wanted, fragility=0.1))
    later = example(strong, wanted)
    assert later is not None
    first = [f.budget for c in strong.cases for f in c.frames if f.wrong]
    assert wanted.far(later[1].budget) == min(map(wanted.far, first))
    assert example(known(opened(tmp_path, wanted, fragility=1e-6)), wanted) is None


def test_bars_name_the_classes_that_matter_and_sum_to_one(tmp_path: Path) -> None:
    found = known(opened(tmp_path, classes=SEVEN))
    for case in found.cases:
        for frame in case.frames:
            assert len(frame.bars) <= NUM_BARS + 1
            assert sum(bar.after for bar in frame.bars) == pytest.approx(1, abs=1e-4)
            assert sum(bar.before for bar in frame.bars) == pytest.approx(1, abs=1e-4)
            assert {case.truth, frame.read} <= {bar.name for bar in frame.bars}
            assert [bar.state for bar in frame.bars].count("wrong") == frame.wrong
            assert [bar.name for bar in frame.bars] == [bar.name for bar in case.frames[0].bars]
