"""The metrics of unchanged images."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ...records.metric_names import METRICS, Metric
from ..measured import Estimate, Json, class_name, class_names, estimate, mapping
from ..words import Budget
from .section import Section, Seen


def metrics(audit: Json) -> list[dict[str, Any]] | None:
    """Clean metrics in the order of METRICS, then any others under their own names."""
    clean = audit.get("clean") or {}
    classes = class_names(audit)
    two = len(classes) == 2
    positive = str(mapping(audit["data"]).get("positive_class") or classes[-1]) if two else ""
    fill = {"negative": next((c for c in classes if c != positive), ""), "positive": positive}
    rows = []
    for key in [*(k for k in METRICS if k in clean), *(k for k in clean if k not in METRICS and k != "method")]:
        raw = clean[key]
        if isinstance(raw, (int, float)) or (isinstance(raw, Mapping) and "value" in raw):
            name, for_two, for_more, in_percent = METRICS.get(key, Metric(key.replace("_", " "), "", "", False))
            found = estimate(raw) or Estimate(None)
            low, high = found.low, found.high
            spread = "" if low is None or high is None else f"{low:.3f} to {high:.3f}"
            value = found.text if in_percent else ("n/a" if found.value is None else f"{found.value:.3f}")
            meaning = (for_two if two else for_more).format_map(fill)
            scaled = found.value is not None and 0 <= found.value <= 1
            rows.append(
                {
                    "name": name,
                    "meaning": meaning,
                    "value": value,
                    "range": found.range if in_percent else spread,
                    "estimate": found if scaled else None,
                }
            )
    return rows or None


CALIBRATION = {
    "ece": ("Expected calibration error", "the mean distance between confidence and the share right; 0 is perfect"),
    "brier": ("Brier score", "the mean squared distance of the probabilities from the truth; 0 is perfect"),
}


def calibration(audit: Json) -> list[dict[str, str]]:
    """How far the probabilities can be believed, where the audit says it."""
    rows = []
    for key, raw in mapping(audit.get("calibration")).items():
        found = estimate(raw) if isinstance(raw, (int, float, Mapping)) and not isinstance(raw, bool) else None
        if found and found.value is not None:
            name, meaning = CALIBRATION.get(key, (key.replace("_", " "), ""))
            low, high = found.low, found.high
            spread = "" if low is None or high is None else f"{low:.3f} to {high:.3f}"
            rows.append({"name": name, "meaning": meaning, "value": f"{found.value:.3f}", "range": spread})
    return rows


def per_class(audit: Json) -> dict[str, Any] | None:
    """Measures of each class, untouched and under change: one row per class and budget, the names of the measures."""
    rows = [row for row in audit.get("per_class") or () if isinstance(row, Mapping)]
    fixed = ("class", "norm", "epsilon", "num_images")
    keys = list(dict.fromkeys(key for row in rows for key in row if key not in fixed))
    if not keys:
        return None
    names = [METRICS[key].name if key in METRICS else key.replace("_", " ") for key in keys]
    body = []
    for row in rows:
        size = float(row.get("epsilon") or 0)
        when = Budget(str(row.get("norm") or "linf"), size).short if size else "untouched"
        found = [estimate(row[key]) if isinstance(row.get(key), (int, float, Mapping)) else None for key in keys]
        body.append((class_name(audit, row.get("class")), when, found))
    return {"names": names, "rows": body, "untouched": [row for row in body if row[1] == "untouched"]}


def build(seen: Seen) -> dict[str, Any]:
    """What the template shows."""
    method = str(mapping(seen.audit.get("clean")).get("method") or "")
    return {"metrics": metrics(seen.audit), "metrics_method": method, "num_images": seen.num_images} | {
        "calibration": calibration(seen.audit),
        "classes": per_class(seen.audit),
    }


SECTION = Section("clean", "Before any change", "Before any change", Path(__file__).with_suffix(".html.j2"), build)
