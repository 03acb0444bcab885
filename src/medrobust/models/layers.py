"""Building blocks that two networks share."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from types import MethodType

import torch
from torch import Tensor, nn


def conv_bn_relu(in_channels: int, out_channels: int, kernel_size: int, *, padding: str | int) -> nn.Sequential:
    """Convolution, batch norm, ReLU; the convolution has no bias, the norm has one."""
    return nn.Sequential(
        OrderedDict(
            conv=nn.Conv2d(in_channels, out_channels, kernel_size, padding=padding, bias=False),
            bn=nn.BatchNorm2d(out_channels),
            relu=nn.ReLU(),
        )
    )


class BasicBlock(nn.Module):
    """relu(shortcut(x) + bn(conv(relu(bn(conv(x)))))); the shortcut is a 1x1 convolution where the size changes.

    He et al. 2016, arXiv:1512.03385.
    """

    def __init__(self, in_channels: int, out_channels: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, out_channels, 3, stride, 1)
        self.bn1 = nn.BatchNorm2d(out_channels)
        self.conv2 = nn.Conv2d(out_channels, out_channels, 3, 1, 1)
        self.bn2 = nn.BatchNorm2d(out_channels)
        self.relu = nn.ReLU()
        same = in_channels == out_channels and stride == 1
        self.shortcut: nn.Module = nn.Identity() if same else nn.Conv2d(in_channels, out_channels, 1, stride)

    def forward(self, x: Tensor) -> Tensor:
        """(n, in_channels, h, w) -> (n, out_channels, h / stride, w / stride), rounded up."""
        out = self.bn2(self.conv2(self.relu(self.bn1(self.conv1(x)))))
        return self.relu(out + self.shortcut(x))


def he_init(network: nn.Module) -> nn.Module:
    """Normal weights of variance 2 / fan_in in every convolution, zero biases (He et al. 2015, arXiv:1502.01852)."""
    for module in network.modules():
        if isinstance(module, (nn.Conv2d, nn.Conv3d)):
            nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
            if module.bias is not None:
                nn.init.zeros_(module.bias)
    return network


def first_convolution(network: nn.Module) -> tuple[str, nn.Conv2d | nn.Conv3d]:
    """Name and module of the layer that sees the image. Errors: ValueError when there is no convolution."""
    for name, module in network.named_modules():
        if isinstance(module, (nn.Conv2d, nn.Conv3d)):
            return name, module
    raise ValueError("the network has no convolution")


def exact_first_layer(network: nn.Module) -> None:
    """Let the first convolution compute in float32 under autocast: small changes of a pixel are not rounded away.

    In place, without changing names: bfloat16 resolves 1/255 for pixels in [0.5, 1). Does nothing without a
    convolution.
    """
    try:
        convolution = first_convolution(network)[1]
    except ValueError:
        return
    # A bound method and not a closure: copies of the network must use the copy's weights.
    convolution.forward = MethodType(_exact_forward, convolution)  # type: ignore[method-assign]


def _exact_forward(convolution: nn.Module, x: Tensor) -> Tensor:
    plain: Callable[[nn.Module, Tensor], Tensor] = type(convolution).forward
    if not torch.is_autocast_enabled(x.device.type):
        return plain(convolution, x)
    low = torch.get_autocast_dtype(x.device.type)
    with torch.autocast(x.device.type, enabled=False):
        return plain(convolution, x.float()).to(low)


def last_layer(network: nn.Module) -> tuple[str, nn.Module]:
    """Name and module of the layer that gives the outputs: the last linear or convolution layer.

    Errors: ValueError when there is none.
    """
    found = [(n, m) for n, m in network.named_modules() if isinstance(m, (nn.Linear, nn.Conv2d, nn.Conv3d))]
    if not found:
        raise ValueError("the network has no linear or convolution layer")
    return found[-1]


def replace_module(network: nn.Module, name: str, new: nn.Module) -> None:
    """Put new in the place of the submodule called name (dotted)."""
    parent, _, leaf = name.rpartition(".")
    setattr(network.get_submodule(parent), leaf, new)


def with_in_channels(network: nn.Module, in_channels: int) -> nn.Module:
    """The network with a newly drawn stem for another number of channels, where its builder has no such option.

    Errors: ValueError when there is no convolution, or the first one has groups.
    """
    name, old = first_convolution(network)
    if old.in_channels == in_channels:
        return network
    if old.groups != 1:
        raise ValueError(f"the first convolution has {old.groups} groups")
    stem = type(old)(
        in_channels,
        old.out_channels,
        old.kernel_size,  # type: ignore[arg-type]
        old.stride,  # type: ignore[arg-type]
        old.padding,  # type: ignore[arg-type]
        old.dilation,  # type: ignore[arg-type]
        bias=old.bias is not None,
        padding_mode=old.padding_mode,
    )
    nn.init.kaiming_normal_(stem.weight, mode="fan_out", nonlinearity="relu")
    replace_module(network, name, stem)
    return network
