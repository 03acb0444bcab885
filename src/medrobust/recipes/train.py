"""What a training run is: frozen dataclasses with defaults that work."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar, Literal

from .parts import AttackSpec, DataSpec, ModelSpec, Options, ThreatSpec


@dataclass(frozen=True, kw_only=True)
class ObjectiveSpec:
    """A name of OBJECTIVES and its options; what is not given is the objective's own default."""

    name: str = "clean"
    options: Options = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class OptimizerSpec:
    """How the weights are moved.

    Args:
        name: adam, adamw or sgd.
        lr: learning rate, before the schedule.
        weight_decay: coupled (L2) for adam and sgd, decoupled for adamw.
        momentum, nesterov: of sgd.
    """

    name: Literal["adam", "adamw", "sgd"] = "adam"
    lr: float = 1e-3
    weight_decay: float = 0.0
    momentum: float = 0.9
    nesterov: bool = False


@dataclass(frozen=True, kw_only=True)
class ScheduleSpec:
    """How the learning rate moves, as a factor of lr.

    Args:
        name: constant; step: times gamma at each milestone; cosine: from 1 down to min_factor at the end; one_cycle:
            from min_factor up to 1 over the first 30 %, then down to min_factor; inverse_time: 1 / (1 + decay * steps);
            plateau: times gamma after `patience` epochs without a better validation metric.
        milestones: epochs, for step.
        gamma, decay, min_factor, patience: see above.
        warm_up: first epochs, in which the factor grows linearly, whatever the schedule.
    """

    name: Literal["constant", "step", "cosine", "one_cycle", "inverse_time", "plateau"] = "constant"
    milestones: tuple[float, ...] = ()
    gamma: float = 0.1
    decay: float = 0.0
    min_factor: float = 0.0
    patience: int = 3
    warm_up: float = 0.0


@dataclass(frozen=True, kw_only=True)
class AugmentSpec:
    """Random changes of training images.

    Args:
        flip, vertical_flip: mirror half of the images left-right, up-down.
        shift: largest shift, as a share of a side.
        rotation: largest angle in degrees, either way.
    """

    flip: bool = True
    vertical_flip: bool = False
    shift: float = 0.0
    rotation: float = 0.0


@dataclass(frozen=True, kw_only=True)
class ValidationSpec:
    """How each epoch is judged, on validation images only.

    Args:
        metric: which number picks the best checkpoint: accuracy, balanced_accuracy, robust_accuracy,
            robust_balanced_accuracy, mean_balanced_accuracy (of the clean and the robust one), loss. auto is
            balanced_accuracy for clean training, else mean_balanced_accuracy: a model that always gives one answer
            cannot be attacked, and must not win.
        attack: the adversary of the robust metrics.
        limit: at most this many images are attacked; all by default.
        patience: stop after this many epochs without a better metric; 0 never stops.
    """

    metric: str = "auto"
    attack: AttackSpec = field(
        default_factory=lambda: AttackSpec(options={"num_steps": 10, "relative_step_size": 0.25})
    )
    limit: int | None = None
    patience: int = 0


@dataclass(frozen=True, kw_only=True)
class AverageSpec:
    """Averaged weights, which are then the ones that are judged and saved. See training.average.

    Args:
        kind: ema: an exponential average, moved after each step; swa: the mean of the weights at the ends of epochs.
        decay: of ema.
        start_epoch: the epoch of a phase in which the average begins.
    """

    kind: Literal["none", "ema", "swa"] = "none"
    decay: float = 0.999
    start_epoch: int = 0


@dataclass(frozen=True, kw_only=True)
class PhaseSpec:
    """A part of a run. What is not given is as in the recipe; warm-up, schedule and patience count from its start.

    Args:
        epochs, objective, attack, threat, optimizer, schedule: in place of those of the recipe.
        train: all: every weight; head: those of the last layer, with batch norm as it was.
    """

    epochs: int | None = None
    train: Literal["all", "head"] = "all"
    objective: ObjectiveSpec | None = None
    attack: AttackSpec | None = None
    threat: ThreatSpec | None = None
    optimizer: OptimizerSpec | None = None
    schedule: ScheduleSpec | None = None


@dataclass(frozen=True, kw_only=True)
class TrainRecipe:
    """Everything that decides the weights of a training run, and the few things that only decide how it runs.

    Args:
        model, data, objective, attack, threat, optimizer, schedule, augment, validation, average: the sections; see
            their classes.
        phases: done one after the other, each from the weights of the one before.
        on_collapse: continue, stop, or restart with another seed (three times at most) when training collapses.
        epochs: passes over the training images; batch_size: images per step and device.
        balance: show every class equally often in each epoch.
        accumulate: batches whose gradients make one step of the optimizer.
        clip_norm: largest l2 norm of the gradient; None does not clip.
        seed: of all random numbers.
        precision: fast computes gradients in bfloat16 where the device has it; see training.fit.
        device, devices: cpu, cuda or auto, and how many.
        num_workers: processes that decode images.
        save_every: save the state after every so many steps too; 0 saves it at the end of each epoch only.
        logger: where the rows of the history are sent as well.
        compile: torch.compile the network; numbers may differ in the last bits.
    """

    # Keys of shared sections that have no meaning here, and what to do instead.
    WHAT: ClassVar[str] = "training"
    FOREIGN: ClassVar[dict[str, str]] = {
        "model.weights": "did you mean 'init'?",
        "model.classes": "did you mean data.classes?",
        "model.head": "a network that is trained has one output per class",
        "model.layout": "a network that is trained takes (n, c, h, w)",
        "data.mask": "it is for an audit",
        "data.prevalence": "it is for an audit",
        "data.split": "training uses train and val; data.splits says how they are made",
        "threat.epsilons": "did you mean 'epsilon'? Training takes one budget",
        "threat.mask": "it is for an audit",
    }
    # These change where a run computes and what it reports, not what it gives: it may go on under other values.
    FREE: ClassVar[tuple[str, ...]] = ("device", "num_workers", "save_every", "logger", "compile")

    model: ModelSpec = field(default_factory=lambda: ModelSpec(name="zoo:cbr_tiny"))
    data: DataSpec = field(default_factory=DataSpec)
    objective: ObjectiveSpec = field(default_factory=ObjectiveSpec)
    attack: AttackSpec = field(default_factory=lambda: AttackSpec(options={"num_steps": 7, "relative_step_size": 0.25}))
    threat: ThreatSpec = field(default_factory=ThreatSpec)
    optimizer: OptimizerSpec = field(default_factory=OptimizerSpec)
    schedule: ScheduleSpec = field(default_factory=ScheduleSpec)
    augment: AugmentSpec = field(default_factory=AugmentSpec)
    validation: ValidationSpec = field(default_factory=ValidationSpec)
    phases: tuple[PhaseSpec, ...] = ()
    average: AverageSpec = field(default_factory=AverageSpec)
    on_collapse: Literal["continue", "stop", "restart"] = "continue"
    epochs: int = 10
    batch_size: int = 32
    balance: bool = False
    accumulate: int = 1
    clip_norm: float | None = None
    seed: int = 0
    precision: Literal["fast", "float32"] = "float32"
    device: str = "auto"
    devices: int = 1
    num_workers: int = 0
    save_every: int = 0
    logger: Literal["none", "tensorboard", "mlflow"] = "none"
    compile: bool = False
