"""The same numbers for parts of the data: by class, sex, age, site, device."""

from __future__ import annotations

from typing import Any

import numpy as np

from .curves import Curve
from .intervals import Grouping
from .rows import META, Rows

MOST_VALUES = 8


def bands(values: np.ndarray) -> np.ndarray:
    """Words as they are; numbers of many values as four bands of about equal size; missing values as "unknown"."""
    if values.dtype.kind not in "fiu":
        return np.array(["unknown" if v is None or v == "" or v != v else str(v) for v in values], dtype=object)
    out = np.full(len(values), "unknown", dtype=object)
    known = np.isfinite(values.astype(float))
    if len(np.unique(values[known])) <= MOST_VALUES:
        out[known] = [f"{v:.12g}" for v in values[known]]  # the number of a device is a name
        return out
    edges = np.unique(np.quantile(values[known], [0, 0.25, 0.5, 0.75, 1]))
    which = np.clip(np.searchsorted(edges, values[known], side="right") - 1, 0, len(edges) - 2)
    out[known] = [f"{edges[i]:g} to {edges[i + 1]:g}" for i in which]
    return out


def groups(rows: Rows, curve: Curve, classes: tuple[str, ...]) -> list[dict[str, Any]]:
    """Clean and robust accuracy of each value of each metadata column, and of each true class.

    Columns with one value or with more than MOST_VALUES words are left out.
    """
    clean = rows.clean
    named = {"class": np.array([classes[k] for k in clean["label"]], dtype=object)}
    for name in sorted(c for c in rows.columns if c.startswith(META)):
        column = name[len(META) :]
        named[f"{column} (metadata)" if column in named else column] = bands(clean[name])
    right = clean["clean_prediction"] == clean["label"]
    found = []
    for column, values in named.items():
        present = sorted(set(values.tolist()))
        if not 1 < len(present) <= MOST_VALUES + 1:
            continue
        for value in present:
            mask = values == value
            grouping = Grouping(clean["group_id"][mask])
            robust = [grouping.mean(at[mask]).as_dict() for at in curve.counted.T]
            found.append(
                {
                    "column": column,
                    "value": value,
                    "num_images": int(mask.sum()),
                    "clean_accuracy": grouping.mean(right[mask]).as_dict(),
                    "robust_accuracy": [
                        {"epsilon": float(e), "norm": curve.norm} | r
                        for e, r in zip(curve.epsilons, robust, strict=True)
                    ],
                }
            )
    return found
