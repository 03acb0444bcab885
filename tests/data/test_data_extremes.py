"""View(scale="set"): the extremes of what is not test decide, whatever part is opened, or those of a model's card."""

from __future__ import annotations

import numpy as np
import pytest

from medrobust.data import View, open_images
from medrobust.data.unlabeled import join, open_unlabeled
from medrobust.errors import UserError

SET = View(color="grey", scale="set")


@pytest.fixture
def spec(put, tmp_path) -> str:
    """40 images a class whose values rise with their number."""
    rng = np.random.default_rng(0)
    for c in "ab":
        for k in range(40):
            put(f"set/{c}/{k:02}.png", array=rng.integers(40 + k, 120 + k, (8, 8)).astype(np.uint8))
    return f"folder:{tmp_path / 'set'}"


def extremes_of(images, split: tuple[str, ...]) -> tuple[float, float]:
    """Least and largest pixel of the files of these splits."""
    from PIL import Image

    values = [np.asarray(Image.open(s.path)) / 255 for s in images.samples if s.split in split]
    return min(float(v.min()) for v in values), max(float(v.max()) for v in values)


def test_one_image_is_shown_alike_whatever_is_opened_beside_it(spec):
    opened = [open_images(spec, view=SET, **options) for options in (
        {"split": "all"}, {"split": "train"}, {"split": "val"}, {"split": "test"}, {"split": "test", "limit": 4},
        {"split": "train", "cap": 3},
    )]  # fmt: skip
    assert len({images.extremes for images in opened}) == 1
    shown: dict[str, set[bytes]] = {}
    for images in opened:
        for i, sample in enumerate(images.samples):
            shown.setdefault(sample.image_id, set()).add(images[i][0].numpy().tobytes())
    assert max(len(found) for found in shown.values()) == 1


def test_test_images_have_no_part_in_it(put, tmp_path):
    for split, value in (("train", 100), ("val", 50), ("test", 10)):
        for c in "ab":
            for k in range(2):
                put(f"set/{split}/{c}/{k}.png", value=value + k)
    spec = f"folder:{tmp_path / 'set'}"
    for split in ("train", "val", "test", "all"):
        images = open_images(spec, view=SET, split=split)
        assert images.extremes == pytest.approx((50 / 255, 101 / 255))
    test = open_images(spec, view=SET, split="test")
    assert float(test[0][0].max()) == 0.0  # darker than all that the model was shown


def test_a_set_of_one_part_has_its_own_extremes(put, tmp_path):
    for c, value in (("a", 10), ("b", 90)):
        put(f"set/test/{c}/0.png", value=value)
    images = open_images(f"folder:{tmp_path / 'set'}", view=SET)
    assert images.extremes == pytest.approx((10 / 255, 90 / 255))


def test_extremes_of_a_card_win(spec):
    images = open_images(spec, view=SET, split="test", extremes=(0.0, 0.5))
    plain = open_images(spec, view=View(color="grey"), split="test")
    assert images.extremes == (0.0, 0.5)
    np.testing.assert_allclose(images[0][0], plain[0][0].mul(2).clamp(0, 1), atol=1e-6)
    np.testing.assert_allclose(images.subset([2])[0][0], images[2][0])
    assert plain.extremes is None
    assert open_images(spec, view=View(color="grey"), extremes=(0.0, 0.5)).extremes is None
    for wrong in ((0.5, 0.5), (0.5, 0.1), (float("nan"), 1.0), (0.1,)):
        with pytest.raises(UserError, match=r"data.extremes"):
            open_images(spec, view=SET, extremes=wrong)


def test_extremes_stay_when_the_color_changes_and_count_in_the_fingerprint(spec):
    import dataclasses

    images = open_images(spec, view=SET, split="test", extremes=(0.0, 0.5))
    color = images.replace(view=dataclasses.replace(SET, color="rgb"))
    assert color.extremes == (0.0, 0.5)
    np.testing.assert_allclose(color[0][0][1], images[0][0][0])
    other = open_images(spec, view=SET, split="test", extremes=(0.0, 0.6))
    assert other.fingerprint() != images.fingerprint()
    shown = images.replace(view=View(color="grey"))
    assert shown.extremes is None


def test_images_without_labels_are_shown_as_those_with(spec, put, tmp_path):
    like = open_images(spec, view=SET, split="train")
    put("more/bright.png", value=250)
    more = open_unlabeled(f"folder:{tmp_path / 'more'}", like)
    assert more.extremes == like.extremes
    least, most = like.extremes
    assert float(more[0][0].mean()) == pytest.approx(min((250 / 255 - least) / (most - least), 1))
    assert join(like, more).extremes == like.extremes


def test_parts_of_a_set_in_hand_have_the_extremes_of_the_set(spec):
    everything = open_images(spec, view=View(color="grey"), split="all").replace(view=SET, whole=())
    train, test = everything.with_split("train"), everything.with_split("test")
    assert train.extremes == test.extremes == everything.extremes
    known = open_images(spec, view=SET, split="train")
    assert train.extremes == known.extremes
    known = everything.with_split("train")
    assert extremes_of(known.replace(samples=known.training_part()), ("train", "val", "")) == pytest.approx(
        train.extremes
    )
