"""The card of a checkpoint: read, and refused where a value is not of the kind that its key asks for."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from ..errors import UserError, printable
from ..files import read_json
from .weights import refuse_pointer

SCHEMA, CARD = "medrobust.model/1", "card.json"


def _count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 < value <= 2**20


def _finite(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def _numbers(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(_finite(one) for one in value)


def _names(value: Any) -> bool:
    texts = isinstance(value, list) and bool(value) and all(isinstance(one, str) for one in value)
    return texts and len(set(value)) == len(value)


def _text(value: Any) -> bool:
    return isinstance(value, str)


def _mapping(value: Any) -> bool:
    return isinstance(value, dict)


def _pair(value: Any) -> bool:
    return _numbers(value) and len(value) == 2 and value[0] < value[1]


def _size(value: Any) -> bool:
    return _count(value) or (isinstance(value, list) and len(value) in (2, 3) and all(_count(side) for side in value))


Rule = tuple[Callable[[Any], bool], str]
NAMES: Rule = (_names, "a list of different names")
COUNT: Rule = (_count, "a positive whole number")
PART: Rule = (_mapping, "a mapping")
TEXT: Rule = (_text, "text")
PAIR: Rule = (_pair, "two rising numbers")
RULES: Mapping[str, Rule] = {
    "network": TEXT,
    "classes": NAMES,
    "order": NAMES,
    "channels": COUNT,
    "input_size": (_size, "a positive whole number, or one for each side"),
    "mean": (_numbers, "a list of numbers"),
    "std": (lambda value: _numbers(value) and min(value) > 0, "a list of numbers above 0"),
    "normalization_from": TEXT,
    "head": TEXT,
    "domain": PAIR,
    "num_outputs": COUNT,
    "data": PART,
    "view": PART,
    "recipe": PART,
    "split": TEXT,
    "view.window": PAIR,
    "view.image_size": (_size, "a positive whole number, or one for each side"),
    "view.color": TEXT,
    "view.fit": TEXT,
    "view.scale": (lambda value: _text(value) or _pair(value), "text, or two rising numbers"),
    "recipe.data": PART,
    "recipe.data.name": TEXT,
    "recipe.data.splits": TEXT,
    "recipe.data.options": PART,
    "recipe.data.seed": (lambda value: isinstance(value, int), "a whole number"),
}


def read_card(folder: Path) -> dict[str, Any]:
    """The card of a checkpoint; what a key lacks, or null, is left to whoever needs it.

    Errors: UserError when it is missing, no card, only a pointer to one, or has a value of another kind.
    """
    path = folder / CARD
    refuse_pointer(path)
    card = read_json(path)
    if not isinstance(card, dict) or card.get("schema") != SCHEMA:
        raise UserError(str(path), f"is not a {SCHEMA} card")
    for key, (fits, what) in RULES.items():
        value: Any = card
        for part in key.split("."):
            value = value.get(part) if isinstance(value, dict) else None
        if value is not None and not fits(value):
            raise UserError(str(path), f"{key} is {printable(repr(value))[:80]}, not {what}", "save the model again")
    classes = card.get("classes")
    if card.get("order") is not None and classes is not None and set(card["order"]) != set(classes):
        raise UserError(str(path), "order does not name the classes", "save the model again")
    return card
