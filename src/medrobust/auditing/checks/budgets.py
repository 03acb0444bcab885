"""Checks of attacks and budgets."""

from __future__ import annotations

from collections.abc import Iterator

from ...attacks.base import Attack
from ...findings import Finding
from ...records.curves import norms
from ...records.records import Records
from ..context import Context


def _reaches(title: str, attack: Attack, epsilon: float) -> Iterator[tuple[str, float]]:
    """(title, share of epsilon that its steps can go) of an attack and of those inside it that say so."""
    said = attack.abilities
    if said.reach is not None and epsilon > 0:
        yield title, said.reach(epsilon) / epsilon
    for part in said.parts:
        yield from _reaches(title, part, epsilon)


def reach(records: Records, context: Context) -> Finding:
    """num_steps * step_size must reach the edge of the ball, or the attack tests a smaller budget than it says.

    Carlini et al. 2019 (arXiv:1902.06705) ask that attacks have converged; Croce & Hein 2020 (arXiv:2003.01690) show
    how much a poor step size hides.
    """
    short: dict[str, None] = {}
    for name, attack in context.plan.attacks.items():
        for grid in context.plan.grids_of(name):
            largest = grid.epsilons[-1]
            for title, share in _reaches(name, attack, largest):
                if share < 1 - 1e-6:
                    short[f"{title} ({grid.norm_name}) reaches {share:.0%} of epsilon {largest:.4g}"] = None
    title = "Can every attack reach the edge of its budget?"
    if not short:
        return Finding("reach", "pass", title, "num_steps x step_size is at least epsilon for every attack")
    return Finding("reach", "fail", title, "; ".join(short), "Raise num_steps or step_size: this budget is not tested.")


def largest_budget_breaks_all(records: Records, context: Context) -> Finding:
    """With a large enough budget every image must fall, or the attack, not the classifier, is the limit.

    An unbounded attack that does not reach 100 % is a sign of masked gradients (Athalye et al. 2018, arXiv:1802.00420).
    """
    title = "Do the attacks break (nearly) every image at the largest budget?"
    parts, left = [], 0.0
    for norm in norms(records):
        curve = records.worst_case(norm)
        share = float(curve.counted[:, -1].mean())
        left = max(left, share)
        parts.append(f"{norm} {curve.epsilons[-1]:.4g}: {share:.1%} still right")
    evidence = "; ".join(parts)
    if left <= 0.01:
        return Finding("largest-budget", "pass", title, evidence)
    advice = (
        "Either the classifier resists these budgets or the attack is stuck. Add a larger budget: if images still "
        "stand at one that may repaint the whole image, the attack is failing."
    )
    return Finding("largest-budget", "warn", title, evidence, advice)


def below_half_grey_level(records: Records, context: Context) -> Finding:
    """Changes below half a stored unit (a grey level, one HU) vanish when the image is stored.

    A file holds whole units, to which a change is rounded: the discretization of Carlini & Wagner 2017
    (arXiv:1608.04644). The unit is that of the file, over the width of what is shown.
    """
    source = max((context.images.source(i) for i in range(len(context.images))), key=lambda s: s.resolution)
    half, unit = 0.5 * source.resolution, f"{source.unit} of {source.bits} bits"
    small = [e for grid in context.plan.grids if grid.norm_name == "linf" for e in grid.epsilons if 0 < e < half]
    title = "Do all budgets exist in an image file of this bit depth?"
    if not half:
        return Finding("grey-level", "pass", title, "the images are floating point, which is not rounded")
    if not small:
        return Finding("grey-level", "pass", title, f"every linf budget is at least half a stored unit ({unit})")
    evidence = f"{len(small)} linf budgets are below half a stored unit ({unit}, {half:.2g})"
    advice = "Such a change exists in memory only; the column 'as stored' says what is left after saving to a file."
    return Finding("grey-level", "warn", title, evidence, advice)
