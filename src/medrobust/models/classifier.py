"""The input contract: pixels in a declared domain outside, normalization inside, logits out."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from typing import Literal, NamedTuple, get_args

import torch
from torch import Tensor, nn

from ..errors import UserError
from .behind import Watch
from .freeze import frozen
from .heads import INVERTED, WATCHED, logits_of
from .inputs import Rescaled, number_type, own_copy
from .known import Known
from .outputs import answer

Head = Literal["auto", "softmax", "one_logit", "probabilities", "multi_label"]
HEADS: tuple[str, ...] = get_args(Head)


class Outputs(NamedTuple):
    """What a network returned, (n, k); what is known of it; and the way back for gradients of float16."""

    value: Tensor
    known: Known | None
    pair: Rescaled | None


class Classifier(nn.Module):
    """A network with everything an attack must not have to know about it.

    logits = head(network((x - mean) / std)), where x is in the domain's own units. The network computes in its own type
    of number, in memory of its own; the logits have the type of the images, float32 at least.

    Args:
        network: maps normalized images (n, c, \\*spatial) to outputs (n, k), or to a tuple, mapping or object that
            holds them; any float type. Wrappers for several devices and for compilers are taken off.
        mean, std: one value, or one per channel, in the units of the domain; None leaves pixels as they are.
        domain: the lowest and the highest pixel value that exist.
        head: what the outputs are. `softmax`: k >= 2 logits. `one_logit`: (n, 1) or (n,), the logit of class 1,
            returned as (0, z). `probabilities`: the logits before the last sigmoid or softmax, or where that cannot be
            seen the inverse of the probabilities (see head_note); one column is the probability of class 1.
            `multi_label`: k independent logits, those before a last sigmoid. `auto`: by the number, and by whether
            the network was seen to end in a sigmoid or softmax.
        classes: names of the outputs, in order.
        input_size: the image size (pixels) that the network was made for, if it matters.
        channels: channels that the network takes. Grey images are repeated to fit.
        spec: the network's name, e.g. `zoo:cbr_tiny`; a checkpoint needs it to be loaded again.
        normalization_from: where mean and std come from, in words for a report: `given`, `timm's own for this name`,
            `torchvision's ImageNet`, `the card`, `none`.

    Errors: UserError when images, head and outputs do not fit together, and when a gradient by the images is wanted
        from a network that gives none.

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
        normalization_from: str = "",
    ) -> None:
        super().__init__()
        if head not in HEADS:
            raise UserError("model.head", f"unknown head {head!r}", f"valid: {', '.join(HEADS)}")
        if not domain[0] < domain[1]:
            raise UserError("model.domain", f"{tuple(domain)} is empty", "give lowest, highest pixel value")
        self.network = unwrapped(network)
        self.head = head
        self.classes = tuple(classes)
        self.domain = (float(domain[0]), float(domain[1]))
        self.input_size = input_size
        self.channels = channels
        self.spec = spec
        self.normalizes = mean is not None or std is not None
        self.normalization_from = normalization_from or ("given" if self.normalizes else "none")
        self.notes: tuple[str, ...] = ()  # what loading decided where a file left a choice, for the report
        self.folder = ""  # of the checkpoint of ours that it was loaded from, or trained into
        self._num_outputs = 0
        self._order: tuple[int, ...] | None = None  # of the network's outputs, where classes have another
        self._inverted = False
        self.trusts_watch = True  # False: what was seen of its probabilities is not what the network returned
        # Not persistent: the weights file holds the network's own names, the card holds these.
        self.register_buffer("mean", _channel_values("model.mean", mean, 0.0, channels), persistent=False)
        spread = _above_zero(_channel_values("model.std", std, 1.0, channels))
        self.register_buffer("std", spread, persistent=False)

    @property
    def num_classes(self) -> int:
        """Columns of the logits: from the class names, or from the last forward pass."""
        if self.classes:
            return len(self.classes)
        if not self._num_outputs:
            raise UserError("model.classes", "the number of classes is not known", "name the classes")
        return self._num_outputs

    @property
    def head_note(self) -> str:
        """What may be wrong with the logits, for a finding; empty when nothing is. Known after a forward pass.

        Example:
            >>> model = Classifier(nn.Sequential(nn.Flatten(), nn.Softmax(1)), head="probabilities", channels=1)
            >>> _ = model(torch.rand(2, 1, 1, 2))
            >>> model.head_note
            ''
        """
        return INVERTED if self._inverted else ""

    @property
    def output_classes(self) -> tuple[str, ...]:
        """The classes in the order of the network's own outputs; see in_order."""
        if self._order is None:
            return self.classes
        return tuple(self.classes[self._order.index(i)] for i in range(len(self.classes)))

    def in_order(self, classes: Sequence[str]) -> Classifier:
        """The same network with its outputs in the order of classes.

        Itself when that is its order already. The two share the network: training one trains the other.

        Errors: UserError when these are not the classifier's classes.

        Example:
            >>> net = nn.Sequential(nn.Flatten(), nn.Linear(4, 2))
            >>> model = Classifier(net, classes=("benign", "malignant"), channels=1)
            >>> other, x = model.in_order(("malignant", "benign")), torch.rand(3, 1, 2, 2)
            >>> torch.equal(other(x), model(x).flip(1))
            True
        """
        wanted = tuple(classes)
        if wanted == self.classes:
            return self
        if sorted(wanted) != sorted(self.classes) or len(set(wanted)) < len(wanted):
            reason = f"the model knows the classes {', '.join(self.classes)}, not {', '.join(wanted)}"
            raise UserError("model.classes", reason, "use data with the same classes")
        own = self.output_classes
        other = copy.copy(self)
        order = tuple(own.index(name) for name in wanted)
        other.classes, other._order = wanted, None if order == tuple(range(len(order))) else order
        return other

    def normalized_by(self, mean: float | Sequence[float] | None, std: float | Sequence[float] | None) -> Classifier:
        """The same network with another normalization, which is then the given one.

        Example:
            >>> model = Classifier(nn.Flatten(), mean=0.5, std=0.2, normalization_from="the card")
            >>> model.normalized_by(0.4, 0.2).normalization_from
            'given'
        """
        other = copy.copy(self)
        other._buffers = {
            **self._buffers,
            "mean": _channel_values("model.mean", mean, 0.0, self.channels).to(self.mean.device),
            "std": _above_zero(_channel_values("model.std", std, 1.0, self.channels)).to(self.std.device),
        }
        other.normalizes, other.normalization_from = True, "given"
        return other

    def forward(self, x: Tensor) -> Tensor:
        return self.logits(x, self.outputs(x))

    def outputs(self, x: Tensor, *, watch: bool = False) -> Outputs:
        """What the network itself returns for images x (n, c, *spatial).

        Args:
            watch: note what is known of probabilities, whatever the head.
        """
        normal, wanted = self.normalize(x), number_type(self.network)
        pair = Rescaled() if wanted == torch.float16 and normal.dtype == torch.float32 and not self.training else None
        inside = own_copy(normal if pair is None else pair.enter(normal), x, wanted)
        watching = Watch() if watch or (self.head in WATCHED and self.trusts_watch) else None
        with watching or nullcontext():
            value = answer(self.network(inside), len(inside), len(self.classes))
        return Outputs(value, watching.of(value) if watching else None, pair)

    def logits(self, x: Tensor, outputs: Outputs) -> Tensor:
        """The logits (n, k) of what the network returned for images x, in the order of classes."""
        known = outputs.known if self.trusts_watch else None
        logits, self._inverted = logits_of(outputs.value, self.head, known)
        logits = logits.to(torch.promote_types(x.dtype, torch.float32))
        if self.classes and logits.shape[1] != len(self.classes):
            raise UserError(
                "model.classes",
                f"the network gives {logits.shape[1]} outputs for {len(self.classes)} classes",
                "name the classes in the order of the outputs, or choose another model.head",
            )
        self._num_outputs = logits.shape[1]
        if x.requires_grad and torch.is_grad_enabled() and not logits.requires_grad:
            reason = "the network gives no gradient by its images (no_grad, numpy or quantized layers in it)"
            raise UserError("model", reason, "use attacks that need none: square, hop_skip_jump")
        if outputs.pair is not None:
            logits = outputs.pair.leave(logits)
        return logits if self._order is None else logits[:, list(self._order)]

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


def unwrapped(network: nn.Module) -> nn.Module:
    """The network inside of wrappers for several devices and for compilers: they change how it runs, not its answers.

    Example:
        >>> type(unwrapped(nn.DataParallel(nn.Flatten()))).__name__
        'Flatten'
    """
    while True:
        if isinstance(network, (nn.DataParallel, nn.parallel.DistributedDataParallel)):
            inner = network.module
        else:
            inner = getattr(network, "_orig_mod", None)  # of torch.compile
        if not isinstance(inner, nn.Module):
            return network
        network = inner


def _channel_values(place: str, given: float | Sequence[float] | None, default: float, channels: int) -> Tensor:
    values = torch.as_tensor(default if given is None else given, dtype=torch.float32).reshape(-1)
    if values.numel() not in (1, channels):
        raise UserError(place, f"has {values.numel()} values for {channels} channels", "give one, or one per channel")
    if not bool(torch.isfinite(values).all()):
        raise UserError(place, "must be finite numbers")
    return values.expand(channels).clone()


def _above_zero(std: Tensor) -> Tensor:
    if not bool((std > 0).all()):
        raise UserError("model.std", "must be above zero")
    return std
