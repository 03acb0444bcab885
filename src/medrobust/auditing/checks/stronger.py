"""Checks that attack once more: longer, without gradients, without a budget. What falls then was not robust."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from ...attacks.apgd import apgd
from ...attacks.base import Attack
from ...attacks.combine import select
from ...attacks.pgd import pgd
from ...attacks.square import square
from ...engine.keep import first_reached
from ...findings import SEVERITIES, Finding, Severity
from ...goals import as_classes
from ...losses import margin
from ...measuring.subjects import allowed
from ...numbers import epsilon_text
from ...records.records import Records
from ...streams import Streams
from ...threat import Threat
from ..active.run import tried
from ..again import Standing, affordable_images, images_at, spread, standing
from ..context import NO_NORM, Context
from ..probed import affordable, mixed

LONG = 100  # steps of the attack from another start
QUERIES = 150  # of Square
DRAWS = 16  # of noise, half of them at the edge of the ball
MOST = 64  # images that are attacked again
UNBOUNDED, UNBOUNDED_STEPS = 16, 50  # images, and steps
MANY = 0.25  # of them that stand although everything may change: no rare exception


def _broken(context: Context, tried: Tensor, x: Tensor, y: Tensor, threat: Threat) -> Tensor:
    """(n,) whether the classifier itself answers otherwise, inside the exact ball."""
    with torch.no_grad():
        inside = threat.exact(x).round_inside(tried)
        logits = torch.cat([as_classes(context.model(part)) for part in inside.split(context.plan.batch_size)])
    return (logits.argmax(1) != y) & logits.isfinite().all(1)


def _tried(context: Context, attack: Attack, x: Tensor, y: Tensor, threat: Threat, streams: Streams) -> Tensor:
    """The points that an attack finds on the copy, a batch at a time."""
    parts = []
    for part in torch.arange(len(x), device=x.device).split(context.plan.batch_size):
        given = (x[part], y[part], select(threat, part, x), streams[part])
        parts.append(tried(attack, context.copy, *given))
    return torch.cat(parts)


Again = Callable[[Context, Tensor, Tensor, Threat, Streams], Tensor]


def _asked_again(
    records: Records, context: Context, label: str, most: int, again: Again
) -> list[tuple[Standing, int, int]]:
    """Per norm: who stood, how many of them were attacked again, how many fell."""
    out = []
    with context.model.frozen():
        for grid in context.plan.slopes:
            stood = standing(records, grid)
            if stood is None:
                continue
            chosen = spread(stood.positions, most)
            x, ids = images_at(context.images, chosen, context.plan.device)
            mask = allowed(context.images, chosen, context.plan.mask, context.plan.device)
            streams = Streams.of(context.plan.seed, ids, context.plan.device).child(label)
            with torch.no_grad():
                y = torch.cat([as_classes(context.model(p)) for p in x.split(context.plan.batch_size)]).argmax(1)
            fell = again(context, x, y, stood.threat(mask), streams)
            out.append((stood, len(x), int(fell.sum())))
    return out


def _said(found: list[tuple[Standing, int, int]], what: str) -> tuple[Severity, str]:
    """The worst severity, and who fell, in words."""
    if not found:
        return "pass", "no image stands at any budget"
    worst = min((stood.severity(fell, asked) for stood, asked, fell in found), key=SEVERITIES.index)
    parts = [
        f"{fell} of {asked} images that stood at {stood.grid.norm_name} "
        f"{epsilon_text(stood.epsilon, stood.grid.norm_name)} fall to {what}"
        for stood, asked, fell in found
    ]
    return worst, "; ".join(parts)


def convergence(records: Records, context: Context) -> Finding:
    """A longer attack from another start breaks no more images, or the attacks had not converged.

    Carlini et al. 2019 (arXiv:1902.06705) ask for more steps and restarts until nothing changes. What counts is by how
    much robust accuracy is surely too high (lower end of Wilson's interval of those that fall).
    """
    title = "Would a longer attack break more images?"
    if not context.plan.slopes:
        return Finding("convergence", "not_run", title, *NO_NORM)
    if context.look.facts.gradient != "yes":
        return Finding("convergence", "not_run", title, "the classifier gives no gradient", "Add square.")
    attack = apgd(num_steps=LONG, loss=margin)

    def again(context: Context, x: Tensor, y: Tensor, threat: Threat, streams: Streams) -> Tensor:
        return _broken(context, _tried(context, attack, x, y, threat, streams), x, y, threat)

    most = affordable_images(context, LONG, MOST)
    found = _asked_again(records, context, "convergence", most, again)
    severity, evidence = _said(found, f"APGD of {LONG} steps from another start")
    advice = "The attacks stop too early: use attacks=standard or attacks=full, or raise num_steps and restarts."
    return Finding("convergence", severity, title, evidence, advice if severity != "pass" else "")


def black_box(records: Records, context: Context) -> Finding:
    """Noise and an attack that sees only scores must not win where attacks with gradients lost.

    Where they do, gradients are masked (Athalye et al. 2018, arXiv:1802.00420; Carlini et al. 2019, arXiv:1902.06705).
    """
    title = "Do attacks without gradients break images that those with gradients left standing?"
    if not context.plan.slopes:
        return Finding("black-box", "not_run", title, *NO_NORM)
    attack = square(num_queries=QUERIES)

    def again(context: Context, x: Tensor, y: Tensor, threat: Threat, streams: Streams) -> Tensor:
        ball, fell = threat.around(x), torch.zeros(len(x), dtype=torch.bool, device=x.device)
        for number in range(DRAWS // 2):
            for drawn in (ball.edge(streams.child("edge", number)), ball.sample(streams.child("inside", number))):
                fell |= _broken(context, drawn, x, y, threat)
        with torch.no_grad():
            return fell | _broken(context, _tried(context, attack, x, y, threat, streams), x, y, threat)

    most = affordable_images(context, (QUERIES + DRAWS) // 2, MOST)
    found = _asked_again(records, context, "black-box", most, again)
    severity, evidence = _said(found, f"{DRAWS} draws of noise or {QUERIES} queries of Square")
    advice = "Gradients mislead the attacks: add square, hop_skip_jump or transfer, and find the layer that masks them."
    return Finding("black-box", severity, title, evidence, advice if severity != "pass" else "")


def unbounded(records: Records, context: Context) -> Finding:
    """Where every pixel may become anything, every answer can be changed, or the attack is stuck.

    An unbounded attack that does not reach 100 % is a sign of masked gradients (Athalye et al. 2018,
    arXiv:1802.00420); the indicator "unconstrained attack failure" of Pintor et al. 2022 (arXiv:2106.09947).
    """
    title = "Does an attack without a budget change every answer?"
    if context.look.facts.gradient != "yes":
        return Finding("unbounded", "not_run", title, "the classifier gives no gradient", "Add square.")
    chosen = mixed(context.images, affordable(context.images, UNBOUNDED))
    x, ids = images_at(context.images, chosen, context.plan.device)
    low, high = context.plan.grids[0].domain
    threat = Threat(epsilon=high - low, domain=(low, high))
    attack = pgd(
        num_steps=UNBOUNDED_STEPS, relative_step_size=0.05, loss=margin, random_start=False, keep=first_reached
    )
    with context.model.frozen():
        with torch.no_grad():
            y = torch.cat([as_classes(context.model(p)) for p in x.split(context.plan.batch_size)]).argmax(1)
        streams = Streams.of(context.plan.seed, ids, context.plan.device).child("unbounded")
        fell = _broken(context, _tried(context, attack, x, y, threat, streams), x, y, threat)
    left = int((~fell).sum())
    evidence = f"{len(x) - left} of {len(x)} answers change when every pixel may become anything"
    if not left:
        return Finding("unbounded", "pass", title, evidence)
    advice = "What stands then is out of the reach of gradients, not robust: add square, and look for what masks them."
    return Finding("unbounded", "fail" if left > MANY * len(x) else "warn", title, evidence, advice)
