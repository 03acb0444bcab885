"""Confusion matrices, untouched and under attack, counted from the answers to every image."""

from __future__ import annotations

import numpy as np

from ..read import NONE
from ..select import condition_words
from .part import Asked, Part, Shown


def confusion(asked: Asked) -> Shown:
    """The matrix of the unchanged images, and that under the attack."""
    outcome = asked.outcome
    classes = tuple(str(name) for name in outcome.result["classes"])
    labels = np.asarray(outcome.result["labels"], dtype=int)
    parts = []
    for key in dict.fromkeys([(NONE, "", 0.0), (asked.attack, asked.norm, asked.epsilon)]):
        condition = outcome.condition(*key)
        if condition is None:
            return (), f"{condition_words(key)} was not measured"
        answers = outcome.answers(condition)
        if answers is None:
            return (), "its result holds no answers: it is of an older version; run it again"
        found = np.zeros((len(classes), len(classes)), dtype=int)
        np.add.at(found, (labels, answers), 1)
        right = int(np.trace(found))
        words = f"{right} of {len(labels)} right"
        known = (key[0], str(condition["norm"]), key[2]) if key[0] != NONE else key
        title = condition_words(known)
        parts.append(Part(title[0].upper() + title[1:], counts=_rows(found), classes=classes, words=words))
    return tuple(parts), ""


def _rows(found: np.ndarray) -> tuple[tuple[int, ...], ...]:
    return tuple(tuple(int(n) for n in row) for row in found)
