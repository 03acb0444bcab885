"""Masks of images: found by their names, shown as their images are, refused where they do not fit."""

import numpy as np
import pytest
import torch
from PIL import Image

from medrobust.data import ImageSet, View, open_images
from medrobust.data.images.masks import view_mask
from medrobust.data.phantom.cases import MODALITIES
from medrobust.data.sets.folder import visible_files
from medrobust.data.sets.mask_files import MaskFiles
from medrobust.errors import UserError


def box(top: int = 0, left: int = 0, bottom: int = 4, right: int = 6, value: int = 255) -> np.ndarray:
    out = np.zeros((4, 6), dtype=np.uint8)
    out[top:bottom, left:right] = value
    return out


@pytest.fixture
def busi(put, tmp_path):
    for name in ("benign", "malignant", "normal"):
        for k in (1, 2):
            put(f"set/{name}/{name} ({k}).png", value=50 * k)
            put(f"set/{name}/{name} ({k})_mask.png", array=box(0, 0, k, 3, 0 if name == "normal" else 255))
    put("set/benign/benign (2)_mask_1.png", array=box(3, 5))
    return tmp_path / "set"


def test_busi_masks_are_joined_and_may_be_empty(busi):
    images = open_images(f"busi:{busi}", view=View(color="grey"), split="all")
    by_id = {s.image_id: images.mask(i)[0].numpy() for i, s in enumerate(images.samples)}
    np.testing.assert_array_equal(by_id["benign/benign (1).png"], box(0, 0, 1, 3) > 0)
    np.testing.assert_array_equal(by_id["benign/benign (2).png"], (box(0, 0, 2, 3) + box(3, 5)) > 0)
    assert not by_id["normal/normal (1).png"].any()


def test_ham10000_and_busis_masks(put, tmp_path):
    put("ham/HAM10000_images_part_1/ISIC_1.jpg")
    put("ham/HAM10000_images_part_1/ISIC_2.jpg")
    put("ham/HAM10000_segmentations_lesion_tschandl/ISIC_1_segmentation.png", array=box(1, 1, 3, 3))
    rows = "lesion_id,image_id,dx\nL1,ISIC_1,mel\nL2,ISIC_2,nv\n"
    (tmp_path / "ham" / "HAM10000_metadata.csv").write_text(rows)
    images = open_images(f"ham10000:{tmp_path / 'ham'}", split="all")
    at = [s.image_id for s in images.samples].index("HAM10000_images_part_1/ISIC_1.jpg")
    np.testing.assert_array_equal(images.mask(at)[0].numpy(), box(1, 1, 3, 3) > 0)
    with pytest.raises(UserError, match="has no mask"):
        images.mask(1 - at)
    for k in (1, 2):
        put(f"busis/Original/case00{k}.bmp")
        put(f"busis/GT/case00{k}.bmp", array=box(k, k))
    (tmp_path / "busis" / "BUSIS.csv").write_text("img name,tumor type\ncase1,B\ncase2,M\n")
    images = open_images(f"busis:{tmp_path / 'busis'}", split="all")
    assert [int(images.mask(i).sum()) for i in range(2)] == [15, 8]


def test_equal_names_go_by_the_folder_and_a_folder_of_masks_can_be_given(put, tmp_path):
    for name, k in (("a", 1), ("b", 2)):
        for i in range(2):
            put(f"set/{name}/{i}.png")
            put(f"set/{name}/masks/{i}.png", array=box(0, 0, k, 1 + i))
            put(f"drawn/{name}/{i}.png", array=box(0, 0, 4, k))
    images = open_images(f"folder:{tmp_path / 'set'}", options={"masks": "skip"})
    assert [int(images.mask(i).sum()) for i in range(4)] == [1, 2, 2, 4]
    given = images.replace(masks=MaskFiles.of_folder(tmp_path / "drawn", images.samples, visible_files))
    assert [int(given.mask(i).sum()) for i in range(4)] == [4, 4, 8, 8]
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="no file in"):
        MaskFiles.of_folder(tmp_path / "empty", images.samples, visible_files)


def test_masks_follow_the_view_of_their_images(put, tmp_path, busi):
    """A picture of 0 and 255 has the mask of its own bright half in every view."""
    g = np.random.default_rng(0)
    picture = (np.kron(g.integers(0, 2, (6, 9)), np.ones((8, 8))) * 255).astype(np.uint8)
    for view in (View(24, "grey"), View(24, "grey", "pad"), View(24, "grey", "crop"), View(None, "grey", "pad")):
        images = ImageSet.of(torch.from_numpy(picture)[None, None].repeat(2, 1, 1, 1), [0, 1]).replace(view=view)
        mask = view_mask(picture[None] > 0, view)
        x = images[0][0]
        assert mask.shape == x.shape
        clear = (x - 0.5).abs() > 1 / 255
        assert torch.equal(mask[clear], (x > 0.5)[clear])
        assert 0 < int(mask.sum()) < mask.numel()


def test_grey_masks_and_labels(put, tmp_path, busi):
    ramp = np.tile(np.linspace(0, 255, 24).astype(np.uint8), (4, 1))
    Image.fromarray(ramp).save(tmp_path / "ramp.png")
    from medrobust.data.images.masks import read_mask

    np.testing.assert_array_equal(read_mask(tmp_path / "ramp.png")[0], ramp > 127.5)
    labels = box(0, 0, 2, 2, 1) + box(2, 2, 4, 4, 2)
    Image.fromarray(labels).save(tmp_path / "labels.png")
    np.testing.assert_array_equal(read_mask(tmp_path / "labels.png")[0], labels > 0)


def test_a_mask_of_another_size_is_refused(busi, put):
    put("set/benign/benign (1)_mask.png", array=np.zeros((4, 4), dtype=np.uint8))
    images = open_images(f"busi:{busi}", view=View(8), split="all")
    with pytest.raises(UserError, match="its mask is 4x4 and the image 4x6"):
        images.mask(0)
    with pytest.raises(UserError, match="have the shape"):
        ImageSet.of(torch.rand(2, 1, 4, 4), [0, 1], masks=torch.ones(2, 1, 4, 5))


@pytest.mark.parametrize("modality", sorted(MODALITIES))
def test_phantom_lesions_are_where_the_lesion_is(modality):
    """The lesion differs in brightness from what surrounds it, on average over cases."""
    images = open_images(f"phantom:{modality}@32,count=40", split="all")
    inside, outside = [], []
    for i in range(12):
        mask, x = images.mask(i), images[i][0].mean(0, keepdim=True)
        assert 0.005 < float(mask.float().mean()) < 0.6
        inside.append(float(x[mask].mean()))
        outside.append(float(x[~mask].mean()))
    gap = np.array(inside) - np.array(outside)
    assert np.abs(gap.mean()) > 3 * gap.std() / np.sqrt(len(gap))
