"""A checkpoint is a folder: model.safetensors and card.json. Nothing in it can run code."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import nn

from ..errors import UserError
from ..files import write_json, write_with
from .card import CARD, SCHEMA, read_card
from .classifier import Classifier
from .fitting import fit_weights
from .foreign import from_callable, is_callable_spec
from .weights import read_weights
from .zoo import TRANSFORMING, build_network, parse_spec, stated

WEIGHTS = "model.safetensors"
__all__ = [
    "CARD",
    "SCHEMA",
    "WEIGHTS",
    "describe",
    "find_checkpoint",
    "load_checkpoint",
    "read_card",
    "save_checkpoint",
]


def save_checkpoint(folder: Path | str, classifier: Classifier, card: Mapping[str, Any] | None = None) -> None:
    """Write the weights, then the card that describes them; each file is whole or absent.

    card adds to (and may override) what the classifier knows itself: network, classes, mean, std, head, channels,
    input_size, domain. A network without a name can be loaded again with load_checkpoint(folder, network=...) only.
    """
    from safetensors.torch import save_file

    folder = Path(folder)
    content = {**describe(classifier), **(card or {})}
    state = {n: v.detach().cpu().contiguous().clone() for n, v in classifier.network.state_dict().items()}
    write_with(folder / WEIGHTS, lambda path: save_file(state, path))
    write_json(folder / CARD, content)


def describe(classifier: Classifier) -> dict[str, Any]:
    """The part of the card that rebuilding needs."""
    return {
        "schema": SCHEMA,
        "network": stated(classifier.spec, classifier.network) if classifier.spec else "",
        # Of the network's outputs; the order is that in which the classifier gives them, where it is another.
        "classes": list(classifier.output_classes),
        **({} if classifier.output_classes == classifier.classes else {"order": list(classifier.classes)}),
        "channels": classifier.channels,
        "input_size": classifier.input_size,
        "mean": classifier.mean.tolist() if classifier.normalizes else None,
        "std": classifier.std.tolist() if classifier.normalizes else None,
        "normalization_from": classifier.normalization_from,
        "head": classifier.head,
        "domain": list(classifier.domain),
        "num_outputs": 1 if classifier.head == "one_logit" else classifier.num_classes,
    }


def load_checkpoint(folder: Path | str, network: nn.Module | None = None) -> Classifier:
    """The classifier in a checkpoint folder, in evaluation mode.

    network: the network that the weights belong to, for one that medrobust does not know by name.

    Errors: UserError when a file or key is missing, or the weights do not fit the network that the card names.
    """
    folder = Path(folder)
    card = read_card(folder)
    try:
        spec = card["network"]
        if network is not None:
            pass
        elif not spec:
            fix = "load it with medrobust.models.load_checkpoint(folder, network=...)"
            raise UserError(str(folder), "its network has no name that it can be built from", fix)
        elif is_callable_spec(spec):
            network = from_callable(spec)
        else:
            network = build_network(
                spec,
                num_classes=card["num_outputs"],
                in_channels=card["channels"],
                image_size=card["input_size"],
                **said(spec),
            )
        classifier = Classifier(
            network,
            mean=card["mean"],
            std=card["std"],
            domain=(card["domain"][0], card["domain"][1]),
            head=card["head"],
            classes=card["classes"],
            input_size=card["input_size"],
            channels=card["channels"],
            spec=stated(spec, network) if spec else "",
            normalization_from=card.get("normalization_from") or ("none" if card["mean"] is None else "the card"),
        )
        if card.get("order"):
            classifier = classifier.in_order(card["order"])
        classifier.folder = str(folder)
    except KeyError as error:
        raise UserError(str(folder / CARD), f"lacks the key {error.args[0]!r}") from error
    fit_weights(network, read_weights(folder / WEIGHTS), str(folder / WEIGHTS))
    return classifier.eval()


def said(spec: str) -> dict[str, Any]:
    """The options of a network that a card names; older ones left one out that two networks were built without."""
    source, name, options = parse_spec(spec)
    return {"transform_input": False, **options} if source == "torchvision" and name in TRANSFORMING else options


def find_checkpoint(path: Path | str) -> Path | None:
    """The checkpoint folder that path is, or is a file of; None when it is neither."""
    path = Path(path)
    folder = path.parent if path.name in (WEIGHTS, CARD) else path
    return folder if (folder / CARD).is_file() else None
