"""A lung-nodule crop of a CT slice from random numbers: lung, vessels, chest wall, nodule, blur and noise, in HU."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from .shapes import (
    Array,
    blur_inside,
    canvas_size,
    grid,
    mix,
    outline,
    polar,
    smooth_noise,
    step,
    strands,
    to_bytes,
    to_mask,
)

FEATURES = ("size", "lobes", "spicules", "halo", "softness", "texture")
LOW, HIGH = -1000.0, 400.0  # HU shown as 0 and 255: a lung window
REFERENCE = 128  # blur and noise grain are in pixels of a canvas this wide
FIELD_MM = 64.0  # side of the crop


class Scanner(NamedTuple):
    """Blur in pixels, standard deviation of the noise in HU, its grain in pixels."""

    blur: float
    noise: float
    grain: float


SCANNERS = {"A": Scanner(1.2, 35.0, 1.0), "B": Scanner(0.7, 60.0, 0.7), "C": Scanner(1.4, 80.0, 1.2)}


def attributes(rng: Generator, label: int) -> dict[str, str | float]:
    """Age, sex and scanner (soft kernel, sharp kernel, low dose) of a patient."""
    age = round(float(np.clip(rng.normal((58, 66)[label], 10), 30, 90)))
    site = "ABC"[int(rng.choice(3, p=(0.45, 0.35, 0.2)))]
    return {"age": float(age), "sex": "FM"[int(rng.random() < 0.5)], "site": site}


def lung(rng: Generator, n: int) -> Array:
    """Parenchyma with vessels that run and branch, and vessels cut across."""
    v, u = grid(n)
    hu = -865 + 25 * smooth_noise(rng, n, 0.2, 0.2) + 70 * strands(rng, n, 0.03, 0.03)
    root = rng.uniform(-np.pi, np.pi)  # where the hilum lies
    for _ in range(int(rng.integers(4, 8))):
        y, x = rng.uniform(-0.1, 1.0, 2)
        heading, radius = root + rng.normal(0, 0.7), rng.uniform(0.007, 0.018)
        peak, fade = rng.uniform(-350, 30), rng.uniform(0, 60)
        for _ in range(int(rng.integers(3, 9))):
            length = rng.uniform(0.03, 0.06)
            along = np.clip((v - y) * np.sin(heading) + (u - x) * np.cos(heading), 0, length)
            gap = np.hypot(v - y - along * np.sin(heading), u - x - along * np.cos(heading))
            hu = np.maximum(hu, mix(-900, peak, step(radius - gap, 0.004)))
            y, x = y + length * np.sin(heading), x + length * np.cos(heading)
            heading, radius, peak = heading + rng.normal(0, 0.25), radius * 0.88, peak - fade
    for _ in range(int(rng.integers(3, 9))):
        gap, _ = polar(v, u, (rng.random(), rng.random()))
        hu = np.maximum(hu, mix(-900, rng.uniform(-300, 40), step(rng.uniform(0.006, 0.02) - gap, 0.004)))
    return hu


def chest_wall(rng: Generator, hu: Array) -> Array:
    """Muscle, fat and ribs outside a large circle around the lung."""
    n = hu.shape[0]
    v, u = grid(n)
    side, radius, reach = rng.uniform(-np.pi, np.pi), rng.uniform(0.6, 1.1), rng.uniform(0.28, 0.75)
    gap, angle = polar(v, u, (0.5 + (reach - radius) * np.sin(side), 0.5 + (reach - radius) * np.cos(side)))
    depth = gap - radius - 0.01 * smooth_noise(rng, n, 0.1, 0.1)
    wall = 45 - 150 * step(depth - rng.uniform(0.11, 0.2), 0.008) + 20 * smooth_noise(rng, n, 0.05, 0.05)
    for offset in (rng.uniform(-0.5, 0.0), rng.uniform(0.25, 0.7)):  # ribs
        turn = (angle - side - offset + np.pi) % (2 * np.pi) - np.pi
        bone = np.hypot(turn * radius / rng.uniform(0.08, 0.16), (depth - 0.06) / 0.028)
        wall = wall + step(1 - bone, 0.05) * (mix(700, 150, step(0.62 - bone, 0.08)) - wall)
    return np.asarray(mix(hu, wall, step(depth, 0.004)))


def draw(
    rng: Generator, features: dict[str, float], about: dict[str, str | float], size: int
) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """One crop (size, size) and its lesion (size, size); features run from 0 (benign) to 1 (malignant)."""
    n = canvas_size(size)
    v, u = grid(n)
    scanner, scale = SCANNERS[str(about["site"])], n / REFERENCE
    hu = chest_wall(rng, lung(rng, n))

    radius = np.exp(mix(np.log(3.5), np.log(10.0), features["size"])) * rng.uniform(0.85, 1.15) / FIELD_MM
    stretch = np.exp(rng.normal(0, 0.1))
    distance, angle = polar(v, u, (0.5 + rng.normal(0, 0.03), 0.5 + rng.normal(0, 0.03)))
    border = outline(
        rng,
        angle,
        axes=(radius * stretch, radius / stretch),
        tilt=rng.uniform(-np.pi, np.pi),
        lobes=mix(0.02, 0.16, features["lobes"]),
        spikes=mix(-0.1, 1.2, features["spicules"]),
        num_spikes=int(rng.integers(5, 12)),
    )
    inside = step(border - distance, mix(0.003, 0.016, features["softness"]))
    glass = step(radius * mix(1.0, 1.9, features["halo"]) - distance, 0.03) * mix(-0.3, 1.0, features["halo"])
    grain = mix(10, 160, features["texture"]) * smooth_noise(rng, n, 0.025, 0.025)
    body = mix(70, -40, features["softness"]) + grain
    calcium = 350 * step(0.45 * radius - distance, 0.01) * (features["texture"] < 0.3) * (rng.random() < 0.3)
    hu = np.maximum(hu, mix(hu, -560 + grain, np.clip(glass, 0, 1)))
    hu = np.maximum(hu, mix(hu, body + calcium, inside))

    seen = blur_inside(hu, scanner.blur * scale, scanner.blur * scale)
    noise = smooth_noise(rng, n, scanner.grain * scale / n, scanner.grain * scale / n)
    seen = seen + scanner.noise * rng.uniform(0.7, 1.3) * noise
    return to_bytes(np.clip((seen - LOW) / (HIGH - LOW), 0, 1), size), to_mask(inside, size)
