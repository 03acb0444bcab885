"""NIfTI and NumPy files to pixels: planes, color planes and volumes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from ...errors import UserError
from .pixels import Pixels

NIFTI_SUFFIXES = (".nii", ".nii.gz")
ARRAY_SUFFIXES = (".npz", ".npy")
WHOLE = -1  # frame number that stands for the whole file


def read_nifti(path: Path, frame: int = WHOLE) -> Pixels:
    """A volume (1, z, y, x), or plane `frame` along z (1, y, x), in the closest canonical (RAS) orientation.

    Values are those of the header's slope and intercept. Their range is cal_min..cal_max of the header, else that of
    8-bit values, else none, which asks for data.window or data.scale=image: MRI has no unit.

    Errors: UserError without nibabel; anything that nibabel raises, which read_pixels makes one line of.
    """
    try:
        from monai.data.image_reader import NibabelReader

        reader = NibabelReader(as_closest_canonical=True)
    except ImportError as error:
        raise UserError(str(path), "NIfTI needs nibabel", "install it: pip install 'medrobust[nifti]'") from error
    image: Any = reader.read(str(path))
    values = np.squeeze(np.asarray(reader.get_data(image)[0])).T  # x, y, z -> z, y, x
    if values.ndim not in (2, 3):
        raise ValueError(f"NIfTI of shape {image.shape}, not a plane or a volume")
    if frame != WHOLE and values.ndim == 3:
        values = values[frame]
    stored = image.get_data_dtype()
    low, high = float(image.header["cal_min"]), float(image.header["cal_max"])
    bits = 8 if stored.itemsize == 1 else 16
    if high > low:
        return Pixels(values[None], bits, low, high, "value")
    if stored == np.uint8:
        return Pixels(values[None], 8, 0.0, 255.0)
    return real_valued(values[None], bits)


def read_array(path: Path, frame: int = WHOLE) -> Pixels:
    """The array of a .npy, or `image` (or the only array) of a .npz: (h, w), (h, w, 3), (d, h, w) or (1, d, h, w).

    `frame` picks a plane along the first axis. A .npz may say low, high, bits and unit of its values; without them
    8- and 16-bit integers have their full range, and other values are those of real_valued. Pickled arrays are refused.

    Errors: ValueError for arrays of another shape, and anything that NumPy raises; read_pixels makes one line of it.
    """
    loaded = np.load(path, allow_pickle=False)
    if isinstance(loaded, np.ndarray):
        return _from_array(loaded, frame, {})
    with loaded:
        facts = {key: loaded[key].item() for key in ("low", "high", "bits", "unit") if key in loaded}
        arrays = [key for key in loaded if key not in facts]
        key = "image" if "image" in arrays else arrays[0] if len(arrays) == 1 else None
        if key is None:
            raise ValueError(f"no array 'image' among {', '.join(arrays) or 'none'}")
        return _from_array(loaded[key], frame, facts)


def _from_array(values: np.ndarray, frame: int, facts: dict[str, Any]) -> Pixels:
    if values.ndim == 4 and values.shape[0] == 1:
        values = values[0]
    if frame != WHOLE and values.ndim >= 3:
        values = values[frame]
    if values.ndim == 3 and values.shape[-1] in (3, 4):
        values = np.ascontiguousarray(values[..., :3].transpose(2, 0, 1))
    elif values.ndim in (2, 3):
        values = values[None]
    else:
        raise ValueError(f"array of shape {values.shape}, not a plane, a color plane or a volume")
    if values.dtype == bool:
        values = values.astype(np.uint8) * 255
    if "low" in facts and "high" in facts:
        bits = int(facts.get("bits", 16 if values.dtype.itemsize > 1 else 8))
        return Pixels(values, bits, float(facts["low"]), float(facts["high"]), str(facts.get("unit", "value")))
    if values.dtype in (np.uint8, np.uint16):
        return Pixels(values, values.dtype.itemsize * 8, 0.0, float(np.iinfo(values.dtype).max))
    return real_valued(values)


def real_valued(values: np.ndarray, bits: int = 16) -> Pixels:
    """Values without a stated range: inside [0, 1] they are taken as they are, else the view must give the range.

    Errors: ValueError for pixels that are not finite.
    """
    values = values.astype(np.float32)
    if not np.isfinite(values).all():
        raise ValueError("NaN or infinite pixels")
    unit = values.min() >= 0.0 and values.max() <= 1.0
    return Pixels(values, bits, 0.0 if unit else None, 1.0 if unit else None, "value")
