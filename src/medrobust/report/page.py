"""What the pages share: templates, style, and a policy that runs one script and asks the network for nothing."""

from __future__ import annotations

import base64
import hashlib
from pathlib import Path
from typing import Any

from . import figures, words

TEMPLATES = Path(__file__).parent / "templates"
POLICY = (
    "default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'sha256-{digest}'; "
    "base-uri 'none'; form-action 'none'"
)


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
