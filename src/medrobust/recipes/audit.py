"""What an audit is: a frozen dataclass with defaults that work."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar, Literal

from ..errors import UserError
from .parts import DataSpec, ModelSpec, Options, ThreatSpec

DEFAULT_ATTACKS = ("standard",)


@dataclass(frozen=True, kw_only=True)
class AuditRecipe:
    """Everything that decides the numbers of an audit, and the few things that only decide its speed.

    Args:
        model, data, threat: see ModelSpec, DataSpec and ThreatSpec.
        attacks: title -> parameters; the key `name` of a title says which attack it is, `restarts` repeats it. The
            names of sets, standard, quick and full, stand for their members; see `medrobust.attacks.sets`.
        protocol: honest, or paper (as published, weaknesses included); see docs/explanation/concepts.md.
        precision: fast searches on a copy in low precision where the device has it; float32 never does. Verdicts are
            float32 always.
        corruptions: everyday faults to measure as well: a modality (dermoscopy, pathology, xray, ct, mri, ultrasound,
            oct), all, or names of medrobust.corruptions; none by default.
        certify: auto looks for certificates beside the attacks, as far as they take little time; off does not.
        explain: on measures what the classifier looks at, before and after the smallest change of each image; off, the
            default, does not, as it takes time.
        batch_size: images shown to the network at once; auto fits the memory.
        memory_limit: GiB that a gradient may take, for batch_size=auto.
        seed: of all random numbers, together with the image ids.
        device: cpu, cuda, or auto.
        num_workers: processes that decode images.
    """

    # Keys of shared sections that have no meaning here, and what to do instead.
    WHAT: ClassVar[str] = "an audit"
    FOREIGN: ClassVar[dict[str, str]] = {
        "model.init": "did you mean 'weights'?",
        "model.pretrained": "give model.weights=FILE",
        "model.channels": "they are read from the weights",
        "data.hide_labels": "it is for training",
        "data.unlabeled": "it is for training",
        "threat.epsilon": "did you mean 'epsilons'? An audit takes a grid",
        "threat.epsilon_warm_up": "it is for training",
    }
    # These change how fast a run is, not what it gives: a stopped run may go on under other values.
    FREE: ClassVar[tuple[str, ...]] = ("batch_size", "memory_limit", "device", "num_workers")

    model: ModelSpec = field(default_factory=lambda: ModelSpec(name="default"))
    data: DataSpec = field(default_factory=DataSpec)
    attacks: dict[str, Options] = field(default_factory=lambda: {name: {} for name in DEFAULT_ATTACKS})
    threat: ThreatSpec = field(default_factory=ThreatSpec)
    protocol: Literal["honest", "paper"] = "honest"
    precision: Literal["fast", "float32"] = "fast"
    corruptions: tuple[str, ...] = ()
    certify: Literal["auto", "off"] = "auto"
    explain: Literal["on", "off"] = "off"
    batch_size: int | Literal["auto"] = "auto"
    memory_limit: float | None = None
    seed: int = 0
    device: str = "auto"
    num_workers: int = 0

    def __post_init__(self) -> None:
        if not self.attacks:
            raise UserError("attacks", "none given", "for example attacks=standard")
        if self.batch_size != "auto" and self.batch_size < 1:
            raise UserError("batch_size", f"{self.batch_size} is not a positive number")
        if self.memory_limit is not None and not self.memory_limit > 0:
            raise UserError("memory_limit", f"{self.memory_limit} is not a positive number of GiB")
        for key in ("seed", "num_workers"):
            if getattr(self, key) < 0:
                raise UserError(key, f"{getattr(self, key)} is below 0")
