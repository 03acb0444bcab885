"""The only training loop."""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from ..data.images.batch import Batch
from ..data.images.image_set import ImageSet
from ..errors import UserError
from ..files import write_json
from ..models.classifier import Classifier
from ..models.layers import exact_first_layer
from ..models.search_copy import low_precision
from ..models.twin import Twin
from ..progress import Report
from ..streams import Streams
from .augment import augment
from .average import Average
from .checkpoint import save_checkpoint
from .collapse import Collapse, CollapsedError, find_collapse
from .compiled import Compiled
from .judged import judged
from .memory import kept_memory
from .optimize import lr_factor, set_lr
from .order import derived_seed, epoch_order, num_batches, training_batches
from .phases import Phase, Trained
from .resume import Parts, Place, restore, restore_parts, save
from .settings import LoopSettings, Row, TrainingStep, epoch_line

HISTORY, LAST = "history.json", "last"
LOOK_EVERY = 20  # steps between looks at the loss where a look makes the device wait


@dataclass
class _Run:
    """What the parts of the loop share; what belongs to a phase is made anew in each."""

    fabric: Any
    model: Classifier
    phases: Sequence[Phase]
    settings: LoopSettings
    train: ImageSet
    out: Path
    card: Row
    report: Report
    say: Callable[[str], None]
    log: Callable[[Row], None]
    begin: Callable[[], None]

    def __post_init__(self) -> None:
        self.model.to(self.fabric.device)
        self.trained = Trained(self.model)
        self.labels = self.train.labels
        self.steps = num_batches(len(self.train), self.settings.batch_size, self.fabric.world_size)
        if self.steps < 1:
            raise ValueError(f"a batch of {self.settings.batch_size} is more than {len(self.train)} images")
        example = torch.stack([self.train[i][0] for i in range(min(2, len(self.train)))]).to(self.fabric.device)
        # Made before a state is restored, so that a resumed run makes the same choice.
        self.twin = Twin.of(self.model, example) if self.settings.fast else None
        self.compiled = Compiled(self.model, example, self.say) if self.settings.compile else None
        place, self.saved = restore(self.out, self.settings.seed, self.model, self.fabric.global_rank) or (Place(), {})
        self.place: Place = place

    def begin_phase(self) -> None:
        """Make what the phase needs, and go on with what was saved of it."""
        self.phase = self.phases[self.place.phase]
        self.trained.only(self.phase.head)
        self.objective, self.optimizer, self.judge, self.metric = self.phase.begin(self.model)
        self.parts = Parts(self.objective, self.optimizer, Average(self.settings.average))
        self.base_lr = float(self.optimizer.param_groups[0]["lr"])
        low = low_precision(self.fabric.device) if self.settings.fast else None
        self.wrapped, self.stepper = self.fabric.setup(TrainingStep(self.model, self.objective, low), self.optimizer)
        self.objective.stand_in = self.twin
        if self.compiled is not None:
            self.compiled.use(not self.objective.second_order)
        if self.saved:
            restore_parts(self.saved, self.parts, self.model)
            self.saved = {}

    @property
    def epoch(self) -> int:
        """The number of the epoch within the phase."""
        return self.place.epoch - self.place.began

    @property
    def unfinished(self) -> bool:
        """Whether there is another epoch to train."""
        return self.place.phase < len(self.phases) and not self.place.stopped

    def save(self, *, between: bool = False) -> None:
        """Save the state, in the first process; between says that one phase has ended and the next has not begun."""
        # The sums of every process, as each goes on with its own.
        sums = {name: self.fabric.all_gather(value).reshape(-1) for name, value in self.place.sums.items()}
        place = dataclasses.replace(self.place, sums=sums)
        if self.fabric.is_global_zero:
            self.begin()
            save(self.out, self.settings.seed, place, self.model, None if between else self.parts)
        self.fabric.barrier()


def fit(
    fabric: Any,
    model: Classifier,
    phases: Sequence[Phase],
    train: ImageSet,
    settings: LoopSettings,
    out: Path,
    *,
    card: Row | None = None,
    report: Report | None = None,
    say: Callable[[str], None] = lambda line: None,
    log: Callable[[Row], None] = lambda row: None,
    begin: Callable[[], None] = lambda: None,
) -> list[Row]:
    """Train; keep the best checkpoint in out and the last in out/last; go on from a saved state if there is one.

    Every random choice is a function of (seed, epoch, step, image) and the state holds the rest, so a run that was
    killed at any moment ends with the same weights, bit for bit, as one that was not. Each phase goes on from the last
    weights of the one before; the best checkpoint is that of the latest phase.

    With settings.fast, gradients are computed in bfloat16 where the device has it, the first layer apart, and searches
    run on a Twin; weights, pixels and perturbations stay float32.

    Args:
        fabric: a launched lightning_fabric.Fabric of precision 32-true.
        model: trained in place.
        phases: done one after the other.
        train: the images to train on.
        settings: what holds in all phases.
        out: folder of the run.
        card: what the checkpoint's card says besides the model.
        report, say, log: called in the first process only: report with (what, done, of) after each step, say with a
            line and log with a row after each epoch.
        begin: called in the first process before it writes anything; may be called again.

    Returns: one row per epoch.

    Errors: UserError when the loss is not finite; ValueError when a batch is larger than the set; CollapsedError, see
        LoopSettings.
    """
    if settings.fast:
        exact_first_layer(model.network)
        model.to(memory_format=torch.channels_last)
    if not fabric.is_global_zero:
        report, say, log = None, lambda line: None, lambda row: None
    show = report or (lambda what, done, of: None)
    run = _Run(fabric, model, phases, settings, train, out, card or {}, show, say, log, begin)
    kept = kept_memory() if fabric.device.type == "cpu" else nullcontext()
    with kept, torch.random.fork_rng([fabric.device] if fabric.device.type == "cuda" else []):
        while run.unfinished:
            run.begin_phase()
            phase = run.place.phase
            while run.unfinished and run.place.phase == phase:
                began = time.monotonic()
                _train_epoch(run)
                _end_epoch(run, time.monotonic() - began)
    if fabric.is_global_zero:
        write_json(out / HISTORY, run.place.history)  # again, as a killed process may have come as far as the state
    fabric.barrier()
    model.eval()
    return run.place.history


def _train_epoch(run: _Run) -> None:
    settings, place = run.settings, run.place
    run.wrapped.train()
    run.trained.train()
    whole = run.steps * (place.began + sum(phase.epochs for phase in run.phases[place.phase :]))
    for batch in _batches(run):
        _take_step(run, batch)
        place.step += 1
        saving = settings.save_every > 0 and place.step % settings.save_every == 0 and place.step < run.steps
        saving = saving and place.step % settings.accumulate == 0
        if saving or run.fabric.device.type == "cpu" or place.step % LOOK_EVERY == 0 or place.step == run.steps:
            _look_at_loss(run)
        run.report("training", place.epoch * run.steps + place.step, whole)
        if saving:
            run.save()


def _batches(run: _Run) -> Iterator[Batch]:
    """The rest of this epoch's batches: on the device, augmented, with torch's random state set for each."""
    settings, place, fabric = run.settings, run.place, run.fabric
    order = epoch_order(run.labels, settings.seed, place.epoch, balance=settings.balance)
    share = {"rank": fabric.global_rank, "world_size": fabric.world_size}
    keys = Streams.of(settings.seed, ["augment"], fabric.device).child(place.epoch).keys
    for batch in training_batches(
        run.train, order, settings.batch_size, start=place.step, num_workers=settings.num_workers, **share
    ):
        x, y, index = (tensor.to(fabric.device, non_blocking=True) for tensor in batch)
        torch.manual_seed(derived_seed(settings.seed, "step", place.epoch, place.step, fabric.global_rank))
        x = augment(x, settings.augment, Streams(keys.expand(len(index))).child(index))
        if settings.fast and x.ndim == 4:
            x = x.contiguous(memory_format=torch.channels_last)
        yield Batch(x, y, index)


def _take_step(run: _Run, batch: Batch) -> None:
    """One batch: forward, backward, and the optimizer's step when the group of accumulated batches is full."""
    settings, place, fabric = run.settings, run.place, run.fabric
    factor = lr_factor(run.phase.schedule, run.epoch + place.step / run.steps, run.phase.epochs, run.steps)
    set_lr(run.optimizer, run.base_lr * factor * place.lr_share)
    group_begins = place.step - place.step % settings.accumulate
    group = min(settings.accumulate, run.steps - group_begins)
    full = place.step - group_begins + 1 == group
    for _ in range(run.objective.num_replays):
        with fabric.no_backward_sync(run.wrapped, enabled=not full and fabric.world_size > 1):
            loss = run.wrapped(*batch)
            fabric.backward(loss.total / group)
        run.objective.after_backward()
        if full:
            if settings.clip_norm is not None:
                fabric.clip_gradients(run.wrapped, run.stepper, max_norm=settings.clip_norm, error_if_nonfinite=False)
            run.stepper.step()
            run.optimizer.zero_grad(set_to_none=True)
            run.parts.average.after_step(run.model.network, run.epoch)
    for name, value in {"total": loss.total.detach(), **loss.parts}.items():
        place.sums[name] = place.sums.get(name, 0.0) + value.double()


def _look_at_loss(run: _Run) -> None:
    place = run.place
    if not math.isfinite(float(place.sums["total"])):
        raise UserError(
            str(run.out),
            f"the loss is not finite in epoch {place.epoch + 1} at step {place.step}",
            "start again with a lower optimizer.lr, or with precision=float32",
        )


def _end_epoch(run: _Run, seconds: float) -> None:
    """Judge, keep the best and the last weights, see whether to slow down, stop or begin the next phase, and save."""
    settings, place, fabric = run.settings, run.place, run.fabric
    run.objective.end_epoch()
    run.parts.average.after_epoch(run.model.network, run.epoch)
    means = {f"train_{k}": float(fabric.all_reduce(v / run.steps, reduce_op="mean")) for k, v in place.sums.items()}
    row: Row = {"epoch": place.epoch, "phase": place.phase, "lr": run.optimizer.param_groups[0]["lr"], **means}
    with judged(fabric, run.model, run.parts.average, run.train, settings.batch_size, settings.fast):
        row |= run.judge(run.model)
        value = _value(row, run.metric)
        row["best"] = value > place.best
        found = _look_for_collapse(run, row)
        row["collapse"] = found.kind if found else None
        if found and settings.on_collapse == "restart":
            raise CollapsedError(found, place.epoch)  # before anything is saved: a killed process comes here again
        if fabric.is_global_zero:
            run.begin()
            for folder in (run.out, run.out / LAST)[0 if row["best"] else 1 :]:
                save_checkpoint(folder, run.model, {**run.card, "metrics": row})
    if row["best"]:
        place.best, place.bad_epochs, place.lr_bad_epochs = value, 0, 0
    else:
        place.bad_epochs += 1
        place.lr_bad_epochs += 1
    if run.phase.schedule.name == "plateau" and place.lr_bad_epochs > run.phase.schedule.patience:
        place.lr_share, place.lr_bad_epochs = place.lr_share * run.phase.schedule.gamma, 0
    place.stopped = found is not None and settings.on_collapse == "stop"
    place.history.append({**row, "seconds": round(seconds, 2)})
    place.epoch, place.step, place.sums = place.epoch + 1, 0, {}
    tired = bool(settings.patience) and place.bad_epochs >= settings.patience
    between = tired or run.epoch >= run.phase.epochs
    if between:
        place.next_phase()
    run.save(between=between)
    if fabric.is_global_zero:
        write_json(run.out / HISTORY, place.history)
    run.say(epoch_line(row, sum(phase.epochs for phase in run.phases)))
    run.log(row)


def _value(row: Row, metric: str) -> float:
    if metric not in row:
        raise UserError("validation.metric", f"{metric!r} is not measured", f"valid: {', '.join(sorted(row))}")
    return -float(row[metric]) if metric == "loss" else float(row[metric])


def _look_for_collapse(run: _Run, row: Row) -> Collapse | None:
    """The collapse that this epoch shows, if any, said when it is new."""
    earlier = run.place.history[run.place.began :]
    since = run.phase.full_budget_from
    full_budget = since is not None and run.epoch >= since
    found = find_collapse([*earlier, row], run.model.classes, full_budget=full_budget)
    if found and not (earlier and earlier[-1]["collapse"] == found.kind):
        then = {"continue": "training goes on", "stop": "training stops", "restart": "training starts again"}
        run.say(f"epoch {row['epoch'] + 1}: collapsed, {found.text}; {then[run.settings.on_collapse]}")
    return found
