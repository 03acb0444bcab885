"""The input contract: pixels in a declared domain outside, normalization inside, logits out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Literal, get_args

import torch
from torch import Tensor, nn

from ..errors import UserError
from .freeze import frozen

Head = Literal["auto", "softmax", "one_logit", "probabilities", "multi_label"]
HEADS: tuple[str, ...] = get_args(Head)
TINY = 1e-12


class Classifier(nn.Module):
    """A network with everything an attack must not have to know about it.

    logits = head(network((x - mean) / std)), where x is in the domain's own units.

    Args:
        network: maps normalized images (n, c, \\*spatial) to outputs (n, k); any float type.
        mean, std: one value, or one per channel, in the units of the domain; None leaves pixels as they are.
        domain: the lowest and the highest pixel value that exist.
        head: what the outputs are. `softmax`: k >= 2 logits. `one_logit`: (n, 1) or (n,), the logit of class 1,
            returned as (0, z). `probabilities`: log of the probabilities, one column p becoming (1 - p, p).
            `multi_label`: k independent logits, returned as they are. `auto`: one_logit or softmax, by the number of
            outputs.
        classes: names of the outputs, in order.
        input_size: the image size (pixels) that the network was made for, if it matters.
        channels: channels that the network takes. Grey images are repeated to fit.
        spec: the network's name, e.g. `zoo:cbr_tiny`; a checkpoint needs it to be loaded again.

    Errors: UserError when images, head and outputs do not fit together.

    Example:
        >>> net = nn.Sequential(nn.Flatten(), nn.Linear(12, 1))
        >>> model = Classifier(net, mean=[0.5], std=[0.25], head="one_logit", classes=("benign", "malignant"))
        >>> model(torch.rand(4, 1, 2, 2)).shape
        torch.Size([4, 2])
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self,
        network: nn.Module,
        *,
        mean: float | Sequence[float] | None = None,
        std: float | Sequence[float] | None = None,
        domain: tuple[float, float] = (0.0, 1.0),
        head: str = "softmax",
        classes: Sequence[str] = (),
        input_size: int | None = None,
        channels: int = 3,
        spec: str = "",
    ) -> None:
        super().__init__()
        if head not in HEADS:
            raise UserError("model.head", f"unknown head {head!r}", f"valid: {', '.join(HEADS)}")
        if not domain[0] < domain[1]:
            raise UserError("model.domain", f"{tuple(domain)} is empty", "give lowest, highest pixel value")
        self.network = network
        self.head = head
        self.classes = tuple(classes)
        self.domain = (float(domain[0]), float(domain[1]))
        self.input_size = input_size
        self.channels = channels
        self.spec = spec
        self.normalizes = mean is not None or std is not None
        self._num_outputs = 0
        # Not persistent: the weights file holds the network's own names, the card holds these.
        self.register_buffer("mean", _channel_values("model.mean", mean, 0.0, channels), persistent=False)
        self.register_buffer("std", _channel_values("model.std", std, 1.0, channels), persistent=False)
        if not bool((self.std > 0).all()):
            raise UserError("model.std", "must be above zero")

    @property
    def num_classes(self) -> int:
        """Columns of the logits: from the class names, or from the last forward pass."""
        if self.classes:
            return len(self.classes)
        if not self._num_outputs:
            raise UserError("model.classes", "the number of classes is not known", "name the classes")
        return self._num_outputs

    def forward(self, x: Tensor) -> Tensor:
        """Logits (n, k) of images x (n, c, *spatial) in the domain.

        Errors: UserError when images or outputs do not fit the head, the channels or the class names.
        """
        logits = self._logits(_main_output(self.network(self.normalize(x))))
        if self.classes and logits.shape[1] != len(self.classes):
            raise UserError(
                "model.classes",
                f"the network gives {logits.shape[1]} outputs for {len(self.classes)} classes",
                "name the classes in the order of the outputs, or choose another model.head",
            )
        self._num_outputs = logits.shape[1]
        return logits

    def normalize(self, x: Tensor) -> Tensor:
        """(x - mean) / std with grey images repeated to the network's channels; (n, c, *spatial) in and out."""
        if x.ndim < 3:
            raise UserError("model", f"images must be (n, channels, *spatial), not {tuple(x.shape)}")
        if x.shape[1] == 1 and self.channels > 1:
            x = x.expand(-1, self.channels, *x.shape[2:])
        if x.shape[1] != self.channels:
            raise UserError(
                "data.color",
                f"images have {x.shape[1]} channels, the model takes {self.channels}",
                "use data.color=grey" if self.channels == 1 else "use data.color=rgb",
            )
        if not self.normalizes:
            return x
        shape = (1, -1, *[1] * (x.ndim - 2))
        return (x - self.mean.to(x.dtype).reshape(shape)) / self.std.to(x.dtype).reshape(shape)

    def _logits(self, out: Tensor) -> Tensor:
        if out.dtype in (torch.float16, torch.bfloat16):
            out = out.float()
        if out.ndim == 1:
            out = out[:, None]
        if out.ndim != 2:
            raise UserError("model", f"the network returns {tuple(out.shape)}", "it must return (n, classes)")
        head = self.head
        if head == "auto":
            head = "one_logit" if out.shape[1] == 1 else "softmax"
        if head == "one_logit":
            if out.shape[1] != 1:
                raise UserError("model.head", f"one_logit needs 1 output, not {out.shape[1]}", "use softmax")
            return torch.cat([torch.zeros_like(out), out], 1)
        if head == "probabilities":
            p = torch.cat([1 - out, out], 1) if out.shape[1] == 1 else out
            return p.clamp_min(TINY).log()
        if head == "softmax" and out.shape[1] < 2:
            raise UserError("model.head", "softmax needs 2 outputs or more, the network has 1", "use one_logit")
        return out

    @contextmanager
    def frozen(self) -> Iterator[Classifier]:
        """Evaluation mode, no gradients to parameters; both are as before afterwards, errors included.

        Example:
            >>> model = Classifier(nn.Sequential(nn.Flatten(), nn.Linear(4, 2)), channels=1)
            >>> with model.frozen() as still:
            ...     still.training
            False
            >>> model.training
            True
        """
        with frozen(self):
            yield self


def _main_output(out: Any) -> Tensor:
    """The logits among what networks return: a tensor, a named tuple or dict with `logits`, or a tuple."""
    if isinstance(out, Tensor):
        return out
    if isinstance(out, dict) and isinstance(out.get("logits"), Tensor):
        return out["logits"]
    if isinstance(getattr(out, "logits", None), Tensor):
        return out.logits
    if isinstance(out, (tuple, list)) and out and isinstance(out[0], Tensor):
        return out[0]
    raise UserError("model", f"the network returns a {type(out).__name__}", "it must return a tensor (n, classes)")


def _channel_values(place: str, given: float | Sequence[float] | None, default: float, channels: int) -> Tensor:
    values = torch.as_tensor(default if given is None else given, dtype=torch.float32).reshape(-1)
    if values.numel() not in (1, channels):
        raise UserError(place, f"has {values.numel()} values for {channels} channels", "give one, or one per channel")
    if not bool(torch.isfinite(values).all()):
        raise UserError(place, "must be finite numbers")
    return values.expand(channels).clone()
