"""Networks by name: our own, and those of torchvision and timm. All take (n, in_channels, size, size)."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Callable
from functools import partial
from typing import Any

from torch import Tensor, nn

from ..errors import UserError, nearest
from .layers import BasicBlock, conv_bn_relu, he_init, with_in_channels


class Cbr(nn.Sequential):
    """Convolution - batch norm - ReLU networks (Raghu et al. 2019, Transfusion, arXiv 1902.07208).

    A 3x3 max-pool of stride 2 follows every convolution but the last; then global average pooling and one linear layer.
    """

    def __init__(
        self,
        widths: tuple[int, ...],
        kernel_size: int,
        num_classes: int,
        in_channels: int,
        padding: str,
        *,
        last_pool: bool,
    ) -> None:
        if padding not in ("valid", "same"):
            raise UserError("padding", f"{padding!r} is neither valid nor same")
        layers: list[nn.Module] = []
        for i, width in enumerate(widths):
            layers.append(conv_bn_relu(in_channels, width, kernel_size, padding=padding))
            if last_pool or i < len(widths) - 1:
                layers.append(nn.MaxPool2d(3, 2))
            in_channels = width
        layers += [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(in_channels, num_classes)]
        super().__init__(*layers)
        self.smallest = _smallest(len(widths), kernel_size if padding == "valid" else 1, last_pool)

    def forward(self, x: Tensor) -> Tensor:
        if min(x.shape[2:]) < self.smallest:
            raise UserError(
                "data.image_size",
                f"{tuple(x.shape[2:])} is too small, this network needs {self.smallest}",
                "use larger images, or padding=same",
            )
        return super().forward(x)


def _smallest(num_convolutions: int, kernel_size: int, last_pool: bool) -> int:
    """The smallest input whose last map is 1x1, walked backwards through poolings and convolutions."""
    size = 1
    for i in reversed(range(num_convolutions)):
        if last_pool or i < num_convolutions - 1:
            size = 2 * (size - 1) + 3
        size += kernel_size - 1
    return size


def cbr_tiny(num_classes: int = 2, in_channels: int = 3, *, width: int = 32, padding: str = "same") -> nn.Module:
    """CBR-Tiny: four 5x5 convolutions, width to 8 * width (about 1.08 M parameters at 32)."""
    widths = tuple(width * 2**i for i in range(4))
    return he_init(Cbr(widths, 5, num_classes, in_channels, padding, last_pool=True))


def cbr_large_t(num_classes: int = 2, in_channels: int = 3, *, padding: str = "valid") -> nn.Module:
    """CBR-LargeT: five 7x7 convolutions 32-64-128-256-512 (8.5 M parameters).

    With valid convolutions the last map of a 224-pixel image is 1x1 exactly; `same` takes images from 31 pixels on.
    Pooling follows the first four convolutions, as in the code of Rodriguez et al. 2022 (their text says all five).
    """
    return he_init(Cbr((32, 64, 128, 256, 512), 7, num_classes, in_channels, padding, last_pool=False))


class CifarResNet(nn.Module):
    """Residual networks of 6n + 2 layers with stages of 16, 32 and 64 filters (He et al. 2016, section 4.2)."""

    def __init__(self, depth: int, num_classes: int, in_channels: int, image_size: int, pool: int) -> None:
        super().__init__()
        if depth < 8 or (depth - 2) % 6:
            raise UserError("depth", f"{depth} is not 6n + 2", "valid: 8, 20, 32, 50")
        self.stem = nn.Sequential(nn.Conv2d(in_channels, 16, 3, 1, 1), nn.BatchNorm2d(16), nn.ReLU())
        blocks: list[nn.Module] = []
        width = 16
        for stage, filters in enumerate((16, 32, 64)):
            for i in range((depth - 2) // 6):
                blocks.append(BasicBlock(width, filters, 2 if stage and not i else 1))
                width = filters
        self.blocks = nn.Sequential(*blocks)
        side = -(-image_size // 4)  # two strides of 2, each rounding up
        self.image_size = image_size
        self.pool: nn.Module = nn.AvgPool2d(min(pool, side)) if pool else nn.AdaptiveAvgPool2d(1)
        self.flatten = nn.Flatten()
        self.fc = nn.Linear(64 * (side // min(pool, side)) ** 2 if pool else 64, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        x = self.flatten(self.pool(self.blocks(self.stem(x))))
        if x.shape[1] != self.fc.in_features:
            reason = f"this network was built for {self.image_size} pixels"
            raise UserError("data.image_size", reason, "use that, or pool=0")
        out: Tensor = self.fc(x)
        return out


def cifar_resnet(
    depth: int, num_classes: int = 2, in_channels: int = 3, *, image_size: int = 32, pool: int = 8
) -> nn.Module:
    """The CIFAR family as Rodriguez et al. 2022 used it: average pooling over 8x8, flatten, linear; He initialization.

    About 0.76 M parameters at depth 50. Larger images leave more than one pooled cell, hence image_size; `pool=0` is
    global pooling, for images of any size. Their L2 of 1e-4 on the weights is weight_decay=2e-4 in torch.
    """
    return he_init(CifarResNet(depth, num_classes, in_channels, image_size, pool))


MODELS: dict[str, Callable[..., nn.Module]] = {
    "cbr_tiny": cbr_tiny,
    "cbr_large_t": cbr_large_t,
    "cifar_resnet": cifar_resnet,
    "cifar_resnet_8": partial(cifar_resnet, 8),
    "cifar_resnet_20": partial(cifar_resnet, 20),
    "cifar_resnet_32": partial(cifar_resnet, 32),
    "cifar_resnet_50": partial(cifar_resnet, 50),
}


def from_zoo(name: str, **options: Any) -> nn.Module:
    """A network of ours by its name in MODELS."""
    if name not in MODELS:
        raise UserError("model.name", f"unknown network 'zoo:{name}'", nearest(name, MODELS))
    return MODELS[name](**_known(MODELS[name], options))


def from_torchvision(
    name: str, *, num_classes: int, in_channels: int, image_size: int | None = None, **options: Any
) -> nn.Module:
    """A torchvision classification network, newly initialized, without its auxiliary heads."""
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
    """A timm network, newly initialized."""
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


SOURCES: dict[str, Callable[..., nn.Module]] = {
    "zoo": from_zoo,
    "torchvision": from_torchvision,
    "timm": from_timm,
}


def build_network(
    spec: str, *, num_classes: int, in_channels: int = 3, image_size: int | None = None, **options: Any
) -> nn.Module:
    """A newly initialized network from `SOURCE:NAME` or `SOURCE:NAME(option=value, ...)`.

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
    try:
        return SOURCES[source](name, num_classes=num_classes, in_channels=in_channels, **options)
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
    return node.id if isinstance(node, ast.Name) else ast.literal_eval(node)


def _known(builder: Callable[..., nn.Module], options: dict[str, Any]) -> dict[str, Any]:
    """Drop image_size where the network does not ask for it; refuse any other unknown option."""
    accepted = set(inspect.signature(builder).parameters)
    if "image_size" not in accepted:
        options.pop("image_size", None)
    for key in options:
        if key not in accepted:
            raise UserError("model.name", f"unknown option {key!r}", nearest(key, accepted))
    return options
