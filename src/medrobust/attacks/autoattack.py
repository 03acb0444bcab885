"""AutoAttack for any number of classes: a fixed set of strong attacks, each on the images still unbroken."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor

from ..engine.abilities import Abilities
from ..engine.compact import Next, answers, in_stages
from ..engine.count import narrow
from ..engine.program import Model, Program
from ..engine.tree import put, take
from ..engine.until_reached import until_reached
from ..errors import nearest
from ..goals import Goal, GoalRule, Towards, as_classes, untargeted
from ..losses import margin, probability_margin
from ..norms import L1, Norm, as_norm
from ..streams import Randomness, Streams, as_streams
from ..threat import Threat
from .apgd import LargerBallsFirst, apgd, apgd_ce, apgd_dlr, apgd_t
from .base import Attack
from .combine import InBatches, again_at, select
from .fab import fab
from .pgd import pgd
from .square import square


class Part(NamedTuple):
    """A named attack of the set: its restarts, or its targets, one after the other."""

    name: str
    attacks: tuple[Attack, ...]


VERSIONS = ("standard", "plus")


@dataclass(frozen=True)
class _Menu:
    """The attacks to choose from, for a norm and these numbers of steps, queries and restarts."""

    norm: Norm
    num_steps: int
    num_queries: int
    num_restarts: int = 1

    def apgd(self, name: str, *programs: Program, again: bool = True) -> Part:
        staged = isinstance(self.norm, L1)
        attacks = [LargerBallsFirst(program) if staged else program for program in programs]
        return Part(name, tuple(attack for attack in attacks for _ in range(self.num_restarts if again else 1)))

    def apgd_ce(self) -> Part:
        return self.apgd("apgd_ce", apgd_ce(num_steps=self.num_steps))

    def apgd_dlr(self) -> Part:
        return self.apgd("apgd_dlr", apgd_dlr(num_steps=self.num_steps))

    def apgd_t(self, name: str, ranks: range) -> Part:
        return self.apgd(name, *(apgd_t(rank=rank, num_steps=self.num_steps) for rank in ranks), again=False)

    def fab(self) -> Part:
        return Part("fab", (fab(num_steps=self.num_steps, num_restarts=self.num_restarts),))

    def fab_t(self, ranks: range) -> Part:
        return Part("fab_t", tuple(fab(num_steps=self.num_steps, goal=Towards(rank)) for rank in ranks))

    def square(self) -> Part:
        return Part("square", (square(num_queries=self.num_queries, rescale_schedule=False),))


def parts_of(
    version: str, num_classes: int, norm: Norm, num_steps: int = 100, num_queries: int = 5000
) -> tuple[Part, ...]:
    """The attacks of a version, in their order.

    Example:
        >>> from medrobust.norms import Linf
        >>> [part.name for part in parts_of("standard", 2, Linf())]
        ['apgd_ce', 'apgd_margin', 'apgd_probability_margin', 'fab', 'square']
        >>> [(part.name, len(part.attacks)) for part in parts_of("standard", 10, Linf())]
        [('apgd_ce', 1), ('apgd_t', 9), ('fab_t', 9), ('square', 1)]
    """
    plus, sparse = version == "plus", isinstance(norm, L1)
    menu = _Menu(norm, num_steps, num_queries, num_restarts=5 if plus or sparse else 1)
    if num_classes == 2:
        margins = {"apgd_margin": margin, "apgd_probability_margin": probability_margin}
        named = [menu.apgd(name, apgd(num_steps=num_steps, loss=loss)) for name, loss in margins.items()]
        return (menu.apgd_ce(), *named, menu.fab(), menu.square())
    ranks = range(1, min(5 if sparse and not plus else 9, num_classes - 1) + 1)
    targeted = (menu.apgd_t("apgd_t" if num_classes > 3 else "apgd_margin_t", ranks), menu.fab_t(ranks))
    if plus:
        return (menu.apgd_ce(), menu.apgd_dlr(), menu.fab(), menu.square(), *targeted)
    return (menu.apgd_ce(), *([menu.apgd_dlr()] if num_classes == 3 else []), *targeted, menu.square())


@dataclass(frozen=True, kw_only=True)
class AutoAttack:
    """See `autoattack`."""

    num_classes: int | None = None
    norm: Norm | str | None = None
    version: str = "standard"
    num_steps: int = 100
    num_queries: int = 5000

    def __post_init__(self) -> None:
        object.__setattr__(self, "norm", None if self.norm is None else as_norm(self.norm))
        if self.version not in VERSIONS:
            raise ValueError(f"unknown version {self.version!r}. {nearest(self.version, VERSIONS)}")
        if self.num_classes is not None and self.num_classes < 2:
            raise ValueError(f"autoattack needs 2 classes or more, got {self.num_classes}")

    @property
    def goal(self) -> GoalRule:
        return untargeted

    @property
    def abilities(self) -> Abilities:
        inner = () if self.num_classes is None else tuple(attack for part in self.parts for attack in part.attacks)
        scout = pgd(num_steps=20, loss=margin)
        return Abilities(randomized=True, scout=scout, parts=inner, batching=partial(InBatches, self))

    @property
    def parts(self) -> tuple[Part, ...]:
        """What runs: known when the number of classes is; without a norm, as for linf.

        Errors: ValueError without a number of classes.
        """
        if self.num_classes is None:
            raise ValueError("what runs depends on the number of classes: autoattack(num_classes=...)")
        return parts_of(self.version, self.num_classes, as_norm(self.norm or "linf"), self.num_steps, self.num_queries)

    @property
    def names(self) -> tuple[str, ...]:
        """The names of what runs, for a report."""
        return tuple(part.name for part in self.parts)

    def fitted(self, logits: Tensor, y: Tensor, norm: Norm) -> AutoAttack:
        """This attack with the number of classes of these logits, and the norm.

        A multi-label head gets the attacks of two classes: no other class can be named.

        Errors: ValueError when the logits or the norm are not those that it was made for.
        """
        num_classes = 2 if y.ndim == 2 else as_classes(logits).shape[1]
        for what, given, found in (("classes", self.num_classes, num_classes), ("norm", self.norm, norm)):
            if given is not None and given != found:
                raise ValueError(f"autoattack was made for {what} {given}, but got {found}")
        return replace(self, num_classes=num_classes, norm=norm)

    def __call__(
        self,
        model: Model,
        x: Tensor,
        y: Tensor,
        threat: Threat,
        *,
        generator: Randomness = None,
    ) -> Tensor:
        return self.run(model, x, y, threat, as_streams(generator, len(x), x.device))

    def run(
        self,
        model: Model,
        x: Tensor,
        y: Tensor,
        threat: Threat,
        streams: Streams,
        size: int | None = None,
        following: Next | None = None,
    ) -> Tensor:
        """The points found; see `attacks.combine.InBatches`."""
        logits = answers(model, x, size)
        batch, x_adv = _Batch(x, y, logits, streams), x.clone()
        parts = self.fitted(logits, y, threat.norm).parts
        stages = [(part.name, number, attack) for part in parts for number, attack in enumerate(part.attacks)]

        def attempt(stage: int, index: Tensor) -> Tensor:
            name, number, attack = stages[stage]
            some = take(batch, index)
            some = some._replace(streams=some.streams.child(name, number))
            x_adv[index], won = some.attacked(attack, narrow(model, index), select(threat, index, x))
            return won

        def over(index: Tensor) -> Tensor:
            nonlocal batch, threat
            again = following(index, x_adv[index])  # type: ignore[misc]
            threat = again_at(threat, again, len(x))
            batch = batch._replace(streams=put(batch.streams, again.at, again.streams))
            x_adv[again.at] = x[again.at]
            return again.at

        # A clean-wrong image is returned as it is; it never enters.
        in_stages(len(stages), attempt, Goal(y, False).reached(logits), size, over if following else None)
        return x_adv


class _Batch(NamedTuple):
    """Images with what is known of them: their clean logits serve the goals of all parts."""

    x: Tensor
    y: Tensor
    logits: Tensor
    streams: Streams

    def attacked(self, attack: Attack, model: Model, threat: Threat) -> tuple[Tensor, Tensor]:
        """x_adv, and which of them are a success (n,)."""
        approach = attack.abilities.approach
        if approach is None:
            found = attack(model, self.x, self.y, threat, generator=self.streams)
            with torch.no_grad():
                return found, Goal(self.y, False).reached(model(found))
        goal, ball = attack.goal(self.logits, self.y), threat.around(self.x)
        program, start = approach(model, goal, ball, self.streams)
        kept = until_reached(program, model, goal, ball, start)
        return kept.x, kept.reached


def autoattack(
    num_classes: int | None = None,
    norm: Norm | str | None = None,
    version: str = "standard",
    *,
    num_steps: int = 100,
    num_queries: int = 5000,
) -> AutoAttack:
    """AutoAttack (Croce & Hein 2020, arXiv:2003.01690; l1: 2021, arXiv:2103.01208), for any number of classes from 2.

    The version standard has, with 4 classes or more, APGD on the cross-entropy, APGD on the targeted DLR and FAB-T
    towards up to 9 wrong classes (5 in l1), and Square with 5000 queries. The targeted DLR is undefined for fewer
    classes. In its place, 3 classes get APGD on the untargeted DLR and on the targeted margin; 2 classes (one logit,
    two logits, multi-label) get APGD on the margin and on the margin of the probabilities, and FAB. The version plus
    adds 5 restarts of APGD and FAB, the untargeted DLR and FAB, as published. `.names` tells what runs.

    Each attack sees only the images that none before it has broken, and an image leaves the batch at its first success.
    Clean-wrong images are returned as they are.

    Args:
        num_classes: read from the model when it is called, if None.
        norm: read from the threat when it is called, if None.
        version: standard or plus.
        num_steps, num_queries: of APGD and FAB, and of Square; as published.

    Errors: ValueError for an unknown version, fewer than 2 classes, or a model or threat other than announced.

    Example:
        >>> autoattack(num_classes=3).names
        ('apgd_ce', 'apgd_dlr', 'apgd_margin_t', 'fab_t', 'square')
    """
    return AutoAttack(num_classes=num_classes, norm=norm, version=version, num_steps=num_steps, num_queries=num_queries)
