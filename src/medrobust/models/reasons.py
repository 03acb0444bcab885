"""Why a network does not take images: what is changed until it does is the reason."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from ..errors import UserError
from .classifier import Classifier
from .inputs import number_type
from .weights import first_line

SIDES = (224, 32, 64, 28, 96, 128, 256, 299, 384, 512)
PATIENCE = 20.0  # seconds spent on finding the reason


def why(model: Classifier, x: Tensor, error: Exception, place: str) -> UserError:
    """The error of a model that failed on images x (n, c, *spatial), as one line that names the cause.

    Args:
        error: what it raised.
        place: the name of the model.

    Example:
        >>> model = Classifier(torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(3 * 32 * 32, 2)))
        >>> print(why(model, torch.rand(2, 3, 48, 48), RuntimeError("mat1 and mat2"), "net"))
        net: takes images of 32 x 32 pixels, not 48 x 48. Set data.image_size=32
    """
    if isinstance(error, UserError):
        return error
    if isinstance(error, ImportError):
        name = error.name or "a module"
        return UserError(place, f"needs {name}, which is not here: {first_line(error)}", f"pip install {name}")
    text = f"{type(error).__name__}: {first_line(error)}"
    if "quantized" in str(error):
        return UserError(place, f"is quantized in a way that does not run here: {text}", "give it before quantization")
    shape, least = tuple(x.shape), time.monotonic() + PATIENCE
    for other, reason, fix in _changes(model, x, _guessed(error, x)):
        if _works(model, other):
            return UserError(place, reason, fix)
        if time.monotonic() > least:
            break
    return UserError(place, f"fails on images of shape {shape}: {text}", "let it take (n, channels, height, width)")


def _guessed(error: Exception, x: Tensor) -> list[int]:
    """Sides that the sizes of two matrices in an error speak for: as many pixels more as a layer misses inputs."""
    found = re.search(r"\(\d+x(\d+) and (\d+)x\d+\)", str(error))
    return [round(x.shape[-1] * (int(found[2]) / int(found[1])) ** (1 / (x.ndim - 2)))] if found else []


def _changes(model: Classifier, x: Tensor, sides_first: Sequence[int]) -> Iterator[tuple[Tensor, str, str]]:
    """Inputs of the network that differ in one thing from x, normalized, and what it means when they work."""
    x = model.normalize(x)
    x = x.to(number_type(model.network) or x.dtype)
    n, c, *sides = x.shape
    if n > 1:
        fix = "let forward keep the first dimension, whatever it is, or export it with a dynamic batch size"
        yield x[:1], f"takes one image at a time, not {n} at once", fix
    for dtype in (torch.float32, torch.float64, torch.float16, torch.bfloat16):
        if dtype != x.dtype:
            name = str(dtype).removeprefix("torch.")
            other = str(x.dtype).removeprefix("torch.")
            yield x.to(dtype), f"takes {name} numbers only, not {other}", "return network.float()"
    for channels in (3, 1):
        if channels != c:
            color = "grey" if channels == 1 else "rgb"
            yield _shaped(x, channels, sides), f"takes images of {_many(channels)}, not {c}", f"set data.color={color}"
    yield x.movedim(1, -1), "takes images (n, h, w, c), not (n, c, h, w)", "set model.layout=nhwc"
    for side in (*sides_first, *SIDES):
        if any(side != own for own in sides):
            text = " x ".join([str(side)] * len(sides))
            size = f"takes images of {text} pixels, not {' x '.join(map(str, sides))}"
            yield _shaped(x, c, [side] * len(sides)), size, f"set data.image_size={side}"
            for channels in (3, 1):
                if channels != c:
                    fix = f"set data.image_size={side} and data.color={'grey' if channels == 1 else 'rgb'}"
                    both = f"{size}, and of {_many(channels)}, not {c}"
                    yield _shaped(x, channels, [side] * len(sides)), both, fix


def _many(channels: int) -> str:
    return "1 channel" if channels == 1 else f"{channels} channels"


def _shaped(x: Tensor, channels: int, sides: Sequence[int]) -> Tensor:
    noise = torch.rand(len(x), channels, *sides, generator=torch.Generator().manual_seed(0))
    return noise.to(x.device, x.dtype)


def _works(model: Classifier, x: Tensor) -> bool:
    try:
        with torch.no_grad(), model.frozen():
            model.network(x.clone())
    except Exception:  # whatever the network says of input that it was not made for
        return False
    return True
