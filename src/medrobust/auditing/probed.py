"""A look at the classifier on a few images before anything is attacked or written: what cannot be right is refused."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import chain, zip_longest
from time import perf_counter

import torch

from ..attacks.base import Attack
from ..data.images.image_set import ImageSet
from ..errors import UserError
from ..models.classifier import Classifier
from ..models.probe import Probe, probe
from ..models.reasons import why
from ..models.trials import Trial, try_others

NUM_IMAGES = 16  # that the contract is looked at on
NUM_LABELED = 64  # at most, on which other preprocessings are tried
PATIENCE = 1.0  # seconds for that
VALUES = 2**26  # of all images together: fewer volumes than pictures are looked at


@dataclass(frozen=True)
class Probed:
    """What was seen.

    Args:
        facts: of the classifier on num_images images.
        num_images: how many.
        num_right: of these.
        trials: other preprocessings that were tried, the most accurate first; none where all images were right.
        seconds: that this took.
    """

    facts: Probe
    num_images: int
    num_right: int
    trials: tuple[Trial, ...]
    seconds: float


def look(model: Classifier, images: ImageSet, device: str = "cpu", seconds: float | None = PATIENCE) -> Probed:
    """Look at a classifier on images of every class; nothing of it, and no global generator, is changed.

    Args:
        seconds: to spend on other preprocessings where some image is wrong; None tries none.

    Errors: UserError where the network does not take the images, saying why, or gives outputs that are not finite.

    Example:
        >>> from medrobust.testing import small_audit
        >>> _, context = small_audit()
        >>> found = look(context.model, context.images)
        >>> found.facts.gradient, found.num_right, found.trials
        ('yes', 16, ())
    """
    began = perf_counter()
    chosen = mixed(images, affordable(images, NUM_LABELED))
    batch = images.batch(chosen)
    x, y = batch.x.to(device), batch.y.to(device)
    few = x[: affordable(images, NUM_IMAGES, VALUES // 4)]
    with torch.random.fork_rng(devices=range(torch.cuda.device_count())), model.to(device).frozen():
        try:
            facts = probe(model, few)
        except Exception as error:  # a network of somebody else may raise anything
            raise why(model, few, error, model.spec or "model") from error
        if not facts.finite:
            name = images.samples[chosen[0]].image_id
            reason = f"the outputs for images such as {name} are not finite numbers"
            raise UserError("model", reason, "check weights and preprocessing")
        right = sum(a == b for a, b in zip(facts.answers, y.tolist(), strict=False))
        trials = try_others(model, x, y, seconds) if seconds is not None and right < len(few) else []
    return Probed(facts, len(few), right, tuple(trials), perf_counter() - began)


def affordable(images: ImageSet, count: int, values: int = VALUES) -> int:
    """So many images, or as many as have this number of values together, and two at least."""
    return min(count, max(2, values // images[0][0].numel()))


def mixed(images: ImageSet, count: int) -> list[int]:
    """Positions of so many images, the classes in turn, each class spread over the set.

    Example:
        >>> from medrobust.testing.image_sets import tiny_set
        >>> mixed(tiny_set(12), 4)
        [0, 1, 6, 7]
    """
    of: defaultdict[int, list[int]] = defaultdict(list)
    for position, sample in enumerate(images.samples):
        of[sample.label].append(position)
    each = -(-count // len(of))
    spread = [found if len(found) <= each else found[:: len(found) // each] for _, found in sorted(of.items())]
    turns = chain.from_iterable(zip_longest(*spread))
    chosen = [position for position in turns if position is not None][:count]
    rest = sorted(set(range(len(images))).difference(chosen))  # where a class has too few
    missing = min(count - len(chosen), len(rest))
    return chosen + (rest[:: len(rest) // missing][:missing] if missing else [])


def refuse_without_gradient(model: Classifier, found: Probed, attacks: Mapping[str, Attack]) -> None:
    """Errors: UserError where an attack needs a gradient that the network does not give."""
    needing = [title for title, attack in attacks.items() if attack.abilities.needs == "gradients"]
    if not needing or found.facts.gradient == "yes":
        return
    said = f" ({found.facts.gradient_error})" if found.facts.gradient_error else ""
    need = "needs" if len(needing) == 1 else "need"
    reason = f"the network gives no gradient by its images{said}, which {', '.join(needing)} {need}"
    raise UserError("attacks", reason, "use attacks=[square] or attacks=[hop_skip_jump]")
