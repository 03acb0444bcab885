"""curve.csv: accuracy at every budget, one row per attack, for a spreadsheet."""

from __future__ import annotations

import csv
import io

from ...numbers import epsilon_text
from ..measured import Json, clean_accuracy, estimate, mapping

COLUMNS = ("attack", "norm", "epsilon", "epsilon_text", "accuracy", "low", "high")
RISKY = ("=", "+", "-", "@", "\t", "\r")  # a cell that begins so is a formula to a spreadsheet


def cell(value: object) -> str:
    """A value that no spreadsheet takes for a formula; nothing for None.

    Example:
        >>> cell(0.5), cell(None), cell("=1+1"), cell(-0.5)
        ('0.5', '', "'=1+1", '-0.5')
    """
    text = "" if value is None else str(value)
    return f"'{text}" if isinstance(value, str) and text.startswith(RISKY) else text


def curve_csv(audit: Json) -> str:
    """The clean row, then worst case, attacks, the worst case saved to files, and certificates."""
    rows: list[tuple[object, ...]] = []
    clean = clean_accuracy(audit)
    if clean.value is not None:
        rows.append(("clean", "", 0.0, "0", clean.value, clean.low, clean.high))
    proven = mapping(audit.get("certified")).get("rows") or ()
    parts = (
        ("worst_case", audit.get("worst_case") or (), "robust_accuracy"),
        ("", audit.get("curve") or (), "robust_accuracy"),
        ("worst_case_saved", audit.get("stored") or (), "robust_accuracy"),
        ("certified", proven, "certified_accuracy"),
    )
    for name, found, key in parts:
        for row in found:
            share, norm, epsilon = estimate(row.get(key)), str(row["norm"]), float(row["epsilon"])
            if share and epsilon > 0:
                text = epsilon_text(epsilon, norm)
                rows.append((name or str(row["attack"]), norm, epsilon, text, share.value, share.low, share.high))
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows([[cell(value) for value in row] for row in rows])
    return out.getvalue()
