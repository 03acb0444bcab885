"""Which images are shown, and that the pictures show them."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from medrobust.attacks import pgd
from medrobust.attacks.build import describe
from medrobust.auditing.gallery import as_picture, choose, make_gallery
from medrobust.auditing.setup import Setup
from medrobust.files import read_json
from medrobust.recipes.audit import AuditRecipe
from medrobust.recipes.parts import ModelSpec
from medrobust.records import Records
from medrobust.testing import small_audit
from medrobust.testing.image_sets import tiny_set
from records.tables import make_records


def fallen(at: list[float | None], clean: list[int] | None = None) -> Records:
    """Images of class 0 that fall at these budgets; None never falls."""
    budgets = (0.1, 0.2, 0.3, 0.4)
    found = {e: [int(b is not None and b <= e) for b in at] for e in budgets}
    return make_records([0] * len(at), clean or [0] * len(at), {("pgd", "linf"): found})


def test_two_fragile_one_robust_and_one_at_random() -> None:
    records = fallen([0.3, 0.1, None, 0.2, 0.4, 0.1, 0.2])
    picks = choose(records, "linf", 0)
    assert picks[:3] == [(1, "most fragile"), (5, "most fragile"), (2, "most robust")]
    assert picks[3][1] == "random"
    assert picks[3][0] in (0, 3, 4, 6)
    assert choose(records, "linf", 0) == picks
    assert {choose(records, "linf", seed)[3][0] for seed in range(20)} == {0, 3, 4, 6}


def test_images_that_are_wrong_untouched_are_not_shown() -> None:
    records = fallen([0.1, 0.1, 0.2, None], clean=[1, 0, 1, 0])
    assert {i for i, _ in choose(records, "linf", 0)} == {1, 3}


@pytest.mark.parametrize(
    ("n", "reasons"), [(0, []), (1, ["most fragile"]), (3, ["most fragile"] * 2 + ["most robust"])]
)
def test_few_images_are_shown_once_each(n: int, reasons: list[str]) -> None:
    records = fallen([0.1] * max(n, 1), clean=[0] * n or [1])
    picks = choose(records, "linf", 0)
    assert [why for _, why in picks] == reasons
    assert len({i for i, _ in picks}) == n


def decoded(png: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(png)))


def test_pictures_hold_the_pixels() -> None:
    grey = torch.arange(12).reshape(1, 3, 4) * 20 / 255
    assert np.array_equal(decoded(as_picture(grey)), (grey[0] * 255).round().numpy().astype(np.uint8))
    color = torch.arange(36).reshape(3, 3, 4) / 255
    assert np.array_equal(decoded(as_picture(color)), np.arange(36).reshape(3, 3, 4).transpose(1, 2, 0))
    volume = torch.stack([grey, grey / 2, grey / 4], 1)
    assert np.array_equal(decoded(as_picture(volume)), decoded(as_picture(grey / 2))), "the middle slice"
    wide = 2 * grey - 1
    assert np.array_equal(decoded(as_picture(wide, (-1.0, 1.0))), decoded(as_picture(grey)))
    assert decoded(as_picture(grey + 3)).max() == 255, "what leaves the domain is cut, not wrapped"


@pytest.mark.parametrize("channels", [2, 4])
def test_other_numbers_of_channels_have_a_picture(channels: int) -> None:
    assert decoded(as_picture(torch.rand(channels, 5, 6))).shape[:2] == (5, 6)


def test_the_gallery_shows_what_the_classifier_said(tmp_path: Path) -> None:
    records, context = small_audit(images=tiny_set(12))
    attacks = {name: describe(attack) for name, attack in context.plan.attacks.items()}
    recipe = AuditRecipe(model=ModelSpec(name="toy"), attacks=attacks)
    setup = Setup(recipe, context.model, context.images, context.plan, {})
    make_gallery(records, setup, tmp_path)
    rows = read_json(tmp_path / "gallery.json")["images"]
    assert [row["why"] for row in rows] == ["most fragile", "most fragile", "most robust", "random"]
    positions = {sample.image_id: i for i, sample in enumerate(context.images.samples)}
    for row in rows:
        i = positions[row["image_id"]]
        clean = decoded((tmp_path / row["clean_png"]).read_bytes())
        x = context.images[i][0]
        assert np.array_equal(clean, (x * 255).round().numpy().astype(np.uint8).transpose(1, 2, 0))
        assert row["label"] == row["clean_prediction"] == context.images[i][1]
        assert [frame["epsilon"] for frame in row["frames"]] == list(context.plan.grids[0].epsilons)
        for frame in row["frames"]:
            shown = decoded((tmp_path / frame["adversarial_png"]).read_bytes()).astype(int)
            assert np.abs(shown - clean.astype(int)).max() <= round(frame["epsilon"] * 255) + 1
            assert frame["prediction"] == int(np.argmax(frame["probabilities"]))
            assert sum(frame["probabilities"]) == pytest.approx(1, abs=1e-5)
            assert (tmp_path / frame["perturbation_png"]).exists()
        assert row["frames"][-1]["prediction"] != row["label"], "the largest budget breaks every image"
    assert not list(tmp_path.glob("*.tmp"))


def test_the_attack_shown_is_the_one_that_won_first() -> None:
    from medrobust.auditing.gallery import _attack_of

    attacks = {("weak", "linf"): {0.1: [0, 0], 0.2: [1, 0]}, ("strong", "linf"): {0.1: [1, 0], 0.2: [1, 0]}}
    records = make_records([0, 0], [0, 0], attacks)
    _, context = small_audit(images=tiny_set(4), attacks={"weak": pgd(num_steps=2), "strong": pgd(num_steps=3)})
    setup = Setup(AuditRecipe(model=ModelSpec(name="toy")), context.model, context.images, context.plan, {})
    assert _attack_of(records, setup, "linf", "i0") == "strong"
    assert _attack_of(records, setup, "linf", "i1") == "strong", "the last one where none won"
