"""From the words of a recipe to a model, images and a plan."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from ..attacks.base import Attack
from ..attacks.build import build_attack
from ..attacks.combine import WorstCase
from ..data import ImageSet, View, open_images
from ..engine.keep import first_reached, last
from ..engine.program import Program
from ..errors import UserError
from ..evaluation.measure import Plan
from ..evaluation.outcome import Grid
from ..models.classifier import Classifier
from ..models.load import load_model
from ..models.memory import fitting_batch
from ..progress import Report

BUNDLED = Path(__file__).resolve().parent.parent / "default"


@dataclass(frozen=True)
class AuditSpec:
    """What to audit, in plain values; the command line makes it from a checked recipe.

    Args:
        model: name, weights, mean, std, classes, head.
        data: name, image_size, color, fit, window, scale, split, splits, limit, classes, cap, balance, skip_broken, and
            options of the set.
        attacks: title -> parameters.
        epsilons: norm -> budgets.
        protocol, precision, batch_size, memory_limit (GiB), seed, device, num_workers: as in a recipe.
    """

    model: Mapping[str, Any]
    data: Mapping[str, Any]
    attacks: Mapping[str, Mapping[str, Any]]
    epsilons: Mapping[str, Sequence[float]]
    protocol: str = "honest"
    precision: str = "fast"
    batch_size: int | str = "auto"
    memory_limit: float | None = None
    seed: int = 0
    device: str = "auto"
    num_workers: int = 0

    def numbers(self) -> dict[str, Any]:
        """The part that decides the numbers: two runs with equal parts are the same run."""
        skip = ("batch_size", "memory_limit", "device", "num_workers")
        return {name: value for name, value in dataclasses.asdict(self).items() if name not in skip}


@dataclass(frozen=True)
class Setup:
    """A spec, resolved."""

    spec: AuditSpec
    model: Classifier
    images: ImageSet
    plan: Plan
    card: Mapping[str, Any]


def pick_device(name: str) -> str:
    """ "auto" is the graphics card where there is one. Errors: UserError for a device that is not there."""
    if name == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    try:
        torch.empty(0, device=name)
    except (RuntimeError, AssertionError) as error:
        raise UserError("device", f"{name!r} is not available here", "use cpu or auto") from error
    return name


def _honest(attack: Attack) -> Attack:
    """Published attacks return their last point; an honest evaluation keeps a point that won."""
    if isinstance(attack, Program) and attack.keep is last:
        return dataclasses.replace(attack, keep=first_reached)
    if isinstance(attack, WorstCase):
        return WorstCase(tuple(_honest(part) for part in attack.attacks))
    return attack


def make_attacks(spec: AuditSpec) -> dict[str, Attack]:
    """Title -> attack. Errors: UserError naming the attack and parameter."""
    if not spec.attacks:
        raise UserError("attacks", "none given", "for example attacks=[fgsm,pgd]")
    built = {title: build_attack(title, parameters) for title, parameters in spec.attacks.items()}
    return {title: _honest(attack) for title, attack in built.items()} if spec.protocol == "honest" else built


def weights_digest(model: Classifier) -> str:
    """SHA-256 of everything that decides the model's answers."""
    digest = hashlib.sha256(repr((model.classes, model.head, model.domain, model.channels, model.spec)).encode())
    for name, tensor in sorted({**model.state_dict(), "mean": model.mean, "std": model.std}.items()):
        digest.update(f"{name}{tuple(tensor.shape)}".encode())
        digest.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def _open(
    spec: AuditSpec,
    view: View,
    classes: Sequence[str] | None,
    trained: Mapping[str, Any],
    report: Report | None,
) -> ImageSet:
    """The images; those of a model of ours are split as its training split them, unless the recipe says otherwise."""
    data = spec.data
    alike = str(trained.get("name", "")).partition(":")[0] == data["name"].partition(":")[0]
    splits = data.get("splits") or "auto"
    if splits == "auto" and alike:
        splits = trained.get("splits") or "auto"
    return open_images(
        data["name"],
        view=view,
        split=data.get("split") or "auto",
        limit=data.get("limit"),
        seed=int(trained.get("seed") or 0),
        skip_broken=bool(data.get("skip_broken")),
        classes=classes,
        splits=splits,
        cap=data.get("cap"),
        balance=bool(data.get("balance")),
        progress=(lambda done, of: report("decoding", done, of)) if report else None,
        options=data.get("options") or (trained.get("options") if alike else None),
    )


def resolve(spec: AuditSpec, report: Report | None = None) -> Setup:
    """Load the model, open and check every image, build every attack. Nothing is written.

    Errors: UserError for whatever of these does not work.
    """
    attacks = make_attacks(spec)
    name = spec.model["name"]
    folder = BUNDLED if name == "default" else Path(name)
    card = _card(folder)
    view_card = card.get("view") or {}
    wanted = spec.model.get("classes") or spec.data.get("classes") or card.get("classes") or None
    size = spec.data.get("image_size") or view_card.get("image_size") or card.get("input_size")
    color = spec.data.get("color")
    if color is None and card:
        color = "grey" if card.get("channels") == 1 else "rgb"
    fit, window, scale = (spec.data.get(key) or view_card.get(key) for key in ("fit", "window", "scale"))
    view = View(size, color or "rgb", fit or "resize", tuple(window) if window else None, scale or "source")
    # The test split of a model of ours is the one that its training left out.
    images = _open(spec, view, wanted, (card.get("recipe") or {}).get("data") or {}, report)
    model = load_model(
        str(folder) if name == "default" else name,
        weights=spec.model.get("weights"),
        classes=images.classes,
        # Named networks know their channels from their weights; others take what the images have.
        channels=None if card or spec.model.get("weights") else images[0][0].shape[0],
        image_size=tuple(images[0][0].shape[1:]),
        mean=spec.model.get("mean"),
        std=spec.model.get("std"),
        head=spec.model.get("head") or "auto",
    )
    if spec.data.get("color") is None and not card and model.channels == 1 and images[0][0].shape[0] == 3:
        images = images.replace(view=dataclasses.replace(view, color="grey"))
    grids = tuple(Grid(norm, tuple(values)) for norm, values in spec.epsilons.items())
    device = pick_device(spec.device)
    if spec.batch_size == "auto":
        limit = None if spec.memory_limit is None else int(spec.memory_limit * 2**30)
        batch_size = fitting_batch(model.to(device), images[0][0][None].to(device), limit)
    else:
        batch_size = int(spec.batch_size)
    plan = Plan(
        attacks=attacks,
        grids=grids,
        goals={title: str(parameters.get("goal", "untargeted")) for title, parameters in spec.attacks.items()},
        protocol=spec.protocol,
        seed=spec.seed,
        batch_size=batch_size,
        device=device,
        precision=spec.precision,
        num_workers=spec.num_workers,
    )
    return Setup(spec, model, images, plan, card)


def _card(folder: Path) -> Mapping[str, Any]:
    from ..files import read_json
    from ..models.checkpoint import find_checkpoint

    found = find_checkpoint(folder)
    return read_json(found / "card.json") if found else {}
