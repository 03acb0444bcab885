"""Which images a model was trained on, by their content: the split table that training leaves beside its weights."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ...errors import UserError
from ..images.contents import file_keys, pixel_keys
from ..images.image_set import ImageSet
from ..images.sample import Sample
from ..images.tables import read_table
from .split_rules import write_split

TABLE = "splits.csv"
FILE, PIXELS = "file_sha256", "pixels_sha256"
USED = ("train", "val")


@dataclass(frozen=True)
class Trained:
    """The split of images in training by what identifies them.

    Args:
        files: key of the file -> split, see file_keys.
        pixels: key of the pixels as training saw them -> split.
        names: image_id -> split; says something only of the set that was trained on.
    """

    files: Mapping[str, str]
    pixels: Mapping[str, str]
    names: Mapping[str, str]

    @property
    def by_content(self) -> bool:
        """Whether images can be told whatever they are called; tables of before knew names alone."""
        return bool(self.files or self.pixels)

    def used_files(self, samples: Sequence[Sample], *, same_set: bool) -> set[str]:
        """Ids of the images whose files training used, to train or to choose the epoch; nothing is decoded.

        Args:
            same_set: the images are of the set that was trained on, so that names tell what a table of before knows.
        """
        if not self.by_content:
            return {s.image_id for s in samples if same_set and self.names.get(s.image_id) in USED}
        if not self.files:
            return set()
        return {name for name, key in file_keys(samples).items() if key and self.files.get(key) in USED}

    def counts(self, images: ImageSet, *, same_set: bool = False) -> Counter[str]:
        """Split in training -> number of these images, by file, pixels or (in the same set) name; new ones in none."""
        pixels = pixel_keys(images)
        found: Counter[str] = Counter()
        for name, key in file_keys(images.samples).items():
            splits = {self.files.get(key) if key else None, self.pixels.get(pixels[name])}
            splits |= {self.names.get(name)} if same_set else set()
            found.update(next(([split] for split in (*USED, "test") if split in splits), []))
        return found


def read_trained(folder: Path) -> Trained | None:
    """The table of a checkpoint folder, or of the run whose last/ it is; None without one."""
    places = [folder, *([folder.parent] if folder.name == "last" else [])]
    path = next((place / TABLE for place in places if (place / TABLE).is_file()), None)
    if path is None:
        return None
    rows = read_table(path, ("image_id", "split"))
    by: dict[str, dict[str, str]] = {FILE: {}, PIXELS: {}, "image_id": {}}
    for column, known in by.items():
        for row in rows:
            key = row.get(column)
            if key and known.get(key) != "train":  # of two images alike, the one trained on tells
                known[key] = row["split"]
    return Trained(by[FILE], by[PIXELS], by["image_id"])


def write_trained(path: Path, images: ImageSet, train: ImageSet, val: ImageSet) -> None:
    """Write which image is in train and val and what identifies it; what is in neither is left for testing."""
    names = {s.image_id: "train" for s in train.samples} | {s.image_id: "val" for s in val.samples}
    samples = [dataclasses.replace(s, split=names.get(s.image_id, "test")) for s in images.samples]
    known = {sample.image_id for sample in samples}
    more = [dataclasses.replace(s, split="train") for s in train.samples if s.image_id not in known]  # unlabeled ones
    shown = {**pixel_keys(images), **pixel_keys(train.replace(samples=more))}
    whole = images.replace(samples=[*samples, *more])
    write_split(path, whole, columns={FILE: file_keys(whole.samples), PIXELS: shown})


def left_out(images: ImageSet, chosen: Sequence[Sample], trained: Trained, *, same_set: bool) -> tuple[Sample, ...]:
    """Those of the chosen samples that training did not use.

    Errors: UserError when it used all of them.
    """
    used = trained.used_files(chosen, same_set=same_set)
    kept = tuple(sample for sample in chosen if sample.image_id not in used)
    if not kept:
        reason = f"all {len(chosen)} images of {images.name} were used in the training of this model"
        raise UserError("data.split", reason, "give images that it has not seen")
    return kept
