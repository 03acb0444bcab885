"""In which direction an attack harms: patients who are missed, and healthy ones who are alarmed."""

from __future__ import annotations

from typing import Any

import numpy as np

from .intervals import Estimate, Grouping
from .worst_answers import Answers


def harm(answers: Answers, labels: np.ndarray, right: np.ndarray, positive: int, grouping: Grouping) -> dict[str, Any]:
    """Missed and false alarms at one budget, each as its own worst case.

    Missed: images of the positive class that some allowed attack makes read as another. False alarm: images of the
    other classes that some allowed attack makes read as the positive one, even where another attack broke them
    differently.

    Args:
        answers: of the worst case, or to the unchanged images.
        labels: (n,) true classes.
        right: (n,) bool, whether the answer to the unchanged image is right.
        positive: the class.
        grouping: the groups of the images.

    Returns norm (null for unchanged images), epsilon, and for missed and false_alarm: value, low and high of the rate
    among the images that it can happen to, their number num_images, the count, and how many of these were right
    untouched, num_new.

    Example:
        >>> y = np.array([0, 0, 1, 1])
        >>> ever = np.array([[1, 0], [1, 1], [1, 1], [0, 1]], dtype=bool)
        >>> row = harm(Answers("linf", 0.1, y, np.eye(2)[y], ever), y, y == y, 1, Grouping(np.arange(4)))
        >>> [(row[name]["value"], row[name]["count"]) for name in ("missed", "false_alarm")]
        [(0.5, 1), (0.5, 1)]
    """
    own = labels == positive
    # Whatever else an image of the positive class was read as.
    missed = answers.ever[:, np.arange(answers.ever.shape[1]) != positive].any(1)
    rows: dict[str, tuple[Any, Any]] = {
        "missed": (missed, own),
        "false_alarm": (answers.ever[:, positive], ~own),
    }
    out: dict[str, Any] = {"norm": answers.norm or None, "epsilon": answers.epsilon}
    for name, (happens, among) in rows.items():
        found: Estimate = grouping.mean(happens, among)
        hits = happens & among
        out[name] = found.as_dict() | {
            "count": int(hits.sum()),
            "num_images": int(among.sum()),
            "num_new": int((hits & right).sum()),
        }
    return out
