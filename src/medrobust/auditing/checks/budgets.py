"""Checks of attacks and budgets."""

from __future__ import annotations

from collections.abc import Iterator

from ...attacks.base import Attack
from ...attacks.combine import WorstCase
from ...engine.program import Program
from ...engine.steps import Momentum, Steepest
from ...findings import Finding
from ...records.curves import norms, worst_case
from ...records.records import Records
from ..context import Context


def _programs(name: str, attack: Attack) -> Iterator[tuple[str, Program]]:
    if isinstance(attack, Program):
        yield name, attack
    elif isinstance(attack, WorstCase):
        for part in attack.attacks:
            yield from _programs(name, part)


def reach(records: Records, context: Context) -> Finding:
    """C25: num_steps * step_size must be able to cross the ball, or the attack tests a smaller budget than it says."""
    short = []
    for name, attack in context.plan.attacks.items():
        for title, program in _programs(name, attack):
            step = program.step
            if not isinstance(step, (Steepest, Momentum)):
                continue
            for grid in context.plan.grids:
                largest = grid.epsilons[-1]
                size = step.step_size
                if size is None:
                    size = largest * (1.0 if step.relative_step_size is None else step.relative_step_size)
                if program.num_steps * size < largest * (1 - 1e-6):
                    share = program.num_steps * size / largest if largest else 0.0
                    text = f"{title} ({grid.norm_name}) reaches {share:.0%} of epsilon {largest:.4g}"
                    if text not in short:
                        short.append(text)
    title = "Can every attack reach the edge of its budget?"
    if not short:
        return Finding("reach", "pass", title, "num_steps x step_size is at least epsilon for every attack")
    return Finding("reach", "fail", title, "; ".join(short), "Raise num_steps or step_size: this budget is not tested.")


def largest_budget_breaks_all(records: Records, context: Context) -> Finding:
    """C20: with a large enough budget every image must fall, or the attack, not the classifier, is the limit."""
    title = "Do the attacks break (nearly) every image at the largest budget?"
    parts, left = [], 0.0
    for norm in norms(records):
        curve = worst_case(records, norm, context.plan.protocol == "honest")
        share = float(curve.envelope[:, -1].mean())
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
    """C04, C34: changes below half a grey level vanish when the image is stored."""
    bits = min(context.images.bit_depth(i) for i in range(min(len(context.images), 16)))
    half = 0.5 / (2**bits - 1)
    small = [e for grid in context.plan.grids if grid.norm_name == "linf" for e in grid.epsilons if 0 < e < half]
    title = "Do all budgets exist in an image file of this bit depth?"
    if not small:
        return Finding("grey-level", "pass", title, f"every linf budget is at least half a grey level of {bits} bits")
    evidence = f"{len(small)} linf budgets are below half a grey level of {bits} bits ({half:.2g})"
    advice = "Such a change exists in memory only; the column 'as stored' says what is left after saving to a file."
    return Finding("grey-level", "warn", title, evidence, advice)
