"""What a training run is: frozen dataclasses with defaults that work."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass, field
from typing import Any, Literal

Options = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class ModelSpec:
    """The network and what surrounds it.

    Args:
        name: zoo:NAME, torchvision:NAME, timm:NAME (options in brackets) or package.module:callable.
        init: weights to start from: a checkpoint folder or run of ours, or a weights file; the last layer is new when
        it has
            another number of outputs.
        pretrained: start from the published ImageNet weights of torchvision or timm.
        mean, std: normalization in pixel units; ImageNet's for torchvision and timm, none for ours.
        channels: of the network's input; grey images are repeated to fit. Default: the data's for ours, 3 for the
        others.
    """

    name: str = "zoo:cbr_tiny"
    init: str | None = None
    pretrained: bool = False
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None
    channels: int | None = None


@dataclass(frozen=True, kw_only=True)
class DataSpec:
    """The images; train and val are used, test never. See medrobust.data.open_images.

    Args:
        splits, cap, balance: see open_images; splits: fold:1/5 trains the first of five folds.
        hide_labels: share of the training images whose labels are hidden, class by class and group by group.
        unlabeled: NAME:PATH of images to train on without labels; folder:PATH is any folder of images.
    """

    name: str = "phantom"
    image_size: int | None = None
    color: Literal["rgb", "grey"] = "grey"
    fit: Literal["resize", "pad", "crop"] = "resize"
    classes: tuple[str, ...] | None = None
    limit: int | None = None
    seed: int = 0
    skip_broken: bool = False
    splits: str = "auto"
    cap: int | None = None
    balance: bool = False
    hide_labels: float = 0.0
    unlabeled: str | None = None
    options: Options = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class ObjectiveSpec:
    """A name of OBJECTIVES and its options."""

    name: str = "clean"
    options: Options = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class AttackSpec:
    """A name of ATTACKS and its options. None in num_steps etc. means the attack's own default."""

    name: str = "pgd"
    options: Options = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class ThreatSpec:
    """What the adversary of training and validation may do. epsilon_warm_up: epochs of growing budget."""

    epsilon: float = 4 / 255
    norm: Literal["linf", "l2", "l1"] = "linf"
    epsilon_warm_up: int = 0


@dataclass(frozen=True, kw_only=True)
class OptimizerSpec:
    """adam, adamw or sgd. weight_decay is coupled (L2) for adam and sgd, decoupled for adamw."""

    name: Literal["adam", "adamw", "sgd"] = "adam"
    lr: float = 1e-3
    weight_decay: float = 0.0
    momentum: float = 0.9
    nesterov: bool = False


@dataclass(frozen=True, kw_only=True)
class ScheduleSpec:
    """How the learning rate moves, as a factor of lr.

    constant; step: times gamma after each milestone (epochs); cosine: to min_factor at the end; one_cycle: up to 1
    over the first 30 %, then down; inverse_time: 1 / (1 + decay * steps); plateau: times gamma after `patience` epochs
    without a better validation metric. warm_up: epochs of linear growth before all of these.
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
    """Random changes of training images: mirror left-right or up-down, shift (share of a side), rotation (degrees)."""

    flip: bool = True
    vertical_flip: bool = False
    shift: float = 0.0
    rotation: float = 0.0


@dataclass(frozen=True, kw_only=True)
class ValidationSpec:
    """How an epoch is judged, on validation images only.

    Args:
        metric: which number picks the best checkpoint: accuracy, balanced_accuracy, robust_accuracy,
            robust_balanced_accuracy, mean_balanced_accuracy (of the clean and the robust one), loss. auto is
            balanced_accuracy for clean training, else mean_balanced_accuracy: a model that always gives one answer
            cannot be attacked, and must not win.
        attack: the adversary of the robust metrics.
        limit: at most this many images are attacked.
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

    ema: exponential, after each step; swa: the mean over epochs. Both from epoch start_epoch of a phase on.
    """

    kind: Literal["none", "ema", "swa"] = "none"
    decay: float = 0.999
    start_epoch: int = 0


@dataclass(frozen=True, kw_only=True)
class PhaseSpec:
    """A part of a run. What is not given is as in the recipe; warm-up, schedule and patience count from its start.

    train: all weights, or those of the last layer, with batch norm as it was.
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
    """Everything that decides the weights.

    Args:
        phases: done one after the other, each from the weights of the one before.
        on_collapse: continue, stop, or restart with another seed (three times at most) when training collapses.
        save_every: save the state also every so many steps (0: epochs only).
        compile: torch.compile the network; numbers may differ in the last bits.
    """

    model: ModelSpec = field(default_factory=ModelSpec)
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


# These change where and how often, not what: a run may be gone on with under others.
FREE = ("device", "num_workers", "save_every", "logger", "compile")


def as_dict(recipe: TrainRecipe) -> dict[str, Any]:
    """The recipe as JSON has it."""
    content: dict[str, Any] = json.loads(json.dumps(dataclasses.asdict(recipe)))
    return content


def deciding(recipe: TrainRecipe) -> dict[str, Any]:
    """The part that decides the weights: runs that are equal here are the same run."""
    return {name: value for name, value in as_dict(recipe).items() if name not in FREE}
