"""report.html: read a run directory, lay out its numbers, write one file that needs nothing else."""

from __future__ import annotations

import base64
import hashlib
import json
from pathlib import Path
from typing import Any

from ..errors import UserError
from ..files import read_json, write_atomic
from ..report import figures, sections, words
from ..runs import AUDIT_SCHEMA
from .measured import Json, broken_share, class_names, clean_accuracy, focus, lines, mapping, name_of, norms
from .pictures import example, gallery, slider_data
from .verdict import context, trust, verdict

NEEDED = ("schema", "model", "data", "curve")
TEMPLATES = Path(__file__).parent / "templates"
POLICY = (
    "default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'sha256-{digest}'; "
    "base-uri 'none'; form-action 'none'"
)


def write_report(run_dir: Path) -> Path:
    """Write report.html of a run from its files, without measuring again.

    Reads audit.json, and where present run.json, recipe.yaml and images/gallery.json with its PNG files.
    Returns the path written. Errors: UserError where a file is missing, is not JSON, or lacks what the report needs.
    """
    path = Path(run_dir) / "report.html"
    write_atomic(path, render(Path(run_dir)))
    return path


def render(folder: Path) -> str:
    """The whole page as text. Errors: as write_report."""
    audit = _audit(folder)
    recipe = folder / "recipe.yaml"
    try:
        page = _page(audit, folder)
        page["recipe"] = recipe.read_text(encoding="utf-8", errors="replace").strip() if recipe.is_file() else ""
        return _fill(page)
    except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
        problem = f"not in the form that the report reads ({type(error).__name__}: {error})"
        raise UserError(str(folder / "audit.json"), problem, "measure again with this version of medrobust") from error


def _audit(folder: Path) -> Json:
    path = folder / "audit.json"
    audit = read_json(path)
    lacking = [key for key in NEEDED if key not in audit] if isinstance(audit, dict) else list(NEEDED)
    if lacking:
        raise UserError(str(path), f"lacks {words.listed(lacking)}", "medrobust audit writes it")
    if audit["schema"] != AUDIT_SCHEMA:
        raise UserError(
            str(path), f"schema {audit['schema']!r} is not {AUDIT_SCHEMA!r}", "measure again with this version"
        )
    return dict(audit)


def _optional(path: Path) -> Json:
    found = read_json(path) if path.is_file() else {}
    return found if isinstance(found, dict) else {}


def _page(audit: Json, folder: Path) -> dict[str, Any]:
    """Everything that the template prints."""
    said, point = verdict(audit), focus(audit)
    budget = point.budget if point else None
    entries = list(_optional(folder / "images" / "gallery.json").get("images", ()))
    pictures = gallery(audit, entries, folder / "images", budget)
    anchors = {case.image_id: case.anchor for case in pictures.cases} if pictures else {}
    severity, trusted = trust(audit)
    data, model = mapping(audit["data"]), mapping(audit["model"])
    skipped = data.get("skipped_clean_wrong")
    own_keys = ("name", "num_images", "num_groups", "classes", "broken", "split", "source", "skipped_clean_wrong")
    run = _optional(folder / "run.json")
    made = {key: run[key] for key in ("command", "commit", "versions", "hardware", "started", "finished") if key in run}
    return {
        "model": name_of(audit["model"]),
        "model_facts": sections.facts(model, ("name", "classes")),
        "data_name": "" if data and "name" not in data else name_of(audit["data"]),
        "data_facts": sections.facts(data, own_keys)
        + sections.facts({"unit": mapping(data.get("source")).get("words")}),
        "num_images": int(data.get("num_images") or 0),
        "num_groups": int(data.get("num_groups") or 0),
        "split": words.plain(data["split"]) if data.get("split") else "",
        "skipped": "" if skipped is None or isinstance(skipped, bool) else words.plain(skipped),
        "broken": [(str(path), str(reason)) for path, reason in data.get("broken") or ()],
        "classes": class_names(audit),
        "verdict": said,
        "context": context(audit),
        "severity": severity,
        "trust": trusted,
        "pair": example(pictures, budget) if pictures else None,
        "pictures": pictures,
        "slider": slider_data(pictures) if pictures else None,
        "clean": clean_accuracy(audit),
        "focus": point,
        "curves": [_curve(audit, norm) for norm in norms(audit)],
        "metrics": sections.metrics(audit),
        "metrics_method": str(mapping(audit.get("clean")).get("method") or ""),
        "fragile": sections.fragile(audit, anchors),
        "sensitivity": sections.sensitivity(audit),
        "directions": sections.directions(audit, budget),
        "groups": sections.groups(audit, budget),
        "referral": _referral(audit),
        "findings": sections.findings(audit),
        "attacks": sections.attacks(audit),
        "protocol": sections.protocol(audit),
        "as_published": name_of(audit.get("protocol", "")) == "paper",
        "not_tested": [str(sentence) for sentence in audit.get("not_tested") or ()],
        "provenance": sections.facts(audit.get("provenance") or made),
    }


def _curve(audit: Json, norm: str) -> dict[str, Any]:
    """The figure of a norm in both forms, its legend, its table, and the budgets that the text names."""
    drawn = lines(audit, norm)
    worst, point, clean = drawn[0], focus(audit), clean_accuracy(audit)
    marked = point if point and point.budget.norm == norm else None
    what = "of correct images lost" if clean.value is not None else "of images misread"
    lost = f"{words.percent(broken_share(audit, marked), 0)} {what}" if marked else ""
    count = len(class_names(audit))
    chance = 1 / count if count > 1 else None
    forms = (figures.WIDE, figures.NARROW)
    return {
        "norm": norm,
        "figures": [figures.curve(drawn, clean, marked, lost, chance, form) for form in forms],
        "legend": [(figures.style_of(i, line.kind), line.name) for i, line in enumerate(drawn, start=-1)],
        "table": sections.numbers_table(audit, norm),
        "told": list(dict.fromkeys([worst.points[0], *([marked] if marked else []), worst.points[-1]])),
        "worst": worst,
    }


def _referral(audit: Json) -> dict[str, Any] | None:
    found = sections.referral(audit)
    if found:
        forms = (figures.LOW_WIDE, figures.LOW_NARROW)
        found["figures"] = [figures.referral(found["fractions"], found["series"], form) for form in forms]
        found["legend"] = [(style, name) for name, style, _ in found["series"]]
    return found


def _fill(page: dict[str, Any]) -> str:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined
    from markupsafe import Markup

    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["percent"] = words.percent
    environment.globals |= {
        "counted": words.counted,
        "listed": words.listed,
        "of_hundred": words.of_hundred,
        "strip": lambda estimate, style="": Markup(figures.strip(estimate, style)),
    }
    for part in (*page["curves"], *([page["referral"]] if page["referral"] else [])):
        part["figures"] = [Markup(figure) for figure in part["figures"]]  # svg.py escapes what it writes
    script = (TEMPLATES / "slider.js").read_text(encoding="utf-8").strip()
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return environment.get_template("report.html.j2").render(
        page,
        style=Markup((TEMPLATES / "style.css").read_text(encoding="utf-8").strip()),
        script=Markup(script),
        policy=POLICY.format(digest=digest),
        slider_json=Markup(_script_json(page["slider"])),
    )


def _script_json(value: Any) -> str:
    """JSON that cannot end the script element in which it stands."""
    text = json.dumps(value, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")
