"""Corruptions by their names, and which of them happen to which kind of image. Adding one is a function and a line."""

from __future__ import annotations

from collections.abc import Sequence

from ..errors import UserError, nearest
from . import blur, geometry, light, noise, scanner
from .base import SIGNS, Corruption

_SIDE = f"in pixels of a side of {blur.SIDE}"
_SD = "standard deviation, of black to white"
_ALL = (
    Corruption("gaussian_noise", "noise", _SD, 0, (0.02, 0.04, 0.07, 0.11, 0.16), noise.gaussian),
    Corruption("speckle_noise", "noise", "standard deviation, of the pixel", 0,
               (0.1, 0.2, 0.3, 0.45, 0.6), noise.speckle),
    Corruption("poisson_noise", "noise", "1 / photons of a white pixel", 0,
               (0.002, 0.005, 0.01, 0.02, 0.04), noise.poisson),
    Corruption("impulse_noise", "noise", "share of pixels", 0, (0.005, 0.01, 0.02, 0.05, 0.1), noise.impulse),
    Corruption("rician_noise", "noise", _SD, 0, (0.02, 0.04, 0.07, 0.11, 0.16), noise.rician),
    Corruption("gaussian_blur", "blur", f"standard deviation {_SIDE}", 0, (1, 2, 3, 4.5, 6), blur.gaussian_blur, 1),
    Corruption("motion_blur", "blur", f"length {_SIDE}", 0, (4, 8, 12, 18, 26), blur.motion_blur),
    Corruption("down_sampling", "resolution", "factor of each side", 1, (1.5, 2, 3, 4.5, 7), blur.down_sampling, 1),
    Corruption("jpeg", "resolution", "quality", 100, (70, 50, 30, 15, 7), blur.jpeg, 1),
    Corruption("brighter", "light", "added, of black to white", 0,
               (0.05, 0.1, 0.15, 0.2, 0.3), light.brightness, 1),
    Corruption("darker", "light", "added, of black to white", 0,
               (-0.05, -0.1, -0.15, -0.2, -0.3), light.brightness, 1),
    Corruption("less_contrast", "light", "factor", 1, (0.8, 0.65, 0.5, 0.35, 0.2), light.contrast, 1),
    Corruption("more_contrast", "light", "factor", 1, (1.2, 1.4, 1.7, 2.1, 2.6), light.contrast, 1),
    Corruption("gamma_up", "light", "exponent", 1, (1.2, 1.4, 1.7, 2.1, 2.6), light.gamma, 1),
    Corruption("gamma_down", "light", "exponent", 1, (0.85, 0.72, 0.6, 0.48, 0.38), light.gamma, 1),
    Corruption("window_shift", "light", "share of the window", 0,
               (0.03, 0.06, 0.1, 0.16, 0.25), light.window_shift, SIGNS),
    Corruption("vignette", "light", "share lost in the corners", 0, (0.15, 0.3, 0.45, 0.6, 0.8), light.vignette, 1),
    Corruption("less_saturation", "color", "factor", 1, (0.8, 0.6, 0.4, 0.2, 0.0), light.saturation, 1),
    Corruption("more_saturation", "color", "factor", 1, (1.2, 1.5, 1.8, 2.2, 2.8), light.saturation, 1),
    Corruption("hue", "color", "share of the circle", 0, (0.01, 0.02, 0.035, 0.055, 0.08), light.hue, SIGNS),
    Corruption("bias_field", "scanner", "largest logarithm of the gain", 0,
               (0.1, 0.2, 0.35, 0.55, 0.8), scanner.bias_field),
    Corruption("ghosting", "scanner", "share of every second line", 0,
               (0.1, 0.2, 0.3, 0.45, 0.6), scanner.ghosting, 1),
    Corruption("spikes", "scanner", "height of the stripes", 0, (0.02, 0.04, 0.07, 0.11, 0.16), scanner.spikes),
    Corruption("gibbs", "scanner", "share of the radius of k-space cut off", 0,
               (0.5, 0.6, 0.7, 0.78, 0.85), scanner.gibbs, 1),
    Corruption("shadow", "scanner", "share of the brightness lost", 0, (0.2, 0.35, 0.5, 0.7, 0.9), scanner.shadow),
    Corruption("marker", "scanner", "arms, of half a side", 0, (0.05, 0.08, 0.12, 0.17, 0.25), scanner.marker),
    Corruption("rotation", "geometry", "degrees", 0, (2, 5, 10, 15, 25), geometry.rotation, SIGNS),
    Corruption("shift", "geometry", "share of a side", 0, (0.01, 0.025, 0.05, 0.08, 0.12), geometry.shift),
    Corruption("crop", "geometry", "share of a side cut off", 0, (0.03, 0.06, 0.1, 0.16, 0.25), geometry.crop),
)  # fmt: skip
CORRUPTIONS: dict[str, Corruption] = {one.name: one for one in _ALL}
_ANY = ("gaussian_blur", "down_sampling", "jpeg", "less_contrast", "more_contrast", "gamma_up", "gamma_down",
        "rotation", "shift", "crop")  # fmt: skip
_PHOTO = ("gaussian_noise", "impulse_noise", "motion_blur", "brighter", "darker", "less_saturation", "more_saturation",
          "hue", *_ANY)  # fmt: skip
MODALITIES: dict[str, tuple[str, ...]] = {
    "dermoscopy": ("vignette", "marker", *_PHOTO),
    "pathology": ("vignette", *_PHOTO),
    "xray": ("gaussian_noise", "poisson_noise", "impulse_noise", "motion_blur", "brighter", "darker", "marker", *_ANY),
    "ct": ("gaussian_noise", "poisson_noise", "motion_blur", "window_shift", *_ANY),
    "mri": ("rician_noise", "motion_blur", "bias_field", "ghosting", "spikes", "gibbs", *_ANY),
    "ultrasound": ("speckle_noise", "gaussian_noise", "bias_field", "shadow", "marker", "brighter", "darker", *_ANY),
    "oct": ("speckle_noise", "gaussian_noise", "motion_blur", "shadow", "brighter", "darker", *_ANY),
}


def choose(names: Sequence[str], place: str = "corruptions") -> tuple[Corruption, ...]:
    """The corruptions of modalities, of `all`, or by name, each once, in the order of CORRUPTIONS.

    Errors: UserError for an unknown name.

    Example:
        >>> [one.name for one in choose(["rotation", "gaussian_blur"])]
        ['gaussian_blur', 'rotation']
    """
    wanted: set[str] = set()
    for name in names:
        if name not in CORRUPTIONS and name not in MODALITIES and name != "all":
            raise UserError(place, f"unknown corruption {name!r}", nearest(name, [*MODALITIES, "all", *CORRUPTIONS]))
        wanted |= set(CORRUPTIONS) if name == "all" else set(MODALITIES.get(name, (name,)))
    return tuple(one for one in _ALL if one.name in wanted)
