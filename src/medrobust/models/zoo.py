"""Networks by name: our own, and those of torchvision, timm and MONAI."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Callable
from typing import Any

from torch import nn

from ..errors import UserError, nearest
from .drop_max import drop_first_max
from .layers import with_in_channels
from .networks import MODELS


def from_zoo(name: str, **options: Any) -> nn.Module:
    """A network of ours by its name in MODELS. Errors: UserError for an unknown name or option."""
    if name not in MODELS:
        raise UserError("model.name", f"unknown network 'zoo:{name}'", nearest(name, MODELS))
    return MODELS[name](**_known(MODELS[name], options))


def from_torchvision(
    name: str, *, num_classes: int, in_channels: int, image_size: int | None = None, **options: Any
) -> nn.Module:
    """A torchvision classification network, newly initialized, without its auxiliary heads.

    Errors: UserError for an unknown name.
    """
    import torchvision

    names = torchvision.models.list_models(module=torchvision.models)
    if name not in names:
        raise UserError("model.name", f"torchvision has no classification network {name!r}", nearest(name, names))
    if name in ("inception_v3", "googlenet"):
        options = {"aux_logits": False, "init_weights": True, "transform_input": False, **options}
    if name.startswith("vit_") and image_size:
        options["image_size"] = image_size
    network: nn.Module = torchvision.models.get_model(name, weights=None, num_classes=num_classes, **options)
    return with_in_channels(network, in_channels)


def from_timm(
    name: str, *, num_classes: int, in_channels: int, image_size: int | None = None, **options: Any
) -> nn.Module:
    """A timm network, newly initialized. Errors: UserError for an unknown name, or without timm."""
    try:
        import timm
    except ImportError as error:
        raise UserError("model.name", "timm is not installed", "pip install 'medrobust[timm]'") from error
    if not timm.is_model(name.split(".")[0]):
        raise UserError("model.name", f"timm has no network {name!r}", nearest(name, timm.list_models()))
    config = timm.get_pretrained_cfg(name, allow_unregistered=True)
    if image_size and config is not None and config.fixed_input_size:
        options["img_size"] = image_size
    options |= {"num_classes": num_classes, "in_chans": in_channels}
    network: nn.Module = timm.create_model(name, pretrained=False, **options)
    return network


def from_monai(name: str, *, num_classes: int, in_channels: int, **options: Any) -> nn.Module:
    """A MONAI classification network, newly initialized: for volumes, or with spatial_dims=2 for images.

    Errors: UserError for an unknown name.
    """
    from monai.networks import nets

    options.pop("image_size", None)
    builder = getattr(nets, name, None)
    if callable(builder) and name.startswith("resnet"):
        options = {"spatial_dims": 3, "n_input_channels": in_channels, "num_classes": num_classes, **options}
    elif callable(builder) and name.lower().startswith(("densenet", "senet", "seresne")):
        outputs = "out_channels" if name.lower().startswith("densenet") else "num_classes"
        options = {"spatial_dims": 3, "in_channels": in_channels, outputs: num_classes, **options}
    else:
        valid = [n for n in dir(nets) if n.startswith(("resnet", "DenseNet", "SENet", "SEResNe"))]
        raise UserError("model.name", f"monai has no classification network {name!r}", nearest(name, valid))
    network: nn.Module = builder(**options)
    return network


SOURCES: dict[str, Callable[..., nn.Module]] = {
    "zoo": from_zoo,
    "torchvision": from_torchvision,
    "timm": from_timm,
    "monai": from_monai,
}


def build_network(
    spec: str, *, num_classes: int, in_channels: int = 3, image_size: int | None = None, **options: Any
) -> nn.Module:
    """A newly initialized network from `SOURCE:NAME` or `SOURCE:NAME(option=value, ...)`.

    The option drop_max=true, which every network has, puts DropMax in the place of the first max-pooling.

    Errors: UserError for an unknown source, name or option.

    Example:
        >>> network = build_network("zoo:cbr_tiny(width=8)", num_classes=2, in_channels=1)
        >>> sum(p.numel() for p in network.parameters())
        67770
    """
    source, name, inline = parse_spec(spec)
    options = {**inline, **options}
    if image_size:
        options["image_size"] = image_size
    drop_max = options.pop("drop_max", False)
    try:
        network = SOURCES[source](name, num_classes=num_classes, in_channels=in_channels, **options)
        return drop_first_max(network) if drop_max else network
    except (TypeError, ValueError) as error:
        raise UserError("model.name", f"{spec}: {error}") from error


def parse_spec(spec: str) -> tuple[str, str, dict[str, Any]]:
    """Source, name and options of `SOURCE:NAME(option=value, ...)`; bare words are strings.

    Example:
        >>> parse_spec("zoo:cbr_large_t(padding=same)")
        ('zoo', 'cbr_large_t', {'padding': 'same'})
    """
    source, _, rest = spec.partition(":")
    if source not in SOURCES:
        valid = ", ".join(f"{s}:NAME" for s in SOURCES)
        raise UserError("model.name", f"unknown source in {spec!r}", f"valid: {valid}")
    if "(" not in rest:
        return source, rest, {}
    name, _, arguments = rest.partition("(")
    try:
        call = ast.parse(f"f({arguments}", mode="eval").body
        if not isinstance(call, ast.Call) or call.args:
            raise ValueError("options are written name=value")
        return source, name, {str(k.arg): _literal(k.value) for k in call.keywords}
    except (SyntaxError, ValueError) as error:
        raise UserError("model.name", f"cannot read {spec!r}: {error}", "write NAME(option=value, ...)") from error


def _literal(node: ast.expr) -> Any:
    if isinstance(node, ast.Name):
        return {"true": True, "false": False}.get(node.id, node.id)
    return ast.literal_eval(node)


def _known(builder: Callable[..., nn.Module], options: dict[str, Any]) -> dict[str, Any]:
    """Drop image_size where the network does not ask for it; refuse any other unknown option."""
    accepted = set(inspect.signature(builder).parameters)
    if "image_size" not in accepted:
        options.pop("image_size", None)
    for key in options:
        if key not in accepted:
            raise UserError("model.name", f"unknown option {key!r}", nearest(key, accepted))
    return options
