"""The same numbers for parts of the data: by class, sex, age, site, device."""

from __future__ import annotations

import re
from itertools import pairwise
from typing import Any

import numpy as np

from .curves import Curve
from .intervals import Grouping
from .rows import META, Rows

MOST_VALUES, MOST_SITES = 8, 40
FEW = 10  # images of a value, on average, below which a column of many values says nothing
DECADES = (18, 30, 40, 50, 60, 70, 80)  # ages at which a band begins
AGE = re.compile(r"(^|_)ages?($|_)", re.IGNORECASE)  # of the name of a column


def bands(values: np.ndarray, column: str = "") -> np.ndarray:
    """Words as they are; numbers of many values as four bands of about equal size; missing values as "unknown".

    A column of ages, by its name, has a band for children and then one for each decade, unless all are of one band.
    """
    if values.dtype.kind not in "fiu":
        return np.array(["unknown" if v is None or v == "" or v != v else str(v) for v in values], dtype=object)
    out = np.full(len(values), "unknown", dtype=object)
    known = np.isfinite(values.astype(float))
    if AGE.search(column) and len(np.unique(values[known])) > MOST_VALUES:
        which = np.searchsorted(DECADES, values[known], side="right")
        if len(np.unique(which)) > 1:
            names = [f"{a} to {b - 1}" for a, b in pairwise((0, *DECADES))] + [f"{DECADES[-1]} and over"]
            out[known] = [names[i] for i in which]
            return out
    if len(np.unique(values[known])) <= MOST_VALUES:
        out[known] = [f"{v:.12g}" for v in values[known]]  # the number of a device is a name
        return out
    edges = np.unique(np.quantile(values[known], [0, 0.25, 0.5, 0.75, 1]))
    which = np.clip(np.searchsorted(edges, values[known], side="right") - 1, 0, len(edges) - 2)
    out[known] = [f"{edges[i]:g} to {edges[i + 1]:g}" for i in which]
    return out


def columns(rows: Rows, classes: tuple[str, ...]) -> dict[str, np.ndarray]:
    """The true classes and the metadata columns as bands, (n,) words each.

    Left out are columns with one value, with more than MOST_VALUES of FEW images each, and with more than MOST_SITES.
    """
    clean = rows.clean
    named = {"class": np.array([classes[k] for k in clean["label"]], dtype=object)}
    for name in sorted(c for c in rows.columns if c.startswith(META)):
        column = name[len(META) :]
        named[f"{column} (metadata)" if column in named else column] = bands(clean[name], column)
    counts = {name: len(set(values.tolist())) for name, values in named.items()}
    most = {name: MOST_VALUES + 1 if len(clean) < FEW * counts[name] else MOST_SITES for name in named}
    return {name: values for name, values in named.items() if 1 < counts[name] <= most[name]}


def groups(rows: Rows, curve: Curve, classes: tuple[str, ...]) -> list[dict[str, Any]]:
    """Clean and robust accuracy of each value of each metadata column, and of each true class; see `columns`."""
    clean = rows.clean
    right = clean["clean_prediction"] == clean["label"]
    found = []
    for column, values in columns(rows, classes).items():
        for value in sorted(set(values.tolist())):
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
