"""What an attack and a step rule say of themselves, so that nobody has to guess."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

ALL_NORMS = ("linf", "l2", "l1")
Kind = Literal["bounded", "minimal"]
Needs = Literal["gradients", "scores", "labels"]


@dataclass(frozen=True, kw_only=True)
class StepAbilities:
    """What a step rule says of itself.

    Args:
        steady: its steps are equally long, so what a search gained lately is a forecast of what it can still gain.
        norms: names of the norms that it is made for.
        stride: budget -> length of a step in that norm; None where the rule chooses lengths as it goes.
    """

    steady: bool = False
    norms: tuple[str, ...] = ALL_NORMS
    stride: Callable[[float], float] | None = None


@dataclass(frozen=True, kw_only=True)
class Abilities:
    """What an attack says of itself. A wrong claim fails `medrobust.testing.check_attack`.

    Args:
        kind: bounded: it takes a budget and may use all of it. minimal: it looks for the smallest change and the budget
            is only its limit, so that one run serves every budget.
        needs: of the model under attack: gradients, scores without gradients, or only labels.
        norms: names of the norms, or the families of corruptions, that it is made for; it raises ValueError for others.
        randomized: its result depends on the generator.
        steady: see StepAbilities.
        reach: budget -> how far its steps can go from the image; None where it chooses lengths as it goes.
        program: the composed attack that it is, whose searches can share batches; None for a loop of its own.
        approach: (model, goal, ball, streams) -> (program, start): the search that is left to run, for a caller that
            stops it image by image at the first success; None where there is no such search.
        scout: an attack that may go before it, so that it needs to try smaller budgets only: a composed one with a
            budget, which is swept, or one that looks for the smallest change, which runs once.
        parts: the attacks inside it.
        keeping: () -> the same attack as an honest measurement runs it: it returns a point that won instead of its last
            one, and any wrong answer has won (see `medrobust.goals.or_wrong`); None where it does so already.
        nearing: distance -> the same search for the smallest change, content with a success within that distance, as a
            program always can be (see `engine.until_reached.Near`).
        batching: (size, following) -> the same attack for any number of images, at most `size` of which are shown to
            the model at once (see `attacks.combine.InBatches`); None for an attack of one batch.

    Example:
        >>> from medrobust.attacks import deepfool, fgsm, restarts, square
        >>> deepfool().abilities.kind, square().abilities.needs, fgsm().abilities.reach(0.5)
        ('minimal', 'scores', 0.5)
        >>> [part.num_steps for part in restarts(fgsm(), 2).abilities.parts]
        [1, 1]
    """

    kind: Kind = "bounded"
    needs: Needs = "gradients"
    norms: tuple[str, ...] = ALL_NORMS
    randomized: bool = False
    steady: bool = False
    reach: Callable[[float], float] | None = None
    program: Any = None
    approach: Callable[..., Any] | None = None
    scout: Any = None
    parts: tuple[Any, ...] = ()
    keeping: Callable[[], Any] | None = None
    nearing: Callable[[float], Any] | None = None
    batching: Callable[..., Any] | None = None


ORDER: tuple[Needs, ...] = ("labels", "scores", "gradients")


def of_all(parts: tuple[Any, ...], **more: Any) -> Abilities:
    """The abilities of an attack that runs several: it needs what any needs, and works where all work.

    A budget matters to it even if all of them look for the smallest change: what one has broken the next leaves out.
    """
    said = [part.abilities for part in parts]
    return Abilities(
        needs=max((one.needs for one in said), key=ORDER.index),
        norms=tuple(norm for norm in said[0].norms if all(norm in one.norms for one in said)),
        randomized=any(one.randomized for one in said),
        steady=all(one.steady for one in said),
        parts=parts,
        **more,
    )
