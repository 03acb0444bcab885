"""What a study is: a grid of trainings and audits, and what a paper says of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar

from .parts import Options

Where = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class PartSpec:
    """What a value of an axis, or a protocol, writes over.

    Args:
        train, audit: keys of a training and of an audit recipe, nested or dotted. What a protocol writes over a
            training makes it another one.
        init: axis -> value; training starts from the weights of the cell at which these axes have these values.
    """

    train: Options = field(default_factory=dict)
    audit: Options = field(default_factory=dict)
    init: Where = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class RuleSpec:
    """What a combination of values writes over, after all axes.

    Args:
        where: axis -> value, or a list of values.
        train, audit: see PartSpec.
    """

    where: Where
    train: Options = field(default_factory=dict)
    audit: Options = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class CannotSpec:
    """Cells of the paper that nobody can run here, and why."""

    where: Where
    why: str


@dataclass(frozen=True, kw_only=True)
class ProfileSpec:
    """A size at which the study runs.

    Args:
        words: what this size is, for the page.
        keep: axis -> the values that it runs; all of an axis that is not named.
        skip: places that it leaves out, each as axis -> value or values.
        train, audit: written over the base, before the axes.
        axes, rules: merged into those of the study, after them.
        protocols: written over those of the study.
        hypotheses: names of the hypotheses that it asks; all by default.
        checks: in place of those of the study.
    """

    words: str = ""
    keep: dict[str, list[Any]] = field(default_factory=dict)
    skip: tuple[Where, ...] = ()
    train: Options = field(default_factory=dict)
    audit: Options = field(default_factory=dict)
    axes: dict[str, dict[str, PartSpec]] = field(default_factory=dict)
    rules: tuple[RuleSpec, ...] = ()
    protocols: dict[str, PartSpec] = field(default_factory=dict)
    conditions: dict[str, Options] = field(default_factory=dict)
    hypotheses: list[str] | None = None
    checks: str | None = None


@dataclass(frozen=True, kw_only=True)
class NetworkSpec:
    """A network whose parameters a table of the paper counts; it is counted, not run, at any profile.

    Args:
        model: torchvision:NAME, zoo:NAME..., with options in brackets, as in a training.
        num_classes: its outputs.
        image_size: of the paper, in pixels; the size of a dense layer may depend on it.
        channels: of its images.
        layers: name of a layer in the paper -> name of the module that it is, null for one without parameters. All
            layers together hold every parameter once; without any, the total alone is known.
    """

    model: str
    num_classes: int
    image_size: int
    channels: int = 3
    layers: dict[str, str | None] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class StudyRecipe:
    """A grid of trainings and audits.

    Args:
        study: its name.
        title: in one line.
        paper: authors, year, doi, headline...; empty for a study of one's own.
        train, audit: what all cells share.
        axes: axis -> value -> what it writes over; the grid is their product, a later axis writes over an earlier one.
        rules: for combinations of values, written over the axes in order.
        cannot: cells that cannot be run here.
        protocols: paper, honest, or names of one's own -> what it writes over in the audit.
        conditions: label of an attack -> {attack, norm, epsilon}, for selections that name no budget.
        profiles: smoke, cpu, paper, or names of one's own.
        hypotheses: see medrobust.study.hypotheses.
        figures: see medrobust.study.figures.
        skip: places that are left out, as ProfileSpec has it.
        networks: name -> a network whose parameters the paper counts.
        checks: which checks of an audit run in a cell: rows (those that need little more than what was measured), proof
            (with them the active test), all, none.
    """

    WHAT: ClassVar[str] = "a study"
    FOREIGN: ClassVar[dict[str, str]] = {}

    study: str
    title: str = ""
    paper: dict[str, Any] = field(default_factory=dict)
    train: Options = field(default_factory=dict)
    audit: Options = field(default_factory=dict)
    axes: dict[str, dict[str, PartSpec]] = field(default_factory=dict)
    rules: tuple[RuleSpec, ...] = ()
    cannot: tuple[CannotSpec, ...] = ()
    protocols: dict[str, PartSpec] = field(default_factory=lambda: {"honest": PartSpec()})
    conditions: dict[str, Options] = field(default_factory=dict)
    profiles: dict[str, ProfileSpec] = field(default_factory=dict)
    hypotheses: tuple[Options, ...] = ()
    figures: tuple[Options, ...] = ()
    skip: tuple[Where, ...] = ()
    networks: dict[str, NetworkSpec] = field(default_factory=dict)
    checks: str = "proof"
