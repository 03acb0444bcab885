"""NIfTI files to pixels: planes and volumes."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import numpy as np

from ...errors import UserError
from .arrays import WHOLE, real_valued
from .pixels import BrokenImageError, Pixels, affordable

__all__ = ["WHOLE", "read_nifti"]


def read_nifti(path: Path, frame: int = WHOLE) -> Pixels:
    """A volume (1, z, y, x), or plane `frame` along z (1, y, x), in the closest canonical (RAS) orientation.

    Values are those of the header's slope and intercept. Their range is cal_min..cal_max of the header, else that of
    8-bit values, else none, which asks for data.window or data.scale=image: MRI has no unit.

    Errors: UserError without nibabel; anything that nibabel raises, which read_pixels makes one line of.
    """
    try:
        from nibabel import Nifti1Image, Nifti2Image, as_closest_canonical
    except ImportError as error:
        raise UserError(str(path), "NIfTI needs nibabel", "install it: pip install 'medrobust[nifti]'") from error
    with _opened(path) as file:
        head = file.read(348)
        file.seek(0)
        second = head[4:7] in (b"n+2", b"ni2")
        if b"ni1" in head[344:347] or head[4:7] == b"ni2":
            raise BrokenImageError("the header of a NIfTI pair (.hdr and .img): convert it to one .nii file")
        image: Any = (Nifti2Image if second else Nifti1Image).from_stream(file)
        affordable(*image.shape)
        stored = image.get_data_dtype()
        if stored.kind not in "biuf":
            raise ValueError(f"NIfTI voxels of {stored}, not of numbers")
        slope, inter = _scaling(image)
        image = as_closest_canonical(image)
        values = np.squeeze(np.asanyarray(image.dataobj)).T  # x, y, z -> z, y, x
    if values.ndim not in (2, 3):
        raise ValueError(f"NIfTI of shape {image.shape}, not a plane or a volume")
    values = values.astype(values.dtype.newbyteorder("="), copy=False)
    if frame != WHOLE and values.ndim == 3:
        values = values[frame]
    elif frame > 0:
        raise ValueError(f"has no plane {frame}, it is one plane")
    bits = 8 if stored.itemsize == 1 else 16
    step = None if stored.kind == "f" else abs(slope)
    low, high = float(image.header["cal_min"]), float(image.header["cal_max"])
    if not high > low and stored == np.uint8:
        low, high = sorted((inter, inter + 255 * slope))
    if high > low:
        plain = stored == np.uint8 and (slope, inter) == (1.0, 0.0)
        return Pixels(values[None], bits, low, high, "grey level" if plain else "value", step, inter)
    return real_valued(values[None], bits, step=step, offset=inter)


def _scaling(image: Any) -> tuple[float, float]:
    """Slope and intercept as nibabel applies them; a slope of 0 in the file means none."""
    proxy = image.dataobj
    return float(getattr(proxy, "slope", 1.0)), float(getattr(proxy, "inter", 0.0))


def _opened(path: Path) -> Any:
    with open(path, "rb") as file:
        packed = file.read(2) == b"\x1f\x8b"
    return gzip.open(path) if packed else open(path, "rb")
