"""The functions of `import medrobust`: what the command line does, on networks and images that are in memory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn

from .arguments import Attacks, Budgets, name, plan_of, subject, titled
from .attacks.build import describe
from .auditing.audit import run_audit
from .auditing.checks import CHECKS
from .auditing.context import Check
from .auditing.operating import prevalences
from .auditing.probed import look, refuse_without_gradient
from .auditing.run import AuditRun
from .auditing.said import said
from .auditing.setup import Setup
from .corruptions import choose
from .data.choose.trained import read_trained
from .errors import UserError
from .measuring.measure import measure as run_plan
from .models.wrap import device_of
from .objectives.adversarial import AgainstAttack
from .objectives.base import TrainingObjective
from .progress import optional
from .recipes.audit import DEFAULT_ATTACKS, AuditRecipe
from .recipes.parts import DataSpec, ModelSpec, ThreatSpec
from .recipes.yaml import dump, train_recipe
from .records.records import Records
from .report.html import write_report
from .report.sections import SECTIONS, Section
from .training.direct import TrainRun, as_recipe_settings, train_objective

__all__ = ["AuditRun", "TrainRun", "audit", "measure", "train"]

NOTE = "# Written by medrobust.audit from objects in memory: a record of the run, not a recipe to run again.\n"


def measure(
    model: nn.Module,
    images: Any,
    attacks: Attacks = DEFAULT_ATTACKS,
    *,
    linf: Budgets = None,
    l2: Budgets = None,
    l1: Budgets = None,
    families: Mapping[str, Budgets] | None = None,
    protocol: str = "honest",
    seed: int = 0,
    batch_size: int | None = None,
    device: str | None = None,
    precision: str = "fast",
    mask: str | None = None,
    progress: bool = False,
) -> Records:
    """Attack every image by every attack at every budget; the rows stay in memory.

    Args:
        model: any nn.Module or a Classifier. A plain one takes pixels as they are; see Classifier for normalization.
        images: an ImageSet, or what ImageSet.of takes: tensors (x, y), a Dataset, a DataLoader, an iterable of pairs.
        attacks: names, attacks, or a mapping from a title to either, or to parameters. The names of sets, standard,
            quick and full, stand for their members of each norm (`medrobust.attacks.sets`).
        linf, l2, l1: budgets of a norm, numbers or text ("4/255", "2%", "geometric(1e-4, 2e-2, 20)"). Ten of linf when
            none is given.
        families: severities of families of corruptions, as {"geometry": [1, 2, 3]}; see
            `medrobust.corruptions.FAMILIES`.
        protocol: honest: a point that won is kept, images that are wrong untouched count as wrong. paper: as published.
        seed: of all random numbers, with the ids of the images; batch size and order change nothing.
        batch_size: images shown at once; by default what fits the memory.
        device: by default where the model is.
        precision: fast: searches may run on a copy in low precision; verdicts are float32 always.
        mask: lesion: only pixels inside the mask of each image may change, see ImageSet.of; background: the others.
        progress: show a bar.

    Errors: UserError, naming what does not fit, before anything is attacked.

    Example:
        >>> import medrobust as mr
        >>> net = nn.Sequential(nn.Flatten(), nn.Linear(16, 2))
        >>> images = mr.ImageSet.of(torch.rand(6, 1, 4, 4), torch.arange(6) % 2)
        >>> mr.measure(net, images, ["pgd", mr.attacks.apgd_ce()], l2="0.5")
        Records(18 rows, 6 images, pgd (l2), apgd_ce (l2), honest)
    """
    with optional(progress) as report:
        classifier, image_set = subject(model, images)
        plan = plan_of(
            classifier,
            image_set,
            attacks,
            {"linf": linf, "l2": l2, "l1": l1, **(families or {})},
            device,
            protocol=protocol,
            seed=seed,
            batch_size=batch_size,
            precision=precision,
            mask=mask or "",
        )
        return run_plan(classifier, image_set, plan, progress=report)[0]


def audit(
    model: nn.Module,
    images: Any,
    attacks: Attacks = DEFAULT_ATTACKS,
    *,
    out: Path | str | None = None,
    linf: Budgets = None,
    l2: Budgets = None,
    l1: Budgets = None,
    families: Mapping[str, Budgets] | None = None,
    protocol: str = "honest",
    seed: int = 0,
    batch_size: int | None = None,
    device: str | None = None,
    precision: str = "fast",
    prevalence: float | dict[str, float] | None = None,
    mask: str | None = None,
    corruptions: Sequence[str] = (),
    checks: Sequence[Check] = (),
    sections: Sequence[Section] = (),
    progress: bool = False,
) -> AuditRun:
    """Measure, summarize, check, and write a report: what `medrobust audit` does, on objects in memory.

    Args:
        model, images, attacks, linf, l2, l1, families, protocol, seed, batch_size, device, precision, mask, progress:
            see measure.
        out: directory of the run, by default runs/audit-HASH. A run that was stopped goes on when it is called again
            with the same model, images and settings.
        prevalence: share of the positive class where the classifier will be used, or of each class by its name, for
            predictive values; by default that of the images.
        corruptions: everyday faults to measure as well: a modality or names, see `medrobust.corruptions.MODALITIES`.
        checks: of your own, beside those of medrobust: functions (records, context) -> Finding.
        sections: of your own, at the end of the report.

    Errors: UserError before anything is written, and when out holds another run.

    Example:
        >>> import tempfile, medrobust as mr
        >>> net = nn.Sequential(nn.Flatten(), nn.Linear(64, 2))
        >>> images = mr.ImageSet.of(torch.rand(12, 1, 8, 8), torch.arange(12) % 2)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     run = mr.audit(net, images, ["fgsm"], linf=["1/255", "8/255"], out=folder + "/audit")
        ...     len(run.worst_case), run.report.name
        (2, 'report.html')
    """
    with optional(progress) as report:
        choose([corruptions] if isinstance(corruptions, str) else corruptions)  # an unknown name is refused first
        classifier, image_set = subject(model, images)
        plan = plan_of(
            classifier,
            image_set,
            attacks,
            {"linf": linf, "l2": l2, "l1": l1, **(families or {})},
            device,
            protocol=protocol,
            seed=seed,
            batch_size=batch_size,
            precision=precision,
            mask=mask or "",
        )
        titles = titled(attacks, [grid.norm_name for grid in plan.grids]).attacks
        shape = tuple(image_set[0][0].shape)
        if len(shape) < 3:
            fix = "an audit shows pictures of images and volumes; measure takes signals too"
            raise UserError("images", f"have the shape {shape}", fix)
        grids = {grid.norm_name: list(grid.epsilons) for grid in plan.grids}
        recipe = AuditRecipe(
            model=ModelSpec(name=name(classifier)),
            data=DataSpec(name=image_set.name, split="all", prevalence=prevalence),
            attacks={title: describe(attack) for title, attack in titles.items()},
            threat=ThreatSpec(norm=tuple(grids), epsilons=grids, mask=mask),  # type: ignore[arg-type]
            corruptions=tuple([corruptions] if isinstance(corruptions, str) else corruptions),
            protocol=protocol,  # type: ignore[arg-type]
            precision=precision,  # type: ignore[arg-type]
            batch_size=plan.batch_size,
            seed=seed,
            device=plan.device,
        )
        prevalences(prevalence, image_set)
        seen = look(classifier, image_set, plan.device)
        refuse_without_gradient(classifier, seen, plan.attacks)
        facts = said(recipe, {}, classifier, image_set)
        setup = Setup(
            recipe,
            classifier,
            image_set,
            plan,
            {},
            read_trained(Path(classifier.folder)) if classifier.folder else None,
            probed=seen,
            said=facts,
        )
        folder = run_audit(setup, None if out is None else Path(out), NOTE + dump(recipe), report, [*CHECKS, *checks])
        write_report(folder, [*SECTIONS, *sections])
    return AuditRun(folder)


def train(
    model: nn.Module,
    objective: TrainingObjective,
    images: Any,
    *,
    out: Path | str,
    epochs: int = 10,
    batch_size: int = 32,
    optimizer: str = "adam",
    lr: float = 1e-3,
    progress: bool = False,
    **settings: Any,
) -> TrainRun:
    """Train a network with an objective: what `medrobust train` does, on objects in memory.

    The best epoch on validation images is kept in `out` and is what the network holds afterwards. Images without
    splits of their own are split by group into train, val and test; those of test are never looked at.

    Args:
        model: any nn.Module or a Classifier; trained in place.
        objective: for example objectives.trades(Threat("4/255")).
        images: an ImageSet, or what ImageSet.of takes.
        out: directory of the run. A run that was stopped goes on when it is called again with the same settings and a
            network that starts from the same weights.
        epochs, batch_size: see medrobust.recipes.train.TrainRecipe, as for the other settings.
        optimizer, lr: adam, adamw or sgd, and its learning rate.
        progress: show a bar and a line per epoch.
        settings: other fields of TrainRecipe: augment, schedule, validation, average, precision, seed, device ...

    Errors: UserError before anything is written, naming what does not fit.

    Example:
        >>> import tempfile, medrobust as mr
        >>> net = nn.Sequential(nn.Flatten(), nn.Linear(16, 2))
        >>> images = mr.ImageSet.of(torch.rand(40, 1, 4, 4), torch.arange(40) % 2)
        >>> objective = mr.objectives.adversarial(mr.Threat("2/255"))
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     run = mr.train(net, objective, images, epochs=2, batch_size=8, out=folder + "/model")
        ...     len(run.history)
        2
    """
    if not isinstance(objective, TrainingObjective):
        fix = "give for example objectives.trades(Threat('4/255'))"
        raise UserError("objective", f"a {type(objective).__name__} is no TrainingObjective", fix)
    with optional(progress) as report:
        classifier, image_set = subject(model, images)
        given: dict[str, Any] = {"epochs": epochs, "batch_size": batch_size, "optimizer": {"name": optimizer, "lr": lr}}
        given |= {"device": str(device_of(classifier)), **as_recipe_settings(settings)}
        given |= {"model": {"name": name(classifier)}, "data": {"name": image_set.name}}
        if isinstance(objective, AgainstAttack):
            threat = objective.threat
            given["threat"] = {"norm": threat.norm.name, "epsilon": float(torch.as_tensor(threat.epsilon).max())}
        return train_objective(train_recipe(given), classifier, objective, image_set, Path(out), report)
