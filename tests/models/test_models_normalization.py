"""What a network is normalized with, by its name, and where that comes from."""

from __future__ import annotations

import copy
import json
from pathlib import Path

import pytest
import torch
from torch import nn

from medrobust.models import Classifier, build_network, load_checkpoint, load_model, new_classifier, save_checkpoint
from medrobust.models.normalization import usual_normalization
from medrobust.models.search_copy import search_copy

IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
SPEC = "zoo:cbr_tiny(width=4)"


def settled_statistics(network: nn.Module, x: torch.Tensor) -> nn.Module:
    """Batch norm fitted to x, so that answers differ."""
    network.train()
    for module in network.modules():
        if isinstance(module, nn.Dropout):
            module.eval()
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = None  # the mean of all passes
    with torch.no_grad():
        network(x)
    return network.eval()


@pytest.mark.parametrize(("name", "side"), [("inception_v3", 80), ("googlenet", 48)])
@pytest.mark.parametrize("transforms", [True, False])
def test_networks_with_a_transformation_of_their_own(name: str, side: int, transforms: bool, tmp_path: Path) -> None:
    torchvision = pytest.importorskip("torchvision")
    x = torch.rand(4, 3, side, side)
    mean, std = (torch.tensor(values)[:, None, None] for values in IMAGENET)
    options = {"aux_logits": False, "init_weights": False, "transform_input": transforms}
    theirs = getattr(torchvision.models, name)(weights=None, num_classes=3, **options)
    settled_statistics(theirs, (x - mean) / std)
    torch.save(theirs.state_dict(), tmp_path / "w.pth")
    with torch.no_grad():
        want = theirs((x - mean) / std)
        plain = load_model(f"torchvision:{name}", weights=tmp_path / "w.pth", num_classes=3)
        said = load_model(
            f"torchvision:{name}(transform_input={str(transforms).lower()})", weights=tmp_path / "w.pth", num_classes=3
        )
        torch.testing.assert_close(said(x), want, rtol=1e-4, atol=1e-5)
        if transforms:
            assert torch.equal(plain(x), said(x))
        else:
            assert float((plain(x) - want).abs().max()) > 0.1 * float(want.std())
    assert plain.spec == f"torchvision:{name}(transform_input=true)"
    assert "weights trained from scratch want false" in plain.notes[0]
    assert said.notes == ()
    save_checkpoint(tmp_path / "said", said)
    assert load_checkpoint(tmp_path / "said").network.transform_input is transforms


def test_grey_networks_have_no_transformation() -> None:
    pytest.importorskip("torchvision")
    network = build_network("torchvision:googlenet", num_classes=2, in_channels=1)
    assert network.transform_input is False
    assert network.eval()(torch.rand(1, 1, 48, 48)).shape == (1, 2)


def test_old_cards_that_do_not_say_it_mean_no_transformation(tmp_path: Path) -> None:
    pytest.importorskip("torchvision")
    model = new_classifier("torchvision:googlenet(transform_input=false)", classes=("a", "b"))
    save_checkpoint(tmp_path, model, {"network": "torchvision:googlenet"})
    old = load_checkpoint(tmp_path)
    assert old.network.transform_input is False
    assert old.spec == "torchvision:googlenet(transform_input=false)"
    assert new_classifier("torchvision:googlenet", classes=("a", "b"), init=tmp_path).network.transform_input is False
    assert new_classifier("torchvision:googlenet", classes=("a", "b")).network.transform_input is True


TIMM = ["vit_tiny_patch16_224", "inception_v3.tf_in1k", "resnet18", "mixer_s16_224", "mobilevit_xxs", "xception41"]


@pytest.mark.parametrize("name", TIMM)
def test_timm_networks_take_timms_own(name: str) -> None:
    timm = pytest.importorskip("timm")
    config = timm.data.resolve_data_config(pretrained_cfg=timm.get_pretrained_cfg(name).to_dict())
    mean, std = usual_normalization(f"timm:{name}", 3)
    assert (tuple(mean), tuple(std)) == (tuple(config["mean"]), tuple(config["std"]))
    grey = usual_normalization(f"timm:{name}", 1)
    assert grey == pytest.approx((sum(config["mean"]) / 3, sum(config["std"]) / 3))


def test_a_users_vit_gives_timms_own_logits(tmp_path: Path) -> None:
    timm = pytest.importorskip("timm")
    torch.manual_seed(3)
    network = timm.create_model("vit_tiny_patch16_224", num_classes=2).eval()
    torch.save(network.state_dict(), tmp_path / "vit.pt")
    config = timm.data.resolve_model_data_config(network)
    mean, std = (torch.tensor(config[key])[:, None, None] for key in ("mean", "std"))
    model = load_model("timm:vit_tiny_patch16_224", weights=tmp_path / "vit.pt", num_classes=2, image_size=224)
    x = torch.rand(1, 3, 224, 224)
    with torch.no_grad():
        torch.testing.assert_close(model(x), network((x - mean) / std))
        imagenet = [torch.tensor(values)[:, None, None] for values in IMAGENET]
        assert float((network((x - imagenet[0]) / imagenet[1]) - model(x)).abs().max()) > 1e-3
    assert model.normalization_from == "timm's own for this name"


def test_torchvision_networks_take_their_own() -> None:
    pytest.importorskip("torchvision")
    assert usual_normalization("torchvision:resnet18", 3) == IMAGENET
    assert usual_normalization("torchvision:efficientnet_v2_l", 3) == ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
    assert usual_normalization("torchvision:mnasnet0_5", 3) == IMAGENET


def test_where_it_comes_from_is_known(tmp_path: Path) -> None:
    pytest.importorskip("torchvision")
    assert Classifier(nn.Flatten()).normalization_from == "none"
    assert Classifier(nn.Flatten(), mean=0.5).normalization_from == "given"
    zoo = new_classifier(SPEC, classes=("a", "b"))
    assert zoo.normalization_from == "none"
    usual = new_classifier("torchvision:squeezenet1_1", classes=("a", "b"))
    assert usual.normalization_from == "torchvision's ImageNet"
    given = new_classifier("torchvision:squeezenet1_1", classes=("a", "b"), mean=0.4, std=0.3)
    assert given.normalization_from == "given"
    for model in (copy.deepcopy(usual), usual.in_order(("b", "a")), search_copy(usual, torch.rand(2, 3, 64, 64))[0]):
        assert model.normalization_from == "torchvision's ImageNet"
    save_checkpoint(tmp_path / "usual", usual)
    assert load_checkpoint(tmp_path / "usual").normalization_from == "torchvision's ImageNet"
    started = new_classifier(SPEC, classes=("a", "b"), init=_saved(tmp_path / "zoo", mean=0.3, std=0.2))
    assert started.normalization_from == "the card"
    torch.testing.assert_close(started.mean, torch.full((3,), 0.3))


def _saved(folder: Path, **normalization: float) -> Path:
    save_checkpoint(folder, new_classifier(SPEC, classes=("a", "b"), **normalization))
    return folder


def test_the_card_of_the_weights_comes_before_what_is_usual_for_the_name(tmp_path: Path) -> None:
    pytest.importorskip("torchvision")
    spec = "torchvision:squeezenet1_1"
    save_checkpoint(tmp_path, new_classifier(spec, classes=("a", "b"), mean=0.4, std=0.3))
    model = new_classifier(spec, classes=("a", "b", "c"), init=tmp_path)
    torch.testing.assert_close(model.mean, torch.full((3,), 0.4))
    assert model.normalization_from == "the card"
    grey = new_classifier(spec, classes=("a", "b", "c"), init=tmp_path, channels=1)
    torch.testing.assert_close(grey.std, torch.full((1,), 0.3))


def test_a_given_normalization_wins_over_the_cards_and_that_is_said(tmp_path: Path) -> None:
    folder = _saved(tmp_path, mean=0.4, std=0.3)
    card = json.loads((folder / "card.json").read_text())
    del card["normalization_from"]
    (folder / "card.json").write_text(json.dumps(card))
    own = load_model(str(folder))
    assert (own.normalization_from, own.notes) == ("the card", ())
    other = load_model(str(folder), mean=0.5, std=0.25, image_size=32)
    assert other.normalization_from == "given"
    assert "normalization given is used, not the card's (mean [0.4" in other.notes[0]
    x = torch.rand(2, 3, 32, 32)
    torch.testing.assert_close(other(x), own(((x - 0.5) / 0.25) * 0.3 + 0.4))
    assert load_model(str(folder), mean=0.4, std=0.3).notes == ()
