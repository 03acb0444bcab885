"""Facts of a set are kept: the same facts, without decoding, until a file changes."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from medrobust.data.check import facts as module
from medrobust.data.check.facts import ImageFacts, collect
from medrobust.data.images.cache import cache_size, clear_cache
from medrobust.data.images.image_set import ImageSet
from medrobust.data.open import list_images

NUM = 70  # more than are held in memory


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MEDROBUST_CACHE", str(tmp_path / "cache"))
    rng = np.random.default_rng(0)
    for i in range(NUM):
        path = tmp_path / "set" / "ab"[i % 2] / f"{i:03d}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (9, 12, 3), dtype=np.uint8)).save(path)
    (tmp_path / "set" / "a" / "broken.png").write_bytes(b"no picture")
    return tmp_path / "set"


@pytest.fixture
def looks(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Grows by one with every picture that is looked at."""
    seen: list[int] = []
    real = module._facts
    monkeypatch.setattr(module, "_facts", lambda pixels: seen.append(1) or real(pixels))
    return seen


def opened(folder: Path) -> ImageSet:
    return list_images(f"folder:{folder}")


def plain(facts: list[ImageFacts]) -> list[dict]:
    return [{**vars(one), "thumbnail": one.thumbnail.tolist()} for one in facts]


def test_the_second_time_is_the_same_without_decoding(folder: Path, looks: list[int]) -> None:
    first, broken = collect(opened(folder))
    assert len(first) == len(looks) == NUM
    assert list(broken) == ["a/broken.png"]
    again, still = collect(opened(folder))
    assert len(looks) == NUM
    assert plain(again) == plain(first)
    assert still == broken
    assert again[0].thumbnail.dtype == first[0].thumbnail.dtype
    reported: list[tuple[int, int]] = []
    collect(opened(folder), lambda done, of: reported.append((done, of)))
    assert reported == [(NUM + 1, NUM + 1)]


def test_another_order_finds_the_same_facts(folder: Path, looks: list[int]) -> None:
    images = opened(folder)
    first, _ = collect(images)
    turned, _ = collect(images.replace(samples=images.samples[::-1]))
    assert len(looks) == NUM
    assert plain(turned) == plain(first)[::-1]


def test_a_file_that_changed_is_looked_at_again(folder: Path, looks: list[int]) -> None:
    before = {one.sample.image_id: one.pixels for one in collect(opened(folder))[0]}
    Image.fromarray(np.full((9, 12, 3), 7, np.uint8)).save(folder / "a" / "000.png")
    after = {one.sample.image_id: one.pixels for one in collect(opened(folder))[0]}
    assert [name for name in before if before[name] != after[name]] == ["a/000.png"]
    assert len(looks) == 2 * NUM


def test_a_damaged_file_is_made_again(folder: Path, looks: list[int], tmp_path: Path) -> None:
    first, _ = collect(opened(folder))
    (kept,) = (tmp_path / "cache").rglob("facts.npz")
    content = kept.read_bytes()
    for damaged in (content[:-50], b"", content[: len(content) // 2] + b"\0" * 9 + content[len(content) // 2 + 9 :]):
        kept.write_bytes(damaged)
        looks.clear()
        assert plain(collect(opened(folder))[0]) == plain(first)
        assert len(looks) == NUM


def test_nothing_is_kept_where_nothing_is_cached(folder: Path, looks: list[int], monkeypatch, tmp_path: Path) -> None:
    monkeypatch.setenv("MEDROBUST_CACHE", "off")
    collect(opened(folder))
    collect(opened(folder))
    assert len(looks) == 2 * NUM
    assert not (tmp_path / "cache").exists()


def test_it_goes_with_the_cache(folder: Path) -> None:
    collect(opened(folder))
    assert cache_size()[0] == 1
    clear_cache()
    assert cache_size()[0] == 0


def test_a_metadata_column_is_of_the_sample_and_not_kept(folder: Path) -> None:
    images = opened(folder)
    collect(images)
    grouped = images.replace(samples=[dataclasses.replace(one, group_id="g") for one in images.samples])
    assert {one.sample.group_id for one in collect(grouped)[0]} == {"g"}
