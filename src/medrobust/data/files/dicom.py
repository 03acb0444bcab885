"""DICOM files to pixels: stored bits, modality values, window or VOI LUT, inversion, as PS3.3 C.7.6.3 and C.11 say."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from .arrays import WHOLE, real_valued
from .kinds import kind_of
from .luts import Lut, Window, number, read_lut, read_window, whole
from .pixels import BrokenImageError, Pixels, SourceRange, Tone, affordable

CT_RANGE = (-1024.0, 3071.0)  # 12-bit CT, the convention when 16 signed bits are allocated and no window is given
GREY = ("MONOCHROME1", "MONOCHROME2")
COLOR = ("RGB", "YBR_FULL", "YBR_FULL_422", "YBR_ICT", "YBR_RCT")
_FLOATS = ("FloatPixelData", "DoubleFloatPixelData")


def is_dicom(path: Path) -> bool:
    """True for the preamble of PS3.10, or a data set without one."""
    try:
        return kind_of(path) == "dicom"
    except BrokenImageError:
        return False


def num_dicom_frames(path: Path) -> int:
    """Frames of a DICOM file, from its header."""
    from pydicom import dcmread

    header = dcmread(path, stop_before_pixels=True, specific_tags=["NumberOfFrames"], force=True)
    return whole(header, "NumberOfFrames", 1)


def read_dicom(path: Path, frame: int = WHOLE) -> Pixels:
    """One frame of a DICOM image, or all frames as a volume (1, d, h, w), as modality values: rescaled, or looked up.

    Rescale, windows and tables are those of the frame, of all frames, or of the file, whichever is nearest. low and
    high are what the window shows as black and white.

    Range: the first VOI LUT, which is preferred to a window, as pydicom does; the first window (center c, width w:
    c - 0.5 -+ (w - 1) / 2, or c -+ w / 2 for LINEAR_EXACT, or a sigmoid); without both the range that the stored bits
    can hold, for signed 16-bit CT -1024..3071 HU. MONOCHROME1 and the presentation shape INVERSE invert.

    Errors: BrokenImageError for transforms that contradict each other, are impossible, or are not known here; anything
    that pydicom raises, of which read_pixels makes one line.
    """
    from pydicom import dcmread

    data: Any = dcmread(path, force=True)
    floats = any(name in data for name in _FLOATS)
    if "PixelData" not in data and not floats:
        raise BrokenImageError("DICOM file without pixels, or cut off before them")
    frames, samples = whole(data, "NumberOfFrames", 1), whole(data, "SamplesPerPixel", 1)
    rows, columns = whole(data, "Rows", 0), whole(data, "Columns", 0)
    if frame != WHOLE and frame >= frames:
        raise BrokenImageError(f"has no frame {frame}, it holds {frames}")
    affordable(rows, columns, samples, frames if frame == WHOLE else 1)
    kind = str(data.get("PhotometricInterpretation") or "").strip()
    if kind not in (*GREY, *COLOR, "PALETTE COLOR") or (kind in COLOR) != (samples == 3):
        raise BrokenImageError(f"{samples} samples of photometric interpretation {kind!r}, which is not read")
    if kind not in GREY:
        if frames > 1 and frame == WHOLE:
            raise BrokenImageError(f"{frames} color frames, name one: the column frame of a CSV does")
        return _color(data, kind, max(frame, 0))
    chosen = range(frames) if frame == WHOLE else [frame]
    index = None if frame == WHOLE or frames == 1 else frame
    if floats:
        values = _decoded(data, index)
        return _shown(data, chosen, values[None], 16, (0.0, 0.0), floats=True)
    bits, signed = whole(data, "BitsStored"), whole(data, "PixelRepresentation", 0) == 1
    ends = (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if signed else (0, 2**bits - 1)
    values = _decoded(data, index)
    _no_supplemental_palette(data, values)
    return _shown(data, chosen, values[None], bits, ends)


def _decoded(data: Any, index: int | None) -> np.ndarray:
    """Stored values, with the unused bits of a word taken out; YBR is made RGB."""
    from pydicom.pixels import pixel_array

    _name_transfer_syntax(data)
    options: dict[str, Any] = {}
    stored, allocated = whole(data, "BitsStored", 0), whole(data, "BitsAllocated", 0)
    high = whole(data, "HighBit", 0) if "HighBit" in data else stored - 1
    shifted = "PixelData" in data and allocated > 1 and high != stored - 1
    if shifted:
        if data.file_meta.TransferSyntaxUID.is_compressed or not stored - 1 <= high < allocated:
            raise BrokenImageError(f"{stored} bits whose highest is bit {high} of {allocated}, which is not read")
        options["correct_unused_bits"] = False
    try:
        values = pixel_array(data, index=index, **options)
    except RuntimeError as error:
        if "missing dependencies" not in str(error):
            raise
        name = data.file_meta.TransferSyntaxUID.name
        fix = "pip install pylibjpeg pylibjpeg-libjpeg pylibjpeg-openjpeg"
        raise BrokenImageError(f"compressed as {name}, which needs a decoder: {fix}") from error
    values = values.astype(values.dtype.newbyteorder("="), copy=False)
    return np.asarray((values << (allocated - 1 - high)) >> (allocated - stored)) if shifted else values


def _name_transfer_syntax(data: Any) -> None:
    """A data set without a header is stored as it was read."""
    from pydicom.dataset import FileMetaDataset
    from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian

    if getattr(data, "file_meta", None) is None:
        data.file_meta = FileMetaDataset()
    if not data.file_meta.get("TransferSyntaxUID"):
        implicit, little = data.original_encoding
        explicit = ExplicitVRLittleEndian if little else ExplicitVRBigEndian
        data.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian if implicit else explicit


def _color(data: Any, kind: str, frame: int) -> Pixels:
    from pydicom.pixels import apply_color_lut

    if _rescale(data, frame) != (1.0, 0.0) or data.get("ModalityLUTSequence"):
        raise BrokenImageError("a rescale of color pixels, which is not read")
    index = frame if whole(data, "NumberOfFrames", 1) > 1 else None
    if kind == "PALETTE COLOR":
        values = apply_color_lut(_decoded(data, index), data)[..., :3]  # a fourth channel is alpha
        bits = 8 * values.dtype.itemsize
    else:
        bits = whole(data, "BitsStored")
        if whole(data, "PixelRepresentation", 0) or (kind.startswith("YBR") and bits != 8):
            raise BrokenImageError(f"signed color, or {kind} of {bits} bits, which is not read")
        values = _decoded(data, index)
    planes = np.ascontiguousarray(values.transpose(2, 0, 1))
    return Pixels(planes, bits, 0.0, float(2**bits - 1), step=1.0)


@dataclass(frozen=True)
class _Voi:
    """How a frame asks to be shown; `problem` is why it cannot be."""

    window: Window | None = None
    lut: Lut | None = None
    both: bool = False
    problem: str = ""

    @property
    def key(self) -> tuple[Any, ...]:
        table = None if self.lut is None else (self.lut.first, self.lut.bits, self.lut.entries.tobytes())
        return self.window, table, self.problem


def _shown(
    data: Any, frames: Any, stored: np.ndarray, bits: int, ends: tuple[float, float], floats: bool = False
) -> Pixels:
    """Modality values of stored ones (1, [d,] h, w) with their range.

    Args:
        frames: the numbers of the frames that `stored` holds.
        ends: least and largest stored value.
        floats: the stored values are floating point.
    """
    table = _modality_lut(data, frames, ends)
    if table is not None:
        values: np.ndarray = table(stored).astype(np.uint16)
        low, high, step, offset = 0.0, table.top, table.step, float(table.entries[0])
        kind = str(data.ModalityLUTSequence[0].get("ModalityLUTType") or "")
    else:
        scales = [_rescale(data, frame) for frame in frames]
        if len(set(scales)) == 1:
            values = _rescaled(stored, *scales[0], bits)
        else:
            values = np.stack([_rescaled(stored[0, k], *scale, bits) for k, scale in enumerate(scales)])[None]
        edges = [slope * end + intercept for slope, intercept in scales for end in ends]
        low, high, step, offset = min(edges), max(edges), abs(scales[0][0]), scales[0][1]
        if floats or any(abs(m) != step or ((b - offset) / step) % 1 for m, b in scales):
            step = 0.0  # frames of different steps have no common one
        item = _functional(data, frames[0], "PixelValueTransformationSequence", data)
        kind = str(item.get("RescaleType") or data.get("DoseUnits") or "")
    unit = "grey level" if kind == "US" else kind or ("HU" if data.get("Modality") == "CT" else "grey level")
    inverted = _inverted(data)
    voi = _voi(data, frames, (low, high))
    facts: dict[str, Any] = {"unit": unit, "step": step or None, "offset": offset, "inverted": inverted}
    if voi.problem:
        return Pixels(values, bits, None, None, problem=voi.problem, **facts)
    if voi.lut is not None:
        words = "level of the VOI LUT, which is preferred to the window" if voi.both else "level of the VOI LUT"
        shown = SourceRange(bits, 0.0, voi.lut.top, words, voi.lut.step, float(voi.lut.entries[0]), inverted)
        return Pixels(values, bits, low, high, tone=Tone(voi.lut.share, shown), **facts)
    if voi.window is not None:
        if (tone := voi.window.tone(bits, unit, inverted)) is not None:
            return Pixels(values, bits, low, high, tone=tone, **facts)
        return Pixels(values, bits, *voi.window.ends, **facts)
    if floats:
        found = real_valued(values, bits)
        return Pixels(values, bits, found.low, found.high, **facts)
    if data.get("Modality") == "CT" and bits == 16 and ends[0] < 0 and table is None:
        low, high = CT_RANGE
    return Pixels(values, bits, low, high, **facts)


def _rescaled(stored: np.ndarray, slope: float, intercept: float, bits: int) -> np.ndarray:
    """slope * stored + intercept, in float32 where that resolves the stored bits."""
    wide = bits > 16 or stored.dtype == np.float64
    if slope == 1 and not wide:
        return stored.astype(np.float32) + np.float32(intercept)
    return np.asarray(stored.astype(np.float64) * slope + intercept).astype(np.float64 if wide else np.float32)


def _functional(data: Any, frame: int, name: str, otherwise: Any) -> Any:
    """The macro `name` of a frame of an enhanced image, else that of all its frames, else the data set."""
    per_frame = data.get("PerFrameFunctionalGroupsSequence")
    if per_frame:
        if frame >= len(per_frame):
            raise BrokenImageError(f"it describes {len(per_frame)} of its frames, not frame {frame}")
        if per_frame[frame].get(name):
            return per_frame[frame].get(name)[0]
    shared = data.get("SharedFunctionalGroupsSequence")
    return shared[0].get(name)[0] if shared and shared[0].get(name) else otherwise


def _rescale(data: Any, frame: int) -> tuple[float, float]:
    """Slope and intercept of a frame; the dose scaling of radiotherapy is a slope."""
    item = _functional(data, frame, "PixelValueTransformationSequence", data)
    slope, intercept = number(item, "RescaleSlope"), number(item, "RescaleIntercept")
    if (slope is None and intercept not in (None, 0.0)) or (intercept is None and slope not in (None, 1.0)):
        raise BrokenImageError("it has half a rescale: a slope without an intercept, or an intercept without a slope")
    found = (1.0 if slope is None else slope, intercept or 0.0)
    top = number(data, "RescaleSlope"), number(data, "RescaleIntercept")
    if item is not data and top not in ((None, None), found):
        raise BrokenImageError(f"it has two rescales: {top[0]} and {top[1]} of the file, {found} of its frame")
    dose = number(data, "DoseGridScaling")
    if dose is not None:
        found = found[0] * dose, found[1] * dose
    if found[0] == 0:
        raise BrokenImageError("its rescale slope is 0, which makes all pixels alike")
    return found


def _modality_lut(data: Any, frames: Any, ends: tuple[float, float]) -> Lut | None:
    sequence = data.get("ModalityLUTSequence")
    if not sequence:
        return None
    if len(sequence) > 1 or any(_rescale(data, frame) != (1.0, 0.0) for frame in frames):
        raise BrokenImageError("it has two modality transforms: a modality LUT and another one")
    return read_lut(sequence, "modality LUT", ends=ends, little_endian=_little(data))


def _voi(data: Any, frames: Any, ends: tuple[float, float]) -> _Voi:
    found = [_frame_voi(data, frame, ends) for frame in frames]
    if any(voi.key != found[0].key for voi in found[1:]):
        return _Voi(problem="its frames have windows of their own: name a frame")
    return found[0]


def _frame_voi(data: Any, frame: int, ends: tuple[float, float]) -> _Voi:
    item = _functional(data, frame, "FrameVOILUTSequence", data)
    try:
        if not item.get("VOILUTSequence"):
            return _Voi(read_window(item))
        lut = read_lut(item.VOILUTSequence, "VOI LUT", ends=ends, little_endian=_little(data))
        return _Voi(None, lut, both=number(item, "WindowWidth") is not None)
    except BrokenImageError as error:
        return _Voi(problem=str(error))


def _little(data: Any) -> bool:
    return bool(data.file_meta.TransferSyntaxUID.is_little_endian)


def _inverted(data: Any) -> bool:
    """Small values are light: said by the photometric interpretation, or by the shape of the presentation LUT."""
    shape = str(data.get("PresentationLUTShape") or "IDENTITY").strip().upper()
    if shape not in ("IDENTITY", "INVERSE") or data.get("PresentationLUTSequence"):
        raise BrokenImageError("it has a presentation LUT, which is not read")
    return data.PhotometricInterpretation == "MONOCHROME1" or shape == "INVERSE"


def _no_supplemental_palette(data: Any, values: np.ndarray) -> None:
    """Grey below, color from the first mapped value on: such pixels are not grey (PS3.3 C.7.6.19)."""
    descriptor = data.get("RedPaletteColorLookupTableDescriptor")
    if descriptor is not None and int(values.max()) >= int(descriptor[1]):
        raise BrokenImageError("grey pixels with a supplemental color palette, which is not read")
