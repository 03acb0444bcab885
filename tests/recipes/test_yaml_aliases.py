"""A recipe of a few lines cannot stand for more values than memory holds."""

from __future__ import annotations

from pathlib import Path

import pytest

from medrobust.errors import UserError
from medrobust.recipes.yaml import read_recipe


def bomb(depth: int) -> str:
    lines = ["attacks:", "  - &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"  - &a{k + 1} [{', '.join([f'*a{k}'] * 9)}]" for k in range(depth)]
    return "\n".join(lines)


@pytest.mark.parametrize("text", [bomb(12), "model: &m {name: *m}", "seed: &s [*s]"])
def test_aliases_that_stand_for_too_much_are_refused(text: str, tmp_path: Path) -> None:
    path = tmp_path / "recipe.yaml"
    path.write_text(text)
    with pytest.raises(UserError, match="its aliases stand for more than 1,000,000 values"):
        read_recipe(path)


def test_an_alias_is_a_value() -> None:
    text = "{linf: &e [1/255, 2/255], l2: *e}"
    found = read_recipe(None, [f"threat.epsilons={text}"])
    assert found["threat"]["epsilons"] == {"linf": ["1/255", "2/255"], "l2": ["1/255", "2/255"]}
