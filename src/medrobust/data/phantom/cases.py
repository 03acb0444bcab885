"""Phantom: medical-looking images made from a seed, for demonstrations and tests that need no download.

`phantom` or `phantom:MODALITY@SIZE,count=N,seed=N`. An image depends on (modality, size, seed, index) alone: not on the
order in which images are made, nor on how many there are.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from ...errors import UserError, nearest
from ..files.pixels import Pixels
from ..images.card import DatasetCard
from ..images.image_set import ImageSet
from ..images.sample import Sample
from . import ct as phantom_ct
from . import dermoscopy as phantom_dermoscopy
from . import ultrasound as phantom_ultrasound
from .shapes import stream

CARD = DatasetCard(
    name="phantom",
    title="Images made from a seed, of no patient: breast ultrasound, lung nodules in CT, or dermoscopy",
    license="that of medrobust",
    classes=("benign", "malignant"),
    positive_class="malignant",
    group="patient, one or two images each",
    layout="none: phantom:ultrasound|ct|dermoscopy@SIZE,count=N,seed=N",
)


class Modality(NamedTuple):
    """What a kind of image is made of.

    number is its part of every seed; features are the signs of a lesion; attributes draws what is known of a patient;
    overlap are the Beta parameters of a benign lesion's suspicion (swapped for a malignant one); low, high and unit say
    what the grey levels 0 and 255 stand for.
    """

    number: int
    features: tuple[str, ...]
    attributes: Callable[[Generator, int], dict[str, str | float]]
    draw: Callable[
        [Generator, dict[str, float], dict[str, str | float], int], tuple[NDArray[np.uint8], NDArray[np.bool_]]
    ]
    overlap: tuple[float, float]
    low: float = 0.0
    high: float = 255.0
    unit: str = "grey level"


us, ct, derm = phantom_ultrasound, phantom_ct, phantom_dermoscopy
MODALITIES: dict[str, Modality] = {
    "ultrasound": Modality(0, us.FEATURES, us.attributes, us.draw, (2.0, 6.0)),
    "ct": Modality(1, ct.FEATURES, ct.attributes, ct.draw, (1.8, 7.0), ct.LOW, ct.HIGH, "HU"),
    "dermoscopy": Modality(2, derm.FEATURES, derm.attributes, derm.draw, (1.8, 7.0)),
}

# Patients have 1, 2, 1 images in turn, 2 of 5 are malignant, and of 8 they go 5 : 1 : 2 to the splits. 3, 5 and 8 have
# no common divisor, so every 120 patients (160 images) hold exactly 100 : 20 : 40 images, 40 % of each malignant.
PATIENT_OF_FOUR = (0, 1, 1, 2)
MALIGNANT_OF_FIVE = (0, 1, 0, 1, 0)
SPLIT_OF_EIGHT = ("train", "test", "train", "train", "val", "train", "test", "train")

SIGN_SPREAD = 0.2  # a lesion shows each sign to about the degree of its suspicion, with this standard deviation

COUNT = 960  # six rounds of 160: 600 train, 120 val, 240 test
SIZE = 64
_PATH = re.compile(r"(?P<modality>\w*)(@(?P<size>\w+))?(?P<options>(,\w+=\w+)*)")


@dataclass(frozen=True)
class Case:
    """All that is settled about an image before a pixel is drawn."""

    modality: str
    seed: int
    index: int
    patient: int
    label: int
    split: str
    features: tuple[float, ...]
    about: tuple[tuple[str, str | float], ...]


def describe(modality: str, seed: int, index: int) -> Case:
    """The case of an index; the images of a patient share label, split, signs of the lesion and metadata."""
    kind = MODALITIES[modality]
    patient = index // 4 * 3 + PATIENT_OF_FOUR[index % 4]
    label = MALIGNANT_OF_FIVE[patient % 5]
    rng = stream(seed, kind.number, 0, patient)
    mild, grave = kind.overlap
    suspicion = rng.beta(grave, mild) if label else rng.beta(mild, grave)
    signs = np.clip(suspicion + SIGN_SPREAD * rng.standard_normal(len(kind.features)), 0, 1)
    about = kind.attributes(rng, label)
    split = SPLIT_OF_EIGHT[patient % 8]
    return Case(modality, seed, index, patient, label, split, tuple(signs.tolist()), tuple(about.items()))


def render(case: Case, size: int) -> NDArray[np.uint8]:
    """The image of a case: (size, size) grey or (size, size, 3) colors, 8 bits."""
    return _drawn(case, size)[0]


def _drawn(case: Case, size: int) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    kind = MODALITIES[case.modality]
    rng = stream(case.seed, kind.number, 1, case.index)
    return kind.draw(rng, dict(zip(kind.features, case.features, strict=True)), dict(case.about), size)


@dataclass(frozen=True)
class Renderer:
    """Makes the pixels of a sample, whose frame is the index of the image."""

    modality: str
    size: int
    seed: int

    def __call__(self, sample: Sample) -> Pixels:
        kind = MODALITIES[self.modality]
        image = render(describe(self.modality, self.seed, sample.frame), self.size)
        values = np.atleast_3d(image).transpose(2, 0, 1)
        step = (kind.high - kind.low) / 255
        if kind.unit != Pixels.unit:  # the values of a source are in its own unit
            values = (values / 255 * (kind.high - kind.low) + kind.low).astype(np.float32)
        return Pixels(np.ascontiguousarray(values), 8, kind.low, kind.high, kind.unit, step, kind.low)


@dataclass(frozen=True)
class Lesions:
    """Which pixels of a sample show its lesion; a soft border counts where it is more than half lesion."""

    modality: str
    size: int
    seed: int

    def __call__(self, sample: Sample) -> NDArray[np.bool_]:
        return _drawn(describe(self.modality, self.seed, sample.frame), self.size)[1][None]


def open_phantom(path: str = "") -> ImageSet:
    """The phantom images that `MODALITY@SIZE,count=N,seed=N` names; every part may be left out.

    By default ultrasound, 64 pixels, 960 images (600 train, 120 val, 240 test; 40 % malignant) and seed 0.

    Errors: UserError for an unknown modality or option, or an impossible number.

    Example:
        >>> images = open_phantom("ct@32,count=160").with_split("test")
        >>> len(images), tuple(images[0][0].shape), images.source(0).unit
        (40, (3, 32, 32), 'HU')
    """
    modality, size, count, seed = parse_path(path)
    samples = []
    for index in range(count):
        case = describe(modality, seed, index)
        name, group = f"{modality}-{seed}/{index:05d}", f"{modality}-{seed}/patient-{case.patient:05d}"
        samples.append(Sample(name, None, case.label, group, case.split, dict(case.about), frame=index))
    how = modality, size, seed
    return ImageSet(CARD.name, CARD.classes, samples, card=CARD, decode=Renderer(*how), masks=Lesions(*how))


def parse_path(path: str) -> tuple[str, int, int, int]:
    """Modality, size, count and seed of `MODALITY@SIZE,count=N,seed=N`. Errors: UserError, as open_phantom.

    Example:
        >>> parse_path("dermoscopy@96,seed=3")
        ('dermoscopy', 96, 960, 3)
    """
    place, form = f"data.name: phantom:{path}", "write phantom:MODALITY@SIZE,count=N,seed=N"
    match = _PATH.fullmatch(path)
    if match is None:
        raise UserError(place, "cannot be read", form)
    modality = match["modality"] or "ultrasound"
    if modality not in MODALITIES:
        raise UserError(place, f"unknown modality {modality!r}", nearest(modality, MODALITIES))
    options = {"count": str(COUNT), "seed": "0"}
    for option in filter(None, match["options"].split(",")):
        key, _, value = option.partition("=")
        if key not in options:
            raise UserError(place, f"unknown option {key!r}", nearest(key, options))
        options[key] = value
    return (
        modality,
        _whole(place, "size", match["size"] or str(SIZE), 16, 1024),
        _whole(place, "count", options["count"], 40, 99_999),  # 40: both classes in every split
        _whole(place, "seed", options["seed"], 0, 2**32 - 1),
    )


def _whole(place: str, name: str, text: str, least: int, most: int) -> int:
    if not (text.isascii() and text.isdigit() and least <= int(text) <= most):
        raise UserError(place, f"{name} {text!r} is not a whole number from {least} to {most}")
    return int(text)
