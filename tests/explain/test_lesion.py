"""Inside the lesion: by hand; and masks as data sets keep them."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from medrobust.data import ImageSet, View, open_images
from medrobust.data.sets.lesions import lesion_masks
from medrobust.explain.lesion import chance, hits, inside_lesions, middle
from medrobust.records.intervals import Grouping

DATA = Path(os.environ.get("MEDROBUST_DATA", "nowhere"))


def test_mass_and_pointing_by_hand() -> None:
    maps = torch.zeros(3, 4, 4)
    maps[0, 1, 1], maps[0, 3, 3] = 3.0, 1.0
    maps[1, 0, 0] = maps[1, 1, 1] = 2.0  # two largest, one inside
    masks = torch.zeros(3, 4, 4, dtype=torch.bool)
    masks[:, 1:3, 1:3] = True
    found = hits(maps, masks)
    assert found.mass.tolist()[:2] == [0.75, 0.5]
    assert found.pointing.tolist()[:2] == [1.0, 0.5]
    assert np.isnan(found.mass[2])
    assert np.isnan(found.pointing[2])
    assert chance(masks).mass.tolist() == [0.25] * 3


def test_chance_is_what_random_maps_reach() -> None:
    masks = torch.zeros(1, 10, 10, dtype=torch.bool)
    masks[0, :3, :7] = True
    maps = torch.rand(4000, 10, 10, generator=torch.Generator().manual_seed(0))
    found = hits(maps, masks.expand(4000, 10, 10))
    assert found.mass.mean() == pytest.approx(0.21, abs=0.005)
    assert found.pointing.mean() == pytest.approx(0.21, abs=0.02)


def test_the_middle_is_a_bell_in_the_middle() -> None:
    masks = torch.zeros(2, 41, 41, dtype=torch.bool)
    masks[0, 10:31, 10:31] = True
    masks[1, :5, :5] = True
    found = middle(masks)
    assert found.pointing.tolist() == [1.0, 0.0]
    # within one standard deviation (10.25 pixels) on both axes, of a bell cut at two
    assert found.mass[0] == pytest.approx((0.6827 / 0.9545) ** 2, abs=0.02)


def test_a_map_that_leaves_the_lesion_is_said_to() -> None:
    masks = torch.zeros(30, 12, 12, dtype=torch.bool)
    masks[:, 1:5, 1:5] = True
    clean, attacked = masks.float() + 0.01, masks.flip(1, 2).float() + 0.01
    found = inside_lesions(clean, attacked, masks, Grouping(np.arange(30)))
    for measure in ("mass", "pointing"):
        row = found[measure]
        assert row["clean"].low > row["chance"].high
        assert row["clean_over_chance"].low > 0
        assert row["clean_over_middle"].low > 0
        assert row["attacked_less_clean"].high < 0
    same = inside_lesions(clean, clean, masks, Grouping(np.arange(30)))["mass"]["attacked_less_clean"]
    assert same.low < 0 == same.value < same.high


def write(path: Path, values: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(values.astype(np.uint8)).save(path)


def a_mask(row: int) -> np.ndarray:
    mask = np.zeros((20, 30))
    mask[row : row + 6, 4:16] = 255
    return mask


def test_masks_beside_images_are_joined_and_shown_as_the_images_are(tmp_path: Path) -> None:
    image = np.full((20, 30), 90)
    for name in ("a", "b", "c"):
        write(tmp_path / "benign" / f"{name}.png", image + a_mask(2) / 4)
        write(tmp_path / "malignant" / f"{name}x.png", image + 1)
    write(tmp_path / "benign" / "a_mask.png", a_mask(2))
    write(tmp_path / "benign" / "a_mask_1.png", a_mask(12))
    write(tmp_path / "benign" / "b_mask.png", a_mask(0) * 0)  # an image without a lesion
    write(tmp_path / "benign" / "c_mask.png", a_mask(0)[:, :20])  # of another size
    write(tmp_path / "malignant" / "masks" / "ax.png", a_mask(4))
    images = open_images(f"folder:{tmp_path}", options={"masks": "skip"})
    whole = {images.samples[i].image_id: mask for i, mask in lesion_masks(images).items()}
    assert set(whole) == {"benign/a.png", "malignant/ax.png"}
    assert np.array_equal(whole["benign/a.png"], (a_mask(2) + a_mask(12)) > 0)
    padded = open_images(f"folder:{tmp_path}", options={"masks": "skip"}, view=View(15, fit="pad"))
    for i, mask in lesion_masks(padded).items():
        x = padded[i][0]
        assert mask.shape == x.shape[1:]
        if padded.samples[i].image_id == "benign/a.png":
            bright = x[0] > (90 + 255 / 8) / 255  # the first lesion is brighter than the rest, in the image itself
            assert bool((torch.from_numpy(mask) >= bright).all())
            assert bright.any()


def test_masks_that_are_no_files_are_those_of_the_set() -> None:
    drawn = open_images("phantom:dermoscopy@32,count=40")
    found = lesion_masks(drawn)
    assert set(found) == set(range(len(drawn)))
    assert all(np.array_equal(found[i], drawn.mask(i)[0]) for i in found)
    masks = torch.zeros(2, 4, 4)
    masks[1, 1, 2] = 1
    kept = lesion_masks(ImageSet.of(torch.rand(2, 1, 4, 4), [0, 1], masks=masks))
    assert list(kept) == [1]  # the other has no lesion
    assert kept[1].sum() == kept[1][1, 2] == 1


@pytest.mark.skipif(not DATA.is_dir(), reason="set MEDROBUST_DATA to the folder of real images")
def test_masks_of_busi_and_ham10000() -> None:
    busi = open_images(f"busi:{DATA / 'Dataset_BUSI_with_GT'}", view=View(64), limit=60)
    found = lesion_masks(busi)
    normal = busi.classes.index("normal")
    assert set(found) == {i for i, sample in enumerate(busi.samples) if sample.label != normal}
    assert all(0.001 < mask.mean() < 0.9 for mask in found.values())
    ham = open_images(f"ham10000:{DATA / 'ham10000'}", view=View(64), limit=20)
    found = lesion_masks(ham)
    assert len(found) == 20
    darker = [ham[i][0].mean(0)[mask].mean() < ham[i][0].mean(0)[~mask].mean() for i, mask in found.items()]
    assert sum(darker) >= 15  # pigmented lesions are darker than the skin around them: the masks lie where they should
