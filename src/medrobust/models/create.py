"""New classifiers for training, with or without weights to start from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ..errors import UserError
from .checkpoint import WEIGHTS, find_checkpoint, read_card, said
from .classifier import Classifier
from .fitting import fitting, put
from .foreign import from_callable, is_callable_spec
from .layers import class_layers, first_convolution
from .normalization import origin, usual_normalization
from .pretrained import published_weights
from .weights import Nest, read_nests
from .zoo import TRANSFORMING, build_network, parse_spec, stated


def new_classifier(
    spec: str,
    *,
    classes: Sequence[str],
    data_channels: int = 3,
    channels: int | None = None,
    image_size: int | None = None,
    mean: float | Sequence[float] | None = None,
    std: float | Sequence[float] | None = None,
    init: Path | str | None = None,
    pretrained: bool = False,
    seed: int = 0,
) -> Classifier:
    """A classifier to be trained: seeded random weights, or those of init or of the publisher.

    Args:
        spec: zoo:NAME, torchvision:NAME, timm:NAME or package.module:callable.
        data_channels: of the images; the network's channels are the same for ours, else 3, unless given.
        mean, std: by default those of init's card, else those that torchvision and timm publish for the name.
        init: a checkpoint folder of ours, or a weights file. The last layer may have another number of outputs: it is
            then new. Where the card has the same classes in another order, its rows are put in this one. A stem for
            another number of channels is adapted (see adapted_stem).
        pretrained: ImageNet weights as published; not together with init.
        seed: of the random weights. The global random state is left as it is.

    Errors: UserError for names, weights and sizes that do not fit.

    Example:
        >>> model = new_classifier("zoo:cbr_tiny(width=4)", classes=("benign", "malignant"), data_channels=1)
        >>> model(torch.rand(2, 1, 32, 32)).shape
        torch.Size([2, 2])
    """
    if init and pretrained:
        raise UserError("model.pretrained", "cannot be true together with model.init", "choose one")
    if len(classes) < 2:
        raise UserError("model.classes", f"training needs 2 classes or more, not {len(classes)}")
    custom = is_callable_spec(spec)
    if channels is None:
        channels = 3 if not custom and parse_spec(spec)[0] in ("torchvision", "timm") else data_channels
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = (
            from_callable(spec)
            if custom
            else build_network(spec, num_classes=len(classes), in_channels=channels, image_size=image_size)
        )
    origin_of_mean = "given" if mean is not None or std is not None else ""
    if not origin_of_mean and not custom:
        (mean, std), origin_of_mean = usual_normalization(spec, channels), origin(spec)
    if init is not None:
        folder = find_checkpoint(init)
        place = folder / WEIGHTS if folder is not None else Path(init)
        nests = read_nests(place)
        if folder is not None:
            card = read_card(folder)
            nests = [Nest("", _in_order(nests[0].state, card, network, classes))]
            _as_in_card(network, spec, card)
            if origin_of_mean != "given":
                # The weights were learned with it, whatever is usual for the name.
                mean, std = (_for_channels(card[key], channels) for key in ("mean", "std"))
                origin_of_mean = "none" if mean is None and std is None else "the card"
        start_from(network, nests, str(place))
    if pretrained:
        start_from(network, [Nest("", published_weights(spec))], spec)
    return Classifier(
        network,
        mean=mean,
        std=std,
        classes=classes,
        input_size=image_size,
        channels=channels,
        spec=spec if custom else stated(spec, network),
        normalization_from=origin_of_mean,
    )


def _for_channels(values: Sequence[float] | None, channels: int) -> Any:
    """The values of a card for another number of channels: their average."""
    return values if values is None or len(values) == channels else sum(values) / len(values)


def _in_order(
    state: dict[str, Tensor], card: Mapping[str, Any], network: nn.Module, classes: Sequence[str]
) -> dict[str, Tensor]:
    """The state with a row for each class in the order of classes, where the card has the same in another order."""
    own = list(card["classes"])
    if own == list(classes) or sorted(own) != sorted(classes):
        return state
    order = torch.tensor([own.index(name) for name in classes])
    names = {f"{layer}.{leaf}" for layer in class_layers(network) for leaf in ("weight", "bias")}
    return {n: v[order] if n in names and len(v) == len(order) else v for n, v in state.items()}


def _as_in_card(network: nn.Module, spec: str, card: Mapping[str, Any]) -> None:
    """Take over what the weights do not show, where the name of the new network leaves it open."""
    source, name, options = parse_spec(spec) if not is_callable_spec(spec) else ("", "", {})
    if source == "torchvision" and name in TRANSFORMING and "transform_input" not in options:
        before = said(card["network"]) if str(card["network"]).startswith(f"torchvision:{name}") else {}
        if before.get("transform_input") is False:
            network.transform_input = False  # type: ignore[assignment]


def start_from(network: nn.Module, nests: Sequence[Nest], place: str) -> None:
    """Load weights to start from; the last layer may be absent or of another size, the stem is adapted.

    Files of contrastive pre-training are taken apart: the encoder is found below the names of its wrappers, and other
    heads are left out with a warning.

    Errors: UserError as fitting; a network of another depth is refused and not cut down.
    """
    own = network.state_dict()
    spare = [*class_layers(network), *(name.rstrip(".") for name in getattr(network, "fresh", ()))]
    found = fitting(network, nests, place, spare)
    try:
        stem = f"{first_convolution(network)[0]}.weight"
    except ValueError:
        stem = ""
    state = {n: adapted_stem(v, own[n]) if n == stem else v for n, v in found.state.items()}
    put(network, found._replace(state=state), place)


def adapted_stem(weight: Tensor, own: Tensor) -> Tensor:
    """First-layer weights for another number of input channels: 3 -> 1 and 1 -> 3; others pass as they are.

    One channel gets the sum, three get a third each: a grey image then gives what its repeated copies gave.
    """
    if weight.shape[2:] == own.shape[2:] and weight.ndim > 2:
        if weight.shape[1] == 3 and own.shape[1] == 1:
            return weight.sum(1, keepdim=True)
        if weight.shape[1] == 1 and own.shape[1] == 3:
            return weight.expand(-1, 3, *weight.shape[2:]) / 3
    return weight
