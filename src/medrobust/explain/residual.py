"""What the first pooling layer leaves of a change: residual maps (Sun et al. 2022, arXiv:2205.01674, Fig. 2)."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from ..files import write_atomic
from ..models.classifier import Classifier
from ..models.drop_max import DropMax
from ..models.wrap import device_of
from ..records.intervals import Grouping

POOLS = (nn.MaxPool2d, nn.MaxPool3d, DropMax)


class Residual(NamedTuple):
    """What of a change goes into the first pooling layer, and what comes out.

    Args:
        layer: its name and class.
        before, after: (n,) ||a - b|| / (||a|| + ||b||) of the features a of an image and b of the changed image: 0
            where nothing changed, 1 at most.
        maps: (n, *places) the absolute difference after the layer, all channels added.
    """

    layer: str
    before: Tensor
    after: Tensor
    maps: Tensor


def residual(model: Classifier, x: Tensor, x_adv: Tensor, batch_size: int = 32) -> Residual | None:
    """The change of the features at the first pooling layer that a pass meets; None of a network without one.

    Args:
        model: frozen.
        x, x_adv: (n, c, *spatial), images and what an attack made of them.
        batch_size: images in a pass.

    Example:
        >>> model = Classifier(nn.Sequential(nn.MaxPool2d(2), nn.Flatten(), nn.Linear(1, 2)), channels=1)
        >>> x = torch.tensor([[[[0.5, 0.25], [0.25, 0.25]]]])
        >>> found = residual(model, x, x.clamp(min=0.5))  # a change that is never the largest value is gone
        >>> found.layer, float(found.before) > 0, float(found.after)
        ('0 (MaxPool2d)', True, 0.0)
    """
    device, parts = device_of(model), []
    for begin in range(0, len(x), batch_size):
        found = [_pooled(model, part[begin : begin + batch_size].to(device)) for part in (x, x_adv)]
        if found[0] is None or found[1] is None:
            return None
        (name, a_in, a_out), (_, b_in, b_out) = found[0], found[1]
        maps = (b_out - a_out).abs().sum(1)
        parts.append((name, _change(a_in, b_in).cpu(), _change(a_out, b_out).cpu(), maps.cpu()))
    columns = list(zip(*parts, strict=True))
    return Residual(parts[0][0], *(torch.cat(list(column)) for column in columns[1:]))


def _change(a: Tensor, b: Tensor) -> Tensor:
    size = [one.flatten(1).double().norm(dim=1) for one in (a - b, a, b)]
    return torch.where(size[0] > 0, size[0] / (size[1] + size[2]).clamp(min=torch.finfo(torch.float64).tiny), 0.0)


def _pooled(model: Classifier, x: Tensor) -> tuple[str, Tensor, Tensor] | None:
    """Name, input and output of the first pooling layer."""
    with _watched(model) as seen, torch.no_grad():
        model(x)
    return seen[0] if seen else None


@contextmanager
def _watched(model: Classifier) -> Iterator[list[tuple[str, Tensor, Tensor]]]:
    seen: list[tuple[str, Tensor, Tensor]] = []

    def note(name: str) -> Any:
        def hook(module: nn.Module, args: tuple[Tensor, ...], out: Tensor) -> None:
            if not seen:
                seen.append((f"{name} ({type(module).__name__})", args[0].float(), out.float()))

        return hook

    hooks = [
        one.register_forward_hook(note(name)) for name, one in model.network.named_modules() if isinstance(one, POOLS)
    ]
    try:
        yield seen
    finally:
        for hook in hooks:
            hook.remove()


def as_content(found: Residual, ids: Sequence[str], groups: Sequence[str], folder: Path | None, most: int) -> Any:
    """What explain.json holds of it, and the first maps as PNG files: black where nothing changed, white where most."""
    import numpy as np
    from PIL import Image

    grouping = Grouping(np.array(groups, dtype=object))
    before, after = found.before.numpy(), found.after.numpy()
    pictures = []
    for i, image_id in enumerate(ids[:most] if folder is not None else ()):
        values = found.maps[i]
        while values.ndim > 2:
            values = values[len(values) // 2]
        buffer = io.BytesIO()
        grey = (values / values.max().clamp(min=1e-12)).mul(255).round().to(torch.uint8).numpy()
        Image.fromarray(grey).save(buffer, format="PNG", optimize=True)
        assert folder is not None
        write_atomic(folder / f"residual_{i}.png", buffer.getvalue())
        pictures.append({"image_id": image_id, "png": f"residual_{i}.png"})
    return {
        "layer": found.layer,
        "num_images": len(ids),
        "before": grouping.mean_between(before, 0.0, 1.0).as_dict(),
        "after": grouping.mean_between(after, 0.0, 1.0).as_dict(),
        "after_less_before": grouping.mean_between(after - before, -1.0, 1.0).as_dict(),
        "pictures": pictures,
    }
