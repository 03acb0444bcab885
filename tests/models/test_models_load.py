import copy
import os
import pickle

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from medrobust.errors import UserError
from medrobust.models import Classifier, build_network, load_checkpoint, load_model, save_checkpoint

SPEC = "zoo:cbr_tiny(width=4)"


@pytest.fixture
def network() -> nn.Module:
    torch.manual_seed(0)
    return build_network(SPEC, num_classes=2, in_channels=1).eval()


@pytest.fixture
def x() -> torch.Tensor:
    return torch.rand(3, 1, 32, 32, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("form", ["safetensors", "plain", "nested", "wrapped"])
def test_weights_in_every_form(network: nn.Module, x: torch.Tensor, tmp_path, form: str) -> None:
    state = network.state_dict()
    file = tmp_path / ("w.safetensors" if form == "safetensors" else "w.pth")
    if form == "safetensors":
        save_file(state, file)
    elif form == "plain":
        torch.save(state, file)
    elif form == "nested":
        torch.save({"epoch": 3, "state_dict": state}, file)
    else:
        torch.save({"model": {f"module.{k}": v for k, v in state.items()}}, file)
    model = load_model(SPEC, weights=file, classes=("a", "b"), image_size=32)
    assert not model.training
    assert model.channels == 1  # read from the weights
    torch.testing.assert_close(model(x), network(x))


def test_number_of_outputs_is_read_from_the_weights(tmp_path) -> None:
    save_file(build_network(SPEC, num_classes=1).state_dict(), tmp_path / "one.safetensors")
    assert load_model(SPEC, weights=tmp_path / "one.safetensors", num_classes=2).head == "one_logit"
    save_file(build_network(SPEC, num_classes=7).state_dict(), tmp_path / "seven.safetensors")
    assert load_model(SPEC, weights=tmp_path / "seven.safetensors").num_classes == 7
    with pytest.raises(UserError, match="7 outputs for 2 classes"):
        load_model(SPEC, weights=tmp_path / "seven.safetensors", classes=("a", "b"))


def test_torchvision_takes_imagenet_statistics_unless_told(tmp_path) -> None:
    pytest.importorskip("torchvision")
    file = tmp_path / "r.safetensors"
    save_file(build_network("torchvision:resnet18", num_classes=2).state_dict(), file)
    usual = load_model("torchvision:resnet18", weights=file, num_classes=2)
    torch.testing.assert_close(usual.mean, torch.tensor([0.485, 0.456, 0.406]))
    told = load_model("torchvision:resnet18", weights=file, num_classes=2, mean=0.5, std=0.25)
    torch.testing.assert_close(told.mean, torch.full((3,), 0.5))


def test_weights_that_do_not_fit_name_their_keys(network: nn.Module, tmp_path) -> None:
    save_file(network.state_dict(), tmp_path / "w.safetensors")
    with pytest.raises(UserError, match=r"missing 2\.conv\.weight; unexpected 2\.conv\.weight_orig"):
        load_model(SPEC, weights=_renamed(network, tmp_path))
    with pytest.raises(UserError, match=r"0.conv.weight is \(4, 1, 5, 5\), the network has \(8, 1, 5, 5\)"):
        load_model("zoo:cbr_tiny(width=8)", weights=tmp_path / "w.safetensors")


def _renamed(network: nn.Module, folder):
    state = network.state_dict()
    state["2.conv.weight_orig"] = state.pop("2.conv.weight")
    save_file(state, folder / "renamed.safetensors")
    return folder / "renamed.safetensors"


class Evil:
    def __reduce__(self):
        return (os.mkdir, ("pwned",))


def test_pickles_never_run(tmp_path, monkeypatch, network: nn.Module) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "evil.pt").write_bytes(pickle.dumps(Evil()))
    torch.save(Evil(), tmp_path / "evil.pth")
    torch.save(network, tmp_path / "whole.pth")
    for name in ("evil.pt", "evil.pth", "whole.pth"):
        with pytest.raises(UserError, match=r"state dict|never loaded"):
            load_model(SPEC, weights=tmp_path / name)
    assert not (tmp_path / "pwned").exists()


@pytest.mark.parametrize("content", [[1, 2], {"a": 3}, {}, torch.zeros(2)])
def test_files_that_are_not_state_dicts(tmp_path, content) -> None:
    torch.save(content, tmp_path / "w.pt")
    with pytest.raises(UserError, match="not a state dict"):
        load_model(SPEC, weights=tmp_path / "w.pt")


def test_damaged_and_missing_files(tmp_path) -> None:
    (tmp_path / "w.safetensors").write_bytes(b"abc")
    (tmp_path / "w.pt").write_bytes(b"abc")
    for name in ("w.safetensors", "w.pt", "none.pt", "w.h5"):
        with pytest.raises(UserError, match=name):
            load_model(SPEC, weights=tmp_path / name)


def test_checkpoint_round_trip(network: nn.Module, x: torch.Tensor, tmp_path) -> None:
    model = Classifier(network, mean=0.4, std=0.3, classes=("benign", "malignant"), channels=1, spec=SPEC)
    save_checkpoint(tmp_path, model, {"metrics": {"accuracy": 0.9}})
    file = str(tmp_path / "model.safetensors")
    for again in (load_checkpoint(tmp_path), load_model(str(tmp_path)), load_model(file)):
        assert torch.equal(again(x), model.eval()(x))
        assert again.classes == ("benign", "malignant")
    with pytest.raises(UserError, match="knows the classes benign, malignant, not benign, normal"):
        load_model(str(tmp_path), classes=("benign", "normal"))


def test_a_network_without_a_name_is_loaded_into_a_network_that_is_given(network: nn.Module, tmp_path) -> None:
    model = Classifier(network, classes=("a", "b"), channels=1).eval()
    save_checkpoint(tmp_path, model)
    with pytest.raises(UserError, match="no name"):
        load_checkpoint(tmp_path)
    twin = copy.deepcopy(network)
    for parameter in twin.parameters():
        torch.nn.init.zeros_(parameter)
    x = torch.rand(2, 1, 32, 32)
    assert torch.equal(load_checkpoint(tmp_path, twin)(x), model(x))


def test_callables(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "my_nets.py").write_text(
        "from torch import nn\n"
        "def net(): return nn.Sequential(nn.Flatten(), nn.Linear(192, 2))\n"
        "def soft(): return nn.Sequential(net(), nn.Softmax(1))\n"
        "def sigmoid(): return nn.Sequential(nn.Flatten(), nn.Linear(192, 1), nn.Sigmoid())\n"
        "def nan(): return nn.Sequential(nn.Flatten(), nn.Linear(192, 2), nn.Threshold(1e9, float('nan')))\n"
        "def number(): return 3\n"
        "def broken(): raise RuntimeError('no data here')\n"
    )
    load = lambda name: load_model(f"my_nets:{name}", classes=("a", "b"), image_size=8)  # noqa: E731
    assert load("net").head == "softmax"
    assert not load("net").normalizes
    assert load("soft").head == "probabilities"
    assert load("sigmoid").head == "probabilities"
    for name, says in [
        ("nan", "not finite"),
        ("number", "returned a int"),
        ("broken", "no data here"),
        ("nett", "did you mean 'net'"),
    ]:
        with pytest.raises(UserError, match=f"(?i){says}"):
            load(name)
    with pytest.raises(UserError, match="cannot be imported"):
        load_model("no_such_module:net")
    with pytest.raises(UserError, match=r"takes images of 8 x 8 pixels, not 9 x 9\. Set data\.image_size=8"):
        load_model("my_nets:net", image_size=9)


@pytest.mark.filterwarnings("ignore")
def test_exported_programs(network: nn.Module, x: torch.Tensor, tmp_path) -> None:
    program = torch.export.export(network, (x,), dynamic_shapes=({0: torch.export.Dim("n")},))
    torch.export.save(program, tmp_path / "net.pt2")
    model = load_model(str(tmp_path / "net.pt2"), classes=("a", "b"), channels=1, image_size=32)
    torch.testing.assert_close(model(x), network(x))
    x.requires_grad_(True)
    with model.frozen():
        assert torch.autograd.grad(model(x).sum(), x)[0].abs().sum() > 0
    assert "TORCH_FORCE_WEIGHTS_ONLY_LOAD" not in os.environ
    (tmp_path / "bad.pt2").write_bytes(b"abc")
    with pytest.raises(UserError, match="not an exported program"):
        load_model(str(tmp_path / "bad.pt2"))


def test_specs_that_name_nothing(tmp_path) -> None:
    torch.save({"a": torch.zeros(1)}, tmp_path / "w.pth")
    for spec, says in [
        ("nowhere", "neither a checkpoint"),
        (str(tmp_path), "no card.json"),
        (str(tmp_path / "w.pth"), "weights without a network"),
        ("none.onnx", "no such file"),
        ("zoo:cbr_tiny", "without weights"),
    ]:
        with pytest.raises(UserError, match=says):
            load_model(spec)
