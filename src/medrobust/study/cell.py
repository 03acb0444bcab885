"""What a cell is: one training or one audit, named by the values that decide its result."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ..runs import digest

KEY_LENGTH = 12


@dataclass(frozen=True)
class Cell:
    """One training or one audit.

    Args:
        kind: train or audit.
        values: what decides its result: the resolved recipe, defaults included, less what cannot change the result
            (device, workers, paths), with the hash of the data and of the weights that it starts from.
        recipe: the recipe as it runs, paths included.
        needs: the keys of the cells that come before it.
        title: readable, for the name of its folder.
    """

    kind: str
    values: Mapping[str, Any]
    recipe: Mapping[str, Any]
    needs: tuple[str, ...] = ()
    title: str = ""
    checks: str = "proof"
    key: str = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "key", digest(self.values)[:KEY_LENGTH])

    @property
    def name(self) -> str:
        """The name of its folder."""
        readable = re.sub(r"[^a-z0-9]+", "-", self.title.lower()).strip("-")[:60]
        return f"{self.key}-{readable or self.kind}"
