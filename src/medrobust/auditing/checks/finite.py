"""A check that the classifier answers with numbers inside the budgets, not only on the images themselves."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from ...attacks.combine import select
from ...attacks.pgd import pgd
from ...findings import Finding
from ...measuring.outcome import Grid
from ...measuring.subjects import allowed
from ...records.records import Records
from ...streams import Streams
from ...threat import Threat
from ..context import NO_NORM, Context
from ..probed import affordable, mixed

NUM_DRAWN = 64  # images that are looked at in random points of the ball
NUM_CLIMBED = 8  # of these, images that are looked at along an attack
NUM_STEPS = 5


def finite_under_attack(records: Records, context: Context) -> Finding:
    """Outputs that are no numbers are no answers: such a point counts as no success, and hides what it stands for.

    Random points and the points of a short attack at the largest budget are looked at again, for a search passes over
    points without an answer and leaves no trace of them in the rows.
    """
    title = "Are the outputs numbers everywhere inside the budgets?"
    if not context.plan.slopes:
        return Finding("finite", "not_run", title, *NO_NORM)
    chosen = mixed(context.images, affordable(context.images, NUM_DRAWN))
    batch = context.images.batch(chosen)
    ids = [context.images.samples[i].image_id for i in chosen]
    device = context.plan.device
    streams = Streams.of(context.plan.seed, ids, device).child("finite")
    silent = torch.zeros(len(chosen), dtype=torch.bool)
    mask = allowed(context.images, chosen, context.plan.mask, device)
    with context.model.frozen():
        for grid in context.plan.slopes:
            for points in _points(context, grid, batch.x.to(device), batch.y.to(device), streams, mask):
                with torch.no_grad():
                    answers = torch.cat([context.model(part) for part in points.split(context.plan.batch_size)])
                silent[: len(points)] |= ~answers.isfinite().all(1).cpu()
    count = int(silent.sum())
    evidence = f"{count} of {len(chosen)} images have points within the largest budget where they are not"
    if not count:
        return Finding("finite", "pass", title, evidence)
    advice = "These images count as not broken there: mend the layer that gives NaN or infinity, then audit again."
    return Finding("finite", "fail", title, evidence, advice)


def _points(
    context: Context, grid: Grid, x: Tensor, y: Tensor, streams: Streams, mask: Tensor | None
) -> Iterator[Tensor]:
    """Points of the ball of the largest budget: random ones of all images, those of an attack of the first."""
    threat = Threat(epsilon=grid.epsilons[-1], norm=grid.norm, domain=grid.domain, mask=mask)
    ball = threat.around(x)
    yield ball.sample(streams.child("inside"))
    direction = grid.norm.steepest(streams.child("edge").normal(x))
    yield ball.project(x + grid.epsilons[-1] * direction)
    if context.look.facts.gradient == "yes":
        few = x[:NUM_CLIMBED]
        climb, near = pgd(num_steps=NUM_STEPS), select(threat, torch.arange(len(few)), x)
        _, visited = climb.trajectory(context.model, few, y[:NUM_CLIMBED], near, generator=streams[:NUM_CLIMBED])
        for point in visited:
            yield point.x.detach()
