"""Which tensors of a file are the weights of a network: below which names, averaged or not, and what is left out."""

from __future__ import annotations

import re
import warnings
from collections import Counter, OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from ..errors import UserError
from .weights import Nest, few

AUXILIARY = ("AuxLogits.", "aux1.", "aux2.")  # training-only heads that torchvision files carry
# Last parts of names that a network may lack or have too many of: they are counted or computed, and never learned.
CONSTANT = ("num_batches_tracked", "n_averaged", "relative_position_index", "attn_mask", "position_ids")
# Names below which training code usually keeps the network itself.
USUAL = (
    *("state_dict", "model_state_dict", "model_state", "state", "weights", "params", "model", "network", "net"),
    *("module", "_orig_mod", "backbone", "encoder", "encoder_q", "base_encoder", "classifier", "convnet", "resnet"),
)
AVERAGED = re.compile(r"(^|[._])(ema|swa|averaged)")
# First parts of names that are no layers: losses, metrics, twins, counters, normalization.
NO_LAYER = re.compile(
    r"criterion|loss|metric|auroc|accuracy|(^|_)(acc|f1|ce|bce)(_|$)|confmat|threshold|pos_weight|class_weight|teacher"
    r"|momentum|queue|optimizer|scheduler|(^|_)(ema|swa)|^(train|val|valid|test)_|^(mean|std|pixel_mean|pixel_std|step)$"
)
OLD_DENSENET = re.compile(r"(denselayer\d+\.(?:norm|relu|conv))\.(\d\.)")  # as torchvision wrote them until 2017


class Fit(NamedTuple):
    """The tensors under the network's own names, and what was decided about the file, in sentences."""

    state: dict[str, Tensor]
    notes: tuple[str, ...] = ()


class _Candidate(NamedTuple):
    """One place in a file where all names of the network are found."""

    nest: Nest
    prefix: str
    state: dict[str, Tensor]
    unexpected: list[str]
    left_out: list[str]

    @property
    def path(self) -> str:
        return f"{self.nest.path}.{self.prefix}".strip(".")

    @property
    def rank(self) -> tuple[bool, bool]:
        counted = self.prefix.endswith("module.") and f"{self.prefix[: -len('module.')]}n_averaged" in self.nest.state
        usual = all(part in USUAL for part in self.path.split(".") if part)
        return AVERAGED.search(self.path) is None and not counted, not usual

    def equals(self, other: _Candidate) -> bool:
        return all(n in other.state and torch.equal(value, other.state[n]) for n, value in self.state.items())


def load_weights(network: nn.Module, nests: Sequence[Nest], place: str, spare: Sequence[str] = ()) -> tuple[str, ...]:
    """Put the weights of a file into a network; what was decided and left out is warned of and returned.

    Errors: UserError as fitting, and when a shape differs.
    """
    return put(network, fitting(network, nests, place, spare), place)


def put(network: nn.Module, found: Fit, place: str) -> tuple[str, ...]:
    """Load what was found; its notes are warned of and returned. Errors: UserError when a shape differs."""
    own = network.state_dict()
    shapes = [
        f"{name} is {tuple(value.shape)}, the network has {tuple(own[name].shape)}"
        for name, value in found.state.items()
        if value.shape != own[name].shape
    ]
    if shapes:
        reason = f"the weights do not fit the network: {few(shapes)}"
        raise UserError(place, reason, "check model.name and data.image_size")
    state = OrderedDict(found.state)
    # Modules of several versions ask for theirs, which a file of plain tensors does not hold.
    state._metadata = network.state_dict()._metadata  # type: ignore[attr-defined]
    network.load_state_dict(state, strict=False)
    for note in found.notes:
        warnings.warn(f"{place}: {note}", UserWarning, stacklevel=4)
    return found.notes


def fit_weights(network: nn.Module, state: Mapping[str, Tensor], place: str) -> nn.Module:
    """Load state into network, every name and shape checked first.

    Errors: UserError that lists the first few missing, unexpected and wrongly shaped names.
    """
    load_weights(network, [Nest("", dict(state))], place)
    return network


def fitting(network: nn.Module, nests: Sequence[Nest], place: str, spare: Sequence[str] = ()) -> Fit:
    """The weights of a network among the tensors of a file; shapes are not looked at.

    The prefix below which all names of the network are found wins, whatever it is called. Where several have them all,
    an average over training (EMA, SWA) comes before the raw weights, as timm has it, then the usual names. Losses,
    metrics and twins are left out and named. A last layer inside of `Sequential(Dropout(), ...)` fits one that is not.

    Args:
        spare: layers that the file may lack, or have in another form: those that start anew.

    Errors: UserError that names what is missing or not the network's, or the places of several that differ.

    Example:
        >>> file = {"ema.weight": torch.ones(1, 2), "net.weight": torch.zeros(1, 2), "net.bias": torch.zeros(1)}
        >>> fit = fitting(nn.Linear(2, 1), [Nest("", file)], "file.pt")
        >>> list(fit.state), fit.notes
        (['weight', 'bias'], ('left out ema.weight, no part of the network',))
    """
    wanted = [name for name in network.state_dict() if name.rpartition(".")[2] not in CONSTANT]
    needed = [name for name in wanted if not _below(name, spare)]
    nests = [Nest(nest.path, {OLD_DENSENET.sub(r"\1\2", n): v for n, v in nest.state.items()}) for nest in nests]
    whole = {f"{nest.path}.{name}".strip("."): value for nest in nests for name, value in nest.state.items()}
    found: list[_Candidate] = []
    for group in (nests, [Nest("", whole)]):
        found = found or [c for nest in group for c in _candidates(nest, network, wanted, needed, spare)]
    sound = [candidate for candidate in found if not candidate.unexpected]
    if not sound:
        raise _misfit(place, nests, network, needed, found)
    best = [candidate for candidate in sound if candidate.rank == min(c.rank for c in sound)]
    chosen = best[0]
    if not all(chosen.equals(other) for other in best[1:]):
        reason = f"holds several networks that fit, as {' and as '.join(repr(c.path) for c in best)}"
        raise UserError(place, reason, "save the state dict of one of them")
    own = network.state_dict()
    state = {n: v for n, v in chosen.state.items() if not _below(n, spare) or v.shape == own[n].shape}
    return Fit(state, tuple(_notes(chosen, sound)))


def _notes(chosen: _Candidate, sound: Sequence[_Candidate]) -> Iterator[str]:
    others = [c for c in sound if c is not chosen and not chosen.equals(c)]
    if others:
        kind = "the averaged weights" if not chosen.rank[0] else "the weights"
        names = " and ".join(repr(c.path) if c.path else "those outside" for c in others)
        yield f"{kind} in {chosen.path!r} are taken, not {names}"
    twins = {c.prefix + name for c in sound if c.nest is chosen.nest and c is not chosen for name in c.state}
    left_out = [name for name in chosen.left_out if name not in twins]
    if left_out:
        yield f"left out {few(left_out)}, no part of the network"


def _candidates(
    nest: Nest, network: nn.Module, wanted: Sequence[str], needed: Sequence[str], spare: Sequence[str]
) -> Iterator[_Candidate]:
    complete = []
    for prefix, count in _prefixes(nest, needed).most_common():
        if count < len(needed) - 2:  # the weight and the bias of a moved layer
            break
        below = {name[len(prefix) :]: value for name, value in nest.state.items() if name.startswith(prefix)}
        below = _with_moved_layer(below, wanted, needed)
        if all(name in below for name in needed):
            complete.append((prefix, below))
    children = {name.partition(".")[0] for name in wanted}
    for prefix, below in complete:
        twins = tuple(p[len(prefix) :] for p, _ in complete if p.startswith(prefix) and p != prefix)
        unexpected: list[str] = []
        left_out: list[str] = []
        for name in below:
            first, last = name.partition(".")[0], name.rpartition(".")[2]
            if name in wanted or last in CONSTANT or name.startswith(AUXILIARY) or (twins and name.startswith(twins)):
                continue
            no_layer = first not in children and (spare or NO_LAYER.search(first))
            (left_out if no_layer or _below(name, spare) else unexpected).append(name)
        outside = [name for name in nest.state if not name.startswith(prefix)]
        outside = [name for name in outside if name.rpartition(".")[2] not in CONSTANT]
        state = {name: below[name] for name in wanted if name in below}
        yield _Candidate(nest, prefix, state, unexpected, [prefix + name for name in left_out] + outside)


def _prefixes(nest: Nest, wanted: Sequence[str]) -> Counter[str]:
    """How many names of the network are found below each prefix."""
    names, found = set(wanted), Counter[str]()
    for name in nest.state:
        ends = [0, *(match.end() for match in re.finditer(r"\.", name))]
        found.update(name[:end] for end in ends if name[end:] in names)
    return found


def _with_moved_layer(below: dict[str, Tensor], wanted: Sequence[str], needed: Sequence[str]) -> dict[str, Tensor]:
    """The one layer that is missing, found one level higher or lower: a head with a dropout in front of it, or not."""
    missing = [name for name in wanted if name not in below]
    layers = {name.rpartition(".")[0] for name in missing}
    others = [name for name in below if name not in wanted and name.rpartition(".")[2] in ("weight", "bias")]
    if len(layers) != 1:
        return below
    layer = layers.pop()
    there = {name.rpartition(".")[0] for name in others}
    there = {name for name in there if name.startswith(f"{layer}.") or layer.startswith(f"{name}.")}
    inside = {name for name in below if name.startswith(f"{layer}.") and name not in wanted}
    if len(there) != 1:
        return below
    (source,) = there
    moved = {f"{source}.{name.rpartition('.')[2]}": name for name in missing}
    if (
        not set(moved) <= set(below)
        or not inside <= set(moved)
        or set(moved) != {n for n in others if _below(n, [source])}
    ):
        return below
    return {moved.get(name, name): value for name, value in below.items()}


def _below(name: str, layers: Sequence[str]) -> bool:
    return any(name.startswith(f"{layer}.") for layer in layers)


def _misfit(
    place: str, nests: Sequence[Nest], network: nn.Module, needed: Sequence[str], found: Sequence[_Candidate]
) -> UserError:
    """What is missing or too much, at the place in the file that fits best."""
    where = [(count, nest, prefix) for nest in nests for prefix, count in _prefixes(nest, needed).items()]
    if found:
        nest, prefix = found[0].nest, found[0].prefix
    elif where:
        _, nest, prefix = max(where, key=lambda one: (one[0], -len(one[2])))
    else:
        names = [name for nest in nests for name in nest.state]
        reason = f"the weights do not fit the network: it has {few(needed)}, the file {few(names)}"
        return UserError(place, reason, "check model.name")
    own, counted = network.state_dict(), lambda name: name.rpartition(".")[2] in CONSTANT
    below = {name[len(prefix) :]: value for name, value in nest.state.items() if name.startswith(prefix)}
    missing = [name for name in needed if name not in below]
    unexpected = [n for n in below if n not in own and not counted(n) and not n.startswith(AUXILIARY)]
    shapes = [
        f"{name} is {tuple(value.shape)}, the network has {tuple(own[name].shape)}"
        for name, value in below.items()
        if name in own and value.shape != own[name].shape
    ]
    lists = (("missing", missing), ("unexpected", found[0].unexpected if found else unexpected))
    problems = [f"{what} {few(names)}" for what, names in lists if names] + ([few(shapes)] if shapes else [])
    layers = {name.rpartition(".")[0] for name in missing}
    fix = "check model.name"
    if len(layers) == 1 and any(_below(name, [*layers]) for name in unexpected):
        fix = f"its {layers.pop()} has layers of its own: build the network in package.module:callable"
    return UserError(place, f"the weights do not fit the network: {'; '.join(problems)}", fix)
