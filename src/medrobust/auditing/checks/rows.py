"""Checks that need only the rows: steps that help, curves that fall, points that are inside."""

from __future__ import annotations

import numpy as np

from ...findings import SEVERITIES, Finding, Severity
from ...numbers import epsilon_text
from ...records.curves import norms
from ...records.records import Records
from ..again import severity_of
from ..context import Context

REBOUND = 0.02  # of accuracy that a larger budget may give back


def steps_help(records: Records, context: Context) -> Finding:
    """Attacks of many steps break what a single step breaks, or gradients are masked.

    Athalye et al. 2018 (arXiv:1802.00420); after training with single steps it is "catastrophic overfitting" (Wong et
    al. 2020, arXiv:2001.03994).
    """
    title = "Do attacks of many steps break what a single step breaks?"
    programs = {name: attack.abilities.program for name, attack in context.plan.attacks.items()}
    ones = {name for name, program in programs.items() if program is not None and program.num_steps == 1}
    worst: Severity = "pass"
    said, asked = [], False
    for norm in norms(records):
        titles = [name for name, of in records.cells if of == norm and not _blind(context, name)]
        many = [name for name in titles if name not in ones]
        if not many or not ones & set(titles):
            continue
        asked = True
        epsilons, by_one = _broken(records, sorted(ones & set(titles)), norm)
        at, by_many = _broken(records, many, norm)
        both, left, right = np.intersect1d(epsilons, at, return_indices=True)
        alone = (by_one[:, left] & ~by_many[:, right]).sum(0) if len(both) else np.zeros(1, dtype=int)
        k = int(alone.argmax())
        n = len(by_one)
        worst = min(worst, severity_of(int(alone[k]), n), key=SEVERITIES.index)
        where = f" at {norm} {epsilon_text(float(both[k]), norm)}" if len(both) else ""
        said.append(f"{int(alone[k])} of {n} images fall to a single step alone{where}")
    if not asked:
        evidence = "it takes an attack of one step and another of many"
        return Finding("steps-help", "not_run", title, evidence, "Add fgsm beside pgd, or use attacks=standard.")
    advice = "The longer attacks are misled or stuck: gradients may be masked. Add square, restarts and smaller steps."
    return Finding("steps-help", worst, title, "; ".join(said), "" if worst == "pass" else advice)


def _blind(context: Context, name: str) -> bool:
    attack = context.plan.attacks.get(name)
    return attack is None or attack.abilities.needs != "gradients"


def _broken(records: Records, titles: list[str], norm: str) -> tuple[np.ndarray, np.ndarray]:
    """Budgets (e,), and (n, e) whether any of these attacks has made the answer wrong there or below."""
    grids = [records.matrix(title, norm, "reached") for title in titles]
    epsilons = np.unique(np.concatenate([at for at, _ in grids]))
    out = np.zeros((len(records.clean), len(epsilons)), dtype=bool)
    for at, reached in grids:
        out[:, np.searchsorted(epsilons, at)] |= reached
    return epsilons, np.logical_or.accumulate(out, axis=1)


def monotone(records: Records, context: Context) -> Finding:
    """A larger budget allows all that a smaller one does: accuracy that rises with it is the attack's failure.

    Curves of medical studies rise so (Joel et al. 2022, doi:10.1200/CCI.21.00170, among others).
    """
    title = "Does accuracy fall as the budget grows?"
    largest, where = 0.0, ""
    for norm in norms(records):
        for curve in records.curves(norm):
            rise = curve.raw - np.minimum.accumulate(curve.raw)
            if rise.max(initial=0.0) > largest:
                k = int(rise.argmax())
                largest = float(rise[k])
                where = f"{curve.attack} ({norm}) at {epsilon_text(float(curve.epsilons[k]), norm)}"
    if largest <= 0:
        return Finding("monotone", "pass", title, "no curve rises anywhere")
    evidence = f"the largest rebound is {100 * largest:.1f} points: {where}"
    if largest <= REBOUND:
        return Finding("monotone", "pass", title, evidence)
    advice = "Count an image broken at a budget as broken at every larger one: protocol=honest does."
    return Finding("monotone", "warn", title, evidence, advice)


def last_point(records: Records, context: Context) -> Finding:
    """What counts is whether any point of the search won, not whether the last one did.

    A search passes through successes and out again: "silent success" of Pintor et al. 2022 (arXiv:2106.09947).
    """
    title = "Does every success on the way count?"
    if context.plan.honest:
        return Finding("last-point", "pass", title, "the first point that wins is kept")
    advice = "Quote protocol=honest; this one shows what a published protocol would have said."
    evidence = "protocol=paper keeps the point that the attack returns, in most attacks the last one"
    return Finding("last-point", "warn", title, evidence, advice)


def inside_budget(records: Records, context: Context) -> Finding:
    """Every change that counts as a success is within its budget, in float64."""
    title = "Is every change within its budget?"
    won = records["reached"] & (records["norm"] != "")
    sizes, budgets = records["distance"][won].astype(np.float64), records["epsilon"][won].astype(np.float64)
    outside = int((~(sizes <= budgets)).sum())
    evidence = f"{outside} of {int(won.sum())} successes are larger than their budget"
    if not outside:
        return Finding("inside-budget", "pass", title, evidence)
    return Finding("inside-budget", "fail", title, evidence, "This is a fault of medrobust: please report it.")
