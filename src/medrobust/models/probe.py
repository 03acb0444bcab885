"""What a classifier does on a few images, as facts: for a check before anything is attacked or written."""

from __future__ import annotations

import time
from typing import Literal, NamedTuple

import torch
from torch import Tensor

from .classifier import Classifier, Outputs
from .heads import are_known_probabilities
from .inputs import number_type, own_copy
from .outputs import answer
from .weights import first_line

NUM_GRADIENTS = 4  # images of which gradients are computed
CLOSE = 1e-3  # sums of probabilities are 1 this closely

Kind = Literal["logits", "probabilities", "log_probabilities"]


class Probe(NamedTuple):
    """The facts. Shares are of images; gaps are largest differences, relative where numbers are above 1.

    Args:
        finite: all logits are finite numbers.
        dtype: type of number that the network computes in, as `float32`.
        outputs: columns that the network returns.
        num_classes: columns of the logits.
        low, high: range of what the network returns.
        kind: what it returns, by what it was seen to do and by the range.
        inverted: logits were computed back from probabilities; see Classifier.head_note.
        batch_gap: of a logit between an image alone and among others.
        repeat_gap: of an output between two passes of the same image.
        writes_input: the network writes into the images that it is given (it gets a copy of its own).
        gradient: `yes`; `none` where for autograd the logits do not depend on the images; `raises`.
        gradient_error: what was raised, in one line.
        zero_margin: share whose margin of the top two logits has gradient zero in every pixel; 1 without gradients.
        zero_cross_entropy: share whose cross-entropy has, its logits being too far apart or zero_margin.
        bad_gradient: share whose gradient is not finite.
        saturated: share whose top probability is exactly 1 in float32.
        largest_margin: of the top two logits.
        answers: the class that each image is given.
        seconds: that all of this took.
    """

    finite: bool
    dtype: str
    outputs: int
    num_classes: int
    low: float
    high: float
    kind: Kind
    inverted: bool
    batch_gap: float
    repeat_gap: float
    writes_input: bool
    gradient: Literal["yes", "none", "raises"]
    gradient_error: str
    zero_margin: float
    zero_cross_entropy: float
    bad_gradient: float
    saturated: float
    largest_margin: float
    answers: tuple[int, ...]
    seconds: float


def probe(classifier: Classifier, x: Tensor) -> Probe:
    """Look at a classifier on some images, in evaluation mode; it is left as it was.

    One image passes twice by itself, all pass once together, the first NUM_GRADIENTS with a gradient: less than a
    second for 8 images of 224 pixels and a ResNet-18 on one core.

    Args:
        x: (n, c, *spatial) images in its domain, on its device.

    Errors: what the network raises without gradients too; medrobust.models.reasons.why has its cause in words.

    Example:
        >>> net = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(4, 2))
        >>> found = probe(Classifier(net, channels=1), torch.rand(8, 1, 2, 2))
        >>> found.gradient, found.kind, found.dtype, found.writes_input, found.saturated
        ('yes', 'logits', 'float32', False, 0.0)
    """
    began, first = time.perf_counter(), x[:NUM_GRADIENTS]
    with classifier.frozen():
        with torch.no_grad():
            alone = classifier.outputs(x[:1], watch=True)
            again, writes_input = _again(classifier, x[:1])
            alone_logits = _two(classifier.logits(x[:1], alone))
        parts, grad, error = _with_gradient(classifier, first)
        if len(x) > len(first):
            with torch.no_grad():
                parts.append(_both(classifier, x[len(first) :]))
    seen = torch.cat([outputs.value.detach() for outputs, _ in parts]).float()
    logits = torch.cat([found.detach() for _, found in parts]).float()
    top = logits.topk(2, 1)
    slope = (logits.softmax(1) - torch.nn.functional.one_hot(top.indices[:, 0], logits.shape[1])).abs().amax(1)
    flat = torch.ones(len(first), dtype=torch.bool) if grad is None else (grad.flatten(1) == 0).all(1).cpu()
    stuck = (slope == 0).cpu() | (grad is None)
    stuck[: len(flat)] |= flat
    return Probe(
        finite=bool(logits.isfinite().all()),
        dtype=str(number_type(classifier.network) or x.dtype).removeprefix("torch."),
        outputs=seen.shape[1],
        num_classes=logits.shape[1],
        low=float(seen.min()),
        high=float(seen.max()),
        kind=_kind(seen, alone),
        inverted=bool(classifier.head_note),
        batch_gap=_gap(logits[:1], alone_logits),
        repeat_gap=_gap(again, alone.value),
        writes_input=writes_input,
        gradient="yes" if grad is not None else "raises" if error else "none",
        gradient_error=error,
        zero_margin=float(flat.float().mean()),
        zero_cross_entropy=float(stuck.float().mean()),
        bad_gradient=0.0 if grad is None else float((~grad.flatten(1).isfinite()).any(1).float().mean()),
        saturated=float((logits.softmax(1).amax(1) == 1).float().mean()),
        largest_margin=float((top.values[:, 0] - top.values[:, 1]).max()),
        answers=tuple(logits.argmax(1).tolist()),
        seconds=time.perf_counter() - began,
    )


def _both(classifier: Classifier, x: Tensor) -> tuple[Outputs, Tensor]:
    outputs = classifier.outputs(x, watch=True)
    return outputs, _two(classifier.logits(x, outputs))


def _two(logits: Tensor) -> Tensor:
    return logits if logits.shape[1] > 1 else torch.cat([torch.zeros_like(logits), logits], 1)


def _again(classifier: Classifier, x: Tensor) -> tuple[Tensor, bool]:
    """A second pass of one image: the outputs, and whether the network wrote into its input."""
    inside = own_copy(classifier.normalize(x), x, number_type(classifier.network))
    before = inside.clone()
    out = answer(classifier.network(inside), len(x), len(classifier.classes))
    return out, not torch.equal(inside.nan_to_num(), before.nan_to_num())


def _with_gradient(classifier: Classifier, x: Tensor) -> tuple[list[tuple[Outputs, Tensor]], Tensor | None, str]:
    """Outputs and logits, the gradient of the margins by the images where there is one, and what was raised."""
    error = ""
    try:
        with torch.enable_grad():
            leaf = x.detach().clone().requires_grad_()
            outputs = classifier.outputs(leaf, watch=True)
            if outputs.value.requires_grad:
                logits = _two(classifier.logits(leaf, outputs))
                top = logits.topk(2, 1).values
                (grad,) = torch.autograd.grad((top[:, 0] - top[:, 1]).sum(), leaf, allow_unused=True)
                return [(outputs, logits)], grad, ""
    except Exception as raised:  # a network of somebody else may raise anything
        error = f"{type(raised).__name__}: {first_line(raised)}"
    with torch.no_grad():
        return [_both(classifier, x)], None, error


def _gap(a: Tensor, b: Tensor) -> float:
    gap = (a.float() - b.float()).abs() / b.float().abs().clamp_min(1)
    return float(gap.nan_to_num(nan=torch.inf).max())


def _kind(seen: Tensor, alone: Outputs) -> Kind:
    if are_known_probabilities(alone.value, alone.known):
        return "log_probabilities" if alone.known is not None and alone.known.is_log else "probabilities"
    for kind, value in (("probabilities", seen), ("log_probabilities", seen.exp())):
        if seen.shape[1] > 1 and bool((value >= 0).all()) and bool(((value.sum(1) - 1).abs() < CLOSE).all()):
            return kind  # type: ignore[return-value]
    return "logits"
