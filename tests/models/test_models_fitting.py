"""State dicts as people save them: found below whatever names, averaged weights first, what is left out is said."""

from __future__ import annotations

import argparse
import re
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from medrobust.errors import UserError
from medrobust.models import build_network, load_model
from medrobust.models.fitting import fitting, load_weights
from medrobust.models.weights import Nest, read_nests

State = dict[str, Tensor]
POINTER = (
    "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a214614ab2935c943f9e0ff69d22eadbb8f32b\nsize 44712345\n"
)


def under(prefix: str, state: State) -> State:
    return {prefix + name: value for name, value in state.items()}


def averaged(state: State) -> State:
    return {name: value + 1 if value.is_floating_point() else value for name, value in state.items()}


EXTRAS = {"criterion.weight": torch.ones(2), "train_auroc.thresholds": torch.ones(5)}
WRAPPINGS: dict[str, Callable[[State], dict[str, Any]]] = {
    "plain": lambda s: s,
    "state_dict": lambda s: {
        "epoch": 3,
        "arch": "net",
        "state_dict": s,
        "optimizer": {"state": {0: {"exp_avg": torch.ones(2)}}},
    },
    "model": lambda s: {"model": s, "args": argparse.Namespace(lr=0.1, name="a")},
    "several processes": lambda s: {"state_dict": under("module.", s), "best_acc1": 50.0},
    "lightning": lambda s: {"state_dict": under("model.", s) | EXTRAS, "pytorch-lightning_version": "2.4", "loops": {}},
    "compiled": lambda s: under("_orig_mod.", s),
    "averaged beside raw": lambda s: {
        "state_dict": {n: v * 0 for n, v in s.items()},
        "state_dict_ema": s,
    },
}
FAMILIES = {
    "torchvision": (
        *("resnet18", "resnext50_32x4d", "wide_resnet50_2", "densenet121", "mobilenet_v2", "mobilenet_v3_small"),
        *("shufflenet_v2_x0_5", "squeezenet1_1", "mnasnet0_5", "efficientnet_b0", "efficientnet_v2_s", "googlenet"),
        *("inception_v3", "regnet_y_400mf", "convnext_tiny", "swin_t", "swin_v2_t", "vit_b_16", "alexnet", "vgg11_bn"),
    ),
    "timm": (
        *("resnet10t", "resnetv2_50", "vit_tiny_patch16_224", "deit_tiny_distilled_patch16_224", "convnext_atto"),
        *("efficientnet_b0", "tf_efficientnetv2_b0", "mobilenetv3_small_050", "mobilevit_xxs", "mixer_s16_224"),
        *("swin_tiny_patch4_window7_224", "regnetx_002", "densenet121", "hrnet_w18_small", "repvgg_a0", "ghostnet_050"),
        *("poolformer_s12", "xcit_nano_12_p8_224", "edgenext_xx_small", "lcnet_035"),
    ),
}
ALL = [(source, name) for source, names in FAMILIES.items() for name in names]
SMALL = [
    *(("torchvision", name) for name in ("shufflenet_v2_x0_5", "squeezenet1_1", "mobilenet_v3_small")),
    *(("timm", name) for name in ("mobilenetv3_small_050", "lcnet_035", "vit_tiny_patch16_224")),
]


def network_of(source: str, name: str) -> nn.Module:
    pytest.importorskip(source)
    return build_network(f"{source}:{name}", num_classes=3, image_size=224 if source == "timm" else None).eval()


@pytest.mark.parametrize(("source", "name"), ALL)
def test_the_names_of_forty_families_are_found_in_every_wrapping(source: str, name: str) -> None:
    with torch.device("cpu" if name.startswith("regnet_") else "meta"):  # it computes its widths with tensors
        network = network_of(source, name)
    state = network.state_dict()
    for wrap in WRAPPINGS.values():
        content = wrap(state)
        nests = [Nest(path, inner) for path, inner in _nested(content)]
        found = fitting(network, nests, "file.pth").state if wrap is not WRAPPINGS["averaged beside raw"] else state
        assert all(found[n] is value for n, value in state.items() if n in found)
        assert {n.rpartition(".")[2] for n in state.keys() - found.keys()} <= {
            "num_batches_tracked",
            "relative_position_index",
            "attn_mask",
        }


def _nested(content: dict[str, Any], path: str = "") -> list[tuple[str, State]]:
    found = [(path, {n: v for n, v in content.items() if isinstance(v, Tensor)})]
    for name, value in content.items():
        if isinstance(value, dict):
            found += _nested({str(n): v for n, v in value.items()}, f"{path}.{name}".strip("."))
    return [one for one in found if one[1]]


def check_logits(source: str, name: str, wrapping: str, folder: Path) -> None:
    torch.manual_seed(1)
    network = network_of(source, name)
    torch.save(WRAPPINGS[wrapping](network.state_dict()), folder / "file.pth")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        model = load_model(f"{source}:{name}", weights=folder / "file.pth", num_classes=3, mean=0.0, std=1.0)
    side = 224 if "vit" in name or "swin" in name or "mixer" in name or "xcit" in name or "deit" in name else 96
    x = torch.rand(1, 3, side, side)
    with torch.no_grad():
        torch.testing.assert_close(model(x), network(x), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("wrapping", WRAPPINGS)
@pytest.mark.parametrize(("source", "name"), SMALL)
def test_loaded_weights_give_the_librarys_own_logits(source: str, name: str, wrapping: str, tmp_path: Path) -> None:
    check_logits(source, name, wrapping, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("wrapping", WRAPPINGS)
@pytest.mark.parametrize(("source", "name"), [one for one in ALL if one not in SMALL])
def test_logits_of_all_families(source: str, name: str, wrapping: str, tmp_path: Path) -> None:
    check_logits(source, name, wrapping, tmp_path)


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm, self.fc = nn.Conv2d(1, 2, 1), nn.BatchNorm2d(2), nn.Linear(2, 3)


@pytest.fixture
def state() -> State:
    torch.manual_seed(2)
    net = Net()
    net.norm.running_mean.uniform_()
    return net.state_dict()


def loaded(content: Any, folder: Path, spare: tuple[str, ...] = ()) -> tuple[State, tuple[str, ...]]:
    torch.save(content, folder / "w.pth")
    net = Net()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        notes = load_weights(net, read_nests(folder / "w.pth"), "w.pth", spare)
    assert [str(one.message) for one in caught] == [f"w.pth: {note}" for note in notes]
    return net.state_dict(), notes


def equal(a: State, b: State) -> bool:
    return all(torch.equal(a[name], b[name]) for name in b)


@pytest.mark.parametrize(
    "prefix", ["net.", "backbone.", "encoder.", "classifier.", "model.network.", "any.thing.at.all."]
)
def test_any_prefix_below_which_all_names_are_found(state: State, tmp_path: Path, prefix: str) -> None:
    found, notes = loaded({"state_dict": under(prefix, state) | {"epoch": torch.tensor(3)}}, tmp_path)
    assert equal(found, state)
    assert notes == ("left out epoch, no part of the network",)


AVERAGES: dict[str, Callable[[State, State], Any]] = {
    "timm": lambda raw, ema: {"state_dict": raw, "state_dict_ema": ema},
    "torchvision": lambda raw, ema: {
        "model": raw,
        "model_ema": under("module.", ema) | {"n_averaged": torch.tensor(3)},
    },
    "lightning": lambda raw, ema: {"state_dict": under("model.", raw) | under("ema_model.module.", ema)},
    "in one": lambda raw, ema: raw | under("ema.", ema),
    "its own": lambda raw, ema: {"net": raw, "ema": {"decay": 0.9, "module": ema}},
    "swa": lambda raw, ema: {"model": raw, "module": under("module.", ema) | {"n_averaged": torch.tensor(3)}},
}


@pytest.mark.parametrize("layout", AVERAGES)
def test_averaged_weights_come_before_raw_ones_and_that_is_said(state: State, tmp_path: Path, layout: str) -> None:
    ema = averaged(state)
    found, notes = loaded(AVERAGES[layout](state, ema), tmp_path)
    assert equal(found, ema)
    assert len(notes) == 1
    assert re.fullmatch(r"the averaged weights in '.+' are taken, not .+", notes[0])


def test_an_average_that_lacks_buffers_is_not_taken(state: State, tmp_path: Path) -> None:
    shadow = {name: value for name, value in averaged(state).items() if "running" not in name}
    found, _ = loaded({"model": state, "ema": shadow}, tmp_path)
    assert equal(found, state)


def test_two_networks_that_both_fit_are_refused(state: State, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"several networks that fit, as 'student' and as 'teacher'"):
        loaded(under("student.", state) | under("teacher.", averaged(state)), tmp_path)
    assert equal(loaded(under("student.", state) | under("teacher.", state), tmp_path)[0], state)
    assert equal(loaded(under("model.", state) | under("teacher.", averaged(state)), tmp_path)[0], state)


@pytest.mark.parametrize("place", ["fc.1", "fc.0", "fc.dropout.linear"])
def test_a_head_behind_a_dropout_fits(state: State, tmp_path: Path, place: str) -> None:
    moved = {name.replace("fc.", f"{place}."): value for name, value in state.items()}
    assert equal(loaded({"state_dict": under("model.", moved)}, tmp_path)[0], state)


def test_a_head_without_the_dropout_that_the_network_has_fits(tmp_path: Path) -> None:
    pytest.importorskip("torchvision")
    network = build_network("torchvision:mobilenet_v2", num_classes=3)
    file = {name.replace("classifier.1.", "classifier."): value for name, value in network.state_dict().items()}
    again = build_network("torchvision:mobilenet_v2", num_classes=3)
    load_weights(again, [Nest("", file)], "w.pth")
    assert equal(again.state_dict(), network.state_dict())


def test_what_computes_something_else_is_refused(state: State, tmp_path: Path) -> None:
    two = {name: value for name, value in state.items() if not name.startswith("fc.")}
    two |= {"fc.0.weight": torch.zeros(4, 2), "fc.0.bias": torch.zeros(4)}
    two |= {"fc.3.weight": torch.zeros(3, 4), "fc.3.bias": torch.zeros(3)}
    with pytest.raises(UserError, match=r"missing fc\.weight, fc\.bias.*Its fc has layers of its own"):
        loaded(two, tmp_path)
    normed = {n.replace("fc.", "fc.1."): v for n, v in state.items()} | {"fc.0.running_mean": torch.zeros(2)}
    with pytest.raises(UserError, match=r"missing fc\.weight"):
        loaded(normed, tmp_path)
    for extra in ("attention.weight", "conv.lora.weight"):
        with pytest.raises(UserError, match=f"unexpected {extra}"):
            loaded(state | {extra: torch.zeros(2, 2)}, tmp_path)
    with pytest.raises(UserError, match=r"it has conv\.weight.* the file a\.weight"):
        loaded({"a.weight": torch.zeros(1)}, tmp_path)


def test_old_names_of_densenet(tmp_path: Path) -> None:
    pytest.importorskip("torchvision")
    network = build_network("torchvision:densenet121", num_classes=2)
    pattern = re.compile(r"(denselayer\d+\.(?:norm|conv))(\d)")
    old = {"module." + pattern.sub(r"\1.\2", name): value for name, value in network.state_dict().items()}
    assert any(".norm.1." in name for name in old)
    again = build_network("torchvision:densenet121", num_classes=2)
    load_weights(again, [Nest("state_dict", old)], "old.pth")
    assert equal(again.state_dict(), network.state_dict())


def test_half_weights_become_the_networks_own(state: State, tmp_path: Path) -> None:
    half = {name: value.half() if value.is_floating_point() else value for name, value in state.items()}
    found = loaded(half, tmp_path)[0]
    assert found["fc.weight"].dtype == torch.float32
    torch.testing.assert_close(found["fc.weight"], state["fc.weight"], rtol=1e-3, atol=1e-3)


def test_arguments_of_a_script_are_read_and_other_objects_are_named(state: State, tmp_path: Path) -> None:
    assert equal(loaded({"model": state, "args": argparse.Namespace(lr=[1, 2])}, tmp_path)[0], state)
    with pytest.raises(UserError, match=r"\(pathlib\..*never loaded because they can run code"):
        loaded({"model": state, "args": argparse.Namespace(out=Path("x"))}, tmp_path)
    torch.save(nn.Linear(1, 1), tmp_path / "whole.pth")
    with pytest.raises(UserError, match=r"\(torch\.nn\.modules\.linear\.Linear\).*model\.state_dict\(\)"):
        load_model(str(tmp_path / "whole.pth"))
