"""What is found under the name of an image and has no end is not read to its end."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from cli.conftest import write_images
from medrobust.data.commands import check
from medrobust.data.images.hashes import MISSING, content_hashes


@pytest.fixture(autouse=True)
def _alarm() -> Iterator[None]:
    """A read without an end ends the test, not the run."""
    signal.alarm(60)
    yield
    signal.alarm(0)


def test_devices_and_pipes_have_no_content(tmp_path: Path) -> None:
    os.symlink("/dev/zero", tmp_path / "0.png")
    os.mkfifo(tmp_path / "1.png")
    (tmp_path / "2.png").write_bytes(b"x")
    found = content_hashes([tmp_path / f"{i}.png" for i in range(3)])
    assert [digest == MISSING for digest in found.values()] == [True, True, False]


@pytest.mark.parametrize("kind", ["device", "pipe"])
def test_data_check_names_them(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MEDROBUST_CACHE", "off")
    images = write_images(tmp_path / "images")
    path = images / "benign" / "9.png"
    os.symlink("/dev/zero", path) if kind == "device" else os.mkfifo(path)
    report, text = check(f"folder:{images}")
    assert report["verdict"] == "fail"
    assert "benign/9.png" in text
    assert "not a plain file" in text
