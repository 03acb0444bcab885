"""The active test: a weakness is planted in the classifier, and the audit's own attacks are asked to find it.

It is the one check that proves of an attack that it can fail. Passing says that the attacks climb these features as far
as the ball goes; it does not say that the classifier's own head was broken as far as possible.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from time import perf_counter
from typing import Any, NamedTuple

import torch
from torch import Tensor

from ...attacks.base import Attack
from ...attacks.combine import select
from ...data.images.image_set import ImageSet
from ...engine.count import Counted, PerImage
from ...engine.program import Model
from ...engine.until_reached import until_reached
from ...goals import Goal, as_classes, untargeted
from ...measuring.outcome import Grid
from ...measuring.subjects import allowed
from ...models.classifier import Classifier
from ...models.last_layer import Place, find_last_layer
from ...models.search_copy import alike_copies, same_gradients
from ...streams import Streams
from ...threat import Threat
from ..probed import affordable, mixed
from .heads import LEAST_FEATURES, NUM_INNER, Planted, Plot, plant

NUM_IMAGES = 32
NUM_RANDOM = 8  # draws at the edge of the ball, and as many inside it
PASSES = 12_000  # of images, a gradient being three, that an attack may take at a budget beyond the first few
FEW = 8  # images that every attack is asked about, whatever it costs
VALUES = 2**24  # of float64 that the features of one piece of images may take


@dataclass(frozen=True)
class Row:
    """One attack at one budget.

    Args:
        attack: its title.
        norm, epsilon: of the budget.
        planted: images in which a weakness was planted and the attack looked for it.
        won_by_random: of these, images where a random point finds it too; they say nothing.
        found: of the others, images where the attack found it.
    """

    attack: str
    norm: str
    epsilon: float
    planted: int
    won_by_random: int
    found: int

    @property
    def counted(self) -> int:
        """Images that say something."""
        return self.planted - self.won_by_random


@dataclass(frozen=True)
class ActiveTest:
    """What came of it.

    Args:
        rows: per attack and budget.
        together: (norm, epsilon) -> (images that say something, of these found by any attack).
        layer: in words, where the heads were put.
        seconds: that it took.
        reason: why it could not be done; empty where it was.
    """

    rows: tuple[Row, ...] = ()
    together: Mapping[tuple[str, float], tuple[int, int]] | None = None
    layer: str = ""
    seconds: float = 0.0
    reason: str = ""

    @property
    def least(self) -> tuple[int, int]:
        """(images that say something, found) at the budget with the smallest share found; (0, 0) where none is."""
        known = [pair for pair in (self.together or {}).values() if pair[0]]
        return min(known, key=lambda pair: pair[1] / pair[0], default=(0, 0))

    def as_dict(self) -> dict[str, Any]:
        """For audit.json."""
        together = [
            {"norm": norm, "epsilon": epsilon, "counted": counted, "found": found}
            for (norm, epsilon), (counted, found) in (self.together or {}).items()
        ]
        rows = [asdict(row) for row in self.rows]
        return {"rows": rows, "together": together, "layer": self.layer, "reason": self.reason}


def active_test(
    model: Classifier,
    images: ImageSet,
    attacks: Mapping[str, Attack],
    grids: Callable[[str], Sequence[Grid]],
    *,
    seed: int = 0,
    device: str = "cpu",
    batch_size: int = 32,
    num_images: int = NUM_IMAGES,
    mask: str = "",
) -> ActiveTest:
    """Plant a weakness in each image at each budget, and count who finds it.

    Args:
        model: the classifier.
        images: of the audit; num_images of them are used, the classes in turn.
        attacks: title -> attack, as it runs in the audit, with all of its settings.
        grids: title -> norms and budgets at which it is asked.
        seed, device, batch_size, mask: as of the audit.

    Example:
        >>> from medrobust.attacks import pgd
        >>> from medrobust.testing import small_audit
        >>> _, context = small_audit()
        >>> said = active_test(context.model, context.images, {"pgd": pgd()}, context.plan.grids_of, num_images=4)
        >>> [(row.planted, row.won_by_random, row.found) for row in said.rows][0]
        (4, 0, 4)
    """
    began = perf_counter()
    chosen = mixed(images, affordable(images, num_images))
    ids = [images.samples[i].image_id for i in chosen]
    x = images.batch(chosen).x.to(device)
    if model.head == "multi_label":
        return ActiveTest(reason="the answer of a multi-label classifier is no single class")
    with model.frozen():
        searched = next(alike_copies(model, x, "float32"))[0]
        searched = searched if same_gradients(searched, model, x[:4]) else model
        with searched.frozen():
            place = find_last_layer(searched, x[:2], LEAST_FEATURES)
            if place is None:
                return ActiveTest(reason=f"no layer was seen to be given {LEAST_FEATURES} values of an image or more")
            streams = Streams.of(seed, ids, device).child("active")
            where = allowed(images, chosen, mask, device)
            plots = _Plots(searched, place, x, streams, batch_size, where)
            try:
                return _run(plots, attacks, grids, began)
            except ValueError as error:  # of last_layer, or of an attack that shows other images
                return ActiveTest(layer=place.words, reason=str(error))


@dataclass(frozen=True)
class _Plots:
    model: Classifier
    place: Place
    x: Tensor
    streams: Streams
    batch_size: int
    mask: Tensor | None = None

    def planted(self, norm: str, epsilon: float, threat: Threat) -> list[_Piece]:
        """The images of a budget in pieces that fit into memory."""
        most = max(1, VALUES // (self.place.num_features * (NUM_INNER + 4)))
        streams = self.streams.child(f"{norm} {epsilon!r}")
        return [
            _piece(self, part, select(threat, part, self.x), streams[part.to(streams.keys.device)])
            for part in torch.arange(len(self.x)).split(min(most, self.batch_size))
        ]


@dataclass(frozen=True)
class _Piece:
    """Some images of a budget: the classifier with their heads, what it answers, where a weakness is, random wins."""

    model: Planted
    x: Tensor
    y: Tensor
    threat: Threat
    streams: Streams
    usable: Tensor
    by_random: Tensor

    def found(self, attack: Attack, title: str, at: Tensor) -> tuple[Tensor, int]:
        """(n,) whether an attack finds the weakness of the images at (m,), inside the exact ball, and its passes."""
        out = torch.zeros_like(self.usable)
        if len(at):
            model, x, y = self.model.narrow(at), self.x[at], self.y[at]
            counted = Counted(model, len(at))
            threat = select(self.threat, at, self.x)
            points = tried(attack, counted, x, y, threat, self.streams[at].child(title))
            out[at] = _wins(model, threat.exact(x).round_inside(points), y)
            return out, int(counted.forwards.sum() + 2 * counted.backwards.sum())
        return out, 0


def _piece(plots: _Plots, part: Tensor, threat: Threat, streams: Streams) -> _Piece:
    x = plots.x[part.to(plots.x.device)]
    plot = Plot(plots.model, plots.place, threat.around(x), streams, plots.batch_size)
    heads, points = plant(plot)
    model = Planted(plots.model, plots.place, heads)
    with torch.no_grad():
        y = as_classes(model(x)).argmax(1)
    exact = threat.exact(x)
    usable = _wins(model, exact.round_inside(points), y)
    by_random = torch.zeros_like(usable)
    for number in range(NUM_RANDOM):
        for drawn in (plot.surface("drawn", number), plot.ball.sample(streams.child("inside", number))):
            by_random |= _wins(model, exact.round_inside(drawn), y)
    return _Piece(model, x, y, threat, streams, usable, usable & by_random)


def _wins(model: PerImage, x: Tensor, y: Tensor) -> Tensor:
    with torch.no_grad():
        logits = as_classes(model(x))
    return (logits.argmax(1) != y) & logits.isfinite().all(1)


def tried(attack: Attack, model: Model, x: Tensor, y: Tensor, threat: Threat, streams: Streams) -> Tensor:
    """What an attack returns; where it says how, each image leaves the batch when it is broken."""
    approach = attack.abilities.approach
    if approach is None or attack.goal is not untargeted:
        return attack(model, x, y, threat, generator=streams).detach()
    goal, ball = Goal(y, False), threat.around(x)
    program, start = approach(model, goal, ball, streams)
    return until_reached(program, model, goal, ball, start, keep=program.keep).x.detach()


class _Field(NamedTuple):
    """One budget: the pieces with what is planted in them, and per image who asked and who found it."""

    pieces: list[_Piece]
    asked: list[Tensor]  # by every attack so far
    found: list[Tensor]  # by any of them

    @staticmethod
    def of(pieces: list[_Piece]) -> _Field:
        return _Field(pieces, [piece.usable.clone() for piece in pieces], [piece.by_random & False for piece in pieces])

    def ask(self, attack: Attack, title: str, room: int) -> tuple[int, int, int]:
        """Planted, won by random and found, of the images that the attack is asked about.

        A few come first: the others follow where their passes fit into the room.
        """
        planted = won = found = 0
        each = room / FEW
        for number, piece in enumerate(self.pieces):
            at = piece.usable.nonzero()[:, 0]
            chosen = torch.zeros_like(piece.usable)
            for some in (at[:FEW], at[FEW:]) if number == 0 else (at,):
                if each * len(some) > room:
                    continue
                hit, passes = piece.found(attack, title, some)
                each = max(passes / max(len(some), 1), 1e-9) if number == 0 else each
                room -= passes
                chosen[some] = True
                self.found[number] |= hit
                found += int((hit & ~piece.by_random).sum())
            self.asked[number] &= chosen
            planted += int(chosen.sum())
            won += int((chosen & piece.by_random).sum())
        return planted, won, found

    def together(self) -> tuple[int, int]:
        """Images that say something and that every attack was asked about, and those of them that any found."""
        counted = [asked & ~piece.by_random for asked, piece in zip(self.asked, self.pieces, strict=True)]
        found = [one & hit for one, hit in zip(counted, self.found, strict=True)]
        return sum(int(one.sum()) for one in counted), sum(int(one.sum()) for one in found)


def _run(
    plots: _Plots, attacks: Mapping[str, Attack], grids: Callable[[str], Sequence[Grid]], began: float
) -> ActiveTest:
    fields: dict[tuple[str, float], _Field] = {}
    rows = []
    for title, attack in attacks.items():
        for grid in grids(title):
            for epsilon in grid.epsilons:
                key = (grid.norm_name, epsilon)
                if key not in fields:
                    threat = Threat(epsilon=epsilon, norm=grid.norm, domain=grid.domain, mask=plots.mask)
                    fields[key] = _Field.of(plots.planted(*key, threat))
                rows.append(Row(title, *key, *fields[key].ask(attack, title, PASSES)))
    together = {key: field.together() for key, field in fields.items()}
    return ActiveTest(tuple(rows), together, plots.place.words, perf_counter() - began)
