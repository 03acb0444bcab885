"""The networks of the papers. All take (n, in_channels, size, size)."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from torch import Tensor, nn

from ..errors import UserError
from .layers import BasicBlock, conv_bn_relu, he_init, with_in_channels


class Cbr(nn.Sequential):
    """Convolution - batch norm - ReLU networks (Raghu et al. 2019, Transfusion, arXiv:1902.07208).

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
        """(n, in_channels, h, w) -> (n, num_classes). Errors: UserError for images that are too small."""
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
    Pooling follows the first four convolutions, as in the code of Rodriguez et al. 2022
    (doi:10.1186/s12911-022-01891-w); their text says all five.
    """
    return he_init(Cbr((32, 64, 128, 256, 512), 7, num_classes, in_channels, padding, last_pool=False))


class CifarResNet(nn.Module):
    """Residual networks of 6n + 2 layers, in stages of 16, 32 and 64 filters.

    He et al. 2016, arXiv:1512.03385, section 4.2.
    """

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
        """(n, in_channels, h, w) -> (n, num_classes). Errors: UserError for another size than the one built for."""
        x = self.flatten(self.pool(self.blocks(self.stem(x))))
        if x.shape[1] != self.fc.in_features:
            reason = f"this network was built for {self.image_size} pixels"
            raise UserError("data.image_size", reason, "use that, or pool=0")
        out: Tensor = self.fc(x)
        return out


def cifar_resnet(
    depth: int, num_classes: int = 2, in_channels: int = 3, *, image_size: int = 32, pool: int = 8
) -> nn.Module:
    """The CIFAR family as Rodriguez et al. 2022 use it: average pooling over 8x8, flatten, linear; He initialization.

    About 0.76 M parameters at depth 50. Larger images leave more than one pooled cell, hence image_size; `pool=0` is
    global pooling, for images of any size. Their L2 of 1e-4 on the weights is weight_decay=2e-4 in torch.
    """
    return he_init(CifarResNet(depth, num_classes, in_channels, image_size, pool))


class Vgg16Joel(nn.Module):
    """VGG16's convolutions, then dropout, 4096, dropout, 1024 and the classes.

    Joel et al. 2021, doi:10.1101/2021.01.17.21249704.
    """

    fresh = ("head.",)  # layers that published weights of VGG16 leave as they are

    def __init__(self, num_classes: int, in_channels: int, image_size: int) -> None:
        from torchvision.models.vgg import cfgs, make_layers

        super().__init__()
        self.image_size = image_size
        self.features = with_in_channels(make_layers(cfgs["D"]), in_channels)
        self.head = nn.Sequential(
            nn.Dropout(0.5),
            nn.Flatten(),
            nn.Linear(512 * (image_size // 32) ** 2, 4096),
            nn.ReLU(),
            nn.Dropout(0.5),
            nn.Linear(4096, 1024),
            nn.ReLU(),
            nn.Linear(1024, num_classes),
        )

    def forward(self, x: Tensor) -> Tensor:
        """(n, in_channels, h, w) -> (n, num_classes). Errors: UserError for another size than the one built for."""
        if x.shape[2] // 32 != self.image_size // 32 or x.shape[3] // 32 != self.image_size // 32:
            reason = f"{tuple(x.shape[2:])} does not fit, this network was built for {self.image_size} pixels"
            raise UserError("data.image_size", reason)
        out: Tensor = self.head(self.features(x))
        return out


def vgg16_joel(num_classes: int = 2, in_channels: int = 3, *, image_size: int = 224) -> nn.Module:
    """The network of Joel et al. 2021: 121,676,610 parameters for two classes at 224 pixels; from 32 pixels on.

    Convolutions start at He initialization, or from torchvision's VGG16 with pretrained=True.
    """
    if image_size < 32:
        raise UserError("data.image_size", f"{image_size} is too small, this network needs 32")
    return he_init(Vgg16Joel(num_classes, in_channels, image_size))


MODELS: dict[str, Callable[..., nn.Module]] = {
    "cbr_tiny": cbr_tiny,
    "cbr_large_t": cbr_large_t,
    "cifar_resnet": cifar_resnet,
    "cifar_resnet_8": partial(cifar_resnet, 8),
    "cifar_resnet_20": partial(cifar_resnet, 20),
    "cifar_resnet_32": partial(cifar_resnet, 32),
    "cifar_resnet_50": partial(cifar_resnet, 50),
    "vgg16_joel": vgg16_joel,
}
