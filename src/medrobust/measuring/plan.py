"""What to measure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

from ..attacks.base import Attack
from ..attacks.build import goal_name
from ..attacks.honest import honest
from ..errors import UserError
from ..norms import as_norm
from .outcome import Grid

PROTOCOLS = ("honest", "paper")
PRECISIONS = ("fast", "float32")
MASKS = ("", "lesion", "background")


@dataclass(frozen=True)
class Plan:
    """What to measure.

    Args:
        attacks: title -> attack, as given; `runs` holds them as the protocol runs them.
        grids: budgets, one grid per norm.
        protocol: "honest" (default) or "paper"; see docs/explanation/concepts.md. In the honest one each attack
            keeps a point that won; see `medrobust.attacks.honest`.
        seed: of all random numbers, together with the image ids.
        batch_size: images shown to the model at once; changes memory and speed only.
        device: where the model runs.
        precision: "fast" or "float32"; how the search computes. Verdicts are float32 always.
        num_workers: processes that decode images.
        norms: title -> the norms in which an attack runs, for those that do not run in all.
        sets: the names of the sets that attacks came from, for the report.
        keep_points: keep the smallest change of every image, not only of the few that may be shown.
        mask: where pixels may change: lesion, inside each image's mask; background, outside it; "" everywhere.

    Errors: UserError for an unknown protocol, precision or mask, a mask for a family of corruptions, no attack, no
        budget, or an attack that is not made for one of the norms.
    """

    attacks: Mapping[str, Attack]
    grids: tuple[Grid, ...]
    protocol: str = "honest"
    seed: int = 0
    batch_size: int = 32
    device: str = "cpu"
    precision: str = "fast"
    num_workers: int = 0
    norms: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    sets: tuple[str, ...] = ()
    keep_points: bool = False
    mask: str = ""

    def __post_init__(self) -> None:
        if self.protocol not in PROTOCOLS:
            raise UserError("protocol", f"unknown protocol {self.protocol!r}", f"valid: {', '.join(PROTOCOLS)}")
        if self.precision not in PRECISIONS:
            raise UserError("precision", f"unknown precision {self.precision!r}", f"valid: {', '.join(PRECISIONS)}")
        if self.mask not in MASKS:
            raise UserError("threat.mask", f"unknown mask {self.mask!r}", f"valid: {', '.join(MASKS[1:])}")
        if not self.attacks:
            raise UserError("attacks", "none given", "for example attacks=standard")
        if not self.grids:
            raise UserError("threat.epsilons", "no budget", "give at least one, for example 1/255")
        for grid in self.grids:
            reason = grid.norm.refuses(grid.epsilons[-1], grid.domain, bool(self.mask))
            if reason:
                raise UserError("threat", reason)
        for title, attack in self.attacks.items():
            valid = attack.abilities.norms
            for grid in self.grids_of(title) or self.grids[:1]:
                if grid.norm_name not in valid:
                    reason = f"is not made for {grid.norm_name}"
                    raise UserError(f"attacks.{title}", reason, f"valid: {', '.join(valid)}")
        for grid in self.grids:
            if not any(grid in self.grids_of(title) for title in self.attacks):
                fix = "add pgd or standard" if grid.norm.has_slope else "add worst_corruption or standard"
                raise UserError("attacks", f"none is made for {grid.norm_name}", fix)

    @cached_property
    def runs(self) -> dict[str, Attack]:
        """Title -> the attack as it runs under the protocol."""
        return {title: honest(attack) if self.honest else attack for title, attack in self.attacks.items()}

    def grids_of(self, title: str) -> tuple[Grid, ...]:
        """The budgets at which an attack runs: one made for norms not in families of corruptions, and the reverse."""
        follows = any(as_norm(name).has_slope for name in self.attacks[title].abilities.norms)
        named = tuple(grid for grid in self.grids if grid.norm_name in self.norms.get(title, (grid.norm_name,)))
        return tuple(grid for grid in named if grid.norm.has_slope == follows)

    @property
    def slopes(self) -> tuple[Grid, ...]:
        """The budgets of norms, in which a change has a direction; without those of families of corruptions."""
        return tuple(grid for grid in self.grids if grid.norm.has_slope)

    @property
    def goals(self) -> dict[str, str]:
        """Title -> the name of its goal, for the rows."""
        return {title: goal_name(attack.goal) for title, attack in self.attacks.items()}

    @property
    def honest(self) -> bool:
        """Whether the protocol is honest."""
        return self.protocol == "honest"
