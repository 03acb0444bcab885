"""Points kept while measuring for the pictures of a report: those of the few images that may be chosen in the end."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from ..files import write_with
from .outcome import Outcome


class Shown(NamedTuple):
    """For m images the point that broke each at the smallest budget, over the attacks so far.

    Args:
        points: (m, c, *spatial); the image itself where no attack broke it.
        slot: (m,) position of that budget on the grid; the number of budgets where none did.
        attack: name of the attack, "" where none did.
    """

    points: Tensor
    slot: Tensor
    attack: list[str]

    @staticmethod
    def nothing(x: Tensor, num_budgets: int) -> Shown:
        """Images (m, c, *spatial) before any attack."""
        return Shown(x.clone(), torch.full((len(x),), num_budgets), [""] * len(x))

    def update(self, outcome: Outcome, name: str) -> Shown:
        """After one more attack; the attack listed first keeps the images that both broke at the same budget."""
        if outcome.points is None:
            return self
        slot = torch.where(outcome.reached.any(1), outcome.reached.int().argmax(1), outcome.reached.shape[1])
        better = slot < self.slot
        where = better.nonzero()[:, 0]
        self.points[where.to(self.points.device)] = outcome.points[where.to(outcome.points.device)].to(self.points)
        attack = [name if new else old for new, old in zip(better.tolist(), self.attack, strict=True)]
        return Shown(self.points, torch.where(better, slot, self.slot), attack)


def picks(budget: np.ndarray, right: np.ndarray, ids: Sequence[str], seed: int) -> list[tuple[int, str]]:
    """Positions of images worth showing, and why: two fragile, one robust, one drawn at random.

    What is chosen of a whole set is among what is chosen of its parts, however it is cut.

    Args:
        budget: (n,) the smallest that breaks each image; inf where none does.
        right: (n,) bool: answered correctly untouched; no others are shown.
        ids: of the images, which with the seed decide who is drawn.

    Example:
        >>> picks(np.array([3.0, 1.0, 2.0, np.inf]), np.ones(4, dtype=bool), ["a", "b", "c", "d"], 0)
        [(1, 'most fragile'), (2, 'most fragile'), (3, 'most robust'), (0, 'random')]
    """
    standing = np.flatnonzero(right)
    order = standing[np.argsort(budget[standing], kind="stable")].tolist()
    found = [(i, "most fragile") for i in order[:2]] + [(i, "most robust") for i in order[2:][-1:]]
    taken = {i for i, _ in found}
    drawn = sorted((i for i in order if i not in taken), key=lambda i: _draw(seed, ids[i]))
    return found + [(i, "random") for i in drawn[:1]]


def _draw(seed: int, image_id: str) -> bytes:
    return hashlib.blake2b(f"{seed}/{image_id}".encode(), digest_size=8).digest()


def write_shown(path: Path, first: int, chosen: Sequence[int], shown: Shown) -> None:
    """Keep the points of the images at these positions of a part that begins at position `first` of the set."""
    index = torch.tensor(chosen, dtype=torch.int64)
    position = first + index.numpy()
    points = shown.points[index.to(shown.points.device)].cpu().numpy()
    attack = np.array([shown.attack[i] for i in chosen], dtype=np.str_)

    def write(temporary: Path) -> None:
        with open(temporary, "wb") as file:
            np.savez(file, position=position, points=points, attack=attack)

    write_with(path, write)


def read_shown(folder: Path) -> dict[int, tuple[Tensor, str]]:
    """Position in the set -> point (c, *spatial) and attack, of all parts in a folder."""
    found: dict[int, tuple[Tensor, str]] = {}
    for path in sorted(folder.glob("shown-*.npz")):
        with np.load(path, allow_pickle=False) as held:
            points = torch.from_numpy(held["points"])
            for at, point, attack in zip(held["position"].tolist(), points, held["attack"].tolist(), strict=True):
                found[at] = point, attack
    return found
