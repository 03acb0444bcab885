"""Any classifier that a user may have, as a Classifier."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ..errors import UserError
from .checkpoint import find_checkpoint, load_checkpoint
from .classifier import HEADS, Classifier
from .foreign import from_callable, from_exported, from_onnx, is_callable_spec
from .layers import first_convolution, last_layer
from .weights import SAFE_SUFFIXES, TORCH_SUFFIXES, first_line, fit_weights, read_weights
from .zoo import SOURCES, build_network, parse_spec

IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def load_model(
    spec: str,
    *,
    weights: Path | str | None = None,
    num_classes: int | None = None,
    classes: Sequence[str] = (),
    channels: int | None = None,
    image_size: int | Sequence[int] | None = None,
    mean: float | Sequence[float] | None = None,
    std: float | Sequence[float] | None = None,
    head: str = "auto",
    domain: tuple[float, float] = (0.0, 1.0),
) -> Classifier:
    """The classifier that spec names, in evaluation mode on the CPU.

    Args:
        spec: a checkpoint folder or run directory of ours; `torchvision:NAME`, `timm:NAME` or `zoo:NAME` with
            weights; `package.module:callable`; `FILE.pt2`; `FILE.onnx`.
        weights: safetensors, or a state dict (read with weights_only=True), for the named networks.
        num_classes, classes: what the caller's data has. The number of outputs is read from the weights and must match;
            two classes may have one output.
        channels, image_size: of the images; channels default to those of the weights. The size is the side of a square
            in pixels, or (h, w), or (d, h, w).
        mean, std: default to ImageNet's for torchvision: and timm:, to none elsewhere. Our checkpoints know their own.
        head: see Classifier; `auto` decides from the number and the range of the outputs.

    Errors: UserError, naming the file or key, for everything that does not fit.

    Example:
        >>> load_model("zoo:cbr_tiny", num_classes=2)
        Traceback (most recent call last):
        medrobust.errors.UserError: model.weights: zoo:cbr_tiny comes without weights. Give weights=FILE
    """
    if head not in HEADS:
        raise UserError("model.head", f"unknown head {head!r}", f"valid: {', '.join(HEADS)}")
    if classes and num_classes not in (None, len(classes)):
        raise UserError("model.classes", f"{len(classes)} names for {num_classes} classes")
    sides = (image_size, image_size) if isinstance(image_size, int) else tuple(image_size or ())
    side = sides[-1] if sides else None
    folder = find_checkpoint(spec)
    if folder is not None:
        return _probed(_same_classes(load_checkpoint(folder), classes, num_classes, folder), spec, sides)
    wanted = len(classes) or num_classes
    network, channels, normalization = _network(spec, weights, channels, side)
    if mean is None and std is None:
        mean, std = normalization
    head, outputs = _head(network, spec, head, wanted, channels, sides, mean, std)
    names = tuple(classes) or tuple(map(str, range(wanted or max(outputs, 2))))
    classifier = Classifier(
        network,
        mean=mean,
        std=std,
        domain=domain,
        head=head,
        classes=names,
        input_size=side,
        channels=channels,
        spec=spec,
    )
    return _probed(classifier.eval(), spec, sides)


Normalization = tuple[Any, Any]


def _network(
    spec: str, weights: Path | str | None, channels: int | None, image_size: int | None
) -> tuple[nn.Module, int, Normalization]:
    """The network with its weights, the channels that it takes, and its usual mean and std."""
    path = Path(spec)
    if spec.partition(":")[0] in SOURCES:
        if weights is None:
            raise UserError("model.weights", f"{spec} comes without weights", "give weights=FILE")
        network, channels = _with_weights(spec, read_weights(weights), str(weights), channels, image_size)
        return network, channels, usual_normalization(spec, channels)
    if path.suffix in (".pt2", ".onnx"):
        if not path.is_file():
            raise UserError(spec, "no such file")
        network = from_exported(path) if path.suffix == ".pt2" else from_onnx(path)
        return network, channels or 3, (None, None)
    if path.exists():
        if path.suffix in SAFE_SUFFIXES + TORCH_SUFFIXES:
            raise UserError(spec, "holds weights without a network", "give model=torchvision:NAME and weights=FILE")
        raise UserError(spec, "is not a checkpoint: it has no card.json")
    if is_callable_spec(spec):
        network = from_callable(spec)
        if weights is not None:
            fit_weights(network, read_weights(weights), str(weights))
        return network, channels or 3, (None, None)
    raise UserError(
        spec,
        "is neither a checkpoint folder nor a known kind of model",
        "valid: FOLDER, torchvision:NAME, timm:NAME, zoo:NAME, package.module:callable, FILE.pt2, FILE.onnx",
    )


def usual_normalization(spec: str, channels: int) -> Normalization:
    """ImageNet's mean and std for networks of torchvision and timm, else none; grey stems take the average."""
    if parse_spec(spec)[0] not in ("torchvision", "timm"):
        return None, None
    if channels == len(IMAGENET_MEAN):
        return IMAGENET_MEAN, IMAGENET_STD
    return sum(IMAGENET_MEAN) / len(IMAGENET_MEAN), sum(IMAGENET_STD) / len(IMAGENET_STD)


def _with_weights(
    spec: str, state: Mapping[str, Tensor], place: str, channels: int | None, image_size: int | None
) -> tuple[nn.Module, int]:
    """Build twice if needed: the weights, not the caller, know the number of inputs and outputs."""
    draft = build_network(spec, num_classes=2, in_channels=channels or 3, image_size=image_size)
    stem = state.get(f"{_name(first_convolution, draft)}.weight")
    last = state.get(f"{_name(last_layer, draft)}.weight")
    outputs = 2 if last is None or last.ndim < 2 else last.shape[0]
    in_channels = channels or (3 if stem is None or stem.ndim < 4 else stem.shape[1])
    if (outputs, in_channels) != (2, channels or 3):
        draft = build_network(spec, num_classes=outputs, in_channels=in_channels, image_size=image_size)
    return fit_weights(draft, state, place), in_channels


def _name(find: Any, network: nn.Module) -> str:
    try:
        name: str = find(network)[0]
    except ValueError:
        return ""
    return name


def _head(
    network: nn.Module,
    spec: str,
    head: str,
    wanted: int | None,
    channels: int,
    sides: Sequence[int],
    mean: Any,
    std: Any,
) -> tuple[str, int]:
    """The head and the number of outputs, checked against the number of classes wanted."""
    out = None
    if sides:
        bare = Classifier(network, mean=mean, std=std, head="multi_label", channels=channels)
        out = _try(bare, spec, sides)
        outputs = out.shape[1]
    else:
        try:
            layer = last_layer(network)[1]
        except ValueError:
            return ("softmax" if head == "auto" else head), wanted or 2
        outputs = int(getattr(layer, "out_features", 0) or layer.out_channels)  # type: ignore[arg-type]
    if head == "auto":
        head = "one_logit" if outputs == 1 else "softmax"
        if are_probabilities(network, out):
            head = "probabilities"
    if wanted is not None and outputs != wanted and not (outputs == 1 and wanted == 2):
        reason = f"{spec} has {outputs} outputs for {wanted} classes"
        raise UserError("model.classes", reason, "name one class for each output, in their order")
    return head, outputs


def are_probabilities(network: nn.Module, out: Tensor | None) -> bool:
    """Whether outputs (n, k) are probabilities: rows that sum to one, or a single column after a sigmoid layer."""
    if out is None or bool((out < 0).any()) or bool((out > 1).any()):
        return False
    if out.shape[1] == 1:
        leaves = [m for m in network.modules() if not list(m.children())]
        return isinstance(leaves[-1], nn.Sigmoid)
    return bool(((out.sum(1) - 1).abs() < 1e-4).all())


def _same_classes(model: Classifier, classes: Sequence[str], num_classes: int | None, folder: Path) -> Classifier:
    """Our checkpoints know their classes; a caller's may come in another order but must be the same."""
    known = model.classes
    if classes and set(classes) != set(known):
        reason = f"the model knows the classes {', '.join(known)}, not {', '.join(classes)}"
        raise UserError(str(folder), reason, "use data with the same classes")
    if num_classes not in (None, len(known)):
        raise UserError(str(folder), f"the model has {len(known)} classes, not {num_classes}")
    return model


def _probed(model: Classifier, spec: str, sides: Sequence[int]) -> Classifier:
    """Refuse a model whose logits on plain noise are not finite."""
    if sides:
        out = _try(model, spec, sides)
        if not bool(torch.isfinite(out).all()):
            raise UserError(spec, "gives outputs that are not finite", "check the weights and model.mean, model.std")
    return model


def _try(model: Classifier, spec: str, sides: Sequence[int]) -> Tensor:
    low, high = model.domain
    noise = torch.rand(3, model.channels, *sides, generator=torch.Generator().manual_seed(0))
    try:
        with torch.no_grad(), model.frozen():
            out: Tensor = model(low + (high - low) * noise)
    except (RuntimeError, AssertionError, ValueError, IndexError) as error:
        reason = f"does not take images of shape {tuple(noise.shape)}: {first_line(error)}"
        raise UserError(spec, reason, "set data.image_size and data.color") from error
    return out
