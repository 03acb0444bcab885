"""A card or an archive that was changed by hand or by a damaged disk is refused with the key at fault."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import pytest
import torch

from medrobust.errors import UserError
from medrobust.models.card import RULES, read_card
from medrobust.models.checkpoint import save_checkpoint
from medrobust.models.classifier import Classifier
from medrobust.models.weights import read_nests
from medrobust.models.zoo import build_network

NETWORK = "zoo:cbr_tiny(width=4)"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    net = build_network(NETWORK, num_classes=2, in_channels=1)
    save_checkpoint(tmp_path, Classifier(net, classes=("a", "b"), channels=1, spec=NETWORK, input_size=32).eval())
    return tmp_path


def change(folder: Path, key: str, value: Any) -> None:
    card = json.loads((folder / "card.json").read_text())
    node = card
    *above, last = key.split(".")
    for part in above:
        node = node.setdefault(part, {})
    node[last] = value
    (folder / "card.json").write_text(json.dumps(card))


WRONG = {
    "classes": [["a", 1], ["a", "a"], [], "ab", {"a": "b"}],
    "order": [["a", "c"], ["a"], 3],
    "channels": [0, -1, True, "1", 1.5, 10**30],
    "input_size": [0, "32", [32], [32, 0], 10**12],
    "mean": [[], ["x"], [float("nan")], 0.5],
    "std": [[0.0], [-1.0], [float("inf")]],
    "domain": [[0], [1, 0], [0, 1, 2], ["0", "1"], 1],
    "num_outputs": [0, "2", 2.0],
    "network": [3, ["zoo:cbr_tiny"]],
    "head": [1, []],
    "view": [[], "grey"],
    "view.window": [[1], "0,1", [1, 0]],
    "recipe": [[]],
    "recipe.data": ["folder:x"],
    "recipe.data.options": [["group"]],
    "recipe.data.seed": ["x", 1.5],
}


@pytest.mark.parametrize(("key", "value"), [(key, value) for key, values in WRONG.items() for value in values])
def test_a_value_of_another_kind_is_named(key: str, value: Any, folder: Path) -> None:
    change(folder, key, value)
    with pytest.raises(UserError) as caught:
        read_card(folder)
    line = str(caught.value)
    assert key in line
    assert "card.json" in line
    assert len(line) < 400 + len(str(folder))


def test_what_we_write_and_what_is_left_open_is_read(folder: Path) -> None:
    assert read_card(folder)["classes"] == ["a", "b"]
    for key in RULES:
        change(folder, key, None) if "." not in key else None
    assert read_card(folder)["classes"] is None


@pytest.mark.parametrize("at", [0, 1, 2, 3])
def test_an_archive_with_a_damaged_directory_is_no_state_dict(at: int, tmp_path: Path) -> None:
    path = tmp_path / "net.pt"
    torch.save({"weight": torch.zeros(3)}, path)
    content = bytearray(path.read_bytes())
    content[content.index(b"PK\x01\x02") + at] ^= 0xFF
    path.write_bytes(content)
    assert zipfile.is_zipfile(path)
    with pytest.raises(UserError, match=r"net\.pt"):
        read_nests(path)


def test_a_dictionary_that_holds_itself_is_refused(tmp_path: Path) -> None:
    state: dict[str, Any] = {"weight": torch.zeros(3)}
    state["again"] = state
    torch.save(state, tmp_path / "net.pt")
    with pytest.raises(UserError, match="without end"):
        read_nests(tmp_path / "net.pt")
