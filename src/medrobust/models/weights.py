"""Weights from files: safetensors, or a state dict read without unpickling anything else."""

from __future__ import annotations

import pickle
import warnings
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ..errors import UserError

NESTS = ("state_dict", "model_state_dict", "model", "network", "net")
PREFIXES = ("module.", "_orig_mod.", "network.", "model.")
AUXILIARY = ("AuxLogits.", "aux1.", "aux2.")  # training-only heads that torchvision files carry
SAFE_SUFFIXES = (".safetensors",)
TORCH_SUFFIXES = (".pt", ".pth", ".ckpt", ".bin")
KNOWN = SAFE_SUFFIXES + TORCH_SUFFIXES


def read_weights(path: Path | str) -> dict[str, Tensor]:
    """Name -> tensor (on the CPU) from a safetensors file or a torch file that holds a state dict.

    Nested state dicts are found, and prefixes that wrappers add (`module.`, `_orig_mod.`) are removed.

    Errors: UserError when the file is missing, damaged, or a pickle of anything but tensors.
    """
    path = Path(path)
    if not path.is_file():
        raise UserError(str(path), "no such file")
    if path.suffix in SAFE_SUFFIXES:
        from safetensors import SafetensorError
        from safetensors.torch import load_file

        try:
            return load_file(path)
        except (SafetensorError, OSError) as error:
            raise UserError(str(path), f"is not a safetensors file: {error}") from error
    if path.suffix not in TORCH_SUFFIXES:
        raise UserError(str(path), "unknown kind of weights file", f"valid: {', '.join(KNOWN)}")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about the pickle protocol of files that are then refused
            content = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise UserError(
            str(path),
            "holds pickled objects other than tensors, which are never loaded because they can run code",
            "save model.state_dict() alone, or a safetensors file",
        ) from error
    except Exception as error:  # a damaged pickle can raise anything
        raise UserError(str(path), f"cannot be read as a state dict: {first_line(error)}") from error
    return _without_prefix(_state_dict(content, path))


def _state_dict(content: Any, path: Path) -> dict[str, Tensor]:
    while isinstance(content, Mapping):
        inner = next((content[n] for n in NESTS if isinstance(content.get(n), Mapping)), None)
        if inner is None:
            break
        content = inner
    if not isinstance(content, Mapping) or not content or not all(isinstance(v, Tensor) for v in content.values()):
        raise UserError(str(path), "is not a state dict", "save model.state_dict() alone, or a safetensors file")
    return dict(content)


def _without_prefix(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Remove the prefixes of wrappers that every name carries; those that may be the network's are for fit_weights."""
    for prefix in PREFIXES[:2]:
        if all(name.startswith(prefix) for name in state):
            return _without_prefix({name[len(prefix) :]: v for name, v in state.items()})
    return state


def fit_weights(network: nn.Module, state: Mapping[str, Tensor], place: str) -> nn.Module:
    """Load state into network, every name and shape checked first.

    Errors: UserError that lists the first few missing, unexpected and wrongly shaped names.
    """
    wanted = network.state_dict()
    state = {n: v for n, v in state.items() if n in wanted or not n.startswith(AUXILIARY)}
    for prefix in PREFIXES:
        if not set(state) & set(wanted) and all(n.startswith(prefix) for n in state):
            state = {n[len(prefix) :]: v for n, v in state.items()}
    missing = [n for n in wanted if n not in state and not n.endswith("num_batches_tracked")]
    unexpected = [n for n in state if n not in wanted]
    shapes = [
        f"{n} is {tuple(state[n].shape)}, the network has {tuple(wanted[n].shape)}"
        for n in wanted
        if n in state and state[n].shape != wanted[n].shape
    ]
    problems = [f"{what} {few(names)}" for what, names in (("missing", missing), ("unexpected", unexpected)) if names]
    if shapes:
        problems.append(few(shapes))
    if problems:
        raise UserError(place, f"the weights do not fit the network: {'; '.join(problems)}", "check model.name")
    network.load_state_dict(dict(state), strict=False)
    return network


def few(names: Iterable[str], shown: int = 3) -> str:
    """The first names, and how many more there are.

    Example:
        >>> few(["a", "b", "c", "d"])
        'a, b, c and 1 more'
    """
    names = list(names)
    more = f" and {len(names) - shown} more" if len(names) > shown else ""
    return ", ".join(names[:shown]) + more


def first_line(error: BaseException) -> str:
    """The first line of an error's message; the name of its kind where it has none."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
