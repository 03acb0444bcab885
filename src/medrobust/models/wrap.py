"""A network from somebody else's code as a Classifier."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from ..errors import UserError
from .classifier import Classifier
from .freeze import frozen
from .load import are_probabilities
from .weights import first_line


def as_classifier(model: nn.Module, example: Tensor, classes: Sequence[str] = ()) -> Classifier:
    """The model with what an attack must not have to know about it; a Classifier passes as it is.

    A plain network takes pixels as they are: one that wants normalized images is given as
    `Classifier(network, mean=..., std=...)`. Its head is read from its answers: one logit, probabilities, or logits.

    Args:
        model: any nn.Module, (n, c, *spatial) -> (n, k); stays where it is.
        example: (n, c, *spatial) some images.
        classes: names of the outputs.

    Errors: UserError when model is no nn.Module, does not take the images or has another number of outputs than there
        are classes, or when a Classifier has other classes or the same in another order.

    Example:
        >>> net = nn.Sequential(nn.Flatten(), nn.Linear(4, 1), nn.Sigmoid())
        >>> as_classifier(net, torch.rand(3, 1, 2, 2), ("benign", "malignant")).head
        'probabilities'
    """
    if isinstance(model, Classifier):
        _same_classes(model, classes)
        return model
    if not isinstance(model, nn.Module):
        raise UserError("model", f"is a {type(model).__name__}", "give a torch.nn.Module")
    bare = Classifier(model, head="multi_label", channels=example.shape[1])
    try:
        with torch.no_grad(), frozen(bare):
            out = bare(example.to(device_of(model)))
    except RuntimeError as error:
        reason = f"does not take images {tuple(example.shape)}: {first_line(error)}"
        raise UserError("model", reason, "give images with the channels and the size that it was made for") from error
    head = "probabilities" if are_probabilities(model, out) else "one_logit" if out.shape[1] == 1 else "softmax"
    outputs = max(out.shape[1], 2)
    if classes and outputs != len(classes):
        reason = f"{out.shape[1]} outputs for {len(classes)} classes ({', '.join(classes)})"
        raise UserError("model", reason, "name one class for each output, in their order")
    names = tuple(classes) or tuple(map(str, range(outputs)))
    return Classifier(model, head=head, classes=names, channels=example.shape[1])


def device_of(network: nn.Module) -> torch.device:
    """Where a network is: the device of its first parameter or buffer, else the CPU."""
    for tensor in (*network.parameters(), *network.buffers()):
        return tensor.device
    return torch.device("cpu")


def _same_classes(model: Classifier, classes: Sequence[str]) -> None:
    if not classes or not model.classes or tuple(classes) == model.classes:
        return
    same = set(classes) == set(model.classes)
    reason = f"the classes are {', '.join(model.classes)} and those of the images {', '.join(classes)}"
    fix = "give the images' classes in the order of the outputs" if same else "use images of the same classes"
    raise UserError("model", reason, fix)
