"""What every norm, and every family of everyday faults, answers."""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor

from .streams import Streams


def per_sample(value: Tensor | float, like: Tensor) -> Tensor:
    """Reshape (n,) to (n, 1, ..., 1), so that it broadcasts over like (n, ...).

    Example:
        >>> per_sample(torch.ones(4), torch.zeros(4, 3, 8, 8)).shape
        torch.Size([4, 1, 1, 1])
    """
    dtype = value.dtype if isinstance(value, Tensor) else like.dtype
    column: Tensor = torch.as_tensor(value, dtype=dtype, device=like.device)
    return column.reshape(-1, *[1] * (like.ndim - 1))


class Norm(Protocol):
    """What a threat needs to know of a norm, or of a family of corruptions, which is searched without a slope."""

    @property
    def name(self) -> str:
        """Its name in recipes and records."""

    @property
    def has_slope(self) -> bool:
        """Whether a change can be made larger, smaller, and along a direction: all below but the next three."""

    def refuses(self, largest: float, domain: tuple[float, float], masked: bool) -> str:
        """Why a finite budget, on this domain, inside a mask or not, makes no sense; empty where it does."""

    def distance(self, x: Tensor, center: Tensor, domain: tuple[float, float]) -> Tensor:
        """(n,) float64 how large the change from center to x is."""

    def inside(self, x: Tensor, center: Tensor, radius: Tensor, domain: tuple[float, float]) -> Tensor:
        """x (n, ...) where its change is no larger than the radius (n,); elsewhere a point like it that is."""

    def size(self, d: Tensor) -> Tensor:
        """(n,) the norm of each perturbation."""

    def dual_size(self, g: Tensor) -> Tensor:
        """(n,) the largest <g, d> over the unit ball."""

    def steepest(self, g: Tensor) -> Tensor:
        """The point of the unit ball that attains dual_size; zero where g is zero."""

    def project(self, d: Tensor, radius: Tensor | float) -> Tensor:
        """The nearest point, in the Euclidean sense, of the ball of this radius."""

    def project_box(self, d: Tensor, radius: Tensor | float, low: Tensor, high: Tensor) -> Tensor:
        """The nearest point of the ball with low <= d <= high, where low <= 0 <= high."""

    def sample(self, like: Tensor, radius: Tensor | float, streams: Streams) -> Tensor:
        """A point uniform in the ball."""
