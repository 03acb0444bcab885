"""Families of corruptions as threats: all that they can make of an image, with a severity as the budget."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from ..numbers import FAMILIES as NAMES
from ..numbers import MOST_SEVERE, SEVERITY_STEP
from ..streams import Randomness, Streams
from .base import Corruption, draws_of
from .registry import CORRUPTIONS

SEARCHED = tuple(SEVERITY_STEP * k for k in range(1, round(MOST_SEVERE / SEVERITY_STEP) + 1))
NEAR = 1e-5  # of the domain: in a batch of another size the same change is rounded in another way
EVERYDAY = "everyday"  # the family of all families


@dataclass(frozen=True)
class Change:
    """One change of a family: a corruption at a severity, with one draw of each image."""

    severity: float
    corruption: Corruption
    number: int

    def of(self, x: Tensor, domain: tuple[float, float], streams: Streams) -> Tensor:
        """What it makes of images (n, c, *spatial), whose draws are those of `draws_of`."""
        return self.corruption(x, self.severity, streams, domain, self.number)


@dataclass(frozen=True)
class Family:
    """A threat whose budget is a severity from 0 to 5: what its corruptions make of an image up to there.

    Within a budget lie the image itself and, at every half of a severity up to the budget, each corruption of the
    family with each of its draws. The draws belong to the image, so that the set is the same in every run, and what an
    attack claims is judged by making it again. A larger budget allows all that a smaller one does.

    It stands where a norm stands, but has no slope, no projection and no points between: what needs these is refused.

    Args:
        name: of it, in recipes and records.
        members: its corruptions.

    Example:
        >>> geometry = FAMILIES["geometry"]
        >>> [one.name for one in geometry.members], len(list(geometry.changes(1.0)))
        (['rotation', 'shift', 'crop'], 20)
        >>> x = torch.rand(1, 1, 16, 16)
        >>> turned = CORRUPTIONS["rotation"](x, 1.5, draws_of(x))
        >>> geometry.distance(turned, x, (0.0, 1.0)).item(), geometry.distance(1 - x, x, (0.0, 1.0)).item()
        (1.5, inf)
    """

    name: str
    members: tuple[Corruption, ...]
    has_slope: bool = False

    def changes(self, most: float = MOST_SEVERE) -> Iterator[Change]:
        """All changes up to a severity, the mildest first."""
        for severity in SEARCHED:
            if severity <= most:
                for one in self.members:
                    yield from (Change(severity, one, k) for k in range(one.num_draws))

    def refuses(self, largest: float, domain: tuple[float, float], masked: bool) -> str:
        """Why such a threat makes no sense; empty where it does."""
        if masked:
            return f"{self.name} changes whole images, and takes no mask"
        return f"severity {largest:g} is above {MOST_SEVERE:g}, the most of {self.name}" * (largest > MOST_SEVERE)

    def distance(self, x: Tensor, center: Tensor, domain: tuple[float, float]) -> Tensor:
        """(n,) float64 the least severity that makes x of center; inf where none does."""
        return self._again(x, center, domain)[0]

    def inside(self, x: Tensor, center: Tensor, radius: Tensor, domain: tuple[float, float]) -> Tensor:
        """x (n, ...) made again from center; the center where no severity up to the radius makes it."""
        found, again = self._again(x, center, domain, float(radius.max()) if len(radius) else 0.0)
        kept = (found <= radius.double()).reshape(-1, *[1] * (x.ndim - 1))
        return torch.where(kept, again, center)

    def _again(
        self, x: Tensor, center: Tensor, domain: tuple[float, float], most: float = MOST_SEVERE
    ) -> tuple[Tensor, Tensor]:
        """(n,) the least severity, up to one, that makes each x, inf where none does, and what it makes (n, ...)."""
        near = NEAR * (domain[1] - domain[0])
        same = ((x - center).abs() <= near).flatten(1).all(1)
        severity = torch.where(same, 0.0, torch.inf).double()
        again = center.clone()
        streams = draws_of(center)
        for change in self.changes(most):
            (left,) = torch.where(severity == torch.inf)
            if not len(left):
                break
            made = change.of(center[left], domain, streams[left])
            hit = ((made - x[left]).abs() <= near).flatten(1).all(1)
            severity[left[hit]] = change.severity
            again[left[hit]] = made[hit]
        return severity, again

    def _none(self) -> ValueError:
        return ValueError(f"{self.name} is a family of corruptions, not a norm: search it with worst_corruption")

    def size(self, d: Tensor) -> Tensor:
        """Errors: ValueError. What a change is depends on the image; see distance."""
        raise self._none()

    def dual_size(self, g: Tensor) -> Tensor:
        """Errors: ValueError. There is no slope to follow."""
        raise self._none()

    def steepest(self, g: Tensor) -> Tensor:
        """Errors: ValueError. There is no slope to follow."""
        raise self._none()

    def project(self, d: Tensor, radius: Tensor | float) -> Tensor:
        """Errors: ValueError. There is no nearest point."""
        raise self._none()

    def project_box(self, d: Tensor, radius: Tensor | float, low: Tensor, high: Tensor) -> Tensor:
        """Errors: ValueError. There is no nearest point."""
        raise self._none()

    def sample(self, like: Tensor, radius: Tensor | float, streams: Randomness) -> Tensor:
        """Errors: ValueError. There is no volume to draw from."""
        raise self._none()


FAMILIES: dict[str, Family] = {
    name: Family(name, tuple(one for one in CORRUPTIONS.values() if name in (one.family, EVERYDAY))) for name in NAMES
}
