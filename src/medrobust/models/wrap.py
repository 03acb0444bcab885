"""A network from somebody else's code as a Classifier."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from ..errors import UserError
from .classifier import Classifier
from .load import settle


def as_classifier(model: nn.Module, example: Tensor, classes: Sequence[str] = ()) -> Classifier:
    """The model with what an attack must not have to know about it.

    A plain network takes pixels as they are: one that wants normalized images is given as
    `Classifier(network, mean=..., std=...)`. Its head is read from what it does and answers: one logit, probabilities,
    or logits. A Classifier passes as it is, with its outputs in the order of classes.

    Args:
        model: any nn.Module, (n, c, *spatial) -> (n, k); stays where it is.
        example: (n, c, *spatial) some images.
        classes: names of the outputs.

    Errors: UserError when model is no nn.Module, does not take the images (saying why), or has another number of
        outputs than there are classes, or a Classifier has other classes.

    Example:
        >>> net = nn.Sequential(nn.Flatten(), nn.Linear(4, 1), nn.Sigmoid())
        >>> as_classifier(net, torch.rand(3, 1, 2, 2), ("benign", "malignant")).head
        'probabilities'
    """
    if isinstance(model, Classifier):
        return model.in_order(classes) if classes and model.classes else model
    if not isinstance(model, nn.Module):
        raise UserError("model", f"is a {type(model).__name__}", "give a torch.nn.Module")
    bare = Classifier(model, classes=tuple(classes), channels=example.shape[1])
    head, outputs, trusts_watch = settle(bare, example.to(device_of(bare.network)), "model")
    columns = max(outputs or 2, 2)
    if classes and columns != len(classes):
        reason = f"{outputs} outputs for {len(classes)} classes ({', '.join(classes)})"
        raise UserError("model", reason, "name one class for each output, in their order")
    names = tuple(classes) or tuple(map(str, range(columns)))
    classifier = Classifier(model, head=head, classes=names, channels=example.shape[1])
    classifier.trusts_watch = trusts_watch
    return classifier


def device_of(network: nn.Module) -> torch.device:
    """Where a network is: the device of its first parameter or buffer, else the CPU."""
    for tensor in (*network.parameters(), *network.buffers()):
        return tensor.device
    return torch.device("cpu")
