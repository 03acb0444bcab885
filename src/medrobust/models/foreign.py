"""Networks that others define in Python: a callable that returns one."""

from __future__ import annotations

import importlib
import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn

from ..errors import UserError, nearest
from .weights import first_line

NAMED = ("zoo", "torchvision", "timm", "monai")  # sources of networks by name, see zoo.SOURCES


def is_callable_spec(spec: str) -> bool:
    """Whether spec reads `package.module:callable`."""
    return re.fullmatch(r"[A-Za-z_][\w.]*:[A-Za-z_]\w*", spec) is not None and spec.split(":")[0] not in NAMED


def from_callable(spec: str) -> nn.Module:
    """The nn.Module that `package.module:callable` returns; the current directory can be imported from.

    Errors: UserError when the import fails, the name is missing, or the result is not a module.
    """
    module_name, _, name = spec.partition(":")
    with _current_directory_first():
        try:
            module = importlib.import_module(module_name)
        except Exception as error:
            reason = f"cannot be imported: {type(error).__name__}: {first_line(error)}"
            raise UserError(spec, reason, "run from the folder that holds it, or install it") from error
        if not hasattr(module, name):
            public = [n for n in dir(module) if not n.startswith("_")]
            raise UserError(spec, f"{module_name} has no {name!r}", nearest(name, public))
        try:
            network = getattr(module, name)()
        except Exception as error:
            reason = f"raised {type(error).__name__}: {first_line(error)}"
            raise UserError(spec, reason, "it is called without arguments") from error
    if not isinstance(network, nn.Module):
        raise UserError(spec, f"returned a {type(network).__name__}", "it must return a torch.nn.Module")
    return network


@contextmanager
def _current_directory_first() -> Iterator[None]:
    here = os.getcwd()
    sys.path.insert(0, here)
    try:
        yield
    finally:
        sys.path.remove(here)
