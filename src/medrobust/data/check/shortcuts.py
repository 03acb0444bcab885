"""Whether the label can be told from properties of the file alone."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ...findings import Finding, Severity
from .facts import ImageFacts

MIN_PER_CLASS = 20
_FOLDS = 5


@dataclass(frozen=True)
class Shortcut:
    """Cross-validated AUC of the label from metadata.

    Args:
        auc: macro one-against-rest area under the ROC curve, out of fold, groups kept whole.
        low: lower end of its 95 % interval (Hanley and McNeil 1982, doi:10.1148/radiology.143.1.7063747).
        features: name -> AUC of that feature alone, the best first.
    """

    auc: float
    low: float
    features: dict[str, float]


def features(facts: Sequence[ImageFacts]) -> dict[str, np.ndarray]:
    """Name -> values (n,) of what can be known without looking: format, size, mode, padding, mean intensity."""
    suffixes = sorted({fact.suffix for fact in facts})
    colors = sorted({fact.color for fact in facts})
    pixels = np.array([math.prod(fact.shape) for fact in facts], dtype=float)
    table = {
        "format": [suffixes.index(fact.suffix) for fact in facts],
        "color mode": [colors.index(fact.color) for fact in facts],
        "bit depth": [fact.bits for fact in facts],
        "height": [fact.shape[-2] for fact in facts],
        "width": [fact.shape[-1] for fact in facts],
        "aspect ratio": [fact.shape[-1] / fact.shape[-2] for fact in facts],
        "bytes per pixel": np.array([fact.num_bytes for fact in facts]) / pixels,
        "padding": [fact.padding for fact in facts],
        "mean intensity": [fact.mean for fact in facts],
        "contrast": [fact.std for fact in facts],
    }
    columns = {name: np.asarray(values, dtype=float) for name, values in table.items()}
    return {name: values for name, values in columns.items() if len(np.unique(values)) > 1}


def metadata_auc(facts: Sequence[ImageFacts], seed: int = 0) -> Shortcut | None:
    """How well a random forest on the features tells the classes apart; None for fewer than 20 images of a class."""
    labels = np.array([fact.sample.label for fact in facts])
    classes, counts = np.unique(labels, return_counts=True)
    table = features(facts)
    if len(classes) < 2 or counts.min() < MIN_PER_CLASS:
        return None
    if not table:
        return Shortcut(0.5, 0.5, {})
    groups = [fact.sample.group_id for fact in facts]
    folds = _folds(labels, groups, seed)
    auc, low = _cross_validated(np.column_stack(list(table.values())), labels, folds, seed, trees=50)
    alone = {name: _cross_validated(values[:, None], labels, folds, seed, trees=1)[0] for name, values in table.items()}
    return Shortcut(auc, low, dict(sorted(alone.items(), key=lambda item: -item[1])))


def _folds(labels: np.ndarray, groups: Sequence[str], seed: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """Positions to fit and to test; they are the same for all features, and take seconds with thousands of groups."""
    from sklearn.model_selection import StratifiedGroupKFold

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a rare class may be absent from a fold: its images keep equal scores
        return list(StratifiedGroupKFold(_FOLDS, shuffle=True, random_state=seed).split(labels, labels, groups))


def _cross_validated(
    x: np.ndarray, labels: np.ndarray, folds: Sequence[tuple[np.ndarray, np.ndarray]], seed: int, trees: int
) -> tuple[float, float]:
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.metrics import roc_auc_score

    classes = np.unique(labels)
    scores = np.full((len(labels), len(classes)), 1 / len(classes))
    leaf = max(5, len(labels) // 100)
    for train, test in folds:
        forest = RandomForestClassifier(
            trees, min_samples_leaf=leaf, max_features=None, bootstrap=trees > 1, random_state=seed
        )
        forest.fit(x[train], labels[train])
        scores[np.ix_(test, np.searchsorted(classes, forest.classes_))] = forest.predict_proba(x[test])
    aucs = [roc_auc_score(labels == label, scores[:, k]) for k, label in enumerate(classes)]
    errors = [
        _standard_error(auc, int((labels == label).sum()), len(labels))
        for auc, label in zip(aucs, classes, strict=True)
    ]
    auc = float(np.mean(aucs))
    return auc, auc - 1.96 * float(np.mean(errors))


def _standard_error(auc: float, positives: int, total: int) -> float:
    negatives = total - positives
    q1, q2 = auc / (2 - auc), 2 * auc**2 / (1 + auc)
    spread = auc * (1 - auc) + (positives - 1) * (q1 - auc**2) + (negatives - 1) * (q2 - auc**2)
    return math.sqrt(max(spread, 0.0) / (positives * negatives))


def shortcuts(facts: Sequence[ImageFacts], seed: int = 0) -> Finding:
    """How well properties of the file predict the label."""
    name, title = "data-shortcuts", "Labels told by file properties alone"
    found = metadata_auc(facts, seed)
    if found is None:
        advice = "Use more images of each class, or look at the sizes, formats and brightness of the classes yourself."
        return Finding(name, "not_run", title, f"a class has fewer than {MIN_PER_CLASS} images", advice)
    numbers = {"auc": found.auc, "low": found.low, "features": found.features}
    best = ", ".join(f"{feature} {auc:.2f}" for feature, auc in list(found.features.items())[:3])
    evidence = f"cross-validated AUC {found.auc:.2f} (95 % from {found.low:.2f})" + (f"; alone: {best}" if best else "")
    severity: Severity = "fail" if found.low >= 0.9 else "warn" if found.low >= 0.65 else "pass"
    advice = "Make sure that a classifier cannot use it: crop, resize and normalize all classes alike."
    return Finding(name, severity, title, evidence, advice if severity != "pass" else "", numbers)
