"""Checks of the classifier as a function: its input, its gradients against differences, loops inside, precision."""

from __future__ import annotations

import copy

import torch
from torch import Tensor

from ...findings import Finding
from ...goals import Goal, as_classes
from ...losses import margin
from ...models.inputs import number_type
from ...records.records import Records
from ..again import images_at
from ..context import Context
from ..probed import affordable, mixed

NUM_IMAGES = 8
WAYS = (0.003, 0.03, 0.3)  # of the margin that a difference is to change by its slope
LIKE = (0.5, 2.0)  # of the slope, that a difference must be
MOST, HALF = 0.85, 0.5  # of the images
ULPS = 4  # of a pixel near 1 in float32, that a budget must have
CENTERED, WIDE = 0.2, 0.6  # mean and spread of values that look normalized


def _some(context: Context, count: int = NUM_IMAGES) -> Tensor:
    chosen = mixed(context.images, affordable(context.images, count))
    return images_at(context.images, chosen, context.plan.device)[0]


def input_range(records: Records, context: Context) -> Finding:
    """Images lie inside the declared range of a pixel, and use it: others make budgets mean something else."""
    title = "Do the images fill the range that budgets are measured in?"
    x = _some(context, 64).double()
    low, high = context.plan.grids[0].domain
    least, most = float(x.min()), float(x.max())
    evidence = f"values from {least:.3g} to {most:.3g} of [{low:g}, {high:g}], mean {float(x.mean()):.3g}"
    width = high - low
    if least < low - 1e-6 * width or most > high + 1e-6 * width:
        advice = "Give images in the declared range; normalization belongs into the classifier (model.mean, model.std)."
        return Finding("input-range", "fail", title, evidence, advice)
    if most - least < 0.1 * width:
        advice = "A budget is a share of the declared range: is the range of these files another one?"
        return Finding("input-range", "warn", title, evidence + ": less than a tenth of it is used", advice)
    return Finding("input-range", "pass", title, evidence)


def differences(records: Records, context: Context) -> Finding:
    """A step along the gradient changes the margin as the gradient says, or attacks follow something else.

    Gradients that do not belong to the function are "shattered" or "stochastic" (Athalye et al. 2018,
    arXiv:1802.00420). Steps of several lengths are tried and the one that agrees best counts: a short one drowns in
    rounding, a long one bends.
    """
    title = "Do gradients say how the classifier changes?"
    if context.look.facts.gradient != "yes":
        return Finding("differences", "not_run", title, "the classifier gives no gradient", "Use square.")
    x = _some(context)
    with context.model.frozen():
        like = _agreeing(context.model, x)
    share = float(like.double().mean())
    evidence = f"on {int(like.sum())} of {len(x)} images a small step along the gradient does what the gradient says"
    if share >= MOST:
        return Finding("differences", "pass", title, evidence)
    advice = "Something rounds, cuts or draws at random: attack it with square, or the mean of many passes."
    return Finding("differences", "fail" if share < HALF else "warn", title, evidence, advice)


def _agreeing(model: torch.nn.Module, x: Tensor) -> Tensor:
    """(n,) whether central differences along the sign of the gradient are like its l1 norm, for some length."""
    with torch.enable_grad():
        leaf = x.clone().requires_grad_()
        logits = as_classes(model(leaf))
        goal = Goal(logits.detach().argmax(1), False)
        value = margin(logits, goal)
        (grad,) = torch.autograd.grad(value.sum(), leaf)
    slope = grad.flatten(1).abs().sum(1).double()
    way = grad.sign()
    out = torch.zeros(len(x), dtype=torch.bool, device=x.device)
    with torch.no_grad():
        for share in WAYS:
            length = (share * value.detach().abs().double() / slope.clamp_min(1e-30)).clamp_max(0.1)
            step = length.reshape(-1, *[1] * (x.ndim - 1)).to(x) * way
            # What the pixels can hold of the step: in float32 a short one is rounded.
            ahead, behind = x + step, x - step
            held = ((ahead.double() - behind.double()) * grad.double()).flatten(1).sum(1)
            change = (margin(as_classes(model(ahead)), goal) - margin(as_classes(model(behind)), goal)).double()
            ratio = change / held.clamp_min(1e-300)
            out |= (ratio > LIKE[0]) & (ratio < LIKE[1]) & (slope > 0)
    return out


def inner_loop(records: Records, context: Context) -> Finding:
    """A classifier that computes gradients while it answers optimizes against the attack.

    RobustBench leaves such models out (Croce et al. 2021, arXiv:2010.09670); attacks on them need care of their own
    (Tramer et al. 2020, arXiv:2002.08347).
    """
    title = "Does the classifier answer without computing gradients?"
    x = _some(context, 2)[:2]
    calls = 0
    backward, grad = torch.autograd.backward, torch.autograd.grad

    def counted(function):  # type: ignore[no-untyped-def]
        def call(*args, **kwargs):  # type: ignore[no-untyped-def]
            nonlocal calls
            calls += 1
            return function(*args, **kwargs)

        return call

    try:
        torch.autograd.backward, torch.autograd.grad = counted(backward), counted(grad)
        with context.model.frozen(), torch.no_grad(), torch.random.fork_rng():
            context.model(x)
    finally:
        torch.autograd.backward, torch.autograd.grad = backward, grad
    if not calls:
        return Finding("inner-loop", "pass", title, "no gradient is computed in a pass")
    evidence = f"{calls} gradients are computed in one pass"
    advice = "Attack it with square and hop_skip_jump, and through the loop; no usual attack is meant for it."
    return Finding("inner-loop", "fail", title, evidence, advice)


def precision(records: Records, context: Context) -> Finding:
    """Answers are those of exact arithmetic, and budgets are larger than the rounding of a pixel.

    A network in 16 bits rounds away changes that a float32 pixel holds; float32 itself ends at 6e-8 of a pixel near 1.
    """
    title = "Is the arithmetic fine enough for these budgets?"
    smallest = [e for grid in context.plan.grids if grid.norm_name == "linf" for e in grid.epsilons if e > 0]
    low, high = context.plan.grids[0].domain
    unit = torch.finfo(torch.float32).eps * max(abs(low), abs(high))
    if smallest and min(smallest) < ULPS * unit:
        evidence = f"the smallest budget, {min(smallest):.2g}, is less than {ULPS} roundings of a float32 pixel"
        return Finding("precision", "fail", title, evidence, "Leave such budgets out.")
    x = _some(context, 32)
    with context.model.frozen(), torch.no_grad():
        single = as_classes(context.model(x))
        try:
            double = as_classes(copy.deepcopy(context.model).double()(x.double()))
        except Exception:  # networks that convert by themselves, programs of a fixed type
            return Finding(
                "precision", "pass", title, "the network computes in its own type; no budget is below float32"
            )
    gap = float((single.double() - double.double()).abs().max())
    flips = int((single.argmax(1) != double.argmax(1)).sum())
    type_ = str(number_type(context.model.network) or x.dtype).removeprefix("torch.")
    evidence = f"{flips} of {len(x)} answers in {type_} differ from float64, the logits by at most {gap:.2g}"
    if flips <= 0.02 * len(x):
        return Finding("precision", "pass", title, evidence)
    return Finding("precision", "warn", title, evidence, "Answers that rounding decides are no robust ones.")
