"""The classifier, which decides, and the copy that searches."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch

from ..data.images.image_set import ImageSet
from ..goals import Goal, as_classes
from ..losses import margin
from ..models.classifier import Classifier
from ..models.digest import weights_digest
from ..models.replayed import replayed
from ..models.search_copy import LOW, MOST_DIFFERENT, SINGLE, alike_copies
from ..models.stopwatch import clearly_fastest, fastest, rate
from ..runs import digest, hardware
from .outcome import Model
from .plan import Plan
from .rates import recall, remember

NUM_EXAMPLES = 16  # images on which the copy is compared with the classifier
SAME = 1e-4  # of the spread of logits: what the order of sums in single precision may change
# Of the middle margin: a copy that rounds more sends so many failures back to the classifier that it saves nothing.
TOO_COARSE = 0.025


@dataclass(frozen=True)
class SearchModel:
    """Who decides, who searches, and how far the margins of the one that searches may be off.

    Args:
        model: the classifier; its float32 answers decide.
        fast: a copy that searches; what it finds counts only after the classifier confirmed it.
        kind: the copy in words.
        graphs: whether it is replayed from CUDA graphs.
        shortfall: rounding error of a margin of the copy: a failure this close is looked at again.
        coarse: whether the copy rounds more than single precision does: the classifier is asked about some failures.
        single: a copy whose answers differ from those of the classifier by rounding in single precision at most, or the
            classifier: an attack on it is one on the classifier. None stands for the classifier.
    """

    model: Model
    fast: Model
    kind: str = "float32, unchanged"
    graphs: bool = False
    shortfall: float = 0.0
    coarse: bool = True
    single: Model | None = None

    @property
    def itself(self) -> Model:
        """What an attack runs on that is to be one on the classifier."""
        return self.model if self.single is None else self.single

    @property
    def words(self) -> str:
        """What searches, for a report."""
        return f"{self.kind}, CUDA graphs" if self.graphs else self.kind


def make_search_model(
    model: Classifier, images: ImageSet, plan: Plan, kind: str | None = None
) -> tuple[SearchModel, dict[str, float]]:
    """A search model for these images, compared with the classifier on some of them, and the rates that chose it.

    The copy is the one that gives gradients fastest. What was measured once holds for the same weights, shape and
    machine: in this process, and in the cache folder.

    Args:
        model, images, plan: what is measured.
        kind: in words, the copy that an earlier part of the same run was searched with.
    """
    example = torch.stack([images[i][0] for i in range(min(len(images), NUM_EXAMPLES))]).to(plan.device)
    with torch.no_grad():
        truth = as_classes(model(example))
    goal = Goal(truth.argmax(1), False)
    spread = float((truth - truth.mean(1, keepdim=True)).abs().max().clamp_min(1e-3))
    middle = float(margin(truth, goal).abs().median())

    def gap(copy: Model) -> float:
        with torch.no_grad():
            return float((margin(truth, goal) - margin(as_classes(copy(example)), goal)).abs().max())

    key = _key(model, example, plan)
    known, rates = recall(key) or (None, {})

    def made(wanted: tuple[str, ...] | None) -> dict[str, Classifier]:
        return {
            words: copy
            for copy, words in alike_copies(model, example, plan.precision, wanted)
            if words != LOW or words == kind or gap(copy) <= TOO_COARSE * middle
        }

    # Where it is known which copy searches, only that one and the one in single precision are made.
    copies = made((kind or known or "", SINGLE)) if kind or known else made(None)
    if kind not in copies:
        kind = known if known in copies else None
    if kind is None:
        copies = made(None)
        kind, rates = _timed(copies, example, plan.batch_size)
        remember(key, kind, rates)
    fast: Model = copies[kind]
    graphs = replayed(fast, example, plan.batch_size, MOST_DIFFERENT * spread)
    fast = fast if graphs is None else graphs
    shortfall: float = 2 * gap(fast)
    single: Model | None = None
    # A graphics card multiplies single precision in fewer bits.
    coarse = not kind.startswith(SINGLE) or example.is_cuda
    if not coarse:
        single = fast
    elif not example.is_cuda:  # the same one whatever the stopwatch says: a run that goes on ends with the same rows
        single = copies.get(SINGLE)
    if single is not None and gap(single) > SAME * spread:
        single = None
    return SearchModel(model, fast, kind, graphs is not None, shortfall, coarse, single), rates


def _timed(copies: Mapping[str, Classifier], example: torch.Tensor, batch_size: int) -> tuple[str, dict[str, float]]:
    """The copy that is fastest as it will run: on a graphics card from CUDA graphs, one copy after the other."""
    if not example.is_cuda:
        return fastest(copies, example, batch_size)
    rates: dict[str, float] = {}
    for words, copy in copies.items():
        graph = replayed(copy, example, batch_size, torch.inf, most_sizes=1)
        rates[words] = rate(graph or copy, example, batch_size)
    return clearly_fastest(rates), rates


def _key(model: Classifier, example: torch.Tensor, plan: Plan) -> str:
    said = (weights_digest(model), tuple(example.shape[1:]), plan.precision, plan.device, hardware(plan.device))
    return digest([*map(str, said), torch.__version__, torch.get_num_threads()])
