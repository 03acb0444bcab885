"""Whether what an attack says of itself is so: its needs, norms, reach, steps and parts, and what it keeps."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import torch
from torch import Tensor, nn

from ..attacks.honest import honest
from ..engine.abilities import ORDER
from ..goals import Goal, as_classes
from ..norms import NORMS, as_norm
from ..numbers import FAMILIES, SEVERITY_STEP
from ..threat import Threat
from .setting import AttackCase, Setting, assert_inside, endless, setting


class _Opaque(nn.Module):
    """A model without gradients, which gives its scores or, one-hot, only its labels."""

    def __init__(self, model: nn.Module, gives: str) -> None:
        super().__init__()
        self.model = model
        self.gives = gives

    @torch.no_grad()
    def forward(self, x: Tensor) -> Tensor:
        logits = as_classes(self.model(x))
        if self.gives == "scores":
            return logits
        return nn.functional.one_hot(logits.argmax(1), logits.shape[1]).to(logits)


def needs_no_more_than_it_says(case: AttackCase) -> None:
    """An attack that needs scores or labels makes the same images from a model that gives nothing else."""
    needs = case.said.needs
    assert needs in ORDER, f"needs={needs!r}"
    if needs == "gradients":
        return
    for norm in case.norms:
        given = setting(norm)
        blind, found = replace(given, model=_Opaque(given.model, needs).eval()), given.run(case)
        try:
            same = torch.equal(found, blind.run(case))
        except RuntimeError as error:
            raise AssertionError(f"{norm}: needs more than {needs}: {error}") from error
        assert same, f"{norm}: needs more than {needs}"


def works_in_the_norms_it_says(case: AttackCase) -> None:
    """A norm that it is made for is taken, and one that it is not made for is refused, not searched in vain."""
    assert case.norms, "made for no norm"
    named = ", ".join(case.norms)
    for norm in (*NORMS, *FAMILIES):
        try:
            setting(norm).run(case)
        except ValueError as error:
            if norm in case.norms:
                raise AssertionError(f"made for {named}, but refuses {norm}: {error}") from error
        else:
            assert norm in case.norms, f"made for {named}, but takes {norm} without a word"


def reaches_as_far_as_it_says(case: AttackCase) -> None:
    """Up a slope that never ends, the attack ends as far away as `reach` says: no farther, and hardly nearer."""
    if case.said.reach is None or case.said.needs != "gradients":
        return
    for norm in case.norms:
        given = endless(norm)
        for epsilon in (1e-3, 0.25):
            threat = Threat(epsilon=epsilon, norm=as_norm(norm), domain=given.threat.domain)
            distance = threat.around(given.x).distance(replace(given, threat=threat).run(case))
            # A random start may be anywhere in the ball.
            slack = epsilon if case.said.randomized else 0.0
            reach = case.said.reach(epsilon)
            far = float(distance.max())
            assert far <= (reach + slack) * (1 + 1e-3), f"{norm}: goes {far:.3g}, said {reach:.3g}"
            wanted = 0.9 * min(reach, epsilon)
            assert far >= wanted or slack, f"{norm}: goes {far:.3g} only, said {reach:.3g} of {epsilon}"


def steps_are_steady_if_it_says_so(case: AttackCase) -> None:
    """Up a slope that never ends, each step of a composed attack is as long as the first."""
    program = case.said.program
    if not case.said.steady or program is None:
        return
    for norm in case.norms:
        given = endless(norm)
        threat = Threat(epsilon=1e3, norm=NORMS[norm], domain=given.threat.domain)
        points = program.trajectory(given.model, given.x, given.y, threat, generator=given.streams)[1]
        visited = [point.x for point in points]
        ball = threat.around(given.x)
        inside = [x for x in visited if bool((ball.distance(x) < 0.5e3).all())]
        pairs = pairwise(inside)
        sizes = [NORMS[norm].size((after - before).double()) for before, after in pairs]
        assert all(torch.allclose(size, sizes[0], rtol=1e-2) for size in sizes), f"{norm}: steps differ in length"


def says_what_is_inside(case: AttackCase) -> None:
    """Every inner attack says its abilities too, and an attack made of others works only where all of them do."""
    for part in case.said.parts:
        inner = AttackCase(attack=part)
        assert set(case.norms) <= set(inner.norms), "made for a norm that an inner attack is not made for"
        says_what_is_inside(inner)


def keeps_what_won(case: AttackCase) -> None:
    """As the protocol honest runs it, the attack wins at least where it wins as published, and is of the same kind."""
    kept = honest(case.attack)
    assert kept.abilities.kind == case.said.kind, "another kind of attack when it keeps what won"
    for norm in case.norms:
        given = setting(norm)
        goal = case.attack.goal(given.model(given.x).detach(), given.y)
        before, after = (goal.reached(given.model(given.run(one))) for one in (case, replace(case, attack=kept)))
        assert bool((after | ~before).all()), f"{norm}: loses what it wins as published"


def _mildest(case: AttackCase, given: Setting) -> None:
    """Of a family of corruptions no milder severity changes an answer that a search changed."""
    goal, ball = Goal(given.y, False), given.threat.around(given.x)
    found = given.run(case)
    severity, name = ball.distance(found), ball.norm.name
    changed = severity > 0
    assert bool(goal.reached(given.model(found))[changed].all()), f"{name}: what it gives back does not mislead"
    milder = replace(given.threat, epsilon=(severity - SEVERITY_STEP).clamp_min(0).to(given.x))
    left = replace(given, threat=milder).run(case)
    assert not bool(goal.reached(given.model(left))[changed].any()), f"{name}: a milder corruption misleads as well"


def finds_small_changes(case: AttackCase) -> None:
    """A minimal attack with an unlimited budget changes every answer, and half its change is too little for most.

    In a family of corruptions, where the budget has an end, nothing milder than what it finds changes the answer.
    """
    assert case.said.kind in ("bounded", "minimal"), f"kind={case.said.kind!r}"
    if case.said.kind != "minimal":
        return
    for norm in case.norms:
        given = setting(norm)
        if not given.threat.norm.has_slope:
            _mildest(case, given)
            continue
        unlimited = replace(given, threat=replace(given.threat, epsilon=torch.inf))
        x_adv = unlimited.run(case)
        assert_inside(unlimited, x_adv, f"{norm}, unlimited")
        goal = Goal(given.y, False)
        assert bool(goal.reached(given.model(x_adv)).all()), f"{norm}: failed with an unlimited budget"
        half = goal.reached(given.model((x_adv + given.x) / 2)).float().mean()
        assert float(half) < 0.5, f"{norm}: half the change is enough for {float(half):.0%} of the images"
