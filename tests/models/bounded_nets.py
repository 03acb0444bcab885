"""Small networks that together have every kind of layer that has bounds."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from medrobust.models import Classifier
from medrobust.models.drop_max import DropMax

SIDE = 6


class Residual(nn.Module):
    """In-place ReLU, a sum, a concatenation, a difference, a product with constants and with itself."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.inner = nn.Conv2d(1, 4, 3, padding=1), nn.Conv2d(4, 4, 3, padding=1, groups=2)
        self.norm, self.fc = nn.BatchNorm2d(4), nn.Linear(8 * SIDE * SIDE, 3)

    def forward(self, x: Tensor) -> Tensor:
        z = F.relu(self.stem(x), inplace=True)
        inner = self.norm(self.inner(z))
        inner += z
        z = inner.relu_()
        z = z * torch.sigmoid(z.mean((2, 3), keepdim=True))
        return self.fc(torch.cat([1 - z, -0.5 * z / 2], 1).flatten(1))


class Overwritten(nn.Module):
    """What comes after the last linear layer is written over a view of it."""

    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(SIDE * SIDE, 3)

    def forward(self, x: Tensor) -> Tensor:
        out = self.fc(x.flatten(1))
        out.view(3, -1).relu_() if len(out) == 3 else out.unsqueeze(0).relu_()
        return out


class ImagesOverwritten(nn.Module):
    """The images are written over before the first layer."""

    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(SIDE * SIDE, 3)

    def forward(self, x: Tensor) -> Tensor:
        flat = x.flatten(1)
        x.mul_(-2.0)
        return self.fc(flat)


def _pools() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(1, 4, 3, padding=1, padding_mode="reflect"), nn.LeakyReLU(0.1), nn.MaxPool2d(2, 1),
        nn.Conv2d(4, 4, 2), nn.ReLU6(inplace=True), nn.AvgPool2d(2, 1), nn.AdaptiveAvgPool2d(2), nn.Dropout(0.5),
        nn.Conv2d(4, 3, 1), nn.AdaptiveAvgPool2d(1), nn.Flatten(),
    )  # fmt: skip


def _smooth() -> nn.Module:
    return nn.Sequential(
        nn.BatchNorm2d(1), nn.ConvTranspose2d(1, 2, 2, stride=2), nn.ELU(), nn.Tanh(), nn.Conv2d(2, 3, 3, stride=2),
        nn.Sigmoid(), nn.AdaptiveMaxPool2d(2), nn.Flatten(), nn.Linear(12, 8), nn.Softplus(), nn.Hardtanh(-1, 1),
        nn.Linear(8, 3), nn.Softmax(1),
    )  # fmt: skip


def _dropped() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), DropMax(2), nn.AdaptiveAvgPool2d(1), nn.Flatten(),
        nn.Linear(4, 3),
    )  # fmt: skip


NETS: dict[str, Callable[[], nn.Module]] = {
    "residual": Residual,
    "pools": _pools,
    "smooth": _smooth,
    "drop_max": _dropped,
    "overwritten": Overwritten,
    "images overwritten": ImagesOverwritten,
}


def classifier(name: str, seed: int = 0) -> Classifier:
    """A classifier of three classes with random weights and statistics, for images (n, 1, 6, 6)."""
    torch.manual_seed(seed)
    net = NETS[name]()
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.normal_(std=0.3)
            module.running_var.uniform_(0.3, 2.0)
            nn.init.normal_(module.weight)
            nn.init.normal_(module.bias)
    head = "probabilities" if name == "smooth" else "softmax"
    last = [m for m in net.modules() if isinstance(m, (nn.Linear, nn.Conv2d)) and m.weight.shape[0] == 3][-1]
    with torch.no_grad():
        z = net.eval()((torch.rand(99, 1, SIDE, SIDE) - 0.4) / 0.3)
        # Each class is the answer to some images.
        last.bias -= (z.log() if head == "probabilities" else z).median(0).values
    return Classifier(net, mean=0.4, std=0.3, channels=1, classes=("a", "b", "c"), head=head).eval()
