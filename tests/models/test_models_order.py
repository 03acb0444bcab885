"""One classifier, its classes in any order: the outputs follow."""

from __future__ import annotations

import copy
import json
from pathlib import Path

import pytest
import torch
from torch import nn

import medrobust as mr
from medrobust.errors import UserError
from medrobust.models import Classifier, load_checkpoint, load_model, new_classifier, save_checkpoint
from medrobust.models.digest import weights_digest
from medrobust.models.layers import class_layers
from medrobust.models.search_copy import search_copy
from medrobust.models.wrap import as_classifier

SPEC = "zoo:cbr_tiny(width=4)"
LAST = {
    "softmax": nn.Linear(12, 3),
    "one_logit": nn.Linear(12, 1),
    "probabilities": nn.Sequential(nn.Linear(12, 3), nn.Softmax(1)),
    "multi_label": nn.Linear(12, 3),
}


def of_head(head: str) -> Classifier:
    classes = ("a", "b") if head == "one_logit" else ("a", "b", "c")
    return Classifier(nn.Sequential(nn.Flatten(), copy.deepcopy(LAST[head])), head=head, classes=classes).eval()


@pytest.mark.parametrize("head", LAST)
def test_the_outputs_are_those_of_the_names(head: str) -> None:
    model, x = of_head(head), torch.rand(5, 3, 2, 2)
    names = model.classes[::-1]
    turned = model.in_order(names)
    assert turned.classes == names
    assert turned.output_classes == model.classes
    assert torch.equal(turned(x), model(x).flip(1))
    assert turned.in_order(model.classes).output_classes == model.classes
    assert torch.equal(turned.in_order(model.classes)(x), model(x))
    assert model.in_order(model.classes) is model
    assert torch.equal(copy.deepcopy(turned)(x), model(x).flip(1))
    assert torch.equal(search_copy(turned, x, "float32")[0](x), model(x).flip(1))


def test_a_cycle_of_three_is_not_its_own_inverse() -> None:
    model, x = of_head("softmax"), torch.rand(5, 3, 2, 2)
    turned = model.in_order(("c", "a", "b"))
    assert torch.equal(turned(x), model(x)[:, [2, 0, 1]])
    assert torch.equal(turned.in_order(("b", "c", "a"))(x), model(x)[:, [1, 2, 0]])


@pytest.mark.parametrize("classes", [("a", "b"), ("a", "b", "d"), ("a", "a", "b"), ("a", "b", "c", "d")])
def test_other_classes_are_refused(classes: tuple[str, ...]) -> None:
    with pytest.raises(UserError, match="knows the classes a, b, c, not"):
        of_head("softmax").in_order(classes)


@pytest.mark.parametrize("num_outputs", [1, 2])
def test_a_checkpoint_keeps_the_truth(num_outputs: int, tmp_path: Path) -> None:
    network = new_classifier(SPEC, classes=("x",) * 2, data_channels=1).network
    if num_outputs == 1:
        network[-1] = nn.Linear(32, 1)
    head = "one_logit" if num_outputs == 1 else "softmax"
    model = Classifier(network, head=head, classes=("benign", "malignant"), channels=1, spec=SPEC).eval()
    x = torch.rand(4, 1, 32, 32)
    save_checkpoint(tmp_path / "own", model)
    turned = load_model(str(tmp_path / "own"), classes=("malignant", "benign"), image_size=32)
    assert turned.classes == ("malignant", "benign")
    assert torch.equal(turned(x), model(x).flip(1))
    assert "in the order malignant, benign" in turned.notes[0]
    save_checkpoint(tmp_path / "turned", turned)
    card = json.loads((tmp_path / "turned" / "card.json").read_text())
    assert (card["classes"], card["order"]) == (["benign", "malignant"], ["malignant", "benign"])
    again = load_checkpoint(tmp_path / "turned")
    assert again.classes == ("malignant", "benign")
    assert torch.equal(again(x), model(x).flip(1))
    assert torch.equal(load_model(str(tmp_path / "turned"), classes=("benign", "malignant"))(x), model(x))
    assert weights_digest(again) == weights_digest(turned) != weights_digest(model)
    with pytest.raises(UserError, match="knows the classes benign, malignant, not benign, normal"):
        load_model(str(tmp_path / "own"), classes=("benign", "normal"))


def test_a_classifier_and_images_that_name_the_same_classes_otherwise() -> None:
    model = Classifier(nn.Flatten(), classes=("dark", "bright"), channels=1)
    x = torch.tensor([[0.9, 0.3], [0.8, 0.2], [0.1, 0.8], [0.3, 0.7]])[:, None, None]
    y = torch.tensor([1, 1, 0, 0])
    images = mr.ImageSet.of(x, y, classes=["bright", "dark"])
    clean = mr.measure(model, images, ["fgsm"], linf=[1e-3]).clean
    assert (clean["clean_prediction"] == clean["label"]).all()
    assert as_classifier(model, x, ("bright", "dark")).classes == ("bright", "dark")
    with pytest.raises(UserError, match="knows the classes"):
        as_classifier(model, x, ("bright", "grey"))


@pytest.mark.parametrize(
    "spec",
    [SPEC, "torchvision:squeezenet1_1", "torchvision:mobilenet_v3_small", "timm:deit_tiny_distilled_patch16_224"],
)
def test_training_that_starts_from_a_checkpoint_in_another_order(spec: str, tmp_path: Path) -> None:
    pytest.importorskip(spec.partition(":")[0] if not spec.startswith("zoo") else "torch")
    size = 64
    old = new_classifier(spec, classes=("a", "b", "c"), image_size=size, seed=1).eval()
    for layer in class_layers(old.network):
        nn.init.normal_(old.network.get_submodule(layer).bias)
    save_checkpoint(tmp_path, old)
    new = new_classifier(spec, classes=("c", "a", "b"), image_size=size, init=tmp_path, data_channels=3).eval()
    x = torch.rand(2, 3, size, size)
    with torch.no_grad():
        torch.testing.assert_close(new(x), old(x)[:, [2, 0, 1]], rtol=1e-5, atol=1e-6)
        other = new_classifier(spec, classes=("x", "y", "z"), image_size=size, init=tmp_path, data_channels=3).eval()
        torch.testing.assert_close(other(x), old(x), rtol=1e-5, atol=1e-6)


def test_training_that_starts_from_a_checkpoint_that_was_turned_already(tmp_path: Path) -> None:
    old = new_classifier(SPEC, classes=("a", "b", "c"), seed=1).eval()
    save_checkpoint(tmp_path, old.in_order(("b", "c", "a")))
    new = new_classifier(SPEC, classes=("c", "a", "b"), init=tmp_path, data_channels=3).eval()
    x = torch.rand(2, 3, 32, 32)
    torch.testing.assert_close(new(x), old(x)[:, [2, 0, 1]])


def test_a_head_that_the_card_contradicts_is_refused(tmp_path: Path) -> None:
    save_checkpoint(tmp_path, new_classifier(SPEC, classes=("a", "b")))
    with pytest.raises(UserError, match=r"model\.head: the card of .* says softmax, not probabilities"):
        load_model(str(tmp_path), head="probabilities")
