"""check.html: what a study says of its paper, as one file that needs nothing else and runs no script."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .behind import threads_text
from .drawing import panel_svg, style_of
from .pictured import Pictured
from .tables import range_text, value_text
from .verdicts import NO_VERDICT, VERDICTS
from .words import effect_text, p_text, sentence

# No script, nothing from elsewhere; pictures are in the page itself.
POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"
# Verdict -> the class of its sign.
SIGNS = dict(zip((*VERDICTS, NO_VERDICT), ("pass", "near", "fail", "not_run", "cannot", "nothing"), strict=True))


def html(given: Mapping[str, Any]) -> str:
    """The page as text, of what `page.content` gives."""
    from markupsafe import Markup

    from ..report.page import TEMPLATES, environment

    made = environment()
    made.globals |= {
        "value_text": value_text,
        "range_text": range_text,
        "sign": SIGNS.__getitem__,
        "svg": lambda figure, panel: Markup(panel_svg(figure, panel)),
        "is_pictured": lambda figure: isinstance(figure, Pictured),
        "picture": Markup,  # our own SVG
        "style_of": style_of,
        "effect_text": effect_text,
        "p_text": p_text,
        "sentence": sentence,
        "threads_text": threads_text,
    }
    style = Markup((TEMPLATES / "style.css").read_text(encoding="utf-8").strip())
    return str(made.get_template("study.html.j2").render(given, style=style, policy=POLICY))
