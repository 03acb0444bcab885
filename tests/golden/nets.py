"""The two small networks of the golden files, and the model and batch that a file carries."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

# name: image shape, number of classes, activation. ReLU has dead pixels with gradient 0; SiLU has none.
NETS: dict[str, tuple[tuple[int, int, int], int, type[nn.Module]]] = {
    "two": ((1, 12, 12), 2, nn.ReLU),
    "five": ((3, 8, 8), 5, nn.SiLU),
    "inside": ((3, 8, 8), 5, nn.SiLU),  # images far from black and white: no budget reaches them
}


def build(name: str) -> nn.Sequential:
    """The network called name, with weights not yet set, in eval mode and without parameter gradients."""
    (channels, height, width), classes, activation = NETS[name]
    net = nn.Sequential(
        nn.Conv2d(channels, 6, 3, padding=1),
        activation(),
        nn.Conv2d(6, 8, 3, stride=2, padding=1),
        activation(),
        nn.Flatten(),
        nn.Linear(8 * height * width // 4, classes),
    )
    return net.eval().requires_grad_(False)


def _images(patterns: Tensor, y: Tensor, generator: torch.Generator) -> Tensor:
    """Grey with a faint pattern of the class and noise; two rows of black and white, where clipping must be right."""
    x = 0.5 + 0.025 * len(patterns) * patterns[y] + 0.15 * torch.randn(len(y), *patterns.shape[1:], generator=generator)
    x[:, :, :2], x[:, :, -2:] = 0.0, 1.0
    return x.clamp(0, 1)


def _inside(x: Tensor) -> Tensor:
    return 0.5 + 0.2 * (x - 0.5)


def made(name: str, seed: int = 0) -> tuple[nn.Sequential, Tensor, Tensor]:
    """A network trained a little, 8 images in [0, 1], and their labels: what the network says, but for the last one."""
    generator = torch.Generator().manual_seed(seed)
    shape, classes, _ = NETS[name]
    patterns = torch.randn(classes, *shape, generator=generator)
    shown = _inside if name == "inside" else torch.clone
    net = build(name).requires_grad_()
    with torch.no_grad():
        for parameter in net.parameters():
            fan_in = parameter[0].numel() if parameter.ndim > 1 else 100
            parameter.copy_(torch.randn(parameter.shape, generator=generator) * (2 / fan_in) ** 0.5)
        # A strong first layer bends the network within small changes, so that one step and ten steps differ.
        net[0].weight.mul_(6)
    optimizer = torch.optim.Adam(net.parameters(), 1e-3)
    for _ in range(200):
        y = torch.randint(classes, (64,), generator=generator)
        optimizer.zero_grad()
        nn.functional.cross_entropy(net(shown(_images(patterns, y, generator))), y).backward()
        optimizer.step()
    net.requires_grad_(False)
    x = shown(_images(patterns, torch.arange(8) % classes, generator))
    y = net(x).argmax(1)
    y[-1] = (y[-1] + 1) % classes
    return net, x, y


def restored(file: Mapping[str, Any], net: str) -> tuple[nn.Sequential, Tensor, Tensor]:
    """The network, images and labels that a golden file carries."""
    model = build(net)
    model.load_state_dict({name: torch.from_numpy(file[f"weights.{name}"]) for name in model.state_dict()})
    return model, torch.from_numpy(file["x"]), torch.from_numpy(file["y"])
