"""From audit.json to what the template prints, one function a section; None where the audit has nothing for it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from .measured import Estimate, Json, class_name, class_names, estimate, lines, mapping, norms
from .metric_words import METRICS, Metric
from .words import Budget, attack_name, counted, number, percent, plain

NUM_PAIRS = 10  # misreadings drawn as bars

SEVERITIES = (("fail", "Failed"), ("warn", "Warning"), ("not_run", "Could not run"), ("pass", "Passed"))


def metrics(audit: Json) -> list[dict[str, Any]] | None:
    """Clean metrics in the glossary's order, then any others under their own names."""
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


def numbers_table(audit: Json, norm: str) -> dict[str, Any]:
    """All robust accuracies of a norm: one row a budget, one column a line of the figure."""
    drawn = lines(audit, norm)
    budgets = sorted({p.budget for line in drawn for p in line.points}, key=lambda b: b.epsilon)
    rows = [(budget, [point.accuracy if (point := line.at(budget)) else None for line in drawn]) for budget in budgets]
    rises = [
        (p.raw - p.accuracy.value, line.name, p.budget)
        for line in drawn
        for p in line.points
        if p.raw is not None and p.accuracy.value is not None
    ]
    rise = max(rises, key=lambda r: r[0], default=None)
    return {"names": [line.name for line in drawn], "rows": rows, "rise": rise if rise and rise[0] > 5e-4 else None}


def fragile(audit: Json, anchors: Mapping[str, str]) -> list[dict[str, Any]] | None:
    """The images misled by the smallest changes, as the audit orders them, with a link where the gallery has them."""
    norm = next(iter(norms(audit)), "linf")
    rows = []
    for row in audit.get("fragile") or ():
        size = row["epsilon_wrong"]
        budget = None if size is None else Budget(row.get("norm", norm), float(size))
        group = str(row.get("group_id") or "")
        rows.append(
            {
                "image": str(row["image_id"]),
                "anchor": anchors.get(str(row["image_id"])),
                "group": "" if group == str(row["image_id"]) else group,
                "truth": class_name(audit, row["label"]),
                "size": "never misled" if budget is None else "wrong untouched" if size == 0 else budget.short,
                "attack": attack_name(str(row.get("attack") or "")),
            }
        )
    return rows or None


def sensitivity(audit: Json) -> list[str]:
    """For each norm: the sizes that turn the most fragile and half of the images that are right, and how many never."""
    raw = audit.get("sensitivity") or ()
    sentences = []
    rows = [raw] if isinstance(raw, Mapping) else raw
    for row in rows:
        norm, wrong = str(row["norm"]), mapping(row.get("epsilon_wrong"))
        half, fragile_part = wrong.get("median"), mapping(wrong.get("quantiles")).get("0.05")
        said = f"Half of the images that it gets right are misread within {Budget(norm, half).words}" if half else ""
        if fragile_part:
            first = Budget(norm, fragile_part).words
            who = "the most fragile 5%" if said else "Of the images that it gets right, the most fragile 5% are misread"
            said += f"{', ' if said else ''}{who} within {first}"
        among = f" ({norm})" if len(rows) > 1 else ""
        never = f"{counted(int(row['num_never']), 'image')} resisted every change tried" if row.get("num_never") else ""
        never += among if never else ""
        sentences += [f"{part}." for part in (said, never) if part]
    return sentences


def _flips(audit: Json, counts: Any) -> list[tuple[str, str, int]]:
    """Misreadings (true class, read as, images), most frequent first, of {from, to, count} or {true: {read: n}}."""
    if isinstance(counts, Mapping):
        counts = [{"from": a, "to": b, "count": n} for a, row in counts.items() for b, n in row.items()]
    found = [(class_name(audit, row["from"]), class_name(audit, row["to"]), int(row["count"])) for row in counts]
    return sorted((flip for flip in found if flip[2] > 0 and flip[0] != flip[1]), key=lambda flip: -flip[2])


def directions(audit: Json, wanted: Budget | None) -> dict[str, Any] | None:
    """Which class is read as which: the most frequent at the wanted budget (or the nearest), and all of them."""
    if wanted is None:
        return None
    rows = [row for row in audit.get("direction") or () if row.get("norm", wanted.norm) == wanted.norm]
    tables = [(Budget(wanted.norm, float(row["epsilon"])), _flips(audit, row["counts"])) for row in rows]
    tables.sort(key=lambda table: table[0].epsilon)
    filled = [table for table in tables if table[1]]
    if not filled:
        return None
    budget, flips = min(filled, key=lambda table: wanted.far(table[0]))
    total, most = sum(n for _, _, n in flips), flips[0][2]
    bars = [
        {"was": was, "read": read, "count": n, "width": 100 * n / most, "share": percent(n / total, 0)}
        for was, read, n in flips[:NUM_PAIRS]
    ]
    pairs = sorted({(was, read) for _, found in tables for was, read, _ in found})
    counted_by = [{(was, read): n for was, read, n in found} for _, found in tables]
    table = [(b, [by.get(pair, 0) for pair in pairs]) for (b, _), by in zip(tables, counted_by, strict=True)]
    hidden = max(0, len(flips) - NUM_PAIRS)
    return {"budget": budget, "total": total, "bars": bars, "hidden": hidden, "pairs": pairs, "table": table}


def groups(audit: Json, wanted: Budget | None) -> dict[str, Any] | None:
    """Accuracy by group, untouched and at the wanted budget (or the nearest), and a sentence on each column."""
    by_column: dict[str, list[dict[str, Any]]] = {}
    budget = None
    for row in audit.get("groups") or ():
        found = (
            [(Budget(r.get("norm") or wanted.norm, r["epsilon"]), r) for r in row["robust_accuracy"]] if wanted else []
        )
        found = [(b, r) for b, r in found if b.epsilon > 0 and wanted and b.norm == wanted.norm]
        best: Any = None
        if wanted and found:
            budget, best = min(found, key=lambda pair: wanted.far(pair[0]))
        by_column.setdefault(str(row["column"]), []).append(
            {
                "value": plain(row["value"]),
                "num_images": int(row["num_images"]),
                "clean": estimate(row.get("clean_accuracy")) or Estimate(None),
                "robust": estimate(best) or Estimate(None),
            }
        )
    columns = [
        {"name": name.removeprefix("meta_").replace("_", " "), "rows": rows, "said": _difference(rows)}
        for name, rows in by_column.items()
    ]
    return {"columns": columns, "budget": budget} if columns else None


def _difference(rows: list[dict[str, Any]]) -> str:
    said, compared = [], False
    for key, when in (("clean", "untouched"), ("robust", "changed")):
        known = [row for row in rows if row[key].range]
        if len(known) > 1:
            compared = True
            low, high = min(known, key=lambda r: r[key].high), max(known, key=lambda r: r[key].low)
            if low[key].high < high[key].low:
                said.append(
                    f"{when}, {low['value']} is read worse than {high['value']} and their intervals do not overlap"
                )
    if said:
        text = "; ".join(said)
        return f"{text[0].upper()}{text[1:]}."
    return "The intervals overlap: this run shows no sure difference." if compared else ""


def referral(audit: Json) -> dict[str, Any] | None:
    """Accuracy on the images kept, by three ways to choose those sent to a person."""
    rows = sorted(audit.get("referral") or (), key=lambda row: row["fraction"])
    ways = (
        ("accuracy", "Easiest to mislead", "worst"),
        ("baseline_confidence", "Least confident", "attack a0"),
        ("random", "At random", "attack a5"),
    )
    series = []
    for key, name, style in ways:
        found = [estimate(row.get(key)) for row in rows]
        values = [None if e is None else e.value for e in found]
        if any(v is not None for v in values):
            series.append((name, style, values))
    if len(rows) < 2 or not series:
        return None
    fractions = [float(row["fraction"]) for row in rows]
    at = min(range(len(rows)), key=lambda i: abs(fractions[i] - 0.2))
    told = [f"{name.lower()} {percent(v)}" for name, _, values in series if (v := values[at]) is not None]
    return {"fractions": fractions, "series": series, "at": percent(fractions[at], 0), "told": told}


def findings(audit: Json) -> list[dict[str, Any]] | None:
    """Checks by severity, the worst first; evidence of any JSON shape becomes text."""
    rows = audit.get("findings") or ()
    grouped = []
    for key, title in SEVERITIES:
        found = [
            {
                "id": str(row.get("id", "")),
                "title": str(row.get("title") or row.get("id", "")),
                "evidence": plain(row["evidence"]) if row.get("evidence") not in (None, "", {}, []) else "",
                "advice": plain(row["advice"]) if row.get("advice") else "",
            }
            for row in rows
            if row.get("severity") == key
        ]
        if found:
            grouped.append({"key": key, "title": title, "rows": found})
    return grouped or None


def facts(raw: Any, skip: tuple[str, ...] = ()) -> list[tuple[str, str]]:
    """A mapping as rows of a table of facts."""
    rows: list[tuple[str, str]] = []
    for key, value in (raw or {}).items() if isinstance(raw, Mapping) else ():
        if key not in skip and value is not None:
            rows.append((str(key).replace("_", " "), plain(value)))
    return rows


def _readable(parts: Any) -> str:
    """The parts of an attack in one line: Program(step Steepest(...), num_steps 20, ...)."""
    if isinstance(parts, dict):
        inner = ", ".join(f"{name} {_readable(value)}" for name, value in parts.items() if name != "kind")
        return f"{parts.get('kind', '')}({inner})"
    if isinstance(parts, (list, tuple)):
        return f"[{', '.join(map(_readable, parts))}]"
    # Audits of other tools may hold the text of an object, with the addresses of functions.
    return re.sub(r"<(?:bound method|function) (\S+)[^<>]*>", r"\1", "none" if parts is None else str(parts))


def protocol(audit: Json) -> list[tuple[str, str]]:
    """Budgets, threat, protocol, precision and cost as rows of a table of facts."""
    rows = []
    for norm in norms(audit):
        sizes = sorted({p.budget.epsilon: p.budget for line in lines(audit, norm) for p in line.points}.items())
        rows.append((f"budgets, {norm}", ", ".join(budget.fraction for _, budget in sizes)))
    rows += [(f"threat, {name}", value) for name, value in facts(audit.get("threat"), ("budgets",))]
    how = audit.get("protocol")
    how = {"name": how} if isinstance(how, str) else mapping(how)
    rows += [("protocol" if name == "name" else name, value) for name, value in facts(how, ("attacks",))]
    spent = cost(audit)
    return [*rows, ("cost", ", ".join(spent))] if spent else rows


def attacks(audit: Json) -> list[dict[str, Any]]:
    """Every attack with its parameters, goal and parts from protocol.attacks; the names on the curve without them."""
    described = mapping(mapping(audit.get("protocol")).get("attacks"))
    names = dict.fromkeys(row["attack"] for row in audit.get("curve") or () if row["attack"] != "clean")
    rows = []
    for name in described or names:
        raw = mapping(described.get(name))
        given = [f"{key} {plain(value)}" for key, value in mapping(raw.get("parameters")).items()]
        goal = f"goal {plain(raw['goal'])}" if raw.get("goal") else ""
        said = ", ".join([*given, *([goal] if goal else [])])
        rows.append(
            {"name": attack_name(str(name)), "said": said, "parts": _readable(raw["parts"]) if raw.get("parts") else ""}
        )
    return rows


def cost(audit: Json) -> list[str]:
    """What the attacks cost, in words."""
    raw = audit.get("cost") or {}
    words = []
    for key in ("forwards", "backwards"):
        if isinstance(raw.get(key), (int, float)):
            words.append(f"{raw[key]:,.0f} {key[:-1]} passes")
    for key, value in raw.items():
        if "seconds" in key and isinstance(value, (int, float)):
            what = key.replace("seconds", "").replace("_", " ").strip() or "attacks"
            words.append(f"{number(value, 3)} seconds ({what})")
    return words
