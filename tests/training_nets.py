"""Networks for training tests: everything that makes resuming hard (batch norm, dropout), and nothing slow."""

from torch import nn


def small() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(1, 4, 3, padding=1),
        nn.BatchNorm2d(4),
        nn.ReLU(),
        nn.Dropout(0.2),
        nn.AdaptiveAvgPool2d(2),
        nn.Flatten(),
        nn.Linear(16, 2),
    )


def exploding() -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 2), nn.Threshold(1e9, float("inf")))


def plain() -> nn.Module:
    """Nothing that looks across a batch."""
    return nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), nn.ReLU(), nn.Flatten(), nn.Linear(256, 2))
