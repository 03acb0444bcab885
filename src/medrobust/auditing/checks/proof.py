"""Checks that prove of an attack that it works: on a classifier with a known weakness, and on one known altogether."""

from __future__ import annotations

import torch

from ...attacks.base import Attack
from ...findings import Finding, Severity
from ...goals import as_classes, untargeted
from ...measuring.outcome import Grid
from ...numbers import epsilon_text
from ...records.records import Records
from ...streams import Streams
from ...threat import Threat
from ..active.linear import slopes
from ..active.run import ActiveTest, active_test, tried
from ..again import images_at, standing
from ..context import NO_NORM, Context
from ..probed import affordable, mixed

PASS, WARN = 0.95, 0.80  # of the weaknesses that say something, found by any attack at every budget
FEWEST = 8  # such weaknesses, for a verdict
CLOSED_FORM = 8  # images
AIMING = "no attack of this run takes any wrong answer and sees more than labels"


def active(records: Records, context: Context) -> Finding:
    """The attacks find a weakness that was planted in the classifier for them.

    After Zimmermann et al. 2022 (arXiv:2206.13991), in a formulation of our own: see medrobust.auditing.active.
    """
    title = "Do the attacks find a weakness that is known to be there?"
    if context.look.facts.repeat_gap > 1e-4:
        evidence = "the classifier is random, so that nothing can be planted in it"
        return Finding("active-test", "not_run", title, evidence, "Attack the mean of many passes.")
    if context.look.facts.gradient != "yes":
        evidence = "the classifier gives no gradient, along which a weakness could be planted"
        return Finding("active-test", "not_run", title, evidence, "Look at the other checks of the attacks.")
    if not context.plan.slopes:
        return Finding("active-test", "not_run", title, *NO_NORM)
    asked = _untargeted(context, ("gradients", "scores"))
    if not asked:
        return Finding("active-test", "not_run", title, AIMING, "Add an attack that takes any wrong answer.")
    grids = {grid.norm_name: _asked(records, grid) for grid in context.plan.slopes}
    found = active_test(
        context.model,
        context.images,
        asked,
        lambda name: [grids[grid.norm_name] for grid in context.plan.grids_of(name) if grid.norm.has_slope],
        seed=context.plan.seed,
        device=context.plan.device,
        batch_size=context.plan.batch_size,
        mask=context.plan.mask,
    )
    severity, evidence, advice = _verdict(found)
    return Finding("active-test", severity, title, evidence, advice, found.as_dict())


def _untargeted(context: Context, needs: tuple[str, ...]) -> dict[str, Attack]:
    """The attacks that take any wrong answer, as they run, of those that need this of the classifier."""
    runs = context.plan.runs.items()
    return {name: attack for name, attack in runs if attack.goal is untargeted and attack.abilities.needs in needs}


def _asked(records: Records, grid: Grid) -> Grid:
    """The largest budget, and one in the middle of the curve."""
    stood = standing(records, grid)
    middle = grid.epsilons[(len(grid.epsilons) - 1) // 2] if stood is None else stood.epsilon
    return Grid(grid.norm_name, (middle, grid.epsilons[-1]), grid.domain)


def _verdict(found: ActiveTest) -> tuple[Severity, str, str]:
    if found.reason:
        return "not_run", f"it could not be done: {found.reason}", "Look at the other checks of the attacks."
    parts = [
        f"{hit} of {counted} at {norm} {epsilon_text(epsilon, norm)}"
        for (norm, epsilon), (counted, hit) in (found.together or {}).items()
    ]
    won = max((row.won_by_random for row in found.rows), default=0)
    evidence = f"found {', '.join(parts)} (planted in {found.layer}"
    evidence += f"; in {won} images a random point finds it too, and they do not count)" if won else ")"
    counted, hit = found.least
    if counted < FEWEST:
        few = f"fewer than {FEWEST} images in which a weakness could be planted"
        return "not_run", f"{evidence}: {few}", "Use more images, or smaller budgets."
    if hit >= PASS * counted:
        return "pass", evidence, ""
    advice = (
        "The attacks miss what is there: raise num_steps and step_size, use attacks=standard, and look for a layer "
        "that rounds, saturates or draws at random. What they leave standing is no robustness."
    )
    return "warn" if hit >= WARN * counted else "fail", evidence, advice


def closed_form(records: Records, context: Context) -> Finding:
    """On a linear classifier the best change is known: the attacks, as they are set, must come within 5 % of it.

    It finds steps that are too short, a projection onto another ball, and a budget in another unit, whatever the
    classifier under audit is like.
    """
    title = "Do the attacks reach the known optimum on a linear classifier?"
    chosen = mixed(context.images, affordable(context.images, CLOSED_FORM))
    x, ids = images_at(context.images, chosen, context.plan.device)
    y = torch.zeros(len(x), dtype=torch.long, device=x.device)
    short: list[str] = []
    best_of: dict[str, torch.Tensor] = {}
    for name, attack in _untargeted(context, ("gradients",)).items():
        for grid in context.plan.grids_of(name):
            epsilon = grid.epsilons[-1]
            threat = Threat(epsilon=epsilon, norm=grid.norm, domain=grid.domain)
            streams = Streams.of(context.plan.seed, ids, context.plan.device).child("closed form", grid.norm_name)
            model = slopes(threat.around(x), streams)
            points = tried(attack, model, x, y, threat, streams.child(name))
            won = as_classes(model(threat.exact(x).round_inside(points))).argmax(1) == 1
            before = best_of.get(grid.norm_name)
            best_of[grid.norm_name] = won if before is None else before | won
            if not bool(won.all()):
                short.append(f"{name} ({grid.norm_name}) on {int(won.sum())} of {len(x)}")
    if not context.plan.slopes:
        return Finding("closed-form", "not_run", title, *NO_NORM)
    if not best_of:
        evidence = "no attack of this run follows gradients to any wrong answer"
        return Finding("closed-form", "not_run", title, evidence, "Add pgd or attacks=standard.")
    all_won = all(bool(won.all()) for won in best_of.values())
    evidence = "every attack does, at its largest budget" if not short else f"within 5 %: {'; '.join(short)}"
    if all_won and not short:
        return Finding("closed-form", "pass", title, evidence)
    if all_won:
        return Finding("closed-form", "pass", title, f"at least one does in every norm; {evidence}")
    advice = "Raise num_steps or step_size, and look at the projection of an attack of your own."
    return Finding("closed-form", "fail", title, evidence, advice)
