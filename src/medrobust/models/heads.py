"""From what a network returns to logits: the heads, and telling which one it is."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ..errors import UserError
from .behind import behind, inverse
from .known import Known

WATCHED = ("auto", "probabilities", "multi_label")  # heads behind which logits are looked for
INVERTED = (
    "the network gives probabilities and its last layer could not be seen, so logits are computed back from them: "
    "where they have rounded to 0 or 1 there is no gradient, and attacks that need one fail for that reason alone"
)
AGREE = 1e-3  # probabilities of a row sum to 1 this closely
LINEAR = ("Addmm", "Mm", "Bmm", "Convolution", "Linear", "MkldnnConvolution")  # of autograd: layers that give logits
MOVING = ("View", "Reshape", "Squeeze", "Unsqueeze", "Clone", "ToCopy", "Alias", "Cat", "Select", "Slice", "Transpose")


def logits_of(out: Tensor, head: str, known: Known | None) -> tuple[Tensor, bool]:
    """The logits (n, k), k >= 2 (multi_label: >= 1), and whether probabilities had to be inverted for them.

    Args:
        out: (n, k) of the network.
        head: see Classifier.
        known: of out, see `behind`; None when the network was not watched.

    Errors: UserError when head and outputs do not fit.
    """
    columns = out.shape[1]
    if head == "auto":
        head = "probabilities" if are_known_probabilities(out, known) else "one_logit" if columns == 1 else "softmax"
    if head == "one_logit" and columns != 1:
        raise UserError("model.head", f"one_logit needs 1 output, not {columns}", "use softmax")
    if head == "softmax" and columns < 2:
        raise UserError("model.head", "softmax needs 2 outputs or more, the network has 1", "use one_logit")
    inverted = False
    multi_label = head == "multi_label"
    if head == "probabilities" or (multi_label and are_known_probabilities(out, known)):
        found = behind(out, known, multi_label=multi_label)
        inverted = found is None
        if found is None:
            found = _inverted(out, known, multi_label=multi_label)
        out = found
    if head != "multi_label" and columns == 1:
        out = torch.cat([torch.zeros_like(out), out], 1)
    return out, inverted


def _inverted(out: Tensor, known: Known | None, *, multi_label: bool) -> Tensor:
    """Logits of probabilities, or of logarithms that are known to be theirs, by computing back."""
    if known is not None and known.is_log:
        return out - (-out.expm1()).log() if multi_label or out.shape[1] == 1 else out
    low, high = (float(out.detach().min()), float(out.detach().max())) if out.numel() else (0.0, 1.0)
    if low < -AGREE or high > 1 + AGREE:
        raise UserError("model.head", f"outputs from {low:.3g} to {high:.3g} are no probabilities", "use auto")
    return inverse(out, multi_label=multi_label)


def are_known_probabilities(out: Tensor, known: Known | None) -> bool:
    """Whether the network was seen to end in a sigmoid or softmax; what log_softmax gives are logits."""
    if known is None or (known.is_log and not known.rounded and out.shape[1] > 1):
        return False
    return known.other is not None or (out.shape[1] > 1 and _sum_to_one(out))


def find_head(network: nn.Module, out: Tensor, known: Known | None, last: str, place: str) -> str:
    """The head of a network from its outputs (n, k) on some images that differ.

    Args:
        known: of out, see `behind`.
        last: its last operation, see last_operation.

    Errors: UserError for one output in [0, 1] of which it cannot be told whether it is a probability.
    """
    if are_known_probabilities(out, known):
        return "probabilities"
    unseen = not last.startswith(LINEAR) and bool((out >= 0).all()) and bool((out <= 1).all())
    if out.shape[1] > 1:
        return "probabilities" if unseen and _sum_to_one(out) else "softmax"
    if unseen and last != "Sigmoid" and not _ends_in_sigmoid(network):
        reason = f"one output from {float(out.min()):.3g} to {float(out.max()):.3g} may be a probability or a logit"
        raise UserError(place, reason, "set model.head=probabilities or model.head=one_logit")
    return "probabilities" if unseen else "one_logit"


def _sum_to_one(out: Tensor) -> bool:
    return bool(((out.detach().double().sum(1) - 1).abs() < AGREE).all())


def _ends_in_sigmoid(network: nn.Module) -> bool:
    leaves = [module for module in network.modules() if not list(module.children())]
    return bool(leaves) and getattr(leaves[-1], "original_name", type(leaves[-1]).__name__) == "Sigmoid"


def last_operation(out: Tensor) -> str:
    """Of autograd, the last operation that is more than a move; empty where there is no graph.

    Example:
        >>> last_operation(torch.ones(1, 2, requires_grad=True).sigmoid().squeeze())
        'Sigmoid'
    """
    node = out.grad_fn
    while node is not None:
        name = type(node).__name__ if type(node).__name__ != "CppFunction" else node.name()
        name = name.rstrip("0123456789").removesuffix("Backward")
        if not name.startswith(MOVING):
            return name
        node = node.next_functions[0][0] if node.next_functions else None
    return ""
