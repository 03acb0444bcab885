"""Published files of contrastive pre-training as a start: the encoder found, other heads left out and said."""

from __future__ import annotations

import warnings
from pathlib import Path

import pytest
import torch
from torch import Tensor

from medrobust.errors import UserError
from medrobust.models import new_classifier
from medrobust.models.zoo import build_network

SPEC = "torchvision:resnet18"


@pytest.fixture(scope="module")
def encoder() -> dict[str, Tensor]:
    torch.manual_seed(5)
    state = build_network(SPEC, num_classes=3, in_channels=3).state_dict()
    return {name: value for name, value in state.items() if not name.startswith("fc.")}


def under(prefix: str, state: dict[str, Tensor]) -> dict[str, Tensor]:
    return {prefix + name: value for name, value in state.items()}


PROJECTOR = {"0.weight": torch.zeros(4, 4), "2.weight": torch.zeros(4, 4)}
LAYOUTS = {
    "backbone with a head in its place": lambda e: {
        "state_dict": {**under("backbone.", e), **under("backbone.fc.", PROJECTOR)}
    },
    "encoder and projector": lambda e: {**under("encoder.", e), **under("projector.", PROJECTOR)},
    "several processes": lambda e: {
        "model": {**under("module.encoder.", e), **under("module.projection_head.", PROJECTOR)}
    },
    "momentum pair": lambda e: {
        "state_dict": {**under("module.encoder_q.", e), **under("module.encoder_k.", e), "module.queue": torch.ones(3)}
    },
    "a wrapper in a wrapper": lambda e: {**under("model.backbone.", e), **under("model.projector.", PROJECTOR)},
}


def started(file: Path, **more: object) -> dict[str, Tensor]:
    return new_classifier(SPEC, classes=("a", "b"), init=file, **more).network.state_dict()


@pytest.mark.parametrize("layout", LAYOUTS)
def test_the_encoder_is_found_and_heads_are_said(tmp_path: Path, encoder: dict[str, Tensor], layout: str) -> None:
    torch.save(LAYOUTS[layout](encoder), tmp_path / "file.pth")
    with pytest.warns(UserWarning, match="left out .*no part of the network"):
        found = started(tmp_path / "file.pth")
    assert all(torch.equal(found[name], value) for name, value in encoder.items())
    assert found["fc.weight"].shape == (2, 512)


def test_a_plain_encoder_says_nothing_and_grey_stems_fit(tmp_path: Path, encoder: dict[str, Tensor]) -> None:
    torch.save(under("encoder.", encoder), tmp_path / "file.pth")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = started(tmp_path / "file.pth", channels=1)
    assert torch.allclose(found["conv1.weight"], encoder["conv1.weight"].sum(1, keepdim=True))


def test_another_depth_is_refused_and_not_cut_down(tmp_path: Path) -> None:
    deeper = build_network("torchvision:resnet34", num_classes=2, in_channels=3).state_dict()
    torch.save(under("backbone.", deeper), tmp_path / "file.pth")
    with pytest.raises(UserError, match=r"unexpected layer1\.2"):
        started(tmp_path / "file.pth")


def test_objects_other_than_tensors_are_never_loaded(tmp_path: Path, encoder: dict[str, Tensor]) -> None:
    torch.save({"state_dict": under("backbone.", encoder), "optimizer": {"lr": 1}}, tmp_path / "file.pth")
    assert torch.equal(started(tmp_path / "file.pth")["bn1.weight"], encoder["bn1.weight"])
    torch.save({"state_dict": under("backbone.", encoder), "args": Path("x")}, tmp_path / "file.pth")
    with pytest.raises(UserError, match="never loaded because they can run code"):
        started(tmp_path / "file.pth")
