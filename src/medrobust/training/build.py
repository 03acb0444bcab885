"""From a recipe to the objects that train: images, model, objective, judge. Nothing is written here."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import torch

from ..attacks import Attack
from ..attacks.build import build_attack
from ..data import ImageSet, View, batches, open_images
from ..data.unlabeled import hide_labels, join, open_unlabeled
from ..errors import UserError, nearest
from ..models import Classifier, new_classifier
from ..norms import NORMS
from ..objectives import OBJECTIVES, Constant, EpsilonRule, TrainingObjective, WarmUp, make_objective
from ..progress import Report
from ..threat import Threat
from .fit import Plan, Row
from .recipe import AttackSpec, DataSpec, TrainRecipe
from .validate import METRICS, evenly, validate


def check(recipe: TrainRecipe) -> None:
    """Refuse values that cannot work. Errors: UserError naming the key."""
    for key in ("epochs", "batch_size", "accumulate", "devices"):
        if getattr(recipe, key) < 1:
            raise UserError(key, f"{getattr(recipe, key)} is not a positive number")
    if recipe.optimizer.lr <= 0:
        raise UserError("optimizer.lr", f"{recipe.optimizer.lr} must be above 0")
    if recipe.validation.metric not in ("auto", *METRICS):
        valid = nearest(recipe.validation.metric, ("auto", *METRICS))
        raise UserError("validation.metric", f"unknown metric {recipe.validation.metric!r}", valid)
    check_labels(recipe)
    make_threat(recipe)


def check_batch(recipe: TrainRecipe, num_images: int) -> None:
    """Refuse batches that the training images cannot fill."""
    needed = recipe.batch_size * recipe.devices
    if needed > num_images:
        each = f" on each of {recipe.devices} devices" if recipe.devices > 1 else ""
        reason = f"{recipe.batch_size}{each} is more than the {num_images} training images"
        raise UserError("batch_size", reason, "use a smaller one")


def check_labels(recipe: TrainRecipe) -> None:
    """Refuse images without labels where the objective needs them."""
    known = OBJECTIVES.get(recipe.objective.name)
    for key in ("unlabeled", "hide_labels"):
        if known is not None and not known.unlabeled and getattr(recipe.data, key):
            able = ", ".join(name for name, kind in OBJECTIVES.items() if kind.unlabeled)
            reason = f"{recipe.objective.name} cannot train on images without labels"
            raise UserError(f"data.{key}", reason, f"leave it out, or use objective.name={able}")


def make_threat(recipe: TrainRecipe) -> Threat:
    """The threat of training and validation. Errors: UserError for an unknown norm or an impossible budget."""
    spec = recipe.threat
    if spec.norm not in NORMS:
        raise UserError("threat.norm", f"unknown norm {spec.norm!r}", nearest(spec.norm, NORMS))
    if spec.norm == "linf" and spec.epsilon > 1:
        reason = f"{spec.epsilon:g} is larger than the domain [0, 1]"
        raise UserError("threat.epsilon", reason, f"did you mean {spec.epsilon:g}/255?")
    try:
        return Threat(epsilon=spec.epsilon, norm=NORMS[spec.norm])
    except ValueError as error:
        raise UserError("threat.epsilon", str(error)) from error


def make_attack(spec: AttackSpec, place: str) -> Attack:
    """The attack that spec names."""
    return build_attack(spec.name, spec.options, place)


def make_view(spec: DataSpec) -> View:
    """How images are shown to the network."""
    return View(spec.image_size, spec.color, spec.fit)


def open_sets(recipe: TrainRecipe, report: Report | None = None) -> tuple[ImageSet, ImageSet, ImageSet]:
    """All images, those of train (with those without labels, if any), and those of val.

    Errors: UserError when the images cannot be read, a class is missing from a part, or a group is on both sides.
    """
    spec = recipe.data
    progress = (lambda done, of: report("decoding", done, of)) if report else None
    images = open_images(
        spec.name,
        view=make_view(spec),
        split="all",
        limit=spec.limit,
        seed=spec.seed,
        skip_broken=spec.skip_broken,
        classes=spec.classes,
        splits=spec.splits,
        cap=spec.cap,
        balance=spec.balance,
        progress=progress,
        **spec.options,
    )
    require_classes(images, ("train", "val"))
    train, val = images.with_split("train"), images.with_split("val")
    shared = sorted(set(train.groups) & set(val.groups))
    if shared:
        reason = f"group {shared[0]!r} is in train and in val" + (
            f", so are {len(shared) - 1} others" if shared[1:] else ""
        )
        raise UserError("data", reason, "give every group one split")
    if spec.hide_labels:
        train = hide_labels(train, spec.hide_labels, spec.seed)
    if spec.unlabeled:
        more = open_unlabeled(spec.unlabeled, images, seed=spec.seed, skip_broken=spec.skip_broken, progress=progress)
        train = join(train, more)
    return images, train, val


def require_classes(images: ImageSet, splits: Sequence[str]) -> None:
    """Errors: UserError naming a class of which one of these splits has no image."""
    for name in splits:
        present = Counter(sample.label for sample in images.with_split(name).samples)
        for label, title in enumerate(images.classes):
            if not present[label]:
                raise UserError(
                    "data", f"no image of class {title!r} is in {name}", "use another data.seed, or more images"
                )


def make_model(recipe: TrainRecipe, train: ImageSet) -> Classifier:
    """The classifier before its first step."""
    x = train[0][0]
    spec = recipe.model
    return new_classifier(
        spec.name,
        classes=train.classes,
        data_channels=x.shape[0],
        channels=spec.channels,
        image_size=x.shape[-1],
        mean=spec.mean,
        std=spec.std,
        init=spec.init,
        pretrained=spec.pretrained,
        seed=recipe.seed,
    )


def build_objective(recipe: TrainRecipe, num_images: int, model: Classifier) -> TrainingObjective:
    """The objective, with the run's threat, attack, budgets, seed, number of images and model."""
    threat = make_threat(recipe)
    rule: EpsilonRule = Constant(recipe.threat.epsilon)
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


def metric_of(recipe: TrainRecipe, objective: TrainingObjective) -> str:
    """The metric that picks the best epoch, with auto resolved."""
    if objective.metric is not None:
        return objective.metric
    if recipe.validation.metric != "auto":
        return recipe.validation.metric
    return "mean_balanced_accuracy" if objective.robust else "balanced_accuracy"


def make_judge(
    fabric: Any, recipe: TrainRecipe, val: ImageSet, objective: TrainingObjective, *, robust: bool
) -> Callable[[Classifier], Row]:
    """model -> metrics on val, each process of a group judging its share; the objective's own metric if it has one."""
    if objective.metric is not None:
        size, workers = min(recipe.batch_size, len(val)), recipe.num_workers
        return lambda model: objective.judge(model, batches(val, size, num_workers=workers))
    attack = make_attack(recipe.validation.attack, "validation.attack") if robust else None
    threat = make_threat(recipe)
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


def make_plan(recipe: TrainRecipe, metric: str) -> Plan:
    """The loop's part of the recipe."""
    same = ("epochs", "batch_size", "seed", "schedule", "augment", "balance", "accumulate", "clip_norm")
    free = ("save_every", "num_workers")
    return Plan(
        metric=metric,
        patience=recipe.validation.patience,
        fast=recipe.precision == "fast",
        **{name: getattr(recipe, name) for name in (*same, *free)},
    )
