"""What an attack sees of a classifier: each fault is planted and found, and sound classifiers raise nothing."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from medrobust.attacks import fgsm, square
from medrobust.auditing.checks.contract import gradients, head, own_input, saturation
from medrobust.auditing.checks.facts import class_order, normalization, sources, trained_on
from medrobust.auditing.checks.finite import finite_under_attack
from medrobust.auditing.context import Context
from medrobust.auditing.probed import look, mixed, refuse_without_gradient
from medrobust.auditing.said import Said
from medrobust.data import ImageSet
from medrobust.data.choose.trained import Trained
from medrobust.data.images.contents import pixel_keys
from medrobust.errors import UserError
from medrobust.measuring.outcome import Grid
from medrobust.measuring.plan import Plan
from medrobust.models.classifier import Classifier
from medrobust.models.wrap import as_classifier
from medrobust.records import Records
from medrobust.testing.checks import brightness_model, small_audit
from medrobust.testing.image_sets import tiny_set


class Around(nn.Module):
    """The sound network with something before and behind it."""

    def __init__(self, before=lambda x: x, behind=lambda z: z) -> None:
        super().__init__()
        self.net, self.before, self.behind = brightness_model(tiny_set()).network, before, behind

    def forward(self, x: Tensor) -> Tensor:
        return self.behind(self.net(self.before(x)))


def context(network: nn.Module | None = None, attack=None, **more) -> Context:
    images = tiny_set(24)
    given = network or Around()
    model = as_classifier(given, images[0][0][None], images.classes) if not isinstance(given, Classifier) else given
    plan = Plan({"one": attack or fgsm()}, (Grid("linf", (16 / 255,)),))
    return Context(model, images, plan, **more)


def rows(labels: list[int], answers: list[int], scores: list[float] | None = None, classes: int = 2) -> Records:
    """Clean rows with these answers; scores are of class 1."""
    n = len(labels)
    of_one = np.array(answers if scores is None else scores, dtype=float)
    columns = {
        "image_id": np.arange(n).astype(str),
        "attack": np.full(n, "clean"),
        "norm": np.full(n, ""),
        "label": np.array(labels),
        "clean_prediction": np.array(answers),
        "scores": np.stack([1 - of_one, of_one], 1) if classes == 2 else np.eye(classes)[answers],
    }
    return Records(columns)


@pytest.fixture(scope="module")
def none() -> Records:
    return rows([0, 1], [0, 1])


def test_a_sound_classifier_passes_everything(none: Records) -> None:
    records, sound = small_audit()
    for check in (gradients, saturation, head, own_input, normalization, class_order, sources, finite_under_attack):
        assert check(records, sound).severity == "pass", check.__name__


def test_gradients_of_zero_fail_where_an_attack_needs_them(none: Records) -> None:
    rounded = Around(before=lambda x: (255 * x).round() / 255)
    found = gradients(none, context(rounded))
    assert (found.severity, "100% have a gradient of zero" in found.evidence) == ("fail", True)
    assert gradients(none, context(rounded, square())).severity == "pass"


def test_a_gradient_that_is_not_finite_is_found(none: Records) -> None:
    root = Around(before=lambda x: x + 0 * (x - x).sqrt())
    found = gradients(none, context(root))
    assert (found.severity, "100% one that is not finite" in found.evidence) == ("fail", True)


@pytest.mark.parametrize("before", [lambda x: x.detach(), lambda x: torch.from_numpy(x.numpy())])
def test_no_gradient_is_refused_before_anything_runs(before) -> None:
    blind = context(Around(before=before))
    seen = look(blind.model, blind.images)
    with pytest.raises(UserError, match=r"gives no gradient .* one needs\. Use attacks=\[square\]"):
        refuse_without_gradient(blind.model, seen, {"one": fgsm()})
    refuse_without_gradient(blind.model, seen, {"one": square()})


def test_saturation_warns_and_small_margins_do_not(none: Records) -> None:
    found = saturation(none, context(Around(behind=lambda z: 1e4 * z)))
    assert (found.severity, "100% of the images have a probability of exactly 1" in found.evidence) == ("warn", True)
    assert "no slope" in found.evidence
    assert saturation(none, context(Around(behind=lambda z: 2 * z))).severity == "pass"


def by_hand(z: Tensor) -> Tensor:
    """Probabilities of two classes, written so that nobody sees a softmax."""
    return (1 + torch.tanh(z.diff() * torch.tensor([[-0.5, 0.5]]))) / 2


def test_logits_computed_back_from_probabilities_warn(none: Records) -> None:
    found = head(none, context(Around(behind=by_hand)))
    assert (found.severity, "computed back" in found.evidence) == ("warn", True)
    assert head(none, context(Around(behind=lambda z: z.softmax(1)))).severity == "pass"


def test_a_network_that_writes_into_its_input_is_said(none: Records) -> None:
    assert own_input(none, context(Around(before=lambda x: x.mul_(1)))).evidence.startswith("the network does not")
    assert own_input(none, context(Around(before=lambda x: x.mul_(0.9)))).evidence.startswith("the network writes")


def silent_when_bright(z: Tensor, x: Tensor, at: float) -> Tensor:
    return torch.where((x.flatten(1).amax(1) > at)[:, None], z * torch.nan, z)


class Silent(Around):
    def forward(self, x: Tensor) -> Tensor:
        return silent_when_bright(super().forward(x), x, 0.87)


def test_outputs_that_are_no_numbers_inside_the_ball_fail(none: Records) -> None:
    images = tiny_set(24)
    x = images.batch(range(24)).x
    assert float(x.max()) < 0.87 < float(x.max()) + 64 / 255
    wide = dataclasses.replace(context(Silent()), plan=Plan({"one": fgsm()}, (Grid("linf", (64 / 255,)),)))
    found = finite_under_attack(none, wide)
    assert found.severity == "fail"
    reachable = int((x.flatten(1).amax(1) + 64 / 255 > 0.87).sum())
    assert 0 < int(found.evidence.split()[0]) <= reachable
    narrow = dataclasses.replace(wide, plan=Plan({"one": fgsm()}, (Grid("linf", (0.001,)),)))
    assert finite_under_attack(none, narrow).severity == "pass"


HALF = [0, 1] * 20


def test_two_classes_in_the_other_order_fail() -> None:
    two = context()
    turned = class_order(rows(HALF, [1 - y for y in HALF]), two)
    assert turned.severity == "fail"
    assert "model.classes=[class1,class0]" in turned.advice
    assert "AUROC 0.000" in turned.evidence
    assert class_order(rows(HALF, HALF), two).severity == "pass"


def test_the_order_shows_in_the_scores_where_the_threshold_hides_it() -> None:
    """All answers are class 0, and yet the scores of class 1 are lower for class 1 than for class 0."""
    scores = [0.4 - 0.2 * y - 0.001 * i for i, y in enumerate(HALF)]
    found = class_order(rows(HALF, [0] * 40, scores), context())
    assert (found.severity, "AUROC 0.000" in found.evidence) == ("fail", True)


def test_guessing_and_collapse_are_no_order() -> None:
    rng = np.random.default_rng(0)
    guesses = rng.integers(0, 2, 40).tolist()
    assert class_order(rows(HALF, guesses, rng.random(40).tolist()), context()).severity == "pass"
    rare = [0] * 10 + [1] * 30
    assert class_order(rows(rare, [0] * 40, [0.1] * 40), context()).severity == "pass"


def test_four_classes_in_a_cycle_fail() -> None:
    images = tiny_set(24, 4)
    four = dataclasses.replace(context(), images=images)
    labels = [0, 1, 2, 3] * 10
    turned = class_order(rows(labels, [(y + 1) % 4 for y in labels], classes=4), four)
    assert turned.severity == "fail"
    assert "model.classes=[class3,class0,class1,class2]" in turned.advice
    assert class_order(rows(labels, labels, classes=4), four).severity == "pass"
    one_answer = [0] * 40
    assert class_order(rows([1] * 30 + [0, 2, 3] * 3 + [0], one_answer, classes=4), four).severity == "pass"


@pytest.mark.parametrize(
    ("before", "mean", "name"),
    [
        (lambda x: 0.5 + 0.5 * x, None, "mean 0.5, std 0.5"),
        (lambda x: x / 255, None, "values from 0 to 255"),
        (lambda x: x, 0.5, "none"),
    ],
)
def test_another_normalization_that_is_much_more_accurate_fails(before, mean, name: str, none: Records) -> None:
    """The network undoes a normalization that nobody applies."""
    images = tiny_set(64)
    std = 0.5 if mean is not None else None
    model = Classifier(Around(before=before), mean=mean, std=std, classes=images.classes, channels=3)
    found = normalization(none, dataclasses.replace(context(model), images=images))
    assert found.severity == "fail"
    assert name in found.evidence
    assert "64 of 64 images are right" not in found.evidence
    right = {"mean 0.5, std 0.5": (0.5, 0.5), "values from 0 to 255": (0.0, 1 / 255), "none": (None, None)}[name]
    sound = Classifier(model.network, mean=right[0], std=right[1], classes=images.classes, channels=3)
    assert normalization(none, dataclasses.replace(context(sound), images=images)).severity == "pass"


def test_a_classifier_that_guesses_is_accused_of_no_normalization(none: Records) -> None:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(144, 2))
    images = ImageSet.of(torch.rand(64, 3, 8, 8), torch.arange(64) % 2)
    guessing = Context(as_classifier(net, images[0][0][None], images.classes), images, context().plan)
    assert normalization(none, guessing).severity == "pass"


def test_sources_that_disagree_warn(none: Records) -> None:
    lost = Said("normalization", "mean 0.5, std 0.5", "model.mean, model.std", "the card: none")
    found = sources(none, context(said=(Said("head", "softmax", "the card"), lost)))
    assert (found.severity, "normalization: mean 0.5" in found.evidence) == ("warn", True)
    assert sources(none, context(said=(Said("head", "softmax", "the card"),))).severity == "pass"


def test_images_that_were_trained_on_fail_whatever_they_are_called(none: Records) -> None:
    base = context(is_ours=True)
    keys = list(pixel_keys(base.images).values())
    split = {key: "train" if i < 5 else "val" if i < 7 else "test" for i, key in enumerate(keys)}

    def found(pixels: dict[str, str], **more):
        return trained_on(none, dataclasses.replace(base, table=Trained({}, pixels, {"x": "train"}), **more))

    fails = found(split)
    assert fails.severity == "fail"
    assert fails.evidence == "5 of 24 images were trained on, 2 more chose the epoch that was kept"
    assert found(dict.fromkeys(keys, "test")).severity == "pass"
    assert found(dict.fromkeys(keys[:3], "val") | {"other": "train"}).severity == "warn"
    assert found({}).severity == "not_run"
    by_name = Trained({}, {}, {base.images.samples[0].image_id: "train"})
    same = trained_on(none, dataclasses.replace(base, table=by_name, same_set=True))
    assert (same.severity, same.evidence) == ("fail", "1 of 24 images were trained on")
    assert trained_on(none, dataclasses.replace(base, table=None)).severity == "not_run"
    assert trained_on(none, context()).severity == "not_run"


def test_images_are_mixed_by_class_and_spread() -> None:
    images = tiny_set(40)
    rare = images.subset([i for i in range(40) if i % 2 == 0 or i < 4])
    chosen = mixed(rare, 8)
    assert len(chosen) == len(set(chosen)) == 8
    assert [rare.samples[i].label for i in chosen[:4]] == [0, 1, 0, 1]
