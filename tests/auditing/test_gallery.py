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
from medrobust.measuring.measure import measure
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


def test_the_pictures_are_the_points_of_the_rows_and_nothing_is_attacked_twice(tmp_path: Path) -> None:
    records, context = small_audit(images=tiny_set(12))
    parts = tmp_path / "run" / "parts"
    records, _ = measure(context.model, context.images, context.plan, parts)
    recipe = AuditRecipe(model=ModelSpec(name="toy"))
    calls = []

    class Counting(type(context.model)):
        def forward(self, x):
            calls.append(len(x))
            return super().forward(x)

    context.model.__class__ = Counting
    make_gallery(records, Setup(recipe, context.model, context.images, context.plan, {}), tmp_path / "p", None, parts)
    assert not calls
    rows = read_json(tmp_path / "p" / "gallery.json")["images"]
    assert [row["why"] for row in rows] == ["most fragile", "most fragile", "most robust", "random"]
    for row in rows:
        broken = 0
        for frame in row["frames"]:
            of = {"image_id": row["image_id"], "norm": frame["norm"], "epsilon": frame["epsilon"]}
            worst = records.where(**of)
            assert (frame["prediction"] != row["label"]) == bool(worst["reached"].any()) == bool(frame["attack"])
            name = frame["attack"] or row["frames"][-1]["attack"]
            mine = records.where(**of, attack=name)
            assert frame["prediction"] == mine["prediction"][0]
            assert frame["size"] == mine["distance"][0] <= frame["epsilon"] * (1 + 1e-6)
            assert frame["probabilities"] == pytest.approx(mine["scores"][0].tolist(), abs=1e-6)
            shown = decoded((tmp_path / "p" / frame["adversarial_png"]).read_bytes()).astype(int)
            clean = decoded((tmp_path / "p" / row["clean_png"]).read_bytes()).astype(int)
            gap = np.abs(shown - clean).max()
            assert abs(gap - 255 * frame["size"]) <= 1
            broken += bool(frame["attack"])
        assert broken


@pytest.mark.parametrize("size", [1, 3, 5, 12])
def test_what_is_chosen_of_the_whole_is_kept_of_its_parts(size: int) -> None:
    from medrobust.measuring.shown import picks

    random = np.random.default_rng(0)
    for seed in range(20):
        budget = random.integers(1, 5, 23).astype(float)
        budget[random.random(23) < 0.2] = np.inf
        right, ids = random.random(23) < 0.8, [f"image {i}" for i in range(23)]
        kept = set()
        for first in range(0, 23, size):
            part = slice(first, first + size)
            kept |= {first + i for i, _ in picks(budget[part], right[part], ids[part], seed)}
        chosen = picks(budget, right, ids, seed)
        assert {i for i, _ in chosen} <= kept
        assert len(chosen) == 4
        assert all(right[i] for i, _ in chosen)


def test_the_kept_points_break_the_images(tmp_path: Path) -> None:
    from medrobust.measuring.shown import read_shown

    _, context = small_audit(images=tiny_set(12))
    measure(context.model, context.images, context.plan, tmp_path / "run" / "parts")
    kept = read_shown(tmp_path / "run" / "parts")
    assert len(kept) >= 4
    for i, (point, attack) in kept.items():
        with torch.no_grad(), context.model.frozen():
            answer = int(context.model(point[None]).argmax())
        assert (answer != context.images[i][1]) == bool(attack)


def test_the_attack_listed_first_keeps_its_point_and_a_smaller_budget_wins() -> None:
    from medrobust.measuring.outcome import Grid, Outcome
    from medrobust.measuring.shown import Shown

    def outcome(first: list[int], value: float) -> Outcome:
        found = Outcome.nothing(torch.zeros(3, 2), Grid("linf", (0.1, 0.2)))
        for i, at in enumerate(first):
            found.reached[i, at:] = True
        found.points = torch.full((3, 1, 2, 2), value)
        return found

    shown = Shown.nothing(torch.zeros(3, 1, 2, 2), 2)
    shown = shown.update(outcome([0, 1, 2], 0.1), "one").update(outcome([0, 0, 2], 0.2), "other")
    assert shown.attack == ["one", "other", ""]
    assert shown.points[:, 0, 0, 0].tolist() == pytest.approx([0.1, 0.2, 0.0])
    assert shown.slot.tolist() == [0, 0, 2]
