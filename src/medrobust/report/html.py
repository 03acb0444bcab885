"""report.html: read a run directory, lay out its numbers, write one file that needs nothing else."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ..errors import UserError
from ..files import read_json, write_atomic
from .exports import exports
from .measured import Json, class_names, clean_accuracy, focus, lines, mapping, name_of, norms
from .page import environment, fixed, read_audit, readable
from .pictures import example, gallery, slider_data
from .sections import SECTIONS, Section, Seen
from .verdict import context, first, quote, verdict


def write_report(run_dir: Path, sections: Sequence[Section] = tuple(SECTIONS)) -> Path:
    """Write report.html of a run from its files, without measuring again, and the files for programs beside it.

    The others are those of `exports.EXPORTS`: findings.sarif, curve.csv, claim.md and card.chai.xml. Reads audit.json,
    and where present run.json, recipe.yaml and images/gallery.json with its PNG files. Returns the path of report.html.

    Errors: UserError where a file is missing, is not JSON, or lacks what the report needs.
    """
    folder = Path(run_dir)
    page = render(folder, sections)
    for name, content in {**_others(folder), "report.html": page}.items():
        write_atomic(folder / name, content)
    return folder / "report.html"


def render(folder: Path, sections: Sequence[Section] = tuple(SECTIONS)) -> str:
    """The whole page as text. Errors: UserError, as write_report."""
    audit = read_audit(folder)
    with readable(folder):
        return _fill(_see(audit, folder), sections)


def _others(folder: Path) -> dict[str, str]:
    audit = read_audit(folder)
    with readable(folder):
        return exports(audit)


def _optional(path: Path) -> Json:
    found = read_json(path) if path.is_file() else {}
    return found if isinstance(found, dict) else {}


def _see(audit: Json, folder: Path) -> Seen:
    """Read the files of the run, and find what several sections ask of them."""
    point = focus(audit)
    budget = point.budget if point else None
    entries = list(_optional(folder / "images" / "gallery.json").get("images", ()))
    pictures = gallery(audit, entries, folder / "images", budget)
    recipe, data = folder / "recipe.yaml", mapping(audit["data"])
    return Seen(
        audit=audit,
        run=_optional(folder / "run.json"),
        recipe=recipe.read_text(encoding="utf-8", errors="replace").strip() if recipe.is_file() else "",
        folder=folder,
        data_name="" if data and "name" not in data else name_of(audit["data"]),
        num_images=int(data.get("num_images") or 0),
        budget=budget,
        pictures=pictures,
        anchors={case.image_id: case.anchor for case in pictures.cases} if pictures else {},
    )


def _opening(seen: Seen) -> dict[str, Any]:
    """What stands above the sections."""
    audit, pictures = seen.audit, seen.pictures
    worst = next((line for norm in norms(audit) for line in lines(audit, norm)), None)
    return {
        "model": name_of(audit["model"]),
        "data_name": seen.data_name,
        "num_images": seen.num_images,
        "num_groups": int(mapping(audit["data"]).get("num_groups") or 0),
        "classes": class_names(audit),
        "verdict": verdict(audit),
        "context": context(audit),
        "first": first(audit),
        "quote": quote(audit),
        "pair": example(pictures, seen.budget) if pictures else None,
        "pictures": pictures,
        "slider": slider_data(pictures) if pictures else None,
        "clean": clean_accuracy(audit),
        "focus": focus(audit),
        "last": worst.points[-1] if worst else None,
    }


def _fill(seen: Seen, sections: Sequence[Section]) -> str:
    from jinja2 import UndefinedError
    from markupsafe import Markup

    made = environment()
    opening = _opening(seen)
    parts = []
    for section in sections:
        template = made.from_string(section.template.read_text(encoding="utf-8"))
        try:
            html = Markup(template.render(section.build(seen)))
        except (KeyError, TypeError, ValueError, AttributeError, IndexError, UndefinedError) as error:
            problem = f"the section {section.id!r} cannot be laid out from it ({type(error).__name__}: {error})"
            advice = "measure again with this version, or mend the section if it is your own"
            raise UserError(str(seen.folder / "audit.json"), problem, advice) from error
        parts.append({"id": section.id, "title": section.title, "link": section.link, "html": html})
    return made.get_template("report.html.j2").render(
        opening,
        **fixed("slider.js"),
        sections=parts,
        slider_json=Markup(_script_json(opening["slider"])),
    )


def _script_json(value: Any) -> str:
    """JSON that cannot end the script element in which it stands."""
    text = json.dumps(value, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")
