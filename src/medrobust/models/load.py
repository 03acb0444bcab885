"""Any classifier that a user may have, as a Classifier."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from ..errors import UserError
from .behind import detached
from .checkpoint import find_checkpoint, load_checkpoint
from .classifier import HEADS, Classifier
from .fitting import fitting, load_weights
from .foreign import from_callable, is_callable_spec
from .heads import find_head, last_operation
from .layers import class_layers, first_convolution, last_layer
from .normalization import origin, usual_normalization
from .programs import LAYOUTS, ChannelsAtTheEnd, Takes, from_exported, from_onnx
from .reasons import why
from .weights import EXPORT, SAFE_SUFFIXES, TORCH_SUFFIXES, Nest, is_torchscript, read_nests, refuse_pointer
from .zoo import SOURCES, TRANSFORMING, build_network, parse_spec, stated

__all__ = ["load_model", "usual_normalization"]


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
    layout: str = "auto",
) -> Classifier:
    """The classifier that spec names, in evaluation mode on the CPU.

    Args:
        spec: a checkpoint folder or run directory of ours; `torchvision:NAME`, `timm:NAME` or `zoo:NAME` with
            weights; `package.module:callable`; `FILE.pt2`; `FILE.onnx`.
        weights: safetensors, or a state dict (read with weights_only=True), for the named networks.
        num_classes, classes: what the caller's data has. The number of outputs is read from the weights and must match;
            two classes may have one output. The outputs of a checkpoint of ours are put in the order of classes.
        channels, image_size: of the images; channels default to those of the weights. The size is the side of a square
            in pixels, or (h, w), or (d, h, w).
        mean, std: default to what torchvision: and timm: publish for the name, to those of a checkpoint, to none
            elsewhere; see Classifier.normalization_from.
        head: see Classifier; `auto` decides from what the network does last, and the number and range of its outputs.
        layout: of the network's input, nchw or nhwc; `auto` reads it from a program or graph, and is nchw elsewhere.

    Errors: UserError, naming the file or key, for everything that does not fit.

    Example:
        >>> load_model("zoo:cbr_tiny", num_classes=2)
        Traceback (most recent call last):
        medrobust.errors.UserError: model.weights: zoo:cbr_tiny comes without weights. Give weights=FILE
    """
    for key, value, valid in (("head", head, HEADS), ("layout", layout, LAYOUTS)):
        if value not in valid:
            raise UserError(f"model.{key}", f"unknown {key} {value!r}", f"valid: {', '.join(valid)}")
    if classes and num_classes not in (None, len(classes)):
        raise UserError("model.classes", f"{len(classes)} names for {num_classes} classes")
    sides = (image_size, image_size) if isinstance(image_size, int) else tuple(image_size or ())
    side = sides[-1] if sides else None
    folder = find_checkpoint(spec)
    if folder is not None:
        if weights is not None:
            raise UserError("model.weights", f"{spec} is a checkpoint and has weights of its own", "leave weights out")
        known = _ours(load_checkpoint(folder), folder, classes, num_classes, head)
        return checked(_normalized(known, mean, std), spec, sides)
    wanted = len(classes) or num_classes
    found = _network(spec, weights, channels, side, layout)
    found.takes.refuse_others(spec, sides)
    normalization_from = ""
    if mean is None and std is None and found.named:
        (mean, std), normalization_from = usual_normalization(spec, found.channels), origin(spec)
    names = tuple(classes) or tuple(map(str, range(wanted or 0)))
    bare = Classifier(
        found.network, mean=mean, std=std, domain=domain, head="auto", classes=names, channels=found.channels
    )
    head, outputs, trusts_watch = _head(bare, spec, head, sides)
    if wanted is not None and outputs not in (None, wanted) and not (outputs == 1 and wanted == 2):
        reason = f"{spec} has {outputs} outputs for {wanted} classes"
        raise UserError("model.classes", reason, "name one class for each output, in their order")
    classifier = Classifier(
        bare.network,
        mean=mean,
        std=std,
        domain=domain,
        head=head,
        classes=names or tuple(map(str, range(max(outputs or 2, 2)))),
        input_size=side,
        channels=found.channels,
        spec=stated(spec, found.network) if found.named else spec,
        normalization_from=normalization_from,
    )
    classifier.notes, classifier.trusts_watch = found.notes, trusts_watch
    return checked(classifier.eval(), spec, sides)


class _Found(NamedTuple):
    """A network with its weights, its channels, whether a library has it under this name, and what was decided."""

    network: nn.Module
    channels: int
    named: bool = False
    takes: Takes = Takes()
    notes: tuple[str, ...] = ()


def _network(
    spec: str, weights: Path | str | None, channels: int | None, image_size: int | None, layout: str
) -> _Found:
    path = Path(spec)
    if spec.partition(":")[0] in SOURCES:
        if weights is None:
            raise UserError("model.weights", f"{spec} comes without weights", "give weights=FILE")
        return _with_weights(spec, read_nests(weights), str(weights), channels, image_size)
    if path.suffix in (".pt2", ".onnx"):
        if not path.is_file():
            raise UserError(spec, "no such file")
        if weights is not None:
            raise UserError("model.weights", f"{spec} has weights of its own", "leave weights out")
        network, takes = from_exported(path, layout) if path.suffix == ".pt2" else from_onnx(path, layout)
        return _Found(network, takes.channels or channels or 3, takes=takes)
    if path.exists():
        raise _no_network(path)
    if is_callable_spec(spec):
        network = from_callable(spec)
        notes = load_weights(network, read_nests(weights), str(weights)) if weights is not None else ()
        if layout == "nhwc":
            network = ChannelsAtTheEnd(network)
        return _Found(network, channels or 3, notes=notes)
    raise UserError(
        spec,
        "is neither a checkpoint folder nor a known kind of model",
        "valid: FOLDER, torchvision:NAME, timm:NAME, zoo:NAME, package.module:callable, FILE.pt2, FILE.onnx",
    )


def _no_network(path: Path) -> UserError:
    """What a file or folder is that is no model."""
    refuse_pointer(path)
    if is_torchscript(path):
        return UserError(str(path), "is a TorchScript archive, which is code and never loaded", EXPORT)
    if path.suffix not in SAFE_SUFFIXES + TORCH_SUFFIXES:
        return UserError(str(path), "is not a checkpoint: it has no card.json")
    try:
        read_nests(path)
    except UserError as error:
        return error
    return UserError(str(path), "holds weights without a network", "give model=torchvision:NAME and weights=FILE")


def _with_weights(spec: str, nests: Sequence[Nest], place: str, channels: int | None, image_size: int | None) -> _Found:
    """Build twice if needed: the weights, not the caller, know the number of inputs and outputs."""
    draft = build_network(spec, num_classes=2, in_channels=channels or 3, image_size=image_size)
    state = fitting(draft, nests, place).state
    stem = state.get(f"{_name(first_convolution, draft)}.weight")
    last = state.get(f"{_name(lambda network: class_layers(network)[-1:], draft)}.weight")
    outputs = 2 if last is None or last.ndim < 2 else last.shape[0]
    in_channels = channels or (3 if stem is None or stem.ndim < 4 else stem.shape[1])
    if (outputs, in_channels) != (2, channels or 3):
        draft = build_network(spec, num_classes=outputs, in_channels=in_channels, image_size=image_size)
    notes = load_weights(draft, nests, place)
    source, name, options = parse_spec(spec)
    if source == "torchvision" and name in TRANSFORMING and "transform_input" not in options:
        given = str(bool(draft.transform_input)).lower()
        notes += (f"transform_input={given}, as in torchvision's own weights; weights trained from scratch want false",)
    return _Found(draft, in_channels, named=True, notes=notes)


def _name(find: Any, network: nn.Module) -> str:
    try:
        name: str = find(network)[0]
    except ValueError:
        return ""
    return name


class Settled(NamedTuple):
    """A head, the number of outputs (None where nothing tells it before there are images), and whether what was seen
    of its probabilities is what it returned."""

    head: str
    outputs: int | None
    trusts_watch: bool = True


def _head(bare: Classifier, spec: str, head: str, sides: Sequence[int]) -> Settled:
    if sides:
        return settle(bare, noise(bare, sides), spec, head)
    try:
        layer = last_layer(bare.network)[1]
    except ValueError:
        return Settled("softmax" if head == "auto" else head, None)
    outputs = int(getattr(layer, "out_features", 0) or layer.out_channels)  # type: ignore[arg-type]
    return Settled(("one_logit" if outputs == 1 else "softmax") if head == "auto" else head, outputs)


def settle(bare: Classifier, x: Tensor, place: str, head: str = "auto") -> Settled:
    """The head of a network and the number of its outputs, from its answers to images x (n, c, *spatial).

    Args:
        bare: a classifier of the network; its own head does not matter.
        head: what the caller says it is.

    Errors: UserError that says why the network does not take the images, or what about its outputs is not clear.

    Example:
        >>> net = nn.Sequential(nn.Flatten(), nn.Linear(4, 1), nn.Sigmoid())
        >>> settle(Classifier(net, channels=1), torch.rand(3, 1, 2, 2), "net").head
        'probabilities'
    """
    try:
        with torch.no_grad(), bare.frozen():
            out, known, _ = bare.outputs(x, watch=True)
    except Exception as error:  # a network of somebody else may raise anything
        raise why(bare, x, error, place) from error
    trusts_watch = known is None or known.explains(out)
    last = ""
    with suppress(Exception), torch.enable_grad(), bare.frozen():  # without a gradient there is no graph to look at
        attached = bare.outputs(x.detach().clone().requires_grad_(), watch=True)
        last = last_operation(attached.value)
        # What is computed inside a torch.autograd.Function is seen without its gradient.
        trusts_watch &= not attached.value.requires_grad or not detached(attached.value, attached.known)
    known = known if trusts_watch else None
    if head == "auto":
        head = find_head(bare.network, out, known, last, place)
    return Settled(head, out.shape[1], trusts_watch)


def checked(model: Classifier, place: str, sides: Sequence[int]) -> Classifier:
    """Refuse a model whose logits on plain noise are not finite."""
    if sides:
        x = noise(model, sides)
        try:
            with torch.no_grad(), model.frozen():
                out: Tensor = model(x)
        except Exception as error:
            raise why(model, x, error, place) from error
        if not bool(torch.isfinite(out).all()):
            raise UserError(place, "gives outputs that are not finite", "check the weights and model.mean, model.std")
    return model


def noise(model: Classifier, sides: Sequence[int]) -> Tensor:
    """Images (3, c, *sides) of noise in the domain: dark, of all values, and bright."""
    low, high = model.domain
    unit = torch.rand(3, model.channels, *sides, generator=torch.Generator().manual_seed(0))
    unit[0], unit[2] = unit[0] / 2, (1 + unit[2]) / 2
    return low + (high - low) * unit


def _ours(model: Classifier, folder: Path, classes: Sequence[str], num_classes: int | None, head: str) -> Classifier:
    """Our checkpoints know their classes and head; a caller's classes may come in another order, and decide it."""
    known = model.classes
    if classes and set(classes) != set(known):
        reason = f"the model knows the classes {', '.join(known)}, not {', '.join(classes)}"
        raise UserError(str(folder), reason, "use data with the same classes")
    if num_classes not in (None, len(known)):
        raise UserError(str(folder), f"the model has {len(known)} classes, not {num_classes}")
    if head not in ("auto", model.head):
        raise UserError("model.head", f"the card of {folder} says {model.head}, not {head}", "leave model.head out")
    if not classes or tuple(classes) == known:
        return model
    ordered = model.in_order(classes)
    ordered.notes = (*model.notes, f"outputs in the order {', '.join(classes)} of the data, not {', '.join(known)}")
    return ordered


def _normalized(model: Classifier, mean: Any, std: Any) -> Classifier:
    """The model with another normalization, where one is given and differs."""
    if mean is None and std is None:
        return model
    other = model.normalized_by(mean, std)
    if bool((other.mean != model.mean).any()) or bool((other.std != model.std).any()):
        card = f"mean {model.mean.tolist()}, std {model.std.tolist()}" if model.normalizes else "none"
        other.notes = (*model.notes, f"the normalization given is used, not the card's ({card})")
    return other
