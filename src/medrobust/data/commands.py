"""What `medrobust data` does, as plain functions."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from itertools import pairwise
from pathlib import Path
from typing import Any

from ..errors import UserError, nearest
from ..files import write_json
from .check import check_images
from .check.duplicates import clusters, near_pairs, same
from .check.facts import collect
from .check.report import as_json, as_text
from .choose.leakage import straddling
from .choose.split_rules import repeat_rules, split_images, split_name, write_split
from .images.cache import cache_size, clear_cache
from .images.card import DatasetCard
from .images.image_set import ImageSet
from .images.splits import complete_splits
from .images.store import Progress
from .open import DATASETS, list_images, set_options
from .prepare.cbis_ddsm import prepare_cbis_ddsm
from .prepare.lidc import prepare_lidc

PREPARE: dict[str, Callable[..., dict[str, int]]] = {"cbis_ddsm": prepare_cbis_ddsm, "lidc": prepare_lidc}
__all__ = ["PREPARE", "cache_size", "cards", "check", "clear_cache", "describe", "prepare", "split"]


def cards() -> list[DatasetCard]:
    """The cards of all data sets, by name."""
    return [import_module(DATASETS[name].__module__).CARD for name in sorted(DATASETS)]


def describe(name: str = "") -> str:
    """One line per data set, or everything that is known about one. Errors: UserError for an unknown name.

    Example:
        >>> describe("busi").splitlines()[0]
        'busi: Breast ultrasound, 780 images of 600 women: benign 437, malignant 210, normal 133'
    """
    if not name:
        return "\n".join(f"{card.name:12} {card.title}" for card in cards())
    found = [card for card in cards() if card.name == name]
    if not found:
        raise UserError("data ls", f"unknown data set {name!r}", nearest(name, DATASETS))
    card = found[0]
    rows = {
        "paper": card.paper,
        "license": card.license,
        "classes": ", ".join(card.classes),
        "positive": card.positive_class or "",
        "groups": card.group or "none named by the source",
        "layout": card.layout,
        "options": ", ".join(set_options(name)),
    }
    return "\n".join([f"{card.name}: {card.title}", *(f"  {key:9} {text}" for key, text in rows.items() if text)])


def check(
    spec: str,
    *,
    classes: Sequence[str] | None = None,
    splits: str = "auto",
    seed: int = 0,
    json: Path | None = None,
    progress: Progress | None = None,
    options: Mapping[str, Any] | None = None,
) -> tuple[dict[str, Any], str]:
    """Check a data set with all its splits; returns the report, written to `json` if given, and a readable table."""
    images = list_images(spec, seed=seed, classes=classes, splits=splits, progress=progress, options=options)
    findings = check_images(images, seed=seed, progress=progress)
    data = {
        "name": images.name,
        "title": images.card.title,
        "license": images.card.license,
        "num_images": len(images),
        "classes": list(images.classes),
        "splits": splits,
        "options": dict(options or {}),
        "seed": seed,
    }
    report = as_json(findings, data)
    if json is not None:
        write_json(json, report)
    return report, f"{images.name}: {report['verdict']}\n{as_text(findings)}"


def split(
    spec: str,
    out: Path,
    *,
    rule: str = "group",
    folds: int = 0,
    repeats: int = 0,
    classes: Sequence[str] | None = None,
    seed: int = 0,
    link_duplicates: bool = False,
    progress: Progress | None = None,
    options: Mapping[str, Any] | None = None,
) -> list[str]:
    """Write the split of a set as a CSV for data.splits=FILE.csv; returns what was written, one line per file.

    With folds or repeats, `out` is a folder that gets one CSV per fold and seed; see repeat_rules. link_duplicates
    joins the groups of identical and nearly identical pictures first, so that none of them is on two sides: for sets
    like BUSI, which names no patients.

    Errors: UserError before anything is written.
    """
    files = {out: rule}
    if folds or repeats:
        if out.suffix or (out.exists() and not out.is_dir()):
            raise UserError(str(out), "is not a folder", "several splits need one: name it without an ending")
        rules = repeat_rules(rule, folds=folds, repeats=repeats or 1, seed=seed)
        files = {out / f"{split_name(one)}.csv": one for one in rules}
    elif out.suffix != ".csv":
        raise UserError(str(out), "does not end in .csv", "data.splits knows a table by its ending")
    images = list_images(spec, seed=seed, classes=classes, progress=progress, options=options)
    everything = link(images, progress) if link_duplicates else images
    chosen = {file: split_images(everything, one) for file, one in files.items()}
    lines = []
    for file, part in chosen.items():
        samples = complete_splits(part.samples, seed=part.seed)
        write_split(file, part.replace(samples=samples), everything.samples)
        sizes = {name: sum(s.split == name for s in samples) for name in ("train", "val", "test")}
        text = ", ".join(f"{name} {count}" for name, count in sizes.items())
        lines.append(f"{file}: {text}, unused {len(everything) - len(samples)}; {straddling(samples)}")
    return lines


def link(images: ImageSet, progress: Progress | None = None) -> ImageSet:
    """The set with one group in place of all groups that share a picture or nearly one."""
    facts, _ = collect(images, progress)
    pairs = [pair for members in same(facts, lambda fact: fact.pixels) for pair in pairwise(members)]
    pairs += near_pairs(facts)
    groups = sorted(set(images.groups))
    position = {group: i for i, group in enumerate(groups)}
    linked = clusters((position[facts[a].sample.group_id], position[facts[b].sample.group_id]) for a, b in pairs)
    new = {groups[i]: groups[members[0]] for members in linked for i in members}
    samples = [dataclasses.replace(s, group_id=new.get(s.group_id, s.group_id)) for s in images.samples]
    return images.replace(samples=samples)


def prepare(name: str, source: Path, out: Path, **options: Any) -> str:
    """Prepare the download of a data set; returns one line about what was written.

    Errors: UserError for a set that needs no preparation, and as the function of PREPARE.
    """
    if name not in PREPARE:
        raise UserError("data prepare", f"{name!r} needs no preparation", nearest(name, PREPARE))
    counts = PREPARE[name](source, out, **options)
    text = ", ".join(f"{key} {count}" for key, count in counts.items())
    return f"{out}: {text}; use it as {name}:{out}"
