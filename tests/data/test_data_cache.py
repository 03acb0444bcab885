"""The memory-mapped cache: same pixels, no second decoding, damage and change are found, processes share it."""

from __future__ import annotations

import json
import os
import pickle
import subprocess
import sys
import types
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch

import medrobust
from medrobust.data import View, batches, open_images
from medrobust.data.images import cache, image_set
from medrobust.data.images.cache import CachedStore, cache_size, clear_cache
from medrobust.data.images.store import MemoryStore
from medrobust.errors import UserError

VIEW = View(16, "grey")


@pytest.fixture
def many(put, tmp_path: Path) -> Path:
    """80 images of 20x24 noise, every fourth with 16 bits."""
    rng = np.random.default_rng(0)
    for k in range(80):
        top, dtype = (65535, np.uint16) if k % 4 == 0 else (255, np.uint8)
        put(f"set/{'ab'[k % 2]}/{k}.png", array=rng.integers(0, top, (20, 24)).astype(dtype))
    return tmp_path / "set"


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the files that are decoded from now on."""
    names: list[str] = []
    read = image_set.read_pixels
    monkeypatch.setattr(image_set, "read_pixels", lambda path, frame=0: names.append(path.name) or read(path, frame))
    return names


def pixels(images) -> torch.Tensor:
    return torch.cat([batch.x for batch in batches(images, 32)])


def folder_of(cache_root: Path) -> Path:
    (folder,) = [path for path in (cache_root / "images").iterdir() if path.is_dir()]
    return folder


def test_cached_pixels_equal_decoded_ones(many, monkeypatch):
    cached = open_images(f"folder:{many}", view=VIEW)
    assert isinstance(cached.store, CachedStore)
    monkeypatch.setenv("MEDROBUST_CACHE", "off")
    decoded = open_images(f"folder:{many}", view=VIEW)
    assert isinstance(decoded.store, MemoryStore)
    assert torch.equal(pixels(cached), pixels(decoded))
    assert [cached.source(i) for i in range(80)] == [decoded.source(i) for i in range(80)]
    assert {cached.bit_depth(i) for i in range(80)} == {8, 16}


def test_the_second_run_decodes_nothing(many, decoded):
    first = pixels(open_images(f"folder:{many}", view=VIEW))
    assert len(decoded) == 80
    again = open_images(f"folder:{many}", view=VIEW)
    assert torch.equal(pixels(again), first)
    assert torch.equal(torch.cat([b.x for b in batches(again, 9, num_workers=2)]), first)
    assert len(decoded) == 80


def test_a_copy_of_the_data_elsewhere_uses_the_same_cache(many, decoded, tmp_path):
    open_images(f"folder:{many}", view=VIEW)
    many.rename(tmp_path / "moved")
    open_images(f"folder:{tmp_path / 'moved'}", view=VIEW)
    assert len(decoded) == 80


def test_a_changed_file_or_view_makes_a_new_cache(many, decoded):
    before = pixels(open_images(f"folder:{many}", view=VIEW))
    target = many / "a" / "2.png"
    target.write_bytes((many / "b" / "3.png").read_bytes())
    after = open_images(f"folder:{many}", view=VIEW)
    assert len(decoded) == 160
    changed = (pixels(after) != before).flatten(1).any(1)
    assert [after.samples[i].image_id for i in changed.nonzero().flatten().tolist()] == ["a/2.png"]
    open_images(f"folder:{many}", view=View(8))
    assert len(decoded) == 240
    assert cache_size()[0] == 3


def test_what_other_code_or_another_decoder_decoded_is_not_served(many, decoded, monkeypatch, tmp_path):
    open_images(f"folder:{many}", view=VIEW)
    monkeypatch.setattr(cache, "version", lambda name: "99.0" if name == "pillow" else "1.0")
    cache.decoding_version.cache_clear()
    open_images(f"folder:{many}", view=VIEW)
    assert len(decoded) == 160
    assert cache_size()[0] == 2
    monkeypatch.setattr(cache, "__file__", str(tmp_path / "data" / "images" / "cache.py"))
    (tmp_path / "data" / "files").mkdir(parents=True)
    found = set()
    for text in ("x = 1", "x = 2"):
        (tmp_path / "data" / "files" / "dicom.py").write_text(text)
        cache.decoding_version.cache_clear()
        found.add(cache.decoding_version(""))
    assert len(found) == 2
    module = types.ModuleType("own_decoder")
    module.__file__ = str(tmp_path / "own_decoder.py")
    monkeypatch.setitem(sys.modules, "own_decoder", module)
    for text in ("y = 1", "y = 2"):
        (tmp_path / "own_decoder.py").write_text(text)
        cache.decoding_version.cache_clear()
        found.add(cache.decoding_version("own_decoder"))
    assert len(found) == 4
    cache.decoding_version.cache_clear()


@pytest.mark.parametrize("name", ["pixels.bin", "index.npy", "meta.json"])
@pytest.mark.parametrize("damage", ["truncate", "remove", "empty"])
def test_a_broken_cache_is_rebuilt(many, cache_root, decoded, name, damage):
    expected = pixels(open_images(f"folder:{many}", view=VIEW))
    file = folder_of(cache_root) / name
    if damage == "remove":
        file.unlink()
    else:
        file.write_bytes(file.read_bytes()[: file.stat().st_size // 2 if damage == "truncate" else 0])
    assert torch.equal(pixels(open_images(f"folder:{many}", view=VIEW)), expected)
    assert len(decoded) == 160
    assert torch.equal(pixels(open_images(f"folder:{many}", view=VIEW)), expected)
    assert len(decoded) == 160


def test_a_flipped_bit_is_found_and_mended(many, cache_root, decoded):
    expected = pixels(open_images(f"folder:{many}", view=VIEW))
    file = folder_of(cache_root) / "pixels.bin"
    healthy = file.read_bytes()
    file.write_bytes(healthy[:40] + bytes([healthy[40] ^ 1]) + healthy[41:])
    assert torch.equal(pixels(open_images(f"folder:{many}", view=VIEW)), expected)
    assert len(decoded) == 81
    assert file.read_bytes() == healthy


def test_broken_sources_are_remembered(many, decoded):
    (many / "a" / "4.png").write_bytes(b"")
    for _ in range(2):
        with pytest.raises(UserError, match=r"a/4.png: cannot be read: empty file"):
            open_images(f"folder:{many}", view=VIEW)
    images = open_images(f"folder:{many}", view=VIEW, skip_broken=True)
    assert images.broken == (("a/4.png", "empty file"),)
    assert len(images) == 79
    assert len(decoded) == 80


def test_a_store_can_be_sent_to_a_worker(many):
    images = open_images(f"folder:{many}", view=VIEW)
    expected = pixels(images)
    copy = pickle.loads(pickle.dumps(images))
    assert len(pickle.dumps(images.store)) < 80 * 400  # the map itself is not sent
    assert torch.equal(pixels(copy), expected)


def test_processes_share_one_cache(many, cache_root):
    code = (
        "from medrobust.data import open_images, View; "
        f"images = open_images('folder:{many}', view=View(16, 'grey')); "
        "print(float(images.batch(range(80)).x.double().sum()))"
    )
    source = str(Path(medrobust.__file__).parents[1])
    start = partial(subprocess.Popen, env=os.environ | {"PYTHONPATH": source}, stdout=subprocess.PIPE, text=True)
    with start([sys.executable, "-c", code]) as first, start([sys.executable, "-c", code]) as second:
        sums = [float(run.communicate(timeout=120)[0]) for run in (first, second)]
    expected = float(open_images(f"folder:{many}", view=VIEW).batch(range(80)).x.double().sum())
    assert sums == [expected, expected]
    assert sorted(path.name for path in folder_of(cache_root).iterdir()) == ["index.npy", "meta.json", "pixels.bin"]


def test_what_a_killed_process_left_is_removed(many, cache_root):
    open_images(f"folder:{many}", view=VIEW)
    folder = folder_of(cache_root)
    folder.rename(folder.with_name(f"{folder.name}.tmp-1"))
    open_images(f"folder:{many}", view=VIEW)
    assert [path.name for path in (cache_root / "images").iterdir() if path.is_dir()] == [folder.name]


def test_unusable_folder_is_one_line(many, monkeypatch, tmp_path):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("MEDROBUST_CACHE", str(tmp_path / "file" / "x"))
    with pytest.raises(UserError, match="MEDROBUST_CACHE"):
        open_images(f"folder:{many}", view=VIEW)


def test_clearing(many, cache_root):
    open_images(f"folder:{many}", view=VIEW)
    count, size = cache_size()
    assert count == 1
    assert size > 80 * 256
    assert json.loads((folder_of(cache_root) / "meta.json").read_text())["count"] == 80
    clear_cache()
    assert cache_size() == (0, 0)


def test_set_scale_stretches_by_the_extremes_of_the_set(put, tmp_path):
    for k, value in enumerate((50, 100, 150, 200)):
        put(f"s/{'ab'[k % 2]}/{k}.png", value=value)
    images = open_images(f"folder:{tmp_path / 's'}", view=View(scale="set", color="grey"))
    assert [float(images[i][0].mean()) for i in range(4)] == pytest.approx([0, 2 / 3, 1 / 3, 1], abs=1e-6)
    assert (images.source(0).low, images.source(0).high) == pytest.approx((50, 200))
    assert float(images.subset([1])[0][0].mean()) == pytest.approx(2 / 3)
