"""The sections that several recipes share, each written once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from ..errors import UserError, nearest
from ..numbers import DEFAULT_EPSILONS, FAMILIES, parse_budgets, parse_number

Options = dict[str, Any]
NormName = Literal[
    "linf", "l2", "l1", "noise", "blur", "resolution", "light", "color", "scanner", "geometry", "everyday"
]  # fmt: skip
LARGEST_SIDE = 4096


@dataclass(frozen=True, kw_only=True)
class ModelSpec:
    """The network and what surrounds it.

    Args:
        name: a run or checkpoint folder, torchvision:NAME, timm:NAME, zoo:NAME (options in brackets), FILE.onnx,
            FILE.pt2 or package.module:callable; `default` is the bundled classifier.
        weights: the weights that an audit reads for a named network: safetensors, or a state dict.
        init: weights that training starts from: a checkpoint folder or run of ours, or a weights file. The last layer
            is new when it has another number of outputs.
        pretrained: start training from the published ImageNet weights of torchvision or timm.
        mean, std: normalization in pixel units; by default that of the source of the network.
        classes: names of the outputs, in their order.
        head: what the outputs are; see models.Classifier. auto decides by their number and range.
        layout: of the network's input, nchw or nhwc; auto reads it from a file that says so, and is nchw elsewhere.
        channels: of the network's input when it is new; grey images are repeated to fit. By default the data's for
            ours, 3 for the others.
    """

    name: str
    weights: str | None = None
    init: str | None = None
    pretrained: bool = False
    mean: float | tuple[float, ...] | None = None
    std: float | tuple[float, ...] | None = None
    classes: tuple[str, ...] | None = None
    head: Literal["auto", "softmax", "one_logit", "probabilities", "multi_label"] = "auto"
    layout: Literal["auto", "nchw", "nhwc"] = "auto"
    channels: int | None = None


@dataclass(frozen=True, kw_only=True)
class DataSpec:
    """Which images, and how they are shown to the network; see medrobust.data.open_images.

    Args:
        name: NAME:PATH, see `medrobust data ls`.
        image_size, color, fit, window, scale: see data.View. What is not given is as the model's own training had it,
            else the size of the source, rgb (grey in training), resize and source.
        split: the part that an audit looks at; training uses train and val, and never test.
        splits: how the set is split: auto, official, group, paper, fold:1/5, counts:800/0/299, FILE.csv.
        seed: of the split and of the choices; by default that of the model's own training, else 0.
        limit: number of images, a stratified choice.
        cap: at most this many images of each class; a mapping names the splits.
        balance: as many images of every class as the rarest has.
        classes: the classes to use, in the order of the labels; `new=a+b` and `rest` join several.
        skip_broken: leave unreadable files out and list them.
        hide_labels: share of the training images whose labels are hidden, class by class and group by group.
        unlabeled: NAME:PATH of images to train on without labels; folder:PATH is any folder of images.
        prevalence: share of the positive class where the classifier will be used, between 0 and 1, for predictive
            values; a mapping names several classes. By default that of the images.
        mask: a folder of masks, named as the images (NAME.png, NAME_mask.png), for threat.mask; by default those that
            the data set has.
        options: of the data set, see `medrobust data ls NAME`.
    """

    name: str = "phantom"
    image_size: int | None = None
    color: Literal["rgb", "grey"] | None = None
    fit: Literal["resize", "pad", "crop"] | None = None
    window: tuple[float, float] | None = None
    scale: Literal["source", "image", "set"] | None = None
    split: Literal["auto", "train", "val", "test", "all"] = "auto"
    splits: str = "auto"
    seed: int | None = None
    limit: int | None = None
    cap: int | dict[str, int] | None = None
    balance: bool = False
    classes: tuple[str, ...] | None = None
    skip_broken: bool = False
    hide_labels: float = 0.0
    unlabeled: str | None = None
    prevalence: float | dict[str, float] | None = None
    mask: str | None = None
    options: Options = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.image_size is not None and not 1 <= self.image_size <= LARGEST_SIDE:
            raise UserError("data.image_size", f"{self.image_size} is not from 1 to {LARGEST_SIDE} pixels")
        if self.limit is not None and self.limit < 1:
            raise UserError("data.limit", f"{self.limit} is not a positive number of images")
        given = self.prevalence
        for share in given.values() if isinstance(given, dict) else () if given is None else (given,):
            if not 0 < share < 1:
                raise UserError("data.prevalence", f"{share} is not between 0 and 1", "write for example 0.05")


@dataclass(frozen=True, kw_only=True)
class ThreatSpec:
    """What the adversary may do.

    Args:
        norm: linf, l2 or l1; an audit takes several, and families of corruptions, whose budgets are severities from 0
            to 5: noise, blur, resolution, light, color, scanner, geometry, or everyday for all of them.
        epsilon: the one budget of training and validation, as a number or as text (8/255, 2%).
        epsilons: the budgets of an audit: a list, a text such as geometric(1e-4, 2e-2, 20), or a mapping from norm to
            either. By default ten for each norm, and 1 to 5 for each family.
        epsilon_warm_up: epochs of training in which the budget grows.
        mask: in an audit, lesion lets only pixels inside each image's mask change, background only those outside; all
            by default.
    """

    norm: NormName | tuple[NormName, ...] = "linf"
    epsilon: float | str = 4 / 255
    epsilons: Any = None
    epsilon_warm_up: int = 0
    mask: Literal["lesion", "background"] | None = None

    def __post_init__(self) -> None:
        for norm in self.norms:
            if norm not in DEFAULT_EPSILONS:
                raise UserError("threat.norm", f"unknown norm {norm!r}", nearest(norm, DEFAULT_EPSILONS))
            if norm in FAMILIES and self.mask:
                fix = "leave one of them out"
                raise UserError("threat.mask", f"{norm} changes whole images, and takes no mask", fix)
        object.__setattr__(self, "epsilon", parse_number(self.epsilon, "threat.epsilon"))

    @property
    def norms(self) -> tuple[str, ...]:
        """The names of the norms, in their order."""
        return (self.norm,) if isinstance(self.norm, str) else tuple(self.norm)

    @property
    def budget(self) -> float:
        """epsilon as a number. Errors: UserError when it is no budget of the norm, or there are several norms."""
        if len(self.norms) != 1:
            raise UserError("threat.norm", f"{', '.join(self.norms)} are {len(self.norms)} norms", "training takes one")
        return parse_budgets([self.epsilon], self.norms[0], "threat.epsilon")[0]

    def grids(self) -> dict[str, list[float]]:
        """Norm -> budgets, ascending. Errors: UserError for a norm that is not wanted, or what is no budget."""
        names, given = list(self.norms), self.epsilons
        by_norm = given if isinstance(given, Mapping) else {}
        for key in by_norm:
            if key not in names:
                raise UserError(f"threat.epsilons.{key}", "not among threat.norm", f"valid: {', '.join(names)}")
        found = {name: by_norm.get(name) if by_norm else given for name in names}
        return {name: parse_budgets(DEFAULT_EPSILONS[name] if e is None else e, name) for name, e in found.items()}


@dataclass(frozen=True, kw_only=True)
class AttackSpec:
    """A name of ATTACKS and its options; what is not given is the attack's own default."""

    name: str = "pgd"
    options: Options = field(default_factory=dict)
