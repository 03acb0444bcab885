"""From a recipe to jobs and cells: every place of the grid, resolved."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from ..errors import UserError
from ..files import write_json
from ..measuring.plan import PROTOCOLS
from ..recipes.audit import AuditRecipe
from ..recipes.parts import DataSpec, Options
from ..recipes.study import StudyRecipe
from ..recipes.train import TrainRecipe
from ..recipes.yaml import audit_recipe, train_recipe
from .cell import Cell
from .cells import audit_cell, fingerprint, train_cell
from .merge import VARIABLE, at_profile, matches, merge, options_at, places, with_variables
from .networks import count_parameters
from .read import STUDY_FILE, STUDY_SCHEMA, Job, study_of
from .refuse import check, check_asked, check_recipes


@dataclass(frozen=True)
class Grid:
    """A study at one profile, resolved.

    Args:
        recipe: at the profile.
        profile: its name.
        jobs: every place under every protocol.
        cells: key -> cell, those that come first before those that need them.
        all_axes: axis -> its values in the whole study.
    """

    recipe: StudyRecipe
    profile: str
    jobs: tuple[Job, ...]
    cells: Mapping[str, Cell]
    all_axes: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def write(self, folder: Path) -> None:
        """Write study.json, which says what belongs to the study."""
        write_json(folder / STUDY_FILE, self.content())

    def content(self) -> dict[str, Any]:
        """What study.json holds."""
        recipe = self.recipe
        return {
            "schema": STUDY_SCHEMA,
            "study": recipe.study,
            "profile": self.profile,
            "title": recipe.title,
            "words": recipe.profiles[self.profile].words if self.profile in recipe.profiles else "",
            "paper": recipe.paper,
            "axes": {axis: list(values) for axis, values in recipe.axes.items()},
            "all_axes": {axis: list(values) for axis, values in self.all_axes.items()},
            "conditions": recipe.conditions,
            "hypotheses": list(recipe.hypotheses),
            "figures": list(recipe.figures),
            "cannot": [asdict(one) for one in recipe.cannot],
            "networks": {name: count_parameters(name, spec) for name, spec in recipe.networks.items()},
            "jobs": [asdict(job) for job in self.jobs],
        }


def make_grid(recipe: StudyRecipe, profile: str, overrides: Options | None = None) -> Grid:
    """Resolve every place of a study at a profile.

    A place whose data cannot be opened here is a job that cannot run, with the reason; a recipe that is wrong is
    refused, and so is a hypothesis or a figure that could not be answered when all is done.

    Args:
        recipe: the whole study.
        profile: its size.
        overrides: written over every training and audit, for what cannot change a result (device, num_workers).

    Errors: UserError naming the place and the key.
    """
    check(recipe)
    whole = {axis: tuple(values) for axis, values in recipe.axes.items()}
    recipe_at = _with_profiles(at_profile(recipe, profile), recipe)
    makers = _Maker(recipe_at, overrides or {})
    jobs = [makers.job(axes, protocol) for axes in places(recipe_at) for protocol in recipe_at.protocols]
    grid = Grid(recipe_at, profile, tuple(jobs), makers.cells, whole)
    check_asked(study_of(grid.content(), grid.jobs), makers.published)
    return grid


def _with_profiles(cut: StudyRecipe, recipe: StudyRecipe) -> StudyRecipe:
    return replace(cut, profiles=recipe.profiles)


class _Maker:
    """Makes the cells of places, each once."""

    def __init__(self, recipe: StudyRecipe, overrides: Options) -> None:
        self.recipe, self.overrides = recipe, overrides
        self.cells: dict[str, Cell] = {}
        self.published: set[str] = set()  # titles of the attacks of audits under protocol paper
        self._trained: dict[tuple[str, ...], Cell] = {}

    def job(self, axes: dict[str, str], protocol: str) -> Job:
        why = next((one.why for one in self.recipe.cannot if matches(one.where, axes)), None)
        if why is None:
            trained, audit = self._recipes(axes, protocol)  # refused when wrong, whether its data are here or not
            why = _closed(trained) or _closed_data(audit.data)
        if why is not None:
            return Job(axes, protocol, "", "", why)
        first = self._train(axes, protocol)
        cell = audit_cell(audit, first, self.recipe.checks, _title(axes, protocol))
        self.cells.setdefault(cell.key, cell)
        return Job(axes, protocol, first.key, cell.key)

    def _train(self, axes: dict[str, str], protocol: str, behind: tuple[tuple[str, ...], ...] = ()) -> Cell:
        """The cell of a training; one whose recipe no protocol changes is the same under all."""
        key = (*axes.values(), protocol)
        if key in behind:
            place = ", ".join(f"{axis}={value}" for axis, value in axes.items())
            raise UserError(f"{place}: init", "training starts from its own weights", "name an earlier place")
        if key not in self._trained:
            start = options_at(self.recipe, axes, protocol)[2]
            left = next((value for axis, value in start.items() if value not in self.recipe.axes[axis]), None)
            if left is not None:
                place = ", ".join(f"{axis}={value}" for axis, value in axes.items())
                raise UserError(f"{place}: init", f"the profile leaves out {left!r}, from which it starts", "keep it")
            first = self._train({**axes, **start}, protocol, (*behind, key)) if start else None
            cell = train_cell(self._recipes(axes, protocol)[0], first, _title(axes))
            self._trained[key] = self.cells.setdefault(cell.key, cell)
        return self._trained[key]

    def _recipes(self, axes: Mapping[str, str], protocol: str) -> tuple[TrainRecipe, AuditRecipe]:
        train, audit, _ = options_at(self.recipe, axes, protocol)
        train, audit = with_variables(merge(train, self.overrides)), with_variables(merge(audit, self.overrides))
        place = ", ".join(f"{axis}={value}" for axis, value in axes.items())
        try:
            trained = train_recipe(train)
            data = {"name": trained.data.name, "classes": trained.data.classes, "options": trained.data.options}
            base: Options = {"data": {key: value for key, value in data.items() if value}}
            if protocol in PROTOCOLS:
                base["protocol"] = protocol
            audited = audit_recipe(merge(base, {"model": {"name": "default"}} | audit))
            titles = check_recipes(trained, audited)
            self.published |= titles if protocol == "paper" else set()
            return trained, audited
        except UserError as error:
            raise UserError(f"{place}: {error.place}" if place else error.place, error.problem, error.fix) from error


def _closed(recipe: TrainRecipe) -> str | None:
    """Why the data or the weights of a training cannot be opened here; None where they can."""
    init = recipe.model.init
    if init is not None and (missing := VARIABLE.search(init)):
        return f"the variable {missing[1]} of the environment, which says where weights are, is not set"
    if init is not None and not Path(init).exists():
        return "the weights that training starts from are not here"
    return _closed_data(recipe.data)


def _closed_data(spec: DataSpec) -> str | None:
    for name, options in ((spec.name, spec.options), (spec.unlabeled, {})):
        missing = VARIABLE.search(name or "")
        if missing is not None:
            return f"the variable {missing[1]} of the environment, which says where the data are, is not set"
        try:
            if name:
                fingerprint(name, **options)
        except UserError as error:
            return f"{name.partition(':')[0] if name else ''} cannot be opened here: {error.problem}"
    return None


def _title(axes: Mapping[str, str], *more: str) -> str:
    return " ".join([*axes.values(), *more])
