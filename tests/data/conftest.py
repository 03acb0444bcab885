"""Small images in the layouts that data sets are distributed in."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from medrobust.data import open_images
from medrobust.errors import UserError


@pytest.fixture(autouse=True)
def cache_root(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache of the test's own."""
    root = tmp_path_factory.mktemp("cache")
    monkeypatch.setenv("MEDROBUST_CACHE", str(root))
    return root


@pytest.fixture
def put(tmp_path: Path) -> Callable[..., Path]:
    """put("a/b.png", value=7) writes a gray 6x4 image below tmp_path, put(..., array=a) the array as it is."""

    def write(name: str, value: int = 128, array: np.ndarray | None = None, **options: object) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        pixels = np.full((4, 6), value, dtype=np.uint8) if array is None else array
        Image.fromarray(pixels).save(path, **options)
        return path

    return write


@pytest.fixture
def fails() -> Callable[..., str]:
    """fails(spec, **options): open_images ends in a UserError; returns its one line."""

    def call(spec: str, **options: object) -> str:
        with pytest.raises(UserError) as error:
            open_images(spec, **options)
        assert "\n" not in str(error.value)
        return str(error.value)

    return call


@pytest.fixture
def two_classes(put: Callable[..., Path], tmp_path: Path) -> Path:
    """A folder with classes a and b of four images each; values tell them apart."""
    for label, name in enumerate("ab"):
        for k in range(4):
            put(f"set/{name}/{k}.png", value=100 * label + k)
    return tmp_path / "set"
