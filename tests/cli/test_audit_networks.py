"""Networks of somebody else through the command line: what cannot work is one line, what can works."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from cli.run import refused, run
from medrobust.errors import UserError

NETS = '''
import torch
from torch import nn


class Base(nn.Module):
    """Tells images by the brightness of their center."""

    def __init__(self):
        super().__init__()
        self.conv, self.fc = nn.Conv2d(3, 4, 3, padding=1), nn.Linear(4, 2)
        with torch.no_grad():
            self.conv.weight.copy_(torch.rand(self.conv.weight.shape, generator=torch.Generator().manual_seed(0)) * 0.1)
            self.conv.bias.zero_()
            self.fc.weight.copy_(torch.tensor([[-10.0] * 4, [10.0] * 4]))
            self.fc.bias.copy_(torch.tensor([23.8, -23.8]))  # halfway between the two classes

    def z(self, x):
        return 20 * (self.conv(x)[:, :, 10:22, 10:22].mean((2, 3)).sum(1, keepdim=True) / 5.4 - 0.44)

    def forward(self, x):
        return torch.cat([-self.z(x), self.z(x)], 1)


class NoGrad(Base):
    @torch.no_grad()
    def forward(self, x):
        return super().forward(x)


class Numpy(Base):
    def forward(self, x):
        return super().forward(torch.from_numpy(x.detach().cpu().numpy()))


class Rounded(Base):
    def forward(self, x):
        return super().forward((x * 255).round() / 255)


class Linear(Base):
    def forward(self, x):
        return self.fc(self.conv(x)[:, :, 10:22, 10:22].mean((2, 3)))


def quantized():
    return torch.ao.quantization.quantize_dynamic(Linear(), {nn.Linear}, dtype=torch.qint8)


def half():
    return Base().half()


def double():
    return Base().double()
'''
QUERIES = ("attacks.square.num_queries=200", "attacks.hop_skip_jump.num_queries=500")
BLIND = ("attacks=[square,hop_skip_jump]", *QUERIES)
STEEP = ("attacks=[fgsm,pgd]", "attacks.pgd.num_steps=4")


@pytest.fixture
def nets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A module of networks that can be imported, and eight images of each class."""
    (tmp_path / "own_nets.py").write_text(NETS)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(__import__("sys").modules, "own_nets", raising=False)
    rng = np.random.default_rng(0)
    for k, name in enumerate(("dark", "light")):
        (tmp_path / "img" / name).mkdir(parents=True)
        for i in range(6):
            pixels = rng.integers(90 + 25 * k, 110 + 25 * k, (32, 32, 3)).astype(np.uint8)
            Image.fromarray(pixels).save(tmp_path / "img" / name / f"{i}.png")
    return tmp_path


def audit(capsys, nets: Path, model: str, *more: str) -> tuple[dict[str, Any], str]:
    words = ("threat.epsilons=[1/255,64/255]", "device=cpu", *more)
    out = nets / "run"
    code, said, err = run(capsys, "audit", "--model", model, "--data", f"folder:{nets / 'img'}", "--out", out, *words)
    assert code == 0, err
    return json.loads((out / "audit.json").read_text()), said


def finding(content: dict[str, Any], name: str) -> dict[str, Any]:
    return next(row for row in content["findings"] if row["id"] == name)


def last(content: dict[str, Any]) -> float:
    return float(content["worst_case"][-1]["robust_accuracy"]["value"])


@pytest.mark.parametrize("name", ["NoGrad", "Numpy"])
def test_no_gradient_is_one_line_and_no_folder(capsys, nets: Path, name: str) -> None:
    """F2: a traceback, exit code 1 and a folder half-written."""
    data = f"folder:{nets / 'img'}"
    line = refused(capsys, "audit", "--model", f"own_nets:{name}", "--data", data, "--out", nets / "run", *STEEP)
    assert "gives no gradient by its images" in line
    assert "attacks=[square] or attacks=[hop_skip_jump]" in line
    assert not (nets / "run").exists()


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning")
@pytest.mark.parametrize("name", ["NoGrad", "Numpy", "quantized"])
def test_networks_without_gradients_fall_to_attacks_that_need_none(capsys, nets: Path, name: str) -> None:
    content, _ = audit(capsys, nets, f"own_nets:{name}", *BLIND)
    assert content["clean"]["accuracy"]["value"] == 1
    assert last(content) == 0
    assert finding(content, "gradients")["severity"] == "pass"
    assert "report.html" in {path.name for path in (nets / "run").iterdir()}
    assert (nets / "run" / "images" / "gallery.json").is_file()


def test_gradients_of_zero_fail_before_the_number(capsys, nets: Path) -> None:
    """F1: robust accuracy 1.000 at 64/255, and `no check of the measurement failed`."""
    content, said = audit(capsys, nets, "own_nets:Rounded", *STEEP)
    assert last(content) == 1
    assert finding(content, "gradients")["severity"] == "fail"
    assert said.index("gradient of zero") < said.index("robust accuracy")
    page = (nets / "run" / "report.html").read_text()
    assert page.index("gradient of zero") < page.index("<h1>")


@pytest.mark.parametrize("name", ["half", "double"])
def test_other_types_of_number_are_attacked(capsys, nets: Path, name: str) -> None:
    """F3: `set data.image_size and data.color` for every failure."""
    content, _ = audit(capsys, nets, f"own_nets:{name}", *STEEP)
    assert (content["clean"]["accuracy"]["value"], last(content)) == (1, 0)
    numbers = next(row["value"] for row in content["model"]["said"] if row["fact"] == "numbers")
    assert numbers == {"half": "float16", "double": "float64"}[name]


def test_a_program_exported_for_one_image_is_attacked(capsys, nets: Path) -> None:
    """F3: it could not be audited at all."""
    import own_nets

    torch.export.save(torch.export.export(own_nets.Base().eval(), (torch.rand(1, 3, 32, 32),)), nets / "one.pt2")
    content, _ = audit(capsys, nets, str(nets / "one.pt2"), *STEEP)
    assert (content["clean"]["accuracy"]["value"], last(content)) == (1, 0)


def test_a_graph_with_channels_at_the_end_and_reversed_classes(capsys, nets: Path) -> None:
    """F14: refused with `set data.image_size`; then the order of the classes is a finding, and can be said."""
    onnx = pytest.importorskip("onnx")
    pytest.importorskip("onnx2torch")
    node, number = onnx.helper.make_node, onnx.TensorProto.FLOAT
    weight = np.ones((1, 3, 32, 32), dtype=np.float32) / (3 * 32 * 32)
    nodes = [
        node("Transpose", ["x"], ["t"], perm=[0, 3, 1, 2]),
        node("Conv", ["t", "w"], ["c"], kernel_shape=[32, 32]),
        node("Flatten", ["c"], ["f"], axis=1),
        node("Gemm", ["f", "a", "b"], ["z"]),
        node("Sigmoid", ["z"], ["y"]),
    ]
    given = {"w": weight, "a": np.array([[-60.0]], np.float32), "b": np.array([60 * 112 / 255], np.float32)}
    graph = onnx.helper.make_graph(
        nodes,
        "net",
        [onnx.helper.make_tensor_value_info("x", number, ["n", 32, 32, 3])],
        [onnx.helper.make_tensor_value_info("y", number, ["n", 1])],
        [onnx.numpy_helper.from_array(value, name) for name, value in given.items()],
    )
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 13)])
    model.ir_version = 8
    onnx.save(model, str(nets / "net.onnx"))
    content, said = audit(capsys, nets, str(nets / "net.onnx"), *STEEP)
    assert content["clean"]["accuracy"]["value"] == 0
    found = finding(content, "class-order")
    assert (found["severity"], "AUROC 0.000" in found["evidence"]) == ("fail", True)
    assert "class" in said
    layout = next(row for row in content["model"]["said"] if row["fact"] == "layout")
    assert (layout["value"], layout["source"]) == ("nhwc", "the file")
    assert "model.classes=[light,dark]" in found["advice"]
    (nets / "run").rename(nets / "before")
    right, _ = audit(capsys, nets, str(nets / "net.onnx"), *STEEP, "model.classes=[light,dark]", "model.layout=nhwc")
    assert (right["clean"]["accuracy"]["value"], last(right)) == (1, 0)
    assert finding(right, "class-order")["severity"] == "pass"


def test_the_same_lines_from_python(nets: Path) -> None:
    import own_nets

    import medrobust as mr

    x = torch.rand(8, 3, 32, 32)
    images = mr.ImageSet.of(x, torch.arange(8) % 2)
    blind = own_nets.NoGrad()
    with pytest.raises(UserError, match="gives no gradient"):
        mr.measure(blind, images, ["pgd"], linf=["1/255"])
    with pytest.raises(UserError, match="gives no gradient"):
        mr.audit(blind, images, ["pgd"], linf=["1/255"], out=nets / "py")
    assert not (nets / "py").exists()
    assert len(mr.measure(blind, images, [mr.attacks.square(num_queries=5)], linf=["1/255"])) == 16
