"""What the three phantoms share: random streams, smooth noise, outlines, and grey levels."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

Array = NDArray[np.float64]
MIN_CANVAS = 128  # drawn at least this fine, then averaged down, as a scanner image is


def stream(*numbers: int) -> Generator:
    """A counter-based generator (Philox) for a tuple of whole numbers >= 0; equal tuples give equal numbers.

    Example:
        >>> bool(stream(0, 3).random() == stream(0, 3).random()), bool(stream(0, 3).random() == stream(3, 0).random())
        (True, False)
    """
    return np.random.Generator(np.random.Philox(np.random.SeedSequence(numbers)))


def mix(low: Any, high: Any, share: Any) -> Any:
    """low at share 0, high at share 1, linear between; numbers or arrays."""
    return low + (high - low) * share


def grid(n: int) -> tuple[Array, Array]:
    """Row and column centers of an n x n canvas, both in (0, 1)."""
    axis = (np.arange(n) + 0.5) / n
    return axis[:, None].repeat(n, 1), axis[None, :].repeat(n, 0)


def decay(frequencies: NDArray[Any], sigma: float) -> Array:
    """What a Gaussian blur of sigma pixels leaves of each frequency."""
    return np.asarray(np.exp(-2 * (np.pi * sigma * frequencies) ** 2))


def blur(field: NDArray[Any], rows: float, columns: float) -> NDArray[Any]:
    """Gaussian blur of the last two axes, standard deviations in pixels, real or complex; edges wrap around."""
    h, w = field.shape[-2:]
    if np.iscomplexobj(field):
        seen = np.fft.fft2(field) * decay(np.fft.fftfreq(h), rows)[:, None] * decay(np.fft.fftfreq(w), columns)
        return np.asarray(np.fft.ifft2(seen))
    seen = np.fft.rfft2(field) * decay(np.fft.fftfreq(h), rows)[:, None] * decay(np.fft.rfftfreq(w), columns)
    return np.asarray(np.fft.irfft2(seen, s=(h, w)))


def blur_inside(field: NDArray[Any], rows: float, columns: float) -> NDArray[Any]:
    """As blur, but edges are mirrored, so that what is at the top does not show at the bottom."""
    margin = 8
    mirrored = np.pad(field, [(0, 0)] * (field.ndim - 2) + [(margin, margin)] * 2, mode="reflect")
    return blur(mirrored, rows, columns)[..., margin:-margin, margin:-margin]


def smooth_noise(rng: Generator, n: int, rows: float, columns: float) -> Array:
    """Noise of mean 0 and variance 1 whose grain is rows x columns, in fractions of the canvas.

    White noise under a Gaussian blur. It is drawn on a grid only as fine as its grain asks for, and read off on n x n
    pixels from its frequencies; without BLAS, whose threads would get in the way of a loader's.
    """
    h, w = (min(n, max(8, 2 ** math.ceil(math.log2(1 / grain)))) for grain in (rows, columns))
    seen = np.fft.rfft2(rng.standard_normal((h, w)))
    seen *= decay(np.fft.fftfreq(h), rows * h)[:, None] * decay(np.fft.rfftfreq(w), columns * w)
    full = np.zeros((n, w // 2 + 1), complex)
    full[: h // 2], full[-(h // 2) :] = seen[: h // 2], seen[-(h // 2) :]
    full[0, 0] = 0  # the mean
    field = np.fft.irfft(np.fft.ifft(full, axis=0), n, axis=1)
    return np.asarray(field / np.sqrt(np.mean(field * field) + 1e-24))


def step(field: Array, width: float) -> Array:
    """A soft step: 0 where field is well under 0, 1 where it is well over; width is its softness."""
    return 0.5 * (1 + np.tanh(field / (2 * width)))


def strands(rng: Generator, n: int, rows: float, columns: float) -> Array:
    """Thin curved bright lines in [0, 1], some of them faded: the zero crossings of a smooth noise."""
    line = np.exp(-((smooth_noise(rng, n, rows, columns) / 0.12) ** 2))
    return line * step(smooth_noise(rng, n, 2 * rows, columns), 0.25)


def outline(
    rng: Generator,
    angle: Array,
    *,
    axes: tuple[float, float],
    tilt: float,
    lobes: float,
    spikes: float,
    num_spikes: int,
) -> Array:
    """The radius of a lesion's border in each direction, in fractions of the canvas.

    r(t) = ellipse(t) * (1 + lobes * harmonics(t) + spikes * narrow peaks(t))

    axes are the half height and the half width; lobes and spikes are relative sizes (0: a plain ellipse).
    """
    table = np.linspace(-np.pi, np.pi, 721)
    t = table - tilt
    ellipse = 1 / np.sqrt((np.sin(t) / axes[0]) ** 2 + (np.cos(t) / axes[1]) ** 2)
    waves = np.zeros_like(table)
    for k in range(2, 9):
        waves += rng.normal() / k**0.75 * np.cos(k * table + rng.uniform(0, 2 * np.pi))
    peaks = np.zeros_like(table)
    for _ in range(num_spikes):
        turn = np.abs((table - rng.uniform(0, 2 * np.pi) + np.pi) % (2 * np.pi) - np.pi)
        peaks = np.maximum(peaks, rng.uniform(0.3, 1.0) * np.exp(-turn / rng.uniform(0.06, 0.16)))
    return np.interp(angle, table, ellipse * np.maximum(1 + lobes * waves + spikes * peaks, 0.3))


def polar(rows: Array, columns: Array, center: tuple[float, float]) -> tuple[Array, Array]:
    """Distance from center and angle of every pixel (angle 0 along the columns)."""
    y, x = rows - center[0], columns - center[1]
    return np.hypot(y, x), np.arctan2(y, x)


def canvas_size(size: int) -> int:
    """The smallest multiple of size that is at least MIN_CANVAS."""
    return size * max(1, -(-MIN_CANVAS // size))


def to_mask(inside: Array, size: int) -> NDArray[np.bool_]:
    """Which pixels of a picture of size x size are more than half covered by a field (n, n) of shares."""
    k = inside.shape[0] // size
    return np.asarray(inside.reshape(size, k, size, k).mean(axis=(1, 3)) > 0.5)


def to_bytes(picture: Array, size: int) -> NDArray[np.uint8]:
    """Average an (n, n) or (n, n, 3) picture in [0, 1] down to size x size and round to 8 bits."""
    k = picture.shape[0] // size
    small = picture.reshape(size, k, size, k, *picture.shape[2:]).mean(axis=(1, 3))
    return np.asarray(np.rint(np.clip(small, 0, 1) * 255), dtype=np.uint8)
