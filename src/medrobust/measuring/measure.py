"""measure: model + images + attacks + budgets -> records. Streams over the images and resumes after a kill."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..attacks.base import Attack
from ..data.images.image_set import ImageSet
from ..data.images.loading import batches
from ..engine.program import Program, clean_goal
from ..errors import UserError
from ..files import read_json, write_json
from ..goals import Goal, as_classes, untargeted
from ..losses import margin
from ..models.classifier import Classifier
from ..models.search_copy import search_copy
from ..records.records import CLEAN, Records, merge, meta_types, write_rows
from ..streams import Streams
from .bisect import bisect
from .each_budget import each_budget
from .outcome import Grid, Outcome
from .sweep import Effort, sweep
from .verify import exact_float32

CHUNKS = {"cpu": 64, "cuda": 1024}  # images between two points at which a killed run resumes
NUM_EXAMPLES = 16  # images on which the search model is compared with the classifier
Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Plan:
    """What to measure.

    Args:
        attacks: name -> attack.
        grids: budgets, one grid a norm.
        goals: name -> the name of its goal, for the rows.
        protocol: "honest" (default) or "paper"; see docs/concepts.md.
        seed: of all random numbers, together with the image ids.
        batch_size: images shown to the model at once; changes memory and speed only.
        device: where the model runs.
        precision: "fast" or "float32"; how the search computes. Verdicts are float32 always.
    """

    attacks: Mapping[str, Attack]
    grids: tuple[Grid, ...]
    goals: Mapping[str, str]
    protocol: str = "honest"
    seed: int = 0
    batch_size: int = 32
    device: str = "cpu"
    precision: str = "fast"
    num_workers: int = 0


def clean_pass(model: Classifier, images: ImageSet, plan: Plan, progress: Progress | None = None) -> Tensor:
    """Logits (n, k) of the unchanged images, float32, on the CPU; every image and every output is checked.

    Errors: UserError when pixels leave the domain (normalized twice?), outputs are not finite, or are probabilities.
    """
    parts, done = [], 0
    low, high = model.domain
    for batch in batches(images, plan.batch_size, num_workers=plan.num_workers):
        name = images.samples[int(batch.index[0])].image_id
        if float(batch.x.min()) < low - 1e-6 or float(batch.x.max()) > high + 1e-6:
            seen = f"{float(batch.x.min()):.3g} to {float(batch.x.max()):.3g}"
            raise UserError(
                name,
                f"pixels from {seen} are outside [{low:g}, {high:g}]: they look already normalized",
                "give images as stored and the normalization as model.mean, model.std",
            )
        with torch.no_grad(), exact_float32():
            logits = model(batch.x.to(plan.device)).float().cpu()
        bad = ~torch.isfinite(logits).all(1)
        if bool(bad.any()):
            name = images.samples[int(batch.index[bad][0])].image_id
            raise UserError("model", f"the output for {name} is not a finite number", "check weights and preprocessing")
        parts.append(logits)
        done += len(logits)
        if progress:
            progress("clean images", done, len(images))
    logits = torch.cat(parts)
    is_probability = bool((logits >= 0).all()) and torch.allclose(logits.sum(1), torch.ones(len(logits)), atol=1e-4)
    if model.head == "softmax" and len(logits) > 1 and is_probability:
        raise UserError("model", "the outputs are probabilities, not logits", "set model.head=probabilities")
    return logits


def measure(
    model: Classifier, images: ImageSet, plan: Plan, parts: Path, *, progress: Progress | None = None
) -> tuple[Records, Mapping[str, Any]]:
    """Attack every image by every attack at every budget.

    Args:
        model: frozen while this runs, as it was afterwards.
        images: what to attack; the order and the batch size do not change the rows.
        plan: attacks, budgets, protocol.
        parts: folder for finished chunks; a second call with the same plan goes on after the last one.
        progress: called with (what, done, of).

    Returns the records (also written to `parts/../records.parquet`) and the cost {forwards, backwards, seconds} of the
    attacks.
    """
    with model.frozen():
        clean = clean_pass(model.to(plan.device), images, plan, progress)
        meta = meta_types(sample.metadata for sample in images.samples)
        searcher = make_searcher(model, images, plan)
        size = _chunk_size(parts, plan)
        chunks = [range(i, min(i + size, len(images))) for i in range(0, len(images), size)]
        paths = [parts / f"part-{number:05d}.parquet" for number in range(len(chunks))]
        cells = len(plan.attacks) * len(plan.grids)
        for number, (chunk, path) in enumerate(zip(chunks, paths, strict=True)):
            tell = _teller(progress, chunk, cells, len(images))
            if not path.exists():
                rows, cost = _chunk(searcher, images, chunk, clean, plan, tell)
                write_json(parts / f"cost-{number:05d}.json", cost)
                write_rows(path, rows, meta)
            tell(cells)
    target = parts.parent / "records.parquet"
    merge(paths, target)
    return Records.read(target), _cost(parts)


def _chunk_size(parts: Path, plan: Plan) -> int:
    """Images in a part: decided when the run starts, kept when it goes on on another device."""
    layout = parts / "layout.json"
    if not layout.exists():
        write_json(layout, {"images": CHUNKS.get(plan.device.partition(":")[0], CHUNKS["cpu"])})
    return int(read_json(layout)["images"])


def _teller(progress: Progress | None, chunk: range, cells: int, num_images: int) -> Callable[[int], None]:
    """Progress inside a chunk: after each attack and norm the same share of its images counts as done."""

    def tell(done: int) -> None:
        if progress:
            progress("attacks", chunk.start + len(chunk) * done // cells, num_images)

    tell(0)
    return tell


@dataclass(frozen=True)
class Searcher:
    """The classifier, which decides, and the copy that searches.

    Its kind in words and how far its margins may be off.
    """

    model: Classifier
    fast: Classifier
    kind: str
    shortfall: float


def make_searcher(model: Classifier, images: ImageSet, plan: Plan) -> Searcher:
    """A search model for these images, compared with the classifier on some of them."""
    example = torch.stack([images[i][0] for i in range(min(len(images), NUM_EXAMPLES))]).to(plan.device)
    fast, kind = search_copy(model, example, plan.precision)
    with torch.no_grad():
        truth, found = as_classes(model(example)), as_classes(fast(example))
        goal = Goal(truth.argmax(1), False)
        gap = float((margin(truth, goal) - margin(found, goal)).abs().max())
    return Searcher(model, fast, kind, 2 * gap)


def _chunk(
    searcher: Searcher, images: ImageSet, chunk: range, clean: Tensor, plan: Plan, tell: Callable[[int], None]
) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    samples = [images.samples[i] for i in chunk]
    items = [images[i] for i in chunk]
    x = torch.stack([item[0] for item in items]).to(plan.device)
    y = torch.tensor([item[1] for item in items])
    depth = torch.tensor([images.bit_depth(i) for i in chunk], device=plan.device)
    logits = clean[chunk.start : chunk.stop]
    streams = Streams.of(plan.seed, [sample.image_id for sample in samples], plan.device)
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
    seconds, done = 0.0, 0
    for name, attack in plan.attacks.items():
        for grid in plan.grids:
            began = perf_counter()
            outcome = _outcome(searcher, x, y, attack, grid, logits, depth, streams.child(name), plan)
            seconds += perf_counter() - began
            rows += outcome.rows(name, plan.goals.get(name, "untargeted"), grid, common)
            done += 1
            tell(done)
    forwards, backwards = (sum(row[kind] for row in rows) for kind in ("forwards", "backwards"))
    return rows, {"forwards": forwards, "backwards": backwards, "seconds": round(seconds, 3)}


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
        "verified_float32": True,
        "survives_source_bit_depth": wrong,
    }


def _outcome(
    searcher: Searcher,
    x: Tensor,
    y: Tensor,
    attack: Attack,
    grid: Grid,
    logits: Tensor,
    depth: Tensor,
    streams: Streams,
    plan: Plan,
) -> Outcome:
    honest = plan.protocol == "honest"
    if honest and attack.goal is untargeted:
        # Away from the clean answer: for a right one that is wrong, for a wrong one it is the flip that referral needs.
        y = logits.argmax(1)
    y = y.to(x.device)
    model = searcher.model
    effort = Effort(plan.batch_size, shortfall=searcher.shortfall)
    if honest and isinstance(attack, Program) and attack.radius is None and attack.num_steps > 1:
        goal = clean_goal(attack.goal, model, x, y)
        return sweep(attack, model, x, goal, grid, logits, depth, search_model=searcher.fast, effort=effort)
    outcome = Outcome.nothing(logits, len(grid.epsilons))
    single = isinstance(attack, Program) and attack.radius is None
    for begin in range(0, len(x), plan.batch_size):
        part = slice(begin, begin + plan.batch_size)
        shown = (model, x[part], y[part], attack, grid, logits[part], depth[part], streams[part])
        if honest and not single:
            found = bisect(*shown, search_model=searcher.fast, effort=effort)
        else:
            found = each_budget(*shown, honest=honest)
        for name, value in vars(found).items():
            getattr(outcome, name)[part] = value
    return outcome


def _cost(parts: Path) -> dict[str, Any]:
    costs = [read_json(path) for path in sorted(parts.glob("cost-*.json"))]
    return {name: round(sum(cost[name] for cost in costs), 3) for name in ("forwards", "backwards", "seconds")}
