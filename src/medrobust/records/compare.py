"""Two classifiers measured on the same images: every metric of both, their differences, and what limits say."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from ..errors import UserError
from ..numbers import epsilon_text
from .intervals import UNDEFINED, Estimate, Grouping
from .limits import MET, NOT_MET, UNDECIDED, Limit, same_budget
from .metrics import area_part, clean_metrics, ranks
from .paired import area_difference, difference, holm, sign_flip_p
from .rows import Rows
from .worst_answers import Answers, untouched, worst_answers

CLOSE = 1e-6  # relative, of two budgets that are the same


class Row(NamedTuple):
    """One metric of both at one budget.

    Args:
        metric: accuracy, sensitivity, specificity or auroc.
        norm, epsilon: None and 0 for the unchanged images.
        a, b: of both classifiers.
        change: b - a, paired by image.
        p: of no difference.
        only_a, only_b: images that only one of them reads as they should; None for a metric that is no share.
    """

    metric: str
    norm: str | None
    epsilon: float
    a: Estimate
    b: Estimate
    change: Estimate
    p: float
    only_a: int | None
    only_b: int | None


def same_images(a: Rows, b: Rows) -> np.ndarray:
    """(n,) of each image of a its place among those of b.

    Errors: UserError where images, labels, groups, the number of classes or the protocol are not the same.
    """
    first, second = a.clean, b.clean
    names, others = first["image_id"].tolist(), second["image_id"].tolist()
    if set(names) != set(others):
        odd = sorted(set(names) ^ set(others), key=str)
        raise UserError(
            "compare", f"{len(odd)} images are in one run only, {odd[0]!r} among them", "audit the same set"
        )
    place = {name: i for i, name in enumerate(others)}
    order = np.array([place[name] for name in names], dtype=int)
    for column, what in (("label", "labels"), ("group_id", "groups")):
        differs = np.array([x != y for x, y in zip(first[column], second[column][order], strict=True)], dtype=bool)
        if differs.any():
            image = names[int(np.flatnonzero(differs)[0])]
            raise UserError("compare", f"the {what} of {int(differs.sum())} images differ, of {image!r} among them")
    if first["scores"].shape[1] != second["scores"].shape[1]:
        raise UserError("compare", "the runs do not have the same classes")
    if a.honest != b.honest:
        raise UserError("compare", "one run has the protocol honest, the other paper", "audit both with the same")
    return order


def budgets_of(a: Rows, b: Rows, common: bool) -> list[tuple[str, float, float]]:
    """(norm, budget of a, budget of b) of the budgets that both runs have.

    Errors: UserError where a run has budgets that the other lacks, unless only the common ones are wanted; where none
    is common.
    """
    found, lacking = [], []
    own, others = (sorted({(n, float(e)) for n, e in zip(r["norm"], r["epsilon"], strict=True) if n}) for r in (a, b))
    for norm, epsilon in own:
        match = [e for n, e in others if n == norm and abs(e - epsilon) <= CLOSE * epsilon]
        found += [(norm, epsilon, match[0])] if match else []
        lacking += [] if match else [(norm, epsilon)]
    lacking += [pair for pair in others if pair not in [(norm, e) for norm, _, e in found]]
    if lacking and not common:
        norm, epsilon = lacking[0]
        problem = f"{norm} {epsilon_text(epsilon, norm)} was measured in one run only"
        raise UserError("compare", problem, "audit both at the same budgets, or give --common")
    if not found:
        raise UserError("compare", "the runs have no budget in common", "audit both at the same budgets")
    return found


def compare_rows(a: Rows, b: Rows, *, positive: int | None, common: bool = False) -> list[Row]:
    """All metrics at all budgets, the unchanged images first.

    Accuracy and AUROC; with two classes, or a positive class, its sensitivity and specificity. Under attack all are
    those of the worst case of each classifier: each meets its own strongest attack.

    Args:
        a, b: of two runs.
        positive: the class that sensitivity speaks of; None without one.
        common: compare the budgets that both have, and leave out the others.

    Errors: UserError where the runs are not of the same images and budgets.

    Example:
        >>> import torch, medrobust as mr
        >>> net = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(16, 2))
        >>> images = mr.ImageSet.of(torch.rand(6, 1, 4, 4), torch.arange(6) % 2)
        >>> run = mr.measure(net, images, ["fgsm"], linf=["1/255"])
        >>> {row.change.value for row in compare_rows(run, run, positive=1)}
        {0.0}
    """
    order, budgets = same_images(a, b), budgets_of(a, b, common)
    grouping, labels = Grouping(a.clean["group_id"]), a.clean["label"].astype(int)
    rows = list(_rows(untouched(a), _ordered(untouched(b), order), labels, grouping, positive))
    for norm in dict.fromkeys(norm for norm, _, _ in budgets):
        by_a, by_b = ({one.epsilon: one for one in worst_answers(run, norm)} for run in (a, b))
        for _, of_a, of_b in (found for found in budgets if found[0] == norm):
            rows += _rows(by_a[of_a], _ordered(by_b[of_b], order), labels, grouping, positive)
    return rows


def _ordered(answers: Answers, order: np.ndarray) -> Answers:
    return answers._replace(
        prediction=answers.prediction[order], scores=answers.scores[order], ever=answers.ever[order]
    )


def _rows(a: Answers, b: Answers, labels: np.ndarray, grouping: Grouping, positive: int | None) -> Iterator[Row]:
    shares: dict[str, tuple[Any, Any, Any]] = {
        "accuracy": (a.prediction == labels, b.prediction == labels, np.ones(len(labels), dtype=bool))
    }
    if positive is not None:
        own = labels == positive
        shares["sensitivity"] = (a.prediction == positive, b.prediction == positive, own)
        shares["specificity"] = (a.prediction != positive, b.prediction != positive, ~own)
    where = (a.norm or None, a.epsilon)
    for metric, (of_a, of_b, among) in shares.items():
        yield Row(
            metric,
            *where,
            grouping.mean(of_a, among),
            grouping.mean(of_b, among),
            difference(of_a, of_b, grouping, among),
            sign_flip_p(of_a, of_b, grouping, among),
            int((of_a & ~of_b & among).sum()),
            int((of_b & ~of_a & among).sum()),
        )
    yield _areas(a, b, labels, grouping, positive, where)


def _areas(
    a: Answers, b: Answers, labels: np.ndarray, grouping: Grouping, positive: int | None, where: tuple[Any, float]
) -> Row:
    """AUROC of the positive class against the rest; of several classes without one, its value alone."""
    k = a.scores.shape[1]
    spoken = 1 if positive is None and k == 2 else positive
    if spoken is None:
        both = [clean_metrics(labels, one.prediction, one.scores, grouping)["auroc"] for one in (a, b)]
        return Row("auroc", *where, both[0], both[1], UNDEFINED, float("nan"), None, None)
    truth = labels == spoken
    scores = [ranks(one.scores, spoken) for one in (a, b)]
    found = area_difference(truth, scores[0], scores[1], grouping)
    if found is None:
        return Row("auroc", *where, UNDEFINED, UNDEFINED, UNDEFINED, float("nan"), None, None)
    parts = [area_part(truth, score, grouping) for score in scores]
    values = [UNDEFINED if part is None else part.found for part in parts]
    return Row("auroc", *where, values[0], values[1], found[0], found[1], None, None)


def as_dicts(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """Rows for compare.json, with p corrected by Holm over the budgets of each metric, unchanged images among them."""
    corrected: dict[int, float] = {}
    for metric in dict.fromkeys(row.metric for row in rows):
        own = [i for i, row in enumerate(rows) if row.metric == metric]
        corrected |= dict(zip(own, holm([rows[i].p for i in own]), strict=True))
    return [
        {"metric": row.metric, "norm": row.norm, "epsilon": row.epsilon}
        | {"a": row.a.as_dict(), "b": row.b.as_dict(), "difference": row.change.as_dict()}
        | {"p_value": _known(row.p), "p_holm": _known(corrected[i]), "only_a": row.only_a, "only_b": row.only_b}
        for i, row in enumerate(rows)
    ]


def _known(p: float) -> float | None:
    return None if p != p else p


def judge(rows: Sequence[Row], limits: Sequence[Limit]) -> list[dict[str, Any]]:
    """What each limit says of b, with the numbers that it was judged by.

    Errors: UserError for a limit of a metric or budget that was not compared.
    """
    out = []
    for limit in limits:
        metric = "accuracy" if limit.metric == "robust_accuracy" else limit.metric
        match = [row for row in rows if row.metric == metric and same_budget(limit, row.norm, row.epsilon)]
        if not match:
            raise UserError("limits", f"{limit.words}: this was not compared", "audit both runs at this budget")
        (row,) = match
        judged = row.b if limit.at_least is not None else row.change
        kept = {key: value for key, value in vars(limit).items() if value is not None}
        said = {"words": limit.words, "verdict": limit.judge(row.b, row.change), "judged": judged.as_dict()}
        out.append({"limit": kept, **said})
    return out


def verdict(judged: Sequence[dict[str, Any]]) -> str | None:
    """met where all limits are, not met where one is not, else undecided; None without limits."""
    said = [one["verdict"] for one in judged]
    if not said:
        return None
    return NOT_MET if NOT_MET in said else MET if set(said) == {MET} else UNDECIDED
