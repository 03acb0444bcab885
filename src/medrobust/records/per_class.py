"""Everything that is said of answers, be they to unchanged images or to those of the worst case."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from .calibration import calibration
from .intervals import UNDEFINED, Estimate, Grouping
from .metrics import area_part, clean_metrics, f1_part, ranks, rate
from .precision import precision_part, precisions, predictive
from .worst_answers import Answers


@dataclass(frozen=True)
class Reading:
    """How answers are judged.

    Args:
        labels: (n,) true classes.
        grouping: the groups of the images.
        positive: the class that sensitivity speaks of, with two classes.
        prevalence: class -> its share where the classifier will be used; empty for that of the set.
        threshold: probability of the positive class from which an image is read as it; None for the largest
            probability. Fixed on other images.
    """

    labels: np.ndarray
    grouping: Grouping
    positive: int = 1
    prevalence: Mapping[int, float] = field(default_factory=dict)
    threshold: float | None = None

    def read(self, answers: Answers) -> np.ndarray:
        """(n,) the classes that are read at the operating point."""
        if self.threshold is None or answers.scores.shape[1] != 2:
            return answers.prediction
        return np.where(answers.scores[:, self.positive] >= self.threshold, self.positive, 1 - self.positive)


def of_class(k: int, read: np.ndarray, scores: np.ndarray, how: Reading) -> dict[str, Estimate]:
    """Sensitivity, specificity, predictive values, F1, AUROC, average precision of one class against the rest.

    Predictive values are shares of the images read as the class and not as it; where a prevalence is stated, they
    are computed for it, see `predictive`.

    Args:
        k: the class.
        read: (n,) classes read.
        scores: (n, k) probabilities.
        how: what they are judged by.

    Example:
        >>> y = np.array([0] * 10 + [1] * 10)
        >>> found = of_class(1, y, np.eye(2)[y], Reading(y, Grouping(np.arange(20))))
        >>> list(found), {e.value for e in found.values()}
        (['sensitivity', 'specificity', 'ppv', 'npv', 'f1', 'auroc', 'average_precision'], {1.0})
    """
    own, called, grouping = how.labels == k, read == k, how.grouping
    hit, spared = rate(called, own, grouping), rate(~called, ~own, grouping)
    compared, score = bool(own.any() and not own.all()), ranks(scores, k)
    out = {"sensitivity": hit.found, "specificity": spared.found}
    if k in how.prevalence:
        p = how.prevalence[k]
        out["ppv"] = predictive(hit, rate(called, ~own, grouping), p, grouping)
        out["npv"] = predictive(spared, rate(~called, own, grouping), 1 - p, grouping)
    else:
        out["ppv"] = grouping.mean(own, called) if compared else UNDEFINED
        out["npv"] = grouping.mean(~own, ~called) if compared else UNDEFINED
    out["f1"] = f1_part(own & called, own | called, grouping).found if compared else UNDEFINED
    area, precision = area_part(own, score, grouping), precision_part(own, score, grouping)
    out["auroc"] = UNDEFINED if area is None else area.found
    out["average_precision"] = UNDEFINED if precision is None else precision.found
    return out


def all_metrics(answers: Answers, how: Reading) -> dict[str, Estimate]:
    """All metrics of `clean_metrics`, average precision, and with two classes the predictive values.

    Sensitivity, specificity and predictive values are those at the operating point; everything else is that of the
    class of the largest probability, or of the probabilities.

    Example:
        >>> y = np.array([0] * 10 + [1] * 10)
        >>> answers = Answers("", 0.0, y, np.eye(2)[y], np.eye(2, dtype=bool)[y])
        >>> list(all_metrics(answers, Reading(y, Grouping(np.arange(20)))))[-4:]
        ['average_precision', 'mean_average_precision', 'ppv', 'npv']
    """
    found = clean_metrics(how.labels, answers.prediction, answers.scores, how.grouping, how.positive)
    found |= precisions(how.labels, answers.scores, how.grouping, how.positive)
    if answers.scores.shape[1] == 2:
        own = of_class(how.positive, how.read(answers), answers.scores, how)
        found |= {name: own[name] for name in ("sensitivity", "specificity", "ppv", "npv")}
    return found


def under_attack(answers: Answers, how: Reading) -> dict[str, Any]:
    """A row of `under_attack`: all metrics and both errors of calibration at one budget."""
    found = all_metrics(answers, how)
    found |= calibration(how.labels, answers.prediction, answers.scores, how.grouping)
    metrics = {name: e.as_dict() for name, e in found.items()}
    return {"norm": answers.norm, "epsilon": answers.epsilon, "metrics": metrics}


def per_class(answers: Answers, how: Reading, classes: tuple[str, ...]) -> list[dict[str, Any]]:
    """A row for each class; norm is null and epsilon 0 for the unchanged images."""
    read = how.read(answers)
    return [
        {"class": name, "norm": answers.norm or None, "epsilon": answers.epsilon}
        | {"num_images": int((how.labels == k).sum())}
        | {metric: e.as_dict() for metric, e in of_class(k, read, answers.scores, how).items()}
        for k, name in enumerate(classes)
    ]
