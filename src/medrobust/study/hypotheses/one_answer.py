"""An accuracy that one answer to all images would reach: no attack changes the answer of a constant network."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..read import Key, Outcome

NEAR = 0.05  # of the share of the most frequent class: an accuracy that may be that of one answer
UNEVEN = 0.55  # a share of it, below which it is no shortcut


def one_answer(first: Sequence[Outcome], second: Sequence[Outcome], keys: tuple[Key, Key]) -> list[str]:
    """A remark where a side reads about as many images correctly as who always gives the most frequent class.

    Args:
        first, second: the outcomes of both sides.
        keys: the condition of each.
    """
    labels = np.concatenate([np.asarray(one.result["labels"], dtype=int) for one in first])
    most = int(np.bincount(labels).argmax())
    share = float((labels == most).mean())
    rates = []
    for side, key in zip((first, second), keys, strict=True):
        rows = [(one, one.condition(*key)) for one in side]
        right = [one.correct(row) for one, row in rows if row is not None]
        rates += [float(np.concatenate(right).mean())] if right else []
    if share < UNEVEN or not any(abs(rate - share) <= NEAR for rate in rates):
        return []
    name = first[0].result["classes"][most]
    return [f"always answering {name} would be right in {100 * share:.1f} %, under any attack"]
