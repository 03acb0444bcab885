"""A recipe as plain data: for a card, a digest, a file."""

from __future__ import annotations

import dataclasses
import json
from typing import Any


def as_dict(recipe: Any) -> dict[str, Any]:
    """A recipe as plain data, as JSON holds it.

    Example:
        >>> from medrobust.recipes.parts import ModelSpec
        >>> as_dict(ModelSpec(name="default"))["head"]
        'auto'
    """
    content: dict[str, Any] = json.loads(json.dumps(dataclasses.asdict(recipe)))
    return content


def deciding(recipe: Any) -> dict[str, Any]:
    """The part that decides the numbers, without what the recipe's FREE names: equal parts are the same run."""
    return {name: value for name, value in as_dict(recipe).items() if name not in recipe.FREE}
