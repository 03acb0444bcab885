"""Attacks that lie about what they can do: the check that is there for the claim names it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import pytest
from torch import Tensor

from medrobust.attacks import bim, ddn, deepfool, fgsm, hop_skip_jump, pgd, restarts, square, worst_case
from medrobust.attacks.base import Attack
from medrobust.engine.abilities import Abilities, StepAbilities
from medrobust.engine.ascend import Point
from medrobust.engine.program import Program
from medrobust.goals import GoalRule
from medrobust.norms import per_sample
from medrobust.testing import ATTACK_CHECKS, AttackCase, check_attack
from medrobust.threat import Ball


@dataclass(frozen=True)
class Claims:
    """Another attack, saying something else of itself."""

    attack: Attack
    abilities: Abilities

    @property
    def goal(self) -> GoalRule:
        return self.attack.goal

    def __call__(self, model, x, y, threat, *, generator=None) -> Tensor:
        return self.attack(model, x, y, threat, generator=generator)


def claims(attack: Attack, **said: Any) -> Attack:
    """The attack with some of its abilities changed. What follows from others is left to them."""
    return Claims(attack, replace(attack.abilities, **said))


@dataclass(frozen=True)
class Loses:
    """An attack that keeps the image itself where it says that it keeps what won."""

    attack: Attack
    kept: bool = False

    @property
    def goal(self) -> GoalRule:
        return self.attack.goal

    @property
    def abilities(self) -> Abilities:
        keeping = None if self.kept else lambda: replace(self, kept=True)
        return replace(self.attack.abilities, keeping=keeping, program=None, approach=None)

    def __call__(self, model, x, y, threat, *, generator=None) -> Tensor:
        return x.clone() if self.kept else self.attack(model, x, y, threat, generator=generator)


@dataclass(frozen=True)
class LinfOnly:
    """Claims every norm and searches in vain in the others: it returns the image."""

    attack: Attack

    @property
    def goal(self) -> GoalRule:
        return self.attack.goal

    @property
    def abilities(self) -> Abilities:
        return replace(self.attack.abilities, norms=("linf", "l2", "l1"))

    def __call__(self, model, x, y, threat, *, generator=None) -> Tensor:
        if threat.norm.name != "linf":
            return x.clone()
        return self.attack(model, x, y, threat, generator=generator)


@dataclass(frozen=True)
class LooksAtTheBatch:
    """Stops for all images as soon as most have fallen."""

    attack: Attack = pgd(num_steps=1)  # noqa: RUF009 - frozen

    goal = staticmethod(pgd().goal)
    abilities = Abilities(randomized=False)

    def __call__(self, model, x, y, threat, *, generator=None) -> Tensor:
        return bim(num_steps=2 if len(x) > 2 else 9)(model, x, y, threat)


@dataclass(frozen=True)
class Halving:
    """Steps along the gradient, each half as long as the one before."""

    abilities: ClassVar[StepAbilities] = StepAbilities(steady=True)

    def init(self, ball: Ball, num_steps: int) -> Tensor:
        return 0.2 * ball.radius

    def __call__(self, point: Point, state: Tensor, ball: Ball) -> tuple[Tensor, Tensor]:
        move = per_sample(state, point.x) * ball.norm.steepest(point.grad)
        return ball.project(point.x + move), state / 2


SHORT = bim(num_steps=4, relative_step_size=0.1)
HALVING = Program(step=Halving(), num_steps=8)

LIES: dict[str, tuple[Attack, str, str]] = {
    "minimal though bounded": (
        claims(bim(num_steps=5, step_size=0.1), kind="minimal", reach=None),
        "finds_small_changes",
        "linf: half the change is enough",
    ),
    "minimal though it needs a budget": (
        claims(pgd(num_steps=5), kind="minimal"),
        "finds_small_changes",
        "unlimited: not finite",
    ),
    "a kind that does not exist": (claims(pgd(num_steps=5), kind="small"), "finds_small_changes", "kind='small'"),
    "labels though it takes gradients": (claims(fgsm(), needs="labels"), "needs_no_more_than_it_says", "labels"),
    "scores though it takes gradients": (claims(fgsm(), needs="scores"), "needs_no_more_than_it_says", "scores"),
    "labels though it takes scores": (
        claims(square(num_queries=20), needs="labels"),
        "needs_no_more_than_it_says",
        "needs more than labels",
    ),
    "needs that do not exist": (claims(fgsm(), needs="weights"), "needs_no_more_than_it_says", "needs='weights'"),
    "too few norms": (claims(fgsm(), norms=("linf",)), "works_in_the_norms_it_says", "takes l"),
    "no norm": (claims(fgsm(), norms=()), "works_in_the_norms_it_says", "made for no norm"),
    "too many norms": (
        claims(deepfool(), norms=("linf", "l2", "l1")),
        "works_in_the_norms_it_says",
        "made for linf, l2, l1, but refuses l1",
    ),
    "too many norms, in silence": (LinfOnly(fgsm()), "changes_images", "l2: nothing was changed"),
    "randomized though it is not": (
        claims(bim(num_steps=3), randomized=True),
        "randomness_is_given",
        "randomized=True",
    ),
    "not randomized though it is": (
        claims(pgd(num_steps=3), randomized=False),
        "randomness_is_given",
        "randomized=False, but other seeds say True",
    ),
    "reaches farther than it says": (
        claims(SHORT, reach=lambda epsilon: 0.2 * epsilon),
        "reaches_as_far_as_it_says",
        "goes 0.0004, said 0.0002",
    ),
    "reaches less far than it says": (
        claims(SHORT, reach=lambda epsilon: epsilon),
        "reaches_as_far_as_it_says",
        "goes 0.0004 only, said 0.001",
    ),
    "steady though its steps shrink": (HALVING, "steps_are_steady_if_it_says_so", "steps differ in length"),
    "parts whose norms do not fit": (
        claims(fgsm(), parts=(deepfool(),)),
        "says_what_is_inside",
        "norm that an inner attack is not made for",
    ),
    "parts of parts whose norms do not fit": (
        claims(fgsm(), parts=(claims(worst_case([fgsm()]), parts=(deepfool(),)),)),
        "says_what_is_inside",
        "norm that an inner attack is not made for",
    ),
    "keeping that loses": (Loses(bim(num_steps=5)), "keeps_what_won", "loses what it wins as published"),
    "keeping another kind": (
        claims(bim(num_steps=5), keeping=lambda: ddn(num_steps=60)),
        "keeps_what_won",
        "another kind of attack",
    ),
    "another image's budget": (LooksAtTheBatch(), "batches_do_not_matter", "depends on the batch"),
}


@pytest.mark.parametrize("lie", LIES)
def test_a_wrong_claim_is_named(lie: str) -> None:
    attack, check, words = LIES[lie]
    with pytest.raises(AssertionError) as error:
        check_attack(attack)
    assert str(error.value).startswith(f"{check}: ")
    assert words in str(error.value)


def test_whatever_an_attack_raises_the_check_is_named() -> None:
    def fails(model, x, y, threat, *, generator=None) -> Tensor:
        raise KeyError("weights")

    attack = Claims(fgsm(), fgsm().abilities)
    object.__setattr__(attack, "attack", _Named(fails))
    with pytest.raises(AssertionError, match=r"^works_in_the_norms_it_says: KeyError: 'weights'"):
        check_attack(attack)


@dataclass(frozen=True)
class _Named:
    """A function with a goal."""

    call: Callable[..., Tensor]
    goal = staticmethod(fgsm().goal)

    def __call__(self, *given: Any, **more: Any) -> Tensor:
        return self.call(*given, **more)


HONEST: dict[str, Callable[[], Attack]] = {
    "as it is": lambda: claims(fgsm()),
    "less than it can": lambda: claims(square(num_queries=20), needs="gradients"),
    "reach unknown": lambda: claims(SHORT, reach=None),
    "labels": lambda: hop_skip_jump(num_queries=200, num_directions=20),
    "restarts": lambda: restarts(bim(num_steps=3), 2),
}


@pytest.mark.parametrize("name", HONEST)
def test_what_is_true_passes(name: str) -> None:
    checks = ("needs_no_more_than_it_says", "reaches_as_far_as_it_says", "says_what_is_inside", "randomness_is_given")
    for check in checks:
        ATTACK_CHECKS[check](AttackCase(attack=HONEST[name]()))
