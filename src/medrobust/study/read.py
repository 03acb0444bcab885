"""What a study folder holds: its jobs, and what those that are done found."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from math import isclose
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import UserError
from ..files import read_json
from ..numbers import parse_number

STUDY_FILE, STUDY_SCHEMA = "study.json", "medrobust.study/1"
CELL_SCHEMA = "medrobust.cell/1"
CELLS, VALUES, RESULT, ERROR, RUN = "cells", "cell.json", "result.json", "error.json", "run"
NONE, WORST = "none", "worst"  # of attacks: the unchanged images, and the worst case over all attacks
CONDITIONS = ("attack", "norm", "epsilon", "metric", "subset", "minus")  # keys of a selection that are no axes
Key = tuple[str, str, float]


@dataclass(frozen=True)
class Job:
    """A place of the grid: what is trained there, and how it is audited.

    Args:
        axes: axis -> value.
        protocol: paper or honest.
        train, audit: the keys of its cells; "" where it cannot run.
        cannot: why it cannot run, None where it can.
    """

    axes: Mapping[str, str]
    protocol: str
    train: str
    audit: str
    cannot: str | None = None


@dataclass(frozen=True)
class Outcome:
    """A job that is done.

    Args:
        axes, protocol: of its job.
        result: result.json of its audit cell.
        folder: of that cell.
    """

    axes: Mapping[str, str]
    protocol: str
    result: Mapping[str, Any]
    folder: Path | None = None

    def condition(self, attack: str, norm: str, epsilon: float) -> Mapping[str, Any] | None:
        """What was found under an attack at a budget; None where it was not measured.

        Args:
            attack: its title; "none" for the unchanged images, "worst" for the worst case over all attacks.
            norm: linf, l2 or l1; "" is any.
            epsilon: budget.
        """
        for one in self.result["conditions"]:
            same = one["attack"] == attack and (not norm or attack == NONE or one["norm"] == norm)
            if same and (attack == NONE or isclose(one["epsilon"], epsilon, rel_tol=1e-9)):
                return dict(one)
        return None

    def correct(self, condition: Mapping[str, Any]) -> np.ndarray:
        """(n,) bool, which images are read correctly under a condition, in the order of the result's image_ids."""
        return unpack(condition["correct"], self.result["num_images"])

    def answers(self, condition: Mapping[str, Any]) -> np.ndarray | None:
        """(n,) int, the class that each image is read as under a condition; None in a result that does not hold it."""
        text = condition.get("answers")
        return None if text is None else unpack_classes(text)


@dataclass(frozen=True)
class Study:
    """A study folder.

    Args:
        name, profile, title, paper: of the recipe.
        axes: axis -> its values in this profile.
        all_axes: axis -> its values in the whole study.
        conditions: label of an attack -> {attack, norm, epsilon}, where a label stands for more than a title.
        hypotheses, cannot: as in the recipe.
        jobs: the grid of this profile.
        outcomes: of the jobs that are done.
        failed: (job, why) of those that failed.
        figures: as in the recipe.
        words: what is to be said of the profile.
        networks: name -> {total, layers: {layer: number of parameters}}, counted in networks of the recipe.
    """

    name: str
    profile: str
    title: str
    paper: Mapping[str, Any]
    axes: Mapping[str, tuple[str, ...]]
    all_axes: Mapping[str, tuple[str, ...]]
    conditions: Mapping[str, Mapping[str, Any]]
    hypotheses: tuple[Mapping[str, Any], ...]
    cannot: tuple[Mapping[str, Any], ...]
    jobs: tuple[Job, ...]
    outcomes: tuple[Outcome, ...]
    failed: tuple[tuple[Job, str], ...] = ()
    figures: tuple[Mapping[str, Any], ...] = field(default=())
    words: str = ""
    networks: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    @property
    def num_jobs(self) -> int:
        """Jobs of this profile that can run."""
        return sum(job.cannot is None for job in self.jobs)

    @property
    def num_done(self) -> int:
        """Jobs that are done."""
        return len(self.outcomes)

    def select(self, where: Mapping[str, Any], protocol: str) -> list[Outcome]:
        """The outcomes at these values of axes, under a protocol; keys that are no axis are ignored.

        Several values of an axis are written with commas, or as a list.
        """
        wanted = {key: values_of(value) for key, value in where.items() if key in self.all_axes}
        return [
            one
            for one in self.outcomes
            if one.protocol == protocol and all(one.axes[key] in values for key, values in wanted.items())
        ]

    def condition_of(self, where: Mapping[str, Any], protocol: str) -> Key:
        """Attack, norm and budget that a selection means; an honest protocol means the worst case over all attacks.

        Errors: UserError for a selection without a budget that `conditions` does not name.
        """
        label = str(where.get("attack", NONE))
        if label == NONE:
            return NONE, "", 0.0
        said = self.conditions.get(label, {})
        epsilon = where.get("epsilon", said.get("epsilon"))
        if epsilon is None:
            raise UserError(f"conditions.{label}", "no budget is given", "name norm and epsilon in the recipe")
        attack = str(said.get("attack", label)) if protocol == "paper" else WORST
        return attack, str(where.get("norm", said.get("norm", ""))), parse_number(epsilon, f"conditions.{label}")


def values_of(value: Any) -> tuple[str, ...]:
    """The values that a selection names for an axis.

    Example:
        >>> values_of("resnet34,densenet121"), values_of([0, 1])
        (('resnet34', 'densenet121'), ('0', '1'))
    """
    if isinstance(value, (list, tuple)):
        return tuple(str(one) for one in value)
    return tuple(str(value).split(","))


def pack(values: Iterable[bool]) -> str:
    """Truth values as hexadecimal text, eight to a byte, the first in the highest bit."""
    return np.packbits(np.fromiter(values, dtype=bool)).tobytes().hex()


def unpack(text: str, num: int) -> np.ndarray:
    """What `pack` packed.

    Example:
        >>> unpack(pack([True, False, True]), 3).tolist()
        [True, False, True]
    """
    return np.unpackbits(np.frombuffer(bytes.fromhex(text), dtype=np.uint8))[:num].astype(bool)


def pack_classes(values: Iterable[int]) -> str:
    """Numbers of classes as hexadecimal text, two bytes each.

    Example:
        >>> pack_classes([0, 258]), unpack_classes(pack_classes([0, 258])).tolist()
        ('00000102', [0, 258])
    """
    return np.fromiter(values, dtype=">u2").tobytes().hex()


def unpack_classes(text: str) -> np.ndarray:
    """What `pack_classes` packed."""
    return np.frombuffer(bytes.fromhex(text), dtype=">u2").astype(int)


def cell_folder(cells: Path, key: str) -> Path | None:
    """The folder of a cell, None where there is none."""
    return next(iter(sorted(cells.glob(f"{key}-*"))), None)


def read_study(folder: Path, cells: Path | None = None) -> Study:
    """Read a study folder, running, finished or committed as results.

    Args:
        folder: with study.json.
        cells: where its cells are; folder/cells by default.

    Errors: UserError when it is no study folder, or a file of it cannot be read.
    """
    content = read_json(Path(folder) / STUDY_FILE)
    if not isinstance(content, dict) or content.get("schema") != STUDY_SCHEMA:
        raise UserError(str(Path(folder) / STUDY_FILE), "is not a study of medrobust", "name the --out of `study run`")
    cells = cells or Path(folder) / CELLS
    jobs = tuple(Job(**job) for job in content["jobs"])
    outcomes, failed = [], []
    for job in jobs:
        if job.cannot is not None:
            continue
        found = cell_folder(cells, job.audit)
        if found is not None and (found / RESULT).exists():
            outcomes.append(Outcome(job.axes, job.protocol, read_json(found / RESULT), found))
            continue
        for key in (job.train, job.audit):
            broken = cell_folder(cells, key)
            if broken is not None and (broken / ERROR).exists():
                failed.append((job, str(read_json(broken / ERROR)["error"])))
                break
    return study_of(content, jobs, tuple(outcomes), tuple(failed))


def study_of(
    content: Mapping[str, Any],
    jobs: tuple[Job, ...],
    outcomes: tuple[Outcome, ...] = (),
    failed: tuple[tuple[Job, str], ...] = (),
) -> Study:
    """A study of what study.json holds, and of what its jobs found."""
    lists = {name: {axis: tuple(values) for axis, values in content[name].items()} for name in ("axes", "all_axes")}
    return Study(
        name=content["study"],
        profile=content["profile"],
        title=content["title"] or content["study"],
        paper=content["paper"],
        axes=lists["axes"],
        all_axes=lists["all_axes"],
        conditions=content["conditions"],
        hypotheses=tuple(content["hypotheses"]),
        cannot=tuple(content["cannot"]),
        jobs=jobs,
        outcomes=outcomes,
        failed=failed,
        figures=tuple(content.get("figures", ())),
        words=str(content.get("words", "")),
        networks=content.get("networks", {}),
    )
