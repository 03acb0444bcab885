"""measure: model + images + plan -> records. Streams over the images and resumes after a kill."""

from __future__ import annotations

from collections.abc import Callable, Container, Mapping
from pathlib import Path
from time import perf_counter
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from ..attacks.base import Attack
from ..data.images.image_set import ImageSet
from ..engine.tree import take
from ..goals import or_wrong, untargeted
from ..models.classifier import Classifier
from ..progress import Report
from ..records.records import Records
from ..records.rows import CLEAN, meta_types, rows_table
from ..streams import Streams
from .bisect import bisect
from .clean import clean_pass
from .each_budget import each_budget
from .outcome import Grid, Outcome
from .parts import Chosen, Cost, Folder, Memory
from .plan import Plan
from .search_model import SearchModel, make_search_model
from .shown import Shown, picks
from .subjects import Subjects, allowed, units_of
from .sweep import Effort, sweep

# Most images, and most bytes of them, between two points at which a killed run resumes.
CHUNKS = {"cpu": (512, 2**26), "cuda": (4096, 2**29)}
FIRST = 64  # images of the first part


def measure(
    model: Classifier,
    images: ImageSet,
    plan: Plan,
    parts: Path | None = None,
    progress: Report | None = None,
    clean: Tensor | None = None,
    begin: Callable[[], Any] = lambda: None,
) -> tuple[Records, Cost]:
    """Attack every image by every attack at every budget.

    Args:
        model: frozen while this runs, as it was afterwards.
        images: what to attack; the order and the batch size do not change the rows.
        plan: attacks, budgets, protocol.
        parts: folder for finished chunks; a second call with the same plan goes on after the last one, and the records
            are written to `parts/../records.parquet`. Without it nothing is written.
        progress: called with (what, done, of).
        clean: (n, k) what clean_pass gives, where it is known already.
        begin: called before the first chunk is written, when every attack has run on its images.

    Returns the records and the cost {forwards, backwards, seconds} of the attacks.
    """
    store: Memory | Folder = Memory() if parts is None else Folder(parts, begin)
    num_chunks, search = _measure(model, images, plan, store, progress, clean)
    records, cost = store.ended(num_chunks)
    return records, {**cost, "search": search}


def measure_parts(
    model: Classifier,
    images: ImageSet,
    plan: Plan,
    parts: Path,
    wanted: Container[int],
    progress: Report | None = None,
    clean: Tensor | None = None,
    begin: Callable[[], Any] = lambda: None,
) -> int:
    """Measure some parts only, each a file that `measure` finds when it is called on the same folder.

    Args:
        model, images, plan, parts, progress, clean, begin: see `measure`.
        wanted: the numbers of the parts.

    Returns how many parts there are in all.
    """
    return _measure(model, images, plan, Folder(parts, begin), progress, clean, wanted)[0]


def _measure(
    model: Classifier,
    images: ImageSet,
    plan: Plan,
    store: Memory | Folder,
    progress: Report | None,
    clean: Tensor | None,
    wanted: Container[int] | None = None,
) -> tuple[int, dict[str, Any]]:
    """Measure what the store lacks; returns the number of parts, and what searched them."""
    with model.frozen():
        model.to(plan.device)
        if clean is None:
            clean = clean_pass(model, images, plan, progress)
        search, rates = make_search_model(model, images, plan, store.searched_with)
        size = store.laid_out(chunk_size(images, plan), search.kind)
        work = _Work(search, images, clean, plan)
        chunks = chunks_of(len(images), size)
        cells = sum(len(plan.grids_of(title)) for title in plan.attacks)
        meta = meta_types(sample.metadata for sample in images.samples)
        for number, chunk in enumerate(chunks):
            if wanted is not None and number not in wanted:
                continue
            tell = _teller(progress, chunk, cells, len(images))
            if not store.has(number):
                rows, cost, shown = work.chunk(chunk, tell)
                store.add(number, rows_table(rows, meta, plan.protocol, plan.mask), cost, chunk.start, shown)
            tell(cells)
    return len(chunks), {"copy": search.words, "gradients_per_second": rates.get(search.kind)}


def chunks_of(num_images: int, size: int) -> list[range]:
    """The images of each part.

    Of many images the first part is small: once it is there, a killed run goes on from it.
    """
    first = min(FIRST, size) if num_images > 2 * FIRST else size
    ends = [*range(first, num_images, size), num_images]
    return [range(a, b) for a, b in zip([0, *ends], ends, strict=False) if a < b]


def chunk_size(images: ImageSet, plan: Plan) -> int:
    """Images between two points at which a killed run resumes: as many as keep the lanes full and the memory small."""
    most, room = CHUNKS.get(plan.device.partition(":")[0], CHUNKS["cpu"])
    return max(1, min(most, room // max(images[0][0].nbytes, 1)))


def _teller(progress: Report | None, chunk: range, cells: int, num_images: int) -> Callable[[int], None]:
    """Progress inside a chunk: after each attack and norm the same share of its images counts as done."""

    def tell(done: int) -> None:
        if progress:
            progress("attacks", chunk.start + len(chunk) * done // cells, num_images)

    tell(0)
    return tell


class _Work(NamedTuple):
    """What all chunks share."""

    search: SearchModel
    images: ImageSet
    clean: Tensor
    plan: Plan

    def chunk(self, chunk: range, tell: Callable[[int], None]) -> tuple[list[dict[str, Any]], Cost, Chosen]:
        """The rows of some images, what they cost, and the points of those that may be shown."""
        plan, device = self.plan, self.plan.device
        samples = [self.images.samples[i] for i in chunk]
        logits = self.clean[chunk.start : chunk.stop]
        scores = logits.softmax(1).numpy().astype(np.float32)
        common: list[dict[str, Any]] = [
            {
                "image_id": sample.image_id,
                "group_id": sample.group_id,
                "label": sample.label,
                "clean_prediction": int(logits[i].argmax()),
            }
            | {f"meta_{name}": value for name, value in sample.metadata.items()}
            for i, sample in enumerate(samples)
        ]
        rows = [shared | _clean_row(shared, scores[i]) for i, shared in enumerate(common)]
        x = torch.stack([self.images[i][0] for i in chunk])
        x = (x.pin_memory() if device.startswith("cuda") else x).to(device, non_blocking=True)
        labels = torch.tensor([sample.label for sample in samples], device=device)
        units = units_of(self.images, chunk).to(device)
        mask = allowed(self.images, chunk, plan.mask, device)
        streams = Streams.of(plan.seed, [sample.image_id for sample in samples], device)
        seconds, done, goals = 0.0, 0, plan.goals
        shown = Shown.nothing(x, len(plan.grids[0].epsilons))
        for name, attack in plan.runs.items():
            y = labels
            if plan.honest and attack.goal is untargeted:
                # Away from the clean answer: for a right one that is wrong, for a wrong one it is the flip that
                # referral needs.
                y = logits.argmax(1).to(device)
            # One definition of broken for all attacks, also for those that know of no other success than their target.
            rule = or_wrong(attack.goal) if plan.honest else attack.goal
            goal = rule(logits.to(device), y)
            subjects = Subjects(x, y, goal, logits, units, streams.child(name), mask)
            for grid in plan.grids_of(name):
                began = perf_counter()
                outcome = _outcome(attack, subjects, grid, self.search, plan)
                seconds += perf_counter() - began
                if grid is plan.grids[0]:
                    shown = shown.update(outcome, name)
                rows += outcome.rows(name, goals[name], common)
                done += 1
                tell(done)
        forwards, backwards = (sum(row[kind] for row in rows) for kind in ("forwards", "backwards"))
        right = (logits.argmax(1) == labels.cpu()).numpy()
        budget = np.array([*plan.grids[0].epsilons, np.inf])[shown.slot.numpy()]
        ids = [sample.image_id for sample in samples]
        chosen = [i for i, _ in picks(budget, right, ids, plan.seed)] if plan.honest else []
        if plan.honest and plan.keep_points:
            chosen = sorted({*chosen, *np.flatnonzero(right & np.isfinite(budget)).tolist()})
        cost = {"forwards": forwards, "backwards": backwards, "seconds": round(seconds, 3)}
        return rows, cost, (chosen, shown)


def _clean_row(shared: Mapping[str, Any], scores: np.ndarray) -> dict[str, Any]:
    wrong = shared["clean_prediction"] != shared["label"]
    return {
        "attack": CLEAN,
        "norm": "",
        "epsilon": 0.0,
        "goal": "",
        "reached": wrong,
        "prediction": shared["clean_prediction"],
        "scores": scores,
        "distance": 0.0,
        "forwards": 0,
        "backwards": 0,
        "survives_source_bit_depth": wrong,
    }


def _outcome(attack: Attack, subjects: Subjects, grid: Grid, search: SearchModel, plan: Plan) -> Outcome:
    """The way to the outcome that suits the attack: one sweep, a bisection, or every budget on its own."""
    said, effort = attack.abilities, Effort(plan.batch_size)
    composed = said.program is not None and said.kind == "bounded"
    if plan.honest and composed and said.program.num_steps > 1:
        return sweep(said.program, subjects, grid, search, effort)
    if plan.honest and not composed:
        return bisect(attack, subjects, grid, search, effort)
    outcome = Outcome.nothing(subjects.logits, grid)
    points = subjects.x.clone()
    for begin in range(0, len(subjects.x), plan.batch_size):
        part = slice(begin, begin + plan.batch_size)
        some = take(subjects, torch.arange(len(subjects.x))[part])
        found = each_budget(attack, some, grid, search.model, plan.honest)
        outcome.put(part, found)
        if found.points is not None:
            points[part] = found.points
            outcome.points = points
    return outcome
