"""What the pages share: templates, style, and a policy that runs one script and asks the network for nothing."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ..errors import UserError
from ..files import read_json
from ..runs import AUDIT_SCHEMA
from . import figures, words
from .measured import Json

NEEDED = ("schema", "model", "data", "curve")
TEMPLATES = Path(__file__).parent / "templates"
POLICY = (
    "default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'sha256-{digest}'; "
    "base-uri 'none'; form-action 'none'"
)


@contextmanager
def readable(folder: Path) -> Iterator[None]:
    """What audit.json holds in another form than was asked for is refused in one line."""
    try:
        yield
    except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
        problem = f"not in the form that the report reads ({type(error).__name__}: {error})"
        raise UserError(str(folder / "audit.json"), problem, "measure again with this version of medrobust") from error


def read_audit(folder: Path) -> Json:
    """audit.json of a run. Errors: UserError where it is missing, lacks what pages need, or is of another version."""
    path = folder / "audit.json"
    audit = read_json(path)
    lacking = [key for key in NEEDED if key not in audit] if isinstance(audit, dict) else list(NEEDED)
    if lacking:
        raise UserError(str(path), f"lacks {words.listed(lacking)}", "medrobust audit writes it")
    if audit["schema"] != AUDIT_SCHEMA:
        problem = f"schema {audit['schema']!r} is not {AUDIT_SCHEMA!r}"
        raise UserError(str(path), problem, "measure again with this version")
    return dict(audit)


def environment() -> Any:
    """The jinja2.Environment of all templates: values are escaped, a name that is missing is an error."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined
    from markupsafe import Markup

    made = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters["percent"] = words.percent
    made.globals |= {
        "counted": words.counted,
        "listed": words.listed,
        "measured_by": words.measured_by,
        "of_hundred": words.of_hundred,
        "markup": Markup,  # for figures: svg.py escapes what it writes
        "strip": lambda estimate, style="": Markup(figures.strip(estimate, style)),
    }
    return made


def fixed(script: str) -> dict[str, Any]:
    """Style, script and the policy that lets this script run, for a template."""
    from markupsafe import Markup

    code = (TEMPLATES / script).read_text(encoding="utf-8").strip()
    digest = base64.b64encode(hashlib.sha256(code.encode()).digest()).decode()
    style = (TEMPLATES / "style.css").read_text(encoding="utf-8").strip()
    return {"style": Markup(style), "script": Markup(code), "policy": POLICY.format(digest=digest)}
