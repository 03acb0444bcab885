"""New classifiers for training, with or without weights to start from."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from ..errors import UserError
from .checkpoint import WEIGHTS, find_checkpoint, load_checkpoint
from .classifier import Classifier
from .foreign import from_callable, is_callable_spec
from .layers import first_convolution, last_layer
from .load import usual_normalization
from .pretrained import published_weights
from .weights import AUXILIARY, few, fit_weights, read_weights
from .zoo import build_network, parse_spec

# Names under which published files of contrastive pre-training keep their encoder, one inside the other.
WRAPPERS = ("module.", "encoder.", "backbone.", "model.", "network.", "encoder_q.", "convnet.", "resnet.")
DEEPEST = 3


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
        classes: names of the outputs, in their order.
        data_channels: channels of the images.
        channels: channels of the network's input; by default 3 for torchvision: and timm:, else those of the images.
        image_size: the side of the images in pixels, for networks that are made for one size.
        mean, std: see Classifier; by default those of init, or the usual ones of the source.
        init: a checkpoint folder of ours, or a weights file. The last layer may have another number of outputs: it is
            then new. A stem for another number of channels is adapted (see adapted_stem).
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
    if mean is None and std is None and not custom:
        mean, std = usual_normalization(spec, channels)
    if init is not None:
        folder = find_checkpoint(init)
        if folder is not None and mean is None and std is None:
            known = load_checkpoint(folder)
            mean, std = (known.mean.tolist(), known.std.tolist()) if known.normalizes else (None, None)
        file = folder / WEIGHTS if folder is not None else Path(init)
        start_from(network, read_weights(file), str(file))
    if pretrained:
        start_from(network, published_weights(spec), spec)
    return Classifier(network, mean=mean, std=std, classes=classes, input_size=image_size, channels=channels, spec=spec)


def start_from(network: nn.Module, state: Mapping[str, Tensor], place: str) -> None:
    """Load weights to start from; the last layer may be absent or of another size, the stem is adapted.

    Files of contrastive pre-training are taken apart: the encoder is found below the names of its wrappers, and other
    heads are left out with a warning.

    Errors: UserError, as fit_weights.
    """
    own = network.state_dict()
    head = last_layer(network)[0]
    state, left_out = encoder_part(state, own, head)
    if left_out:
        warnings.warn(f"{place}: left out {few(left_out)}, no part of the network", UserWarning, stacklevel=2)
    for name in (f"{head}.weight", f"{head}.bias"):
        if name in own and (name not in state or state[name].shape != own[name].shape):
            state[name] = own[name]
    for name in own:
        if name not in state and name.startswith(getattr(network, "fresh", ("\0",))):
            state[name] = own[name]
    try:
        stem = f"{first_convolution(network)[0]}.weight"
    except ValueError:
        stem = ""
    if stem in state:
        state[stem] = adapted_stem(state[stem], own[stem])
    fit_weights(network, state, place)


def encoder_part(
    state: Mapping[str, Tensor], own: Mapping[str, Tensor], head: str
) -> tuple[dict[str, Tensor], list[str]]:
    """The weights in a file below whatever wrappers, named as the network's, and the names of the heads besides.

    A head is what lies outside the network's own modules, or below its last layer. What else does not fit stays in, so
    that a network of another depth is refused and not cut down.

    Example:
        >>> own = {"conv.weight": torch.ones(1), "fc.weight": torch.ones(1)}
        >>> file = {"module.encoder.conv.weight": torch.ones(1), "module.projector.0.weight": torch.ones(1)}
        >>> part, left_out = encoder_part(file, own, "fc")
        >>> list(part), left_out
        (['conv.weight'], ['module.projector.0.weight'])
    """

    def hits(prefix: str) -> int:
        return sum(name.startswith(prefix) and name[len(prefix) :] in own for name in state)

    found = ""
    while True:
        deeper = max((found + wrapper for wrapper in WRAPPERS), key=hits)
        inside = any(name.startswith(found + wrapper) for name in state for wrapper in WRAPPERS)
        if hits(deeper) > hits(found):
            found = deeper
        elif not hits(found) and inside and found.count(".") < DEEPEST:
            found = max((found + w for w in WRAPPERS), key=lambda p: sum(name.startswith(p) for name in state))
        else:
            break
    children = {name.partition(".")[0] for name in own}
    part, left_out = {}, []
    for name, value in state.items():
        short = name[len(found) :] if name.startswith(found) else ""
        is_own = short in own or (short.partition(".")[0] in children and not short.startswith(f"{head}."))
        if is_own or not hits(found) or short.startswith(AUXILIARY):
            part[short or name] = value
        else:
            left_out.append(name)
    return part, left_out


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
