"""A breast ultrasound image from random numbers: layers, a lesion and what lies behind it, speckle, log compression."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from .shapes import (
    Array,
    blur,
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

FEATURES = ("aspect", "margin", "spicules", "darkness", "posterior", "texture")
REFERENCE = 128  # the scanners' point spreads are in pixels of a canvas this wide
DENSITIES = ("a", "b", "c", "d")  # breast density, from fatty to dense


class Scanner(NamedTuple):
    """Looks averaged, point spread along and across the beam in pixels, dynamic range and noise floor in dB."""

    looks: int
    axial: float
    lateral: float
    span: float
    noise: float


SCANNERS = {
    "A": Scanner(5, 0.70, 1.2, 54.0, -50.0),
    "B": Scanner(4, 0.75, 1.4, 50.0, -47.0),
    "C": Scanner(3, 0.80, 1.7, 46.0, -44.0),
}


def attributes(rng: Generator, label: int) -> dict[str, str | float]:
    """Age, breast density and scanner of a patient; the malignant are older, and density falls with age."""
    age = round(float(np.clip(rng.normal((43, 58)[label], 12), 18, 90)))
    density = int(np.clip(round(rng.normal(2.5 - 0.02 * age, 0.9)), 0, 3))
    return {"age": float(age), "site": "ABC"[int(rng.choice(3, p=(0.45, 0.35, 0.2)))], "density": DENSITIES[density]}


def tissue(rng: Generator, n: int, density: float) -> Array:
    """Echogenicity in dB of skin, fat, gland and muscle, with septa and fibers; density is the share of gland."""
    v, u = grid(n)
    bend = 0.03 * smooth_noise(rng, n, 0.2, 0.25)
    fat = mix(0.38, 0.16, density) + rng.normal(0, 0.03) + 0.25 * rng.normal(0, 0.3) * (u - 0.5) + bend
    muscle = rng.uniform(0.72, 0.95) + 0.3 * rng.normal(0, 0.3) * (u - 0.5) + bend
    skin = rng.uniform(0.035, 0.055) + 0.004 * smooth_noise(rng, n, 0.5, 0.2)
    clouds = smooth_noise(rng, n, 0.05, 0.13)
    septa = strands(rng, n, 0.04, 0.22) + 0.7 * strands(rng, n, 0.02, 0.14)
    fibers = smooth_noise(rng, n, 0.012, 0.08) + 2.0 * strands(rng, n, 0.025, 0.14)
    db = -18 + 1.5 * clouds + 10 * septa
    in_gland = step(v - fat, 0.01)
    db = db + in_gland * (mix(2, 5, density) + 3.0 * fibers + 3.0 * clouds)
    in_muscle = step(v - muscle, 0.006)
    db = db * (1 - in_muscle) + in_muscle * (-27 + 10 * strands(rng, n, 0.012, 0.15))
    fascia = np.exp(-(((v - muscle) / 0.008) ** 2)) + 0.5 * np.exp(-(((v - fat) / 0.008) ** 2)) * step(clouds, 0.5)
    line = np.exp(-((v / 0.008) ** 2)) + 0.7 * np.exp(-(((v - skin) / 0.007) ** 2))
    return np.asarray(db + 9 * fascia + 8 * (1 - step(v - skin, 0.004)) + 7 * line)


def speckle(rng: Generator, db: Array, scanner: Scanner, scale: float) -> Array:
    """The envelope in dB that a scanner sees of scatterers of strength db; its point spread is scale times as wide.

    A look is the magnitude of a filtered complex Gaussian field, hence Rayleigh; the powers of the looks are averaged.
    """
    axial, lateral = scanner.axial * scale, scanner.lateral * scale
    shape = (scanner.looks, *db.shape)
    scatter = 10 ** (db / 20) * (rng.standard_normal(shape) + 1j * rng.standard_normal(shape))
    echo = blur_inside(scatter, axial, lateral)
    power = 2 * np.pi * axial * lateral * (echo.real**2 + echo.imag**2).mean(0)
    noise = 10 ** (scanner.noise / 10) * rng.standard_gamma(scanner.looks, db.shape) / scanner.looks
    return 10 * np.log10(power + noise)


def draw(
    rng: Generator, features: dict[str, float], about: dict[str, str | float], size: int
) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """One image (size, size) and its lesion (size, size); features run from 0 (benign) to 1 (malignant)."""
    n = canvas_size(size)
    v, u = grid(n)
    db = tissue(rng, n, DENSITIES.index(str(about["density"])) / 3)
    scanner = SCANNERS[str(about["site"])]

    radius = rng.uniform(0.10, 0.17)
    aspect = np.exp(mix(np.log(2.0), np.log(0.75), features["aspect"]))  # width over height
    axes = (radius / np.sqrt(aspect), radius * np.sqrt(aspect))
    center = (rng.uniform(0.34, 0.52), rng.uniform(0.32, 0.68))
    distance, angle = polar(v, u, center)
    border = outline(
        rng,
        angle,
        axes=axes,
        tilt=rng.normal(0, 0.15),
        lobes=mix(0.02, 0.13, features["margin"]),
        spikes=mix(-0.05, 0.7, features["spicules"]),
        num_spikes=int(rng.integers(5, 12)),
    )
    inside = step(border - distance, mix(0.003, 0.014, features["margin"]))

    # A capsule is specular: bright where the border faces the probe; a malignant border has a wide bright halo.
    facing = np.abs(np.sin(angle)) ** 3
    capsule = np.exp(-(((distance - border) / 0.008) ** 2)) * facing * mix(9, 0, features["margin"])
    halo = np.exp(-(((distance - 1.25 * border) / (0.3 * radius)) ** 2)) * mix(0, 5, features["margin"])
    interior = mix(-40, -28, features["darkness"]) + mix(0.8, 4.5, features["texture"]) * smooth_noise(
        rng, n, 0.03, 0.04
    )
    calcium = (rng.random((n, n)) < 0.012 * max(0.0, features["texture"] - 0.5)) * 22.0
    db = (db + halo) * (1 - inside) + inside * (interior + calcium) + capsule

    # What the sound lost or kept on its way through the lesion shows below it.
    path = blur(np.cumsum(inside, axis=0) / n, 0, 0.012 * n)
    path = path + 0.35 * np.minimum(path, 0.1) * smooth_noise(rng, n, 0.5, 0.03)
    db = db + mix(42, -95, features["posterior"]) * path
    db = db - rng.uniform(20, 50) * np.maximum(v - rng.uniform(0.35, 0.55), 0)
    shade = step(smooth_noise(rng, n, 1.0, 0.06) - 1.3, 0.3) * step(v - 0.15, 0.05)
    db = db - rng.uniform(0, 8) * shade

    seen = speckle(rng, db, scanner, n / REFERENCE)
    grey = (seen + scanner.span - 6 + rng.normal(0, 2.0)) / scanner.span
    return to_bytes(np.clip(grey, 0, 1), size), to_mask(inside, size)
