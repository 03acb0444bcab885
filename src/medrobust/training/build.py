"""From a recipe to the objects that train: images, model, objective, judge. Nothing is written here."""

from __future__ import annotations

import inspect
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import torch

from ..data.images.image_set import ImageSet
from ..data.images.loading import batches
from ..data.unlabeled import hide_labels, join, open_unlabeled
from ..errors import UserError, nearest
from ..models.classifier import Classifier
from ..objectives import OBJECTIVES, make_objective
from ..objectives.base import TrainingObjective
from ..objectives.epsilon import Constant, EpsilonRule, WarmUp
from ..progress import Report
from ..recipes.train import TrainRecipe
from ..resolve import decoding, make_attack, make_threat, make_view, open_data
from .collapse import ACTIONS
from .optimize import make_optimizer
from .phases import Begun, Phase, phase_recipes, refuse_ignored_warm_up
from .settings import LoopSettings, Row
from .validate import CLEAN_METRICS, METRICS, evenly, validate

Made = TypeVar("Made")
MOST_EPOCHS = 1_000_000


def check(recipe: TrainRecipe) -> None:
    """Refuse values that cannot work. Errors: UserError naming the key."""
    for place, part in phase_recipes(recipe):
        if part.objective.name not in OBJECTIVES:
            known = nearest(part.objective.name, OBJECTIVES)
            raise UserError(f"{place}objective.name", f"unknown objective {part.objective.name!r}", known)
    check_loop(recipe)
    check_labels(recipe)
    check_objectives(recipe)


def check_loop(recipe: TrainRecipe) -> None:
    """Refuse values of the loop that cannot work, whatever is trained. Errors: UserError naming the key."""
    for key in ("batch_size", "accumulate", "devices"):
        if getattr(recipe, key) < 1:
            raise UserError(key, f"{getattr(recipe, key)} is not a positive number")
    for place, part in phase_recipes(recipe):
        if part.epochs < 1:
            raise UserError(f"{place}epochs", f"{part.epochs} is not a positive number")
        if part.epochs > MOST_EPOCHS:
            raise UserError(f"{place}epochs", f"{part.epochs:.3g} will never end", f"at most {MOST_EPOCHS}")
        if part.optimizer.lr <= 0:
            raise UserError(f"{place}optimizer.lr", f"{part.optimizer.lr} must be above 0")
    if recipe.on_collapse not in ACTIONS:
        raise UserError("on_collapse", f"{recipe.on_collapse!r} is no action", f"valid: {', '.join(ACTIONS)}")
    if recipe.average.kind not in ("none", "ema", "swa"):
        raise UserError("average.kind", f"unknown average {recipe.average.kind!r}", "valid: none, ema, swa")
    longest = max(part.epochs for _, part in phase_recipes(recipe))
    if recipe.average.kind != "none" and recipe.average.start_epoch >= longest:
        reason = f"{recipe.average.start_epoch} is after the last epoch, which is {longest - 1}"
        raise UserError("average.start_epoch", reason, "begin earlier")
    if not 0 <= recipe.average.decay < 1:
        raise UserError("average.decay", f"{recipe.average.decay} is not from 0 to below 1")
    if recipe.validation.metric not in ("auto", *METRICS):
        valid = nearest(recipe.validation.metric, ("auto", *METRICS))
        raise UserError("validation.metric", f"unknown metric {recipe.validation.metric!r}", valid)


def check_objectives(recipe: TrainRecipe) -> None:
    """Make every objective that needs no network, so that one which cannot work is refused before an image is read."""
    for place, part in phase_recipes(recipe):
        _with_place(place, lambda part=part: make_threat(part.threat))  # type: ignore[misc]
        if not accepts(part.objective.name, "model"):
            _with_place(place, lambda part=part: build_objective(part, 1, None))  # type: ignore[misc]


def _with_place(place: str, make: Callable[[], Made]) -> Made:
    """What make returns; a refusal gets the place of a phase in front."""
    try:
        return make()
    except UserError as error:
        raise UserError(place + error.place, error.problem, error.fix) from error


def check_batch(recipe: TrainRecipe, num_images: int) -> None:
    """Refuse batches that the training images cannot fill. Errors: UserError."""
    needed = recipe.batch_size * recipe.devices
    if needed > num_images:
        each = f" on each of {recipe.devices} devices" if recipe.devices > 1 else ""
        reason = f"{recipe.batch_size}{each} is more than the {num_images} training images"
        raise UserError("batch_size", reason, "use a smaller one")


def check_labels(recipe: TrainRecipe) -> None:
    """Refuse images without labels where the objective needs them. Errors: UserError naming the key."""
    names = [part.objective.name for _, part in phase_recipes(recipe)]
    unable = next((name for name in names if name in OBJECTIVES and not OBJECTIVES[name].unlabeled), None)
    for key in ("unlabeled", "hide_labels"):
        if unable is not None and getattr(recipe.data, key):
            able = ", ".join(name for name, kind in OBJECTIVES.items() if kind.unlabeled)
            reason = f"{unable} cannot train on images without labels"
            raise UserError(f"data.{key}", reason, f"leave it out, or use objective.name={able}")


def open_all(recipe: TrainRecipe, report: Report | None = None) -> ImageSet:
    """All labeled images with their splits, decoded. Errors: UserError, as open_images."""
    return open_data(recipe.data, make_view(recipe.data, {}, "grey"), split="all", report=report)


def open_sets(recipe: TrainRecipe, report: Report | None = None) -> tuple[ImageSet, ImageSet, ImageSet]:
    """All images, those of train (with those without labels, if any), and those of val.

    Errors: UserError when the images cannot be read, a class is missing from a part, or a group is on both sides.
    """
    spec, images, seed = recipe.data, open_all(recipe, report), recipe.data.seed or 0
    train, val = train_and_val(images)
    if spec.hide_labels:
        train = hide_labels(train, spec.hide_labels, seed)
    if spec.unlabeled:
        more = open_unlabeled(
            spec.unlabeled, images, seed=seed, skip_broken=spec.skip_broken, progress=decoding(report)
        )
        train = join(train, more)
    return images, train, val


def train_and_val(images: ImageSet) -> tuple[ImageSet, ImageSet]:
    """The images to train on and to judge by.

    Errors: UserError when a class is missing from one of them, or a group is in both.
    """
    require_classes(images, ("train", "val"))
    train, val = images.with_split("train"), images.with_split("val")
    shared = sorted(set(train.groups) & set(val.groups))
    if shared:
        others = f", so are {len(shared) - 1} others" if shared[1:] else ""
        raise UserError("data", f"group {shared[0]!r} is in train and in val{others}", "give every group one split")
    return train, val


def require_classes(images: ImageSet, splits: Sequence[str]) -> None:
    """Refuse images of which one of these splits lacks a class. Errors: UserError naming the class and the split."""
    for name in splits:
        present = Counter(sample.label for sample in images.with_split(name).samples)
        for label, title in enumerate(images.classes):
            if not present[label]:
                raise UserError(
                    "data", f"no image of class {title!r} is in {name}", "use another data.seed, or more images"
                )


def build_objective(recipe: TrainRecipe, num_images: int, model: Classifier | None) -> TrainingObjective:
    """The objective of a recipe, with the run's threat, attack, budgets, seed, number of images and model."""
    threat = make_threat(recipe.threat)
    rule: EpsilonRule = Constant(recipe.threat.budget)
    if recipe.threat.epsilon_warm_up:
        rule = WarmUp(rule, recipe.threat.epsilon_warm_up)
    return make_objective(
        recipe.objective.name,
        recipe.objective.options,
        threat=threat,
        attack=make_attack(recipe.attack, "attack"),
        epsilon=rule,
        seed=recipe.seed,
        num_images=num_images,
        model=model,
    )


def metric_of(recipe: TrainRecipe, objective: TrainingObjective, robust: bool) -> str:
    """The metric that picks the best epoch, with auto resolved; robust says whether models are judged under attack."""
    if objective.metric is not None:
        return objective.metric
    if recipe.validation.metric != "auto":
        return recipe.validation.metric
    return "mean_balanced_accuracy" if robust else "balanced_accuracy"


def make_judge(
    fabric: Any, recipe: TrainRecipe, val: ImageSet, objective: TrainingObjective, *, robust: bool
) -> Callable[[Classifier], Row]:
    """model -> metrics on val, where each process of a group judges its share; the objective's own metric if any."""
    if objective.metric is not None:
        size, workers = min(recipe.batch_size, len(val)), recipe.num_workers
        return lambda model: objective.judge(model, batches(val, size, num_workers=workers))
    attack = make_attack(recipe.validation.attack, "validation.attack") if robust else None
    threat = make_threat(recipe.threat)
    mine = torch.arange(fabric.global_rank, len(val), fabric.world_size)
    part = val.subset(mine.tolist())
    attacked = evenly(recipe.validation.limit, len(val))

    def judge(model: Classifier) -> Row:
        return validate(
            model,
            (b._replace(index=mine[b.index]) for b in batches(part, recipe.batch_size, num_workers=recipe.num_workers)),
            attack=attack,
            threat=threat,
            seed=recipe.seed,
            attacked=attacked,
            fast=recipe.precision == "fast",
            reduce=lambda tensor: fabric.all_reduce(tensor, reduce_op="sum"),
        )

    return judge


def make_phases(
    fabric: Any, recipe: TrainRecipe, train: ImageSet, val: ImageSet, model: Classifier
) -> tuple[list[Phase], list[str]]:
    """The phases and their metrics, each tried out on the model so that a bad recipe is refused before it trains.

    All are judged under the recipe's own threat, so that their epochs can be compared.
    """
    parts = phase_recipes(recipe)
    refuse_ignored_warm_up(recipe, accepts)
    tried = []
    for place, part in parts:
        objective = _with_place(place, lambda part=part: build_objective(part, len(train), model))  # type: ignore[misc]
        weights = [*model.parameters(), *objective.parameters()]
        _with_place(place, lambda part=part, weights=weights: make_optimizer(part.optimizer, weights))  # type: ignore[misc]
        tried.append(objective)
    wanted = recipe.validation.metric not in ("auto", *CLEAN_METRICS)
    robust = wanted or any(objective.robust for objective in tried)
    if robust:
        make_attack(recipe.validation.attack, "validation.attack")
    metrics = [metric_of(recipe, objective, robust) for objective in tried]

    def phase(part: TrainRecipe, metric: str, head: bool) -> Phase:
        def begin(model: Classifier) -> Begun:
            objective = build_objective(part, len(train), model)
            trained = [p for p in [*model.parameters(), *objective.parameters()] if p.requires_grad]
            judge = make_judge(fabric, recipe, val, objective, robust=robust)
            return Begun(objective, make_optimizer(part.optimizer, trained), judge, metric)

        same = OBJECTIVES[part.objective.name].full_budget and part.threat == recipe.threat
        since = part.threat.epsilon_warm_up if same else None
        return Phase(epochs=part.epochs, begin=begin, schedule=part.schedule, head=head, full_budget_from=since)

    heads = [spec.train == "head" for spec in recipe.phases] or [False]
    settings = zip(parts, metrics, heads, strict=True)
    return [phase(part, metric, head) for (_, part), metric, head in settings], metrics


def accepts(name: str, parameter: str) -> bool:
    """Whether the objective of this name has this parameter."""
    return parameter in inspect.signature(OBJECTIVES[name]).parameters


def spares_weights(recipe: TrainRecipe) -> bool:
    """Whether the loss of some objective leaves weights out, as one that does not judge answers does."""
    return any(OBJECTIVES[part.objective.name].metric is not None for _, part in phase_recipes(recipe))


def make_settings(recipe: TrainRecipe) -> LoopSettings:
    """The part of the recipe that is the loop's in all phases."""
    same = ("batch_size", "seed", "augment", "balance", "accumulate", "clip_norm", "average")
    free = ("save_every", "num_workers", "compile", "on_collapse")
    return LoopSettings(
        patience=recipe.validation.patience,
        fast=recipe.precision == "fast",
        **{name: getattr(recipe, name) for name in (*same, *free)},
    )
