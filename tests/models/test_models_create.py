import urllib.error

import pytest
import torch
from safetensors.torch import save_file

from medrobust.errors import UserError
from medrobust.models import build_network, new_classifier, pretrained, save_checkpoint

SPEC = "zoo:cbr_tiny(width=4)"
CLASSES = ("a", "b")


def test_the_seed_decides_the_weights_and_nothing_else_does() -> None:
    state = torch.random.get_rng_state()
    first, again, other = (new_classifier(SPEC, classes=CLASSES, seed=s).state_dict() for s in (1, 1, 2))
    assert torch.equal(torch.random.get_rng_state(), state)
    assert all(torch.equal(first[k], again[k]) for k in first)
    assert not all(torch.equal(first[k], other[k]) for k in first)


def test_grey_data_for_ours_and_for_borrowed_networks() -> None:
    pytest.importorskip("torchvision")
    assert new_classifier(SPEC, classes=CLASSES, data_channels=1).channels == 1
    borrowed = new_classifier("torchvision:squeezenet1_1", classes=CLASSES, data_channels=1)
    assert borrowed.channels == 3
    assert borrowed.mean.tolist() == pytest.approx([0.485, 0.456, 0.406])
    stem = new_classifier("torchvision:squeezenet1_1", classes=CLASSES, data_channels=1, channels=1)
    assert stem.mean.tolist() == pytest.approx([0.449], abs=1e-3)


def test_starting_from_a_checkpoint_with_other_classes(tmp_path) -> None:
    old = new_classifier(SPEC, classes=("x", "y", "z"), mean=[0.3], std=[0.2], seed=5)
    save_checkpoint(tmp_path, old)
    new = new_classifier(SPEC, classes=CLASSES, init=tmp_path, data_channels=3)
    assert torch.equal(new.network[0].conv.weight, old.network[0].conv.weight)
    assert new.network[-1].weight.shape == (2, 32)
    torch.testing.assert_close(new.mean, old.mean)
    with pytest.raises(UserError, match="do not fit"):
        new_classifier("zoo:cbr_tiny(width=8)", classes=CLASSES, init=tmp_path)


def test_a_grey_stem_sees_what_repeated_channels_saw(tmp_path) -> None:
    color = build_network(SPEC, num_classes=2, in_channels=3).eval()
    save_file(color.state_dict(), tmp_path / "w.safetensors")
    grey = new_classifier(SPEC, classes=CLASSES, init=tmp_path / "w.safetensors", data_channels=1).eval()
    assert grey.channels == 1
    x = torch.rand(2, 1, 32, 32)
    torch.testing.assert_close(grey(x), color(x.expand(-1, 3, -1, -1)))
    save_file(grey.network.state_dict(), tmp_path / "g.safetensors")
    back = new_classifier(SPEC, classes=CLASSES, init=tmp_path / "g.safetensors", data_channels=3).eval()
    torch.testing.assert_close(back(x), grey(x))


def test_no_network_is_one_clear_line(monkeypatch) -> None:
    pytest.importorskip("torchvision")

    def offline(name: str) -> None:
        raise urllib.error.URLError("Name or service not known")

    monkeypatch.setattr(pretrained, "_torchvision", offline)
    with pytest.raises(UserError, match=r"could not be fetched: .*not known.*model\.init=FILE"):
        new_classifier("torchvision:resnet18", classes=CLASSES, pretrained=True)
    with pytest.raises(UserError, match="no published weights"):
        new_classifier(SPEC, classes=CLASSES, pretrained=True)
    with pytest.raises(UserError, match="Choose one"):
        new_classifier("torchvision:resnet18", classes=CLASSES, pretrained=True, init="x")
