"""Pictures for a made run, as an audit keeps them: a scan with a dark lesion, the change, the changed scan."""

from __future__ import annotations

import json
import math
import struct
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np


def png(pixels: np.ndarray) -> bytes:
    """An 8-bit grey (h, w) or RGB (h, w, 3) PNG."""
    height, width = pixels.shape[:2]
    rows = b"".join(b"\0" + row.tobytes() for row in pixels.astype(np.uint8))

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", width, height, 8, 2 if pixels.ndim == 3 else 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows, 9)) + chunk(b"IEND", b"")


def scan(size: int, seed: int) -> np.ndarray:
    """A picture in [0, 1] that looks a little like an ultrasound of a dark lesion."""
    v, u = np.mgrid[0:size, 0:size] / size
    speckle = np.random.default_rng(seed).rayleigh(0.55, (size, size))
    for axis in (0, 1):
        speckle = (np.roll(speckle, 1, axis) + speckle + np.roll(speckle, -1, axis)) / 3
    away = np.hypot((u - 0.5 - 0.1 * math.sin(seed)) / 0.24, (v - 0.45) / (0.16 + 0.03 * (seed % 3)))
    return np.clip(speckle * (0.25 + 0.75 / (1 + np.exp(-(away - 1) * 12))) * (1.1 - 0.7 * v) * 0.7, 0, 1)


def make_pictures(
    folder: Path,
    ids: Sequence[str],
    budgets: Sequence[tuple[str, float]],
    *,
    num_classes: int,
    size: int,
    attack: str,
    half: float,
) -> None:
    """Write gallery.json and its PNG files; image i turns at about (1 + i) / 2 times half, in steps of a grey level."""
    folder.mkdir(exist_ok=True)
    images = []
    for i, image_id in enumerate(ids):
        x, label = scan(size, i), i % num_classes
        before = np.full(num_classes, 0.04 / max(1, num_classes - 1))
        before[label] = 0.96
        (folder / f"{i:06d}_clean.png").write_bytes(png(np.round(255 * x)))
        frames: list[dict[str, Any]] = []
        for j, (norm, epsilon) in enumerate(budgets):
            step = epsilon if norm == "linf" else epsilon / size
            wave = np.sin(np.arange(size) / (3 + i))
            noise = np.sign(np.random.default_rng([i, j]).normal(size=(size, size)) + wave)
            turned = 1 / (1 + (half * (1 + i) / 2 / step) ** 2)
            after = before * (1 - turned)
            after[(label + 1) % num_classes] += turned
            stem = f"{i:06d}_{norm}_{j:02d}"
            (folder / f"{stem}_adversarial.png").write_bytes(png(np.round(255 * np.clip(x + step * noise, 0, 1))))
            (folder / f"{stem}_perturbation.png").write_bytes(png(np.round(127.5 + 127.5 * noise)))
            frames.append(
                {
                    "norm": norm,
                    "epsilon": epsilon,
                    "attack": attack,
                    "prediction": int(after.argmax()),
                    "probabilities": after.round(6).tolist(),
                    "adversarial_png": f"{stem}_adversarial.png",
                    "perturbation_png": f"{stem}_perturbation.png",
                    "amplification": round(0.5 / step, 1),
                }
            )
        images.append(
            {
                "image_id": image_id,
                "group_id": f"patient-{i:03d}",
                "label": label,
                "clean_prediction": int(before.argmax()),
                "clean_probabilities": before.tolist(),
                "why": ("most fragile", "most fragile", "most robust", "random")[i % 4],
                "clean_png": f"{i:06d}_clean.png",
                "frames": frames,
            }
        )
    (folder / "gallery.json").write_text(json.dumps({"images": images}), encoding="utf-8")
