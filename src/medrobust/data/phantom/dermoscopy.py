"""A dermoscopic image from random numbers: skin, melanin and blood as absorbers, blue veil, hairs, vignette."""

from __future__ import annotations

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

FEATURES = ("asymmetry", "border", "edge", "colors", "veil", "structure")
SKIN = {"light": (0.90, 0.73, 0.70), "medium": (0.82, 0.60, 0.50), "dark": (0.56, 0.39, 0.31)}
MELANIN = np.array((0.75, 1.55, 2.1))  # absorption of red, green and blue by one unit of pigment
BLOOD = np.array((0.08, 0.75, 0.6))
VEIL = np.array((0.42, 0.46, 0.56))
SITES = ("back", "lower extremity", "trunk", "face")


def attributes(rng: Generator, label: int) -> dict[str, str | float]:
    """Age, sex, skin tone and localization of a patient."""
    return {
        "age": float(round(float(np.clip(rng.normal((45, 60)[label], 14), 10, 90)))),
        "sex": "FM"[int(rng.random() < 0.5)],
        "skin_tone": tuple(SKIN)[int(rng.choice(3, p=(0.5, 0.35, 0.15)))],
        "localization": SITES[int(rng.integers(len(SITES)))],
    }


def skin(rng: Generator, n: int, tone: str) -> Array:
    """Skin with uneven redness, fine furrows and a color cast of lamp and camera."""
    base = np.array(SKIN[tone]) * np.exp(rng.normal(0, 0.05) + rng.normal(0, 0.025, 3))
    blood = rng.uniform(0, 0.5) + 0.05 * smooth_noise(rng, n, 0.2, 0.2) + 0.03 * smooth_noise(rng, n, 0.012, 0.012)
    spots = rng.uniform(0.01, 0.04) * smooth_noise(rng, n, 0.02, 0.02) + 0.04 * strands(rng, n, 0.02, 0.02)
    return base * np.exp(-blood[..., None] * BLOOD - spots[..., None] * MELANIN)


def hairs(rng: Generator, n: int, count: int) -> Array:
    """How much of each pixel is hidden by hairs, arcs of large circles."""
    v, u = grid(n)
    hidden = np.zeros((n, n))
    for _ in range(count):
        radius, side = rng.uniform(0.4, 2.0), rng.uniform(-np.pi, np.pi)
        y, x = rng.random(2)
        gap, angle = polar(v, u, (y - radius * np.sin(side), x - radius * np.cos(side)))
        turn = np.abs((angle - side + np.pi) % (2 * np.pi) - np.pi) * radius
        reach = step(rng.uniform(0.15, 0.5) - turn, 0.02)
        hidden = np.maximum(hidden, reach * np.exp(-(((gap - radius) / 0.0045) ** 2)))
    return hidden


def draw(
    rng: Generator, features: dict[str, float], about: dict[str, str | float], size: int
) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """One image (size, size, 3) and its lesion (size, size); features run from 0 (benign) to 1 (malignant)."""
    n = canvas_size(size)
    v, u = grid(n)
    picture = skin(rng, n, str(about["skin_tone"]))

    radius, stretch = rng.uniform(0.17, 0.31), np.exp(rng.normal(0, 0.16))
    distance, angle = polar(v, u, (0.5 + rng.normal(0, 0.04), 0.5 + rng.normal(0, 0.04)))
    ragged = 0.006 * smooth_noise(rng, n, 0.012, 0.012) + 0.02 * features["border"] * smooth_noise(rng, n, 0.03, 0.03)
    distance = distance + ragged
    border = outline(
        rng,
        angle,
        axes=(radius * stretch, radius / stretch),
        tilt=rng.uniform(-np.pi, np.pi),
        lobes=mix(0.02, 0.17, features["border"]),
        spikes=0.1 * features["border"],
        num_spikes=int(rng.integers(3, 8)),
    )
    # The rim fades evenly in a benign lesion; in a malignant one it stops abruptly on one side.
    abrupt = 0.5 + 0.5 * np.cos(angle - rng.uniform(-np.pi, np.pi))
    inside = step(border - distance, mix(0.022, 0.006, features["edge"] * abrupt))
    depth = np.clip(1 - distance / border, 0, 1)

    lopsided = mix(0.0, 1.0, features["asymmetry"]) * smooth_noise(rng, n, 0.11, 0.11)
    blotches = smooth_noise(rng, n, 0.035, 0.035) + 0.8 * smooth_noise(rng, n, 0.015, 0.015)
    blotches = mix(0.08, 0.4, features["structure"]) * blotches
    network = mix(0.35, 0.15, features["structure"]) * strands(rng, n, 0.016, 0.016)
    globules = 0.9 * step(smooth_noise(rng, n, 0.014, 0.014) - mix(3.2, 1.7, features["structure"]), 0.1)
    pigment = mix(0.65, 0.95, features["colors"]) * rng.uniform(0.7, 1.25) * (0.75 + 0.45 * depth)
    pigment = inside * np.maximum(pigment * (1 + 0.5 * lopsided) + 0.6 * (blotches + network) + globules - 0.1, 0.05)
    red = inside * mix(0.1, 1.3, features["colors"]) * step(smooth_noise(rng, n, 0.07, 0.07) - 0.6, 0.4)
    veil = inside * mix(-0.15, 0.75, features["veil"]) * step(smooth_noise(rng, n, 0.06, 0.06) - 0.7, 0.5)
    picture = picture * np.exp(-pigment[..., None] * MELANIN - red[..., None] * BLOOD)
    picture = mix(picture, VEIL * rng.uniform(0.8, 1.2), np.clip(veil * (0.4 + 0.6 * depth), 0, 1)[..., None])

    hidden = hairs(rng, n, int(rng.poisson(2.5)))[..., None]
    picture = picture * (1 - 0.75 * hidden)
    center, _ = polar(v, u, (0.5, 0.5))
    tube = 0.9 * (rng.random() < 0.1) * step(center - 0.62, 0.015)  # the round field of a hand-held dermatoscope
    picture = picture * (1 - rng.uniform(0, 0.35) * center**2 - tube)[..., None]
    picture = np.moveaxis(blur_inside(np.moveaxis(picture, -1, 0), 0.6, 0.6), 0, -1)
    picture = picture + 0.012 * rng.standard_normal(picture.shape)
    return to_bytes(np.clip(picture, 0, 1), size), to_mask(inside, size)
