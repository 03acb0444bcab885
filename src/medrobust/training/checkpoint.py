"""Two kinds of saved files: checkpoints, for others to load, and the state of an unfinished run, to go on from.

The state is one safetensors file: every tensor of a nested structure, with the structure itself as JSON in the header.
It is written in one step, so a killed run finds either the old state or the new one. Nothing is pickled.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from torch import Tensor

from ..errors import UserError
from ..files import write_with
from ..models.checkpoint import load_checkpoint, save_checkpoint

__all__ = ["load_checkpoint", "load_state", "save_checkpoint", "save_state"]


def save_state(path: Path, state: dict[str, Any]) -> None:
    """Write nested dicts, lists, numbers, strings and tensors; dict keys may be strings or integers."""
    from safetensors.torch import save_file

    tensors: dict[str, Tensor] = {}
    structure = _encode(state, tensors)
    write_with(path, lambda temporary: save_file(tensors, temporary, {"structure": json.dumps(structure)}))


def load_state(path: Path) -> dict[str, Any]:
    """What save_state wrote, on the CPU. Errors: UserError when the file is damaged or is not a state."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt") as file:
            structure = json.loads((file.metadata() or {})["structure"])
            state: dict[str, Any] = _decode(structure, file.get_tensor)
            return state
    except (SafetensorError, OSError, KeyError, ValueError, TypeError) as error:
        raise UserError(str(path), f"is not the state of a run: {error}", "delete it to start again") from error


def _encode(tree: Any, tensors: dict[str, Tensor]) -> Any:
    if isinstance(tree, Tensor):
        name = f"t{len(tensors)}"
        tensors[name] = tree.detach().to("cpu", copy=True).contiguous()
        return {"tensor": name}
    if isinstance(tree, dict):
        return {"dict": [[key, _encode(value, tensors)] for key, value in tree.items()]}
    if isinstance(tree, (list, tuple)):
        return [_encode(value, tensors) for value in tree]
    if tree is None or isinstance(tree, (bool, int, float, str)):
        return tree
    raise TypeError(f"cannot save a {type(tree).__name__}")


def _decode(tree: Any, get: Any) -> Any:
    if isinstance(tree, list):
        return [_decode(value, get) for value in tree]
    if isinstance(tree, dict):
        if "tensor" in tree:
            return get(tree["tensor"])
        return {key: _decode(value, get) for key, value in tree["dict"]}
    return tree
