"""Images without labels, for objectives that can learn from them. Their label is UNLABELED."""

from __future__ import annotations

import dataclasses
import hashlib
from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path

from ..errors import UserError
from .images.hashes import content_hashes
from .images.image_set import ImageSet
from .images.loading import verify
from .images.sample import Sample
from .images.store import Progress, Store, Stored
from .images.tables import read_table
from .images.view import View
from .sets.folder import frame_samples, require_folder, visible_files, visible_folders
from .sets.masks import find_masks, is_mask_folder

UNLABELED = -1


def hide_labels(images: ImageSet, share: float, seed: int = 0) -> ImageSet:
    """The set with this share of every class without labels, whole groups at a time, chosen by seed.

    Errors: UserError when the share is not from 0 to below 1, or a class would have no label left.

    Example:
        >>> from medrobust.testing.image_sets import tiny_set
        >>> labels = hide_labels(tiny_set(num_images=20), 0.5).labels
        >>> int((labels == UNLABELED).sum())
        10
    """
    if not 0 <= share < 1:
        raise UserError("data.hide_labels", f"{share:g} is not a share from 0 to below 1", "for example 0.8")
    members: defaultdict[str, list[int]] = defaultdict(list)
    for position, sample in enumerate(images.samples):
        members[sample.group_id].append(position)
    room = {label: share * count for label, count in Counter(s.label for s in images.samples).items()}
    hidden: set[int] = set()
    for group in sorted(members, key=lambda name: hashlib.sha256(f"hide|{seed}|{name}".encode()).digest()):
        counts = Counter(images.samples[i].label for i in members[group])
        if all(room[label] >= count - 1e-9 for label, count in counts.items()):
            hidden.update(members[group])
            for label, count in counts.items():
                room[label] -= count
    return images.replace(
        samples=[
            dataclasses.replace(sample, label=UNLABELED) if i in hidden else sample
            for i, sample in enumerate(images.samples)
        ]
    )


def open_unlabeled(
    spec: str, like: ImageSet, *, seed: int = 0, skip_broken: bool = False, progress: Progress | None = None
) -> ImageSet:
    """Images without labels, shown as those of `like` are, and without those whose files `like` holds as well.

    folder:PATH takes every image below PATH, in whatever folders; other names are opened as open_images does, and
    their labels are dropped.

    Errors: UserError, as open_images, and when nothing is left.
    """
    name, _, path = spec.partition(":")
    if name == "folder":
        root = require_folder(path, name)
        samples: list[Sample] = []
        files = list(visible_files(root))
        masks = find_masks(file.relative_to(root) for file in files)
        if masks:
            problem = f"{len(masks)} files look like masks of images, for example {masks[0].as_posix()}"
            raise UserError(str(root), problem, "keep masks outside of it")
        for file in files:
            relative = file.relative_to(root).as_posix()
            samples += frame_samples(Sample(relative, file, UNLABELED, relative))
        images = ImageSet(root.name or name, like.classes, samples, view=like.view, seed=seed)
    else:
        from .open import list_images

        images = list_images(spec, seed=seed).replace(view=like.view, classes=like.classes)
    images = images.replace(extremes=like.extremes)
    known = set(_contents(like.samples).values())
    contents = _contents(images.samples)
    kept = [
        dataclasses.replace(sample, label=UNLABELED, split="train")
        for sample in images.samples
        if contents.get(sample.image_id) not in known
    ]
    if not kept:
        raise UserError("data.unlabeled", f"{spec} has no image that the labeled set has not", "leave it out")
    return verify(images.replace(samples=kept), skip_broken=skip_broken, progress=progress)


def open_plain(
    spec: str,
    classes: Sequence[str],
    *,
    view: View | None = None,
    extremes: tuple[float, float] | None = None,
    skip_masks: bool = False,
    progress: Progress | None = None,
) -> ImageSet:
    """Images of which nothing is known but the file, to be answered; those that cannot be read are in .broken.

    Args:
        spec: a folder, of which every file is taken, one file, or csv:FILE with a column image (path relative to it).
        classes: of the classifier that will answer.
        view, extremes: see ImageSet.
        skip_masks: files of a folder that are named as masks of others there are masks and no images.
        progress: told of the progress of decoding.

    Errors: UserError when there is no file, or none that can be read.
    """
    kind, _, rest = spec.partition(":")
    if kind == "csv":
        table = Path(rest).expanduser()
        root, names = table.parent, [row["image"] for row in read_table(table, ("image",))]
    else:
        place = Path(rest if kind == "folder" else spec).expanduser()
        root = place if place.is_dir() else place.parent
        if not place.exists():
            raise UserError(spec, "no such file or folder", "give a folder, a file, or csv:FILE")
        names = [f.relative_to(root).as_posix() for f in visible_files(place)] if place.is_dir() else [place.name]
    samples = [
        one
        for name in dict.fromkeys(names)
        for one in frame_samples(Sample(Path(name).as_posix(), root / name, UNLABELED, name))
    ]
    if skip_masks:
        masks = {path.as_posix() for path in find_masks(Path(name) for name in names)}
        samples = [sample for sample in samples if sample.group_id not in masks]
    if not samples:
        raise UserError(spec, "has no image in it", "give a folder, a file, or csv:FILE")
    images = ImageSet(root.name or "images", classes, samples, view=view, extremes=extremes)
    return verify(images, skip_broken=True, progress=progress)


def comes_without_labels(spec: str) -> bool:
    """Whether a place holds images without labels: a file, a folder without two class folders, a csv: without labels.

    What a data set's name begins with has labels, and so has a folder with two or more folders of images. A path that
    is nowhere counts as one without, so that it is refused as a path.

    Errors: UserError for a table or a folder that cannot be read.
    """
    kind, colon, rest = spec.partition(":")
    if kind == "csv" and colon:
        table = Path(rest).expanduser()
        return table.is_file() and "label" not in read_table(table, ("image",))[0]
    place = Path(spec).expanduser()
    if place.is_file():
        return True
    if not place.is_dir():
        return not colon and ("/" in spec or bool(place.suffix))
    folders = [folder for folder in visible_folders(place) if not is_mask_folder(folder.name)]
    return sum(any(True for _ in visible_files(folder)) for folder in folders) < 2


def _contents(samples: Sequence[Sample]) -> dict[str, str]:
    """image_id -> SHA-256 of the file and the number of the frame, for images that are files."""
    hashes = content_hashes(sample.path for sample in samples if sample.path is not None)
    return {s.image_id: f"{hashes[s.path]}#{s.frame}" for s in samples if s.path is not None}


class _JointStore:
    """The store of each part, told apart by the start of the id."""

    def __init__(self, first: Store, second: Store) -> None:
        self._first, self._second = first, second

    def get(self, sample: Sample) -> Stored:
        prefix, _, image_id = sample.image_id.partition("/")
        if prefix != _PREFIX:
            return self._first.get(sample)
        return self._second.get(dataclasses.replace(sample, image_id=image_id))


_PREFIX = "(unlabeled)"


def join(images: ImageSet, unlabeled: ImageSet) -> ImageSet:
    """One set of both; the ids and groups of the second start with "(unlabeled)/"."""
    marked = [
        dataclasses.replace(s, image_id=f"{_PREFIX}/{s.image_id}", group_id=f"{_PREFIX}/{s.group_id}")
        for s in unlabeled.samples
    ]
    store = _JointStore(images.store, unlabeled.store)
    return images.replace(samples=(*images.samples, *marked), store=store)
