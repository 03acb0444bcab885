"""Records written by hand: what each image was called, untouched and at each budget of each attack."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from hypothesis import strategies as st

from medrobust.records import Records

Answers = Mapping[tuple[str, str], Mapping[float, Sequence[int]]]


def make_records(
    labels: Sequence[int],
    clean: Sequence[int],
    attacks: Answers,
    *,
    num_classes: int = 2,
    protocol: str = "honest",
    groups: Sequence[str] | None = None,
    meta: Mapping[str, Sequence[Any]] | None = None,
    confidence: Sequence[float] | None = None,
    share: float = 0.5,
    survives: bool = True,
) -> Records:
    """Rows as measuring gives them: the clean ones first, then image by image and budget by budget.

    Args:
        attacks: (attack, norm) -> budget -> the answer to each image.
        confidence: of the clean answers.
        share: the size of a change, as a share of its budget.
        survives: whether a change that was found survives saving.
    """
    n = len(labels)
    groups, confidence = groups or [f"g{i}" for i in range(n)], confidence or [0.9] * n
    meta = meta or {}
    rows = []
    for attack, norm, i, epsilon, answer in [
        *(("clean", "", i, 0.0, clean[i]) for i in range(n)),
        *(
            (attack, norm, i, epsilon, answers[i])
            for (attack, norm), by_budget in attacks.items()
            for i in range(n)
            for epsilon, answers in sorted(by_budget.items())
        ),
    ]:
        scores = np.full(num_classes, (1 - confidence[i]) / (num_classes - 1), np.float32)
        scores[answer] = confidence[i]
        row = {"image_id": f"i{i}", "group_id": groups[i], "label": labels[i], "clean_prediction": clean[i]}
        row |= {"attack": attack, "norm": norm, "epsilon": epsilon, "goal": "untargeted" if norm else ""}
        row |= {"reached": answer != clean[i] if norm else answer != labels[i], "prediction": answer, "scores": scores}
        row |= {"distance": share * epsilon if answer != clean[i] else 0.0, "forwards": 3, "backwards": 2}
        row |= {"survives_source_bit_depth": survives and answer != clean[i]}
        rows.append(row | {f"meta_{name}": column[i] for name, column in meta.items()})
    return Records({name: column_of([row[name] for row in rows]) for name in rows[0]}, protocol)


def column_of(values: list[Any]) -> np.ndarray:
    """Words as objects, as Parquet gives them; everything else as numbers."""
    if isinstance(values[0], np.ndarray):
        return np.stack(values)
    words = any(value is None or isinstance(value, str) for value in values)
    return np.array(values, dtype=object) if words else np.array(values)


@st.composite
def answers(draw: st.DrawFn, num_classes: int = 3) -> dict[str, Any]:
    """What make_records takes: up to 5 images, up to 3 attacks of two norms on budgets of their own."""
    n = draw(st.integers(1, 5))
    classes = st.lists(st.integers(0, num_classes - 1), min_size=n, max_size=n)
    attacks = {}
    for name in draw(st.sampled_from([("a",), ("a", "b"), ("a", "b", "c")])):
        norm = draw(st.sampled_from(["linf", "l2"]))
        budgets = draw(st.sets(st.sampled_from([0.0, 0.1, 0.2, 0.3, 0.4]), min_size=1))
        attacks[name, norm] = {epsilon: draw(classes) for epsilon in sorted(budgets)}
    return {"labels": draw(classes), "clean": draw(classes), "attacks": attacks, "num_classes": num_classes}
