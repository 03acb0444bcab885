"""The parameters of the networks that a recipe names, layer by layer: counted, nothing is run."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from ..errors import UserError, nearest
from ..models.zoo import build_network
from ..recipes.study import NetworkSpec


def count_parameters(name: str, spec: NetworkSpec) -> dict[str, Any]:
    """{total, layers: {layer: number of parameters}} of a network, built without memory and without weights.

    What is trained counts: weights and biases, not the running means of normalizations.

    Args:
        name: of the network in the recipe.
        spec: what it is, and which of its modules each published layer is.

    Errors: UserError naming the key, for a network that cannot be built, a module that it does not have, and layers
    that are not all of the network, each parameter once.

    Example:
        >>> layers = {"input": None, "convolutions": "features", "dense": "classifier"}
        >>> spec = NetworkSpec(model="torchvision:vgg16", num_classes=1000, image_size=224, layers=layers)
        >>> count_parameters("vgg16", spec)
        {'total': 138357544, 'layers': {'input': 0, 'convolutions': 14714688, 'dense': 123642856}}
    """
    place = f"networks.{name}"
    network = _built(place, spec)
    modules, layer_of, layers = dict(network.named_modules()), dict[int, str](), dict[str, int]()
    for layer, module in spec.layers.items():
        layers[layer] = 0
        if module is None:
            continue
        if module not in modules:
            fix = nearest(module, [one for one in modules if one])
            raise UserError(f"{place}.layers.{layer}", f"the network has no module {module!r}", fix)
        for weights in modules[module].parameters():
            other = layer_of.setdefault(id(weights), layer)
            if other != layer:
                problem = f"{module!r} holds parameters that {other} holds too"
                raise UserError(f"{place}.layers.{layer}", problem, "name each module once")
            layers[layer] += weights.numel()
    total = sum(weights.numel() for weights in network.parameters())
    left = [one for one, weights in network.named_parameters() if id(weights) not in layer_of]
    if spec.layers and left:
        problem = f"{total - sum(layers.values())} of {total} parameters are in no layer, the first is {left[0]}"
        raise UserError(f"{place}.layers", problem, "name every module that has parameters")
    return {"total": total, "layers": layers}


def _built(place: str, spec: NetworkSpec) -> nn.Module:
    for key in ("num_classes", "image_size", "channels"):
        if (value := getattr(spec, key)) < 1:
            raise UserError(f"{place}.{key}", f"{value} is none", "1 or more")
    try:
        with torch.device("meta"):
            return build_network(
                spec.model, num_classes=spec.num_classes, in_channels=spec.channels, image_size=spec.image_size
            )
    except UserError as error:
        key = "image_size" if error.place.endswith("image_size") else "model"
        raise UserError(f"{place}.{key}", error.problem, error.fix) from error
    except Exception as error:  # the code of others, which may look at weights that are not there
        raise UserError(f"{place}.model", f"{spec.model} cannot be built without memory: {error}") from error
