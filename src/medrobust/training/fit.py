"""The only training loop."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ..data import Batch, ImageSet
from ..errors import UserError
from ..files import write_json
from ..models.classifier import Classifier
from ..models.fast import low_precision
from ..models.layers import exact_first_layer
from ..models.twin import Twin
from ..objectives import Loss, TrainingObjective
from ..progress import Report
from ..streams import Streams
from .augment import augment
from .checkpoint import save_checkpoint
from .optimize import lr_factor, set_lr
from .order import derived_seed, epoch_order, num_batches, training_batches
from .recipe import AugmentSpec, ScheduleSpec
from .resume import Place, restore, save

Row = dict[str, Any]
HISTORY, LAST = "history.json", "last"
LOOK_EVERY = 20  # steps between looks at the loss where a look makes the device wait


@dataclass(frozen=True, kw_only=True)
class Plan:
    """How long, in what order and with what care; the fields are those of TrainRecipe."""

    epochs: int
    batch_size: int
    seed: int = 0
    schedule: ScheduleSpec = field(default_factory=ScheduleSpec)
    augment: AugmentSpec = field(default_factory=AugmentSpec)
    metric: str = "accuracy"
    patience: int = 0
    balance: bool = False
    accumulate: int = 1
    clip_norm: float | None = None
    save_every: int = 0
    num_workers: int = 0
    fast: bool = False


class Step(nn.Module):
    """Model and objective as one module: a trainer wraps one forward pass, inside it all see the bare model."""

    def __init__(self, model: Classifier, objective: TrainingObjective, low: torch.dtype | None) -> None:
        super().__init__()
        self.model, self.objective, self.low = model, objective, low

    def forward(self, x: Tensor, y: Tensor, index: Tensor) -> Loss:
        # Not the trainer's own mixed precision: it would round the pixels before anything else sees them.
        with torch.autocast(x.device.type, self.low, enabled=self.low is not None):
            return self.objective(self.model, Batch(x, y, index))


@dataclass
class _Run:
    """What the parts of the loop share."""

    fabric: Any
    model: Classifier
    objective: TrainingObjective
    optimizer: torch.optim.Optimizer
    plan: Plan
    train: ImageSet
    out: Path
    card: Row
    report: Report
    place: Place = field(default_factory=Place)

    def __post_init__(self) -> None:
        self.base_lr = float(self.optimizer.param_groups[0]["lr"])
        low = low_precision(self.fabric.device) if self.plan.fast else None
        self.wrapped, self.stepper = self.fabric.setup(Step(self.model, self.objective, low), self.optimizer)
        if self.plan.fast:
            # Made before a state is restored, so that a resumed run makes the same choice.
            example = torch.stack([self.train[i][0] for i in range(2)]).to(self.fabric.device)
            self.objective.searcher = Twin.of(self.model, example)
        self.steps = num_batches(len(self.train), self.plan.batch_size, self.fabric.world_size)
        self.labels = self.train.labels

    def save(self) -> None:
        if self.fabric.is_global_zero:
            save(self.out, self.place, self.model, self.objective, self.optimizer)
        self.fabric.barrier()


def fit(
    fabric: Any,
    model: Classifier,
    objective: TrainingObjective,
    optimizer: torch.optim.Optimizer,
    train: ImageSet,
    judge: Callable[[Classifier], Row],
    plan: Plan,
    out: Path,
    *,
    card: Row | None = None,
    report: Report | None = None,
    say: Callable[[str], None] = lambda line: None,
    log: Callable[[Row], None] = lambda row: None,
) -> list[Row]:
    """Train, keep the best checkpoint in out and the last in out/last; go on from a saved state if there is one.

    Every random choice is a function of (seed, epoch, step, image) and the state holds the rest, so a run that was
    killed at any moment ends with the same weights, bit for bit, as one that was not.

    With plan.fast, gradients are computed in bfloat16 where the device has it, the first layer apart, and searches run
    on a Twin; weights, pixels and perturbations stay float32.

    Args:
        fabric: a launched lightning_fabric.Fabric of precision 32-true.
        optimizer: over the model's parameters; its lr is the base of the schedule.
        judge: model -> metrics of the epoch, on validation images; plan.metric picks the best of them.
        card: what the checkpoint's card says besides the model.
        report, say, log: called with (what, done, of) each step, with a line and with its row each epoch, in the first
            process only.

    Returns: one row an epoch. Errors: UserError when the loss is not finite; ValueError when a batch is more than the
    set.
    """
    if plan.fast:
        exact_first_layer(model.network)
        model.to(memory_format=torch.channels_last)
    if fabric.is_global_zero and report is not None:
        show = report
    else:
        show = lambda what, done, of: None  # noqa: E731
    run = _Run(fabric, model, objective, optimizer, plan, train, out, card or {}, show)
    if run.steps < 1:
        raise ValueError(f"a batch of {plan.batch_size} is more than {len(train)} images")
    place = run.place = restore(out, model, objective, optimizer) or run.place
    with torch.random.fork_rng([fabric.device] if fabric.device.type == "cuda" else []):
        while place.epoch < plan.epochs and not place.stopped:
            began = time.monotonic()
            _train_epoch(run)
            row = _end_epoch(run, judge, time.monotonic() - began)
            if fabric.is_global_zero:
                say(epoch_line(row, plan.epochs))
                log(row)
    if fabric.is_global_zero:
        write_json(out / HISTORY, place.history)
        save_checkpoint(out / LAST, model, {**run.card, "metrics": place.history[-1]})
    fabric.barrier()
    model.eval()
    return place.history


def _train_epoch(run: _Run) -> None:
    plan, place = run.plan, run.place
    run.wrapped.train()
    for batch in _batches(run):
        _take_step(run, batch)
        place.step += 1
        saving = plan.save_every > 0 and place.step % plan.save_every == 0 and place.step < run.steps
        saving = saving and place.step % plan.accumulate == 0
        if saving or run.fabric.device.type == "cpu" or place.step % LOOK_EVERY == 0 or place.step == run.steps:
            _look_at_loss(run)
        run.report("training", place.epoch * run.steps + place.step, plan.epochs * run.steps)
        if saving:
            run.save()


def _batches(run: _Run) -> Iterator[Batch]:
    """The rest of this epoch's batches: on the device, augmented, with torch's random state set for each."""
    plan, place, fabric = run.plan, run.place, run.fabric
    order = epoch_order(run.labels, plan.seed, place.epoch, balance=plan.balance)
    share = {"rank": fabric.global_rank, "world_size": fabric.world_size}
    keys = Streams.of(plan.seed, ["augment"], fabric.device).child(place.epoch).keys
    for batch in training_batches(
        run.train, order, plan.batch_size, start=place.step, num_workers=plan.num_workers, **share
    ):
        x, y, index = (tensor.to(fabric.device, non_blocking=True) for tensor in batch)
        torch.manual_seed(derived_seed(plan.seed, "step", place.epoch, place.step, fabric.global_rank))
        x = augment(x, plan.augment, Streams(keys.expand(len(index))).child(index))
        if plan.fast and x.ndim == 4:
            x = x.contiguous(memory_format=torch.channels_last)
        yield Batch(x, y, index)


def _take_step(run: _Run, batch: Batch) -> None:
    """One batch: forward, backward, and the optimizer's step when the group of accumulated batches is full."""
    plan, place, fabric = run.plan, run.place, run.fabric
    factor = lr_factor(plan.schedule, place.epoch + place.step / run.steps, plan.epochs, run.steps)
    set_lr(run.optimizer, run.base_lr * factor * place.lr_share)
    group_begins = place.step - place.step % plan.accumulate
    group = min(plan.accumulate, run.steps - group_begins)
    full = place.step - group_begins + 1 == group
    for _ in range(run.objective.num_replays):
        with fabric.no_backward_sync(run.wrapped, enabled=not full and fabric.world_size > 1):
            loss = run.wrapped(*batch)
            fabric.backward(loss.total / group)
        run.objective.after_backward()
        if full:
            if plan.clip_norm is not None:
                fabric.clip_gradients(run.wrapped, run.stepper, max_norm=plan.clip_norm, error_if_nonfinite=False)
            run.stepper.step()
            run.optimizer.zero_grad(set_to_none=True)
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


def _end_epoch(run: _Run, judge: Callable[[Classifier], Row], seconds: float) -> Row:
    """Judge, keep the best, look whether to slow down or stop, save."""
    plan, place, fabric = run.plan, run.place, run.fabric
    run.objective.end_epoch()
    means = {f"train_{k}": float(fabric.all_reduce(v / run.steps, reduce_op="mean")) for k, v in place.sums.items()}
    row: Row = {"epoch": place.epoch, "lr": run.optimizer.param_groups[0]["lr"], **means, **judge(run.model)}
    if plan.metric not in row:
        raise UserError("validation.metric", f"{plan.metric!r} is not measured", f"valid: {', '.join(sorted(row))}")
    value = -float(row[plan.metric]) if plan.metric == "loss" else float(row[plan.metric])
    row["best"] = value > place.best
    if row["best"]:
        place.best, place.bad_epochs, place.lr_bad_epochs = value, 0, 0
        if fabric.is_global_zero:
            save_checkpoint(run.out, run.model, {**run.card, "metrics": row})
    else:
        place.bad_epochs += 1
        place.lr_bad_epochs += 1
    if plan.schedule.name == "plateau" and place.lr_bad_epochs > plan.schedule.patience:
        place.lr_share, place.lr_bad_epochs = place.lr_share * plan.schedule.gamma, 0
    place.stopped = bool(plan.patience) and place.bad_epochs >= plan.patience
    place.history.append({**row, "seconds": round(seconds, 2)})
    place.epoch, place.step, place.sums = place.epoch + 1, 0, {}
    run.save()
    if fabric.is_global_zero:
        write_json(run.out / HISTORY, place.history)
    return row


def epoch_line(row: Row, num_epochs: int) -> str:
    """One epoch in one line.

    Example:
        >>> epoch_line({"epoch": 0, "train_total": 0.51234, "accuracy": 0.9, "robust_accuracy": 0.75, "best": True}, 5)
        'epoch 1/5: loss 0.512, validation accuracy 90.0 %, under attack 75.0 %, best so far'
    """
    text = f"epoch {row['epoch'] + 1}/{num_epochs}: loss {row['train_total']:.3f}"
    for name, title in (("accuracy", "validation accuracy"), ("robust_accuracy", "under attack")):
        text += f", {title} {100 * row[name]:.1f} %" if name in row else ""
    return text + (", best so far" if row["best"] else "")
