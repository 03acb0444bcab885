"""Small networks of every kind that maps must cope with."""

from __future__ import annotations

import torch
from torch import Tensor, nn


def small_2d(channels: int = 3, outputs: int = 3) -> nn.Module:
    """Two convolutions, then means: maps of 6 x 6 of an image of 16 x 16."""
    return nn.Sequential(
        nn.Conv2d(channels, 6, 3),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(6, 5, 2),
        nn.Softplus(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(5, outputs),
    )


def small_3d() -> nn.Module:
    return nn.Sequential(
        nn.Conv3d(1, 4, 3),
        nn.Softplus(),
        nn.Conv3d(4, 5, 3, stride=2),
        nn.Softplus(),
        nn.AdaptiveAvgPool3d(1),
        nn.Flatten(),
        nn.Linear(5, 3),
    )


class ChannelsLast(nn.Module):
    """A network that ends as Swin does in timm: maps (n, height, width, channels), then their mean."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm, self.head = nn.Conv2d(3, 6, 4, stride=4), nn.LayerNorm(6), nn.Linear(6, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.norm(self.conv(x).permute(0, 2, 3, 1)).mean((1, 2)))


class Tokens3d(nn.Module):
    """A transformer of volumes: patches of 4 x 4 x 4, a class token, one block, the class token decides."""

    def __init__(self) -> None:
        super().__init__()
        self.embed, self.token = nn.Linear(64, 16), nn.Parameter(torch.randn(1, 1, 16))
        self.block = nn.TransformerEncoderLayer(16, 2, 16, 0.0, batch_first=True, norm_first=True)
        self.norm, self.head = nn.LayerNorm(16), nn.Linear(16, 2)

    def forward(self, x: Tensor) -> Tensor:
        patches = x.unfold(2, 4, 4).unfold(3, 4, 4).unfold(4, 4, 4).flatten(5).flatten(1, 4)
        tokens = torch.cat([self.token.expand(len(x), -1, -1), self.embed(patches)], 1)
        return self.head(self.norm(self.block(tokens))[:, 0])


def made(net: nn.Module, seed: int = 0) -> nn.Module:
    """The network with weights of this seed, in evaluation mode."""
    torch.manual_seed(seed)
    for weight in net.parameters():
        with torch.no_grad():
            weight.copy_(torch.randn_like(weight) * (1.5 / max(weight[0].numel(), 1) ** 0.5))
    return net.eval()
