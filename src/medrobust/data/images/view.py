"""How an image is shown to a classifier: grey window, channels, square, size."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import interpolate, pad

from ...errors import UserError, nearest
from ..files.pixels import BrokenImageError, Pixels, SourceRange

FITS = ("resize", "pad", "crop")
COLORS = ("rgb", "grey")
SCALES = ("source", "image", "set")


@dataclass(frozen=True)
class View:
    """The transform from a decoded image to a classifier's input, part of the cache key and of the provenance.

    Args:
        image_size: side of the square result, None to keep the size of the source.
        color: "rgb" (grey is repeated) or "grey" (ITU-R BT.601 luma).
        fit: "resize" ignores the aspect ratio; "pad" adds zeros to a square first, as Sun et al. 2022
            (arXiv:2205.01674); "crop" takes the central square first, as Joel et al. 2021
            (doi:10.1101/2021.01.17.21249704).
        window: (center, width) in the unit of the source, HU for CT; None for the file's own range.
        scale: "source" divides by the range of the source; "image" stretches every image from its own minimum and
            maximum; "set" stretches all images by the extremes of the set.

    Errors: UserError for an unknown word or an impossible number.

    Example:
        >>> View(image_size=112, fit="pad").image_size
        112
    """

    image_size: int | None = None
    color: Literal["rgb", "grey"] = "rgb"
    fit: Literal["resize", "pad", "crop"] = "resize"
    window: tuple[float, float] | None = None
    scale: Literal["source", "image", "set"] = "source"

    def __post_init__(self) -> None:
        for key, valid in (("color", COLORS), ("fit", FITS), ("scale", SCALES)):
            word = getattr(self, key)
            if word not in valid:
                raise UserError(f"data.{key}", f"unknown value {word!r}", nearest(str(word), valid))
        size: Any = self.image_size
        if size is not None and (not isinstance(size, int) or isinstance(size, bool) or size < 1):
            raise UserError("data.image_size", f"{size!r} is not a positive number of pixels")
        if self.window is not None:
            if len(self.window) != 2 or not (all(map(math.isfinite, self.window)) and self.window[1] > 0):
                raise UserError("data.window", f"{self.window!r} is not (center, width) with a positive width")
            object.__setattr__(self, "window", (float(self.window[0]), float(self.window[1])))


def pad_to_square(x: Tensor) -> Tensor:
    """(c, *spatial) with zeros around the image until its sides are equal; the odd pixel goes to the end.

    Example:
        >>> pad_to_square(torch.ones(1, 1, 4)).sum(dim=2).flatten().tolist()
        [0.0, 4.0, 0.0, 0.0]
    """
    side = max(x.shape[1:])
    widths: list[int] = []
    for length in reversed(x.shape[1:]):
        missing = side - length
        widths += [missing // 2, missing - missing // 2]
    return pad(x, widths)


def center_crop(x: Tensor) -> Tensor:
    """The central square or cube of (c, *spatial), as large as the shortest side.

    Example:
        >>> center_crop(torch.arange(4.0).reshape(1, 1, 4)).flatten().tolist()
        [1.0]
    """
    side = min(x.shape[1:])
    for axis, length in enumerate(x.shape[1:], start=1):
        x = x.narrow(axis, (length - side) // 2, side)
    return x


def resize(x: Tensor, size: int) -> Tensor:
    """Bilinear (trilinear for volumes) with antialiasing to sides of `size`; (c, h, w) or (c, d, h, w), floating point.

    A volume is resized plane by plane and then along its depth, as the filter is separable.
    """
    if all(length == size for length in x.shape[1:]):
        return x
    if x.ndim == 3:
        return _plane(x, (size, size))
    slices = _plane(x.flatten(0, 1), (size, size)).reshape(*x.shape[:2], size, size)
    columns = slices.movedim(1, 2)  # (c, h, d, w): depth becomes the first side of a plane
    resized = _plane(columns.flatten(0, 1), (size, size)).reshape(x.shape[0], size, size, size)
    return resized.movedim(1, 2).contiguous()


def _plane(x: Tensor, size: tuple[int, int]) -> Tensor:
    return interpolate(x[None], size=size, mode="bilinear", antialias=True, align_corners=False)[0]


def to_unit(pixels: Pixels, view: View) -> tuple[Tensor, SourceRange]:
    """Values of the source on [0, 1] by window, the image's own extremes, or what the file says, and that range.

    Errors: BrokenImageError when the range is not stated, or a value is NaN or infinite.
    """
    values = pixels.values
    if values.dtype.kind == "f" and not np.isfinite(values).all():
        raise BrokenImageError("NaN or infinite pixels")
    if pixels.tone is not None and view.window is None and view.scale != "image":
        shown = torch.from_numpy(pixels.tone.show(values.astype(np.float64)).astype(np.float32))
        return (1.0 - shown if pixels.inverted else shown), pixels.tone.shown
    source = pixels.source(*_ends(pixels, view))
    narrow = values.dtype.itemsize <= 2 or values.dtype == np.float32  # which float32 resolves
    x = torch.from_numpy(values.astype(np.float32 if narrow else np.float64))
    x = ((x - source.low) / ((source.high - source.low) or 1.0)).clamp_(0.0, 1.0).float()
    return (1.0 - x if pixels.inverted else x), source


def _ends(pixels: Pixels, view: View) -> tuple[float, float]:
    """The values of the source that are shown as 0 and 1."""
    if view.window is not None:
        center, width = view.window
        return center - width / 2, center + width / 2
    if view.scale != "image" and pixels.low is not None and pixels.high is not None:
        return pixels.low, pixels.high
    least, most = float(pixels.values.min()), float(pixels.values.max())
    if view.scale == "image":
        return least, most
    looks = ", they look already normalized" if least < 0 else ""
    problem = pixels.problem or f"the range of its values ({least:g} to {most:g}) is not stated{looks}"
    raise BrokenImageError(f"{problem}, give data.window=[center, width] or data.scale=image")


def apply_view(pixels: Pixels, view: View) -> tuple[np.ndarray, SourceRange]:
    """The image as the classifier sees it, rounded to the values that its source can hold.

    Returns uint8 (c, *spatial) for sources that show k / 255, uint16 for others of at most 16 bits, float32 for deeper
    ones, and the range of the source. A resized 8-bit image is thus an 8-bit image again, a windowed CT holds whole HU
    again, as they would in a file, with or without a cache.
    """
    x, source = to_unit(pixels, view)
    before = x
    if view.color == "grey" and x.shape[0] == 3:
        x = (x * torch.tensor([0.299, 0.587, 0.114]).reshape(3, *[1] * (x.ndim - 1))).sum(0, keepdim=True)
    if view.fit == "pad":
        x = pad_to_square(x)
    elif view.fit == "crop":
        x = center_crop(x)
    new = x.shape[0] != before.shape[0]
    if view.image_size is not None:
        size = x.shape
        x = resize(x, view.image_size)
        new = new or x.shape != size
    if new and source.bits < 8:  # mixed values need more levels than the source has
        source = dataclasses.replace(source, bits=8, step=(source.high - source.low) / 255, offset=source.low)
    if view.color == "rgb" and x.shape[0] == 1:
        x = x.expand(3, *x.shape[1:])
    dtype = _storage(source)
    top = 1.0 if dtype is None else float(np.iinfo(dtype).max)
    if new and abs(source.resolution * top - 1) > 1e-9:
        x = source.stored(x.double())
    if dtype is None:
        return x.float().contiguous().numpy(), source
    return (x.numpy().astype(np.float64) * top).round().clip(0, top).astype(dtype), source


def _storage(source: SourceRange) -> type[np.unsignedinteger[Any]] | None:
    """The narrowest integers that keep what a source shows; None for floating point."""
    if source.bits > 16 or 0 < source.resolution < 0.999 / 65535:
        return None
    steps = source.resolution * 255, source.origin * 255
    return np.uint8 if source.bits <= 8 and all(abs(k - round(k)) < 1e-6 for k in steps) else np.uint16
