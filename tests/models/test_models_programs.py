"""Exported programs and ONNX graphs: any batch, the right layout, and what they were made for."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from medrobust.errors import UserError
from medrobust.models import load_model

pytestmark = pytest.mark.filterwarnings("ignore")


def small(last: nn.Module | None = None) -> nn.Module:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 2))
    return net.append(last).eval() if last else net.eval()


def export(net: nn.Module, file: Path, batch: int, dynamic: Any = None) -> str:
    x = torch.rand(batch, 3, 16, 16, dtype=next(net.parameters()).dtype)
    torch.export.save(torch.export.export(net, (x,), dynamic_shapes=dynamic), file)
    return str(file)


DIM = torch.export.Dim
BATCHES = {
    "one": (1, None),
    "three": (3, None),
    "from 1 to 4": (2, ({0: DIM("n", min=1, max=4)},)),
    "from 5 on": (6, ({0: DIM("n", min=5)},)),
    "any": (2, ({0: DIM("n")},)),
}


@pytest.mark.parametrize("batch", BATCHES)
def test_a_program_takes_any_batch(batch: str, tmp_path: Path) -> None:
    net = small()
    model = load_model(export(net, tmp_path / "net.pt2", *BATCHES[batch]), classes=("a", "b"), image_size=16)
    for n in (1, 2, 7, 0):
        x = torch.rand(n, 3, 16, 16, requires_grad=True)
        torch.testing.assert_close(model(x), net(x))
        weights = torch.rand(n, 2)
        (mine,) = torch.autograd.grad((model(x) * weights).sum(), x)
        (theirs,) = torch.autograd.grad((net(x) * weights).sum(), x)
        torch.testing.assert_close(mine, theirs)


@pytest.mark.parametrize("last", [nn.Softmax(1), nn.LogSoftmax(1)])
@pytest.mark.parametrize("batch", ["one", "any"])
def test_the_logits_of_a_program_are_seen(last: nn.Module, batch: str, tmp_path: Path) -> None:
    net = small(last)
    net[4].weight.data.mul_(60000)
    model = load_model(export(net, tmp_path / "net.pt2", *BATCHES[batch]), classes=("a", "b"), image_size=16)
    x = torch.rand(3, 3, 16, 16)
    z = net[:5](x)
    assert float(z.diff().abs().min()) > 120
    torch.testing.assert_close(model(x).diff(), z.diff(), rtol=1e-5, atol=1e-4)
    assert model.head_note == ""


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_programs_of_other_types_of_number(dtype: torch.dtype, tmp_path: Path) -> None:
    net = small().to(dtype)
    model = load_model(export(net, tmp_path / "net.pt2", 2), classes=("a", "b"), image_size=16)
    x = torch.rand(2, 3, 16, 16)
    assert torch.equal(model(x), net(x.to(dtype)).float())


def test_what_a_program_was_made_for_is_said(tmp_path: Path) -> None:
    grey = nn.Sequential(nn.Conv2d(1, 2, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    torch.export.save(torch.export.export(grey, (torch.rand(1, 1, 16, 16),)), tmp_path / "grey.pt2")
    assert load_model(str(tmp_path / "grey.pt2"), classes=("a", "b"), channels=3, image_size=16).channels == 1
    with pytest.raises(UserError, match=r"made for images of 16 x 16 pixels, not 32 x 32\. Set data\.image_size=16"):
        load_model(str(tmp_path / "grey.pt2"), classes=("a", "b"), image_size=32)

    class Two(nn.Module):
        def forward(self, x: Tensor, y: Tensor) -> Tensor:
            return x + y

    torch.export.save(torch.export.export(Two(), (torch.rand(2, 2), torch.rand(2, 2))), tmp_path / "two.pt2")
    with pytest.raises(UserError, match="takes 2 inputs"):
        load_model(str(tmp_path / "two.pt2"), classes=("a", "b"))


def test_channels_at_the_end(tmp_path: Path) -> None:
    class Last(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net = small()

        def forward(self, x: Tensor) -> Tensor:
            return self.net(x.permute(0, 3, 1, 2))

    net = Last().eval()
    torch.export.save(torch.export.export(net, (torch.rand(1, 16, 16, 3),)), tmp_path / "net.pt2")
    x = torch.rand(3, 3, 16, 16)
    for layout in ("auto", "nhwc"):
        model = load_model(str(tmp_path / "net.pt2"), classes=("a", "b"), image_size=16, layout=layout)
        torch.testing.assert_close(model(x), net.net(x))
    with pytest.raises(UserError, match=r"unknown layout 'hwc'.*auto, nchw, nhwc"):
        load_model(str(tmp_path / "net.pt2"), layout="hwc")


def onnx_file(
    file: Path,
    shape: Sequence[Any],
    *,
    last: str = "",
    nhwc: bool = False,
    first: str = "",
    columns: int = 2,
    flat: bool = False,
) -> tuple[str, nn.Module]:
    """A small graph, and the same network up to its logits in torch."""
    onnx = pytest.importorskip("onnx")
    pytest.importorskip("onnx2torch")
    node, array = onnx.helper.make_node, onnx.numpy_helper.from_array
    net = small()
    net[4] = nn.Linear(4, columns)
    weights = {
        "w": net[0].weight.detach().numpy(),
        "wb": net[0].bias.detach().numpy(),
        "f": net[4].weight.detach().numpy(),
        "fb": net[4].bias.detach().numpy(),
        "zero": np.zeros(1, dtype=np.float32),
        "shape": np.array([1, 4]),
    }
    nodes = [node(first, ["x", "zero"], ["x1"])] if first else [node("Identity", ["x"], ["x1"])]
    nodes.append(node("Transpose", ["x1"], ["x2"], perm=[0, 3, 1, 2]) if nhwc else node("Identity", ["x1"], ["x2"]))
    nodes += [
        node("Conv", ["x2", "w", "wb"], ["c"], kernel_shape=[3, 3]),
        node("Relu", ["c"], ["r"]),
        node("GlobalAveragePool", ["r"], ["g"]),
        node("Reshape", ["g", "shape"], ["v"]) if flat else node("Flatten", ["g"], ["v"], axis=1),
        node("Gemm", ["v", "f", "fb"], ["z"], transB=1),
        node(last, ["z"], ["y"], **({"axis": 1} if "oftmax" in last else {}))
        if last
        else node("Identity", ["z"], ["y"]),
    ]
    number = onnx.TensorProto.FLOAT
    graph = onnx.helper.make_graph(
        nodes,
        "net",
        [onnx.helper.make_tensor_value_info("x", number, shape)],
        [onnx.helper.make_tensor_value_info("y", number, None)],
        [array(value, name) for name, value in weights.items()],
    )
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 13)])
    model.ir_version = 8
    onnx.save(model, str(file))
    return str(file), net.eval()


ONNX: dict[str, dict[str, Any]] = {
    "nchw": {"shape": ["n", 3, 16, 16]},
    "nhwc": {"shape": ["n", 16, 16, 3], "nhwc": True},
    "nhwc of any size, softmax": {"shape": ["n", "h", "w", 3], "nhwc": True, "last": "Softmax"},
    "nothing fixed, a convolution first": {"shape": ["n", "c", "h", "w"], "last": "LogSoftmax"},
    "nothing fixed, transposed after a subtraction": {
        "shape": ["n", "h", "w", "c"],
        "nhwc": True,
        "first": "Sub",
        "last": "Sigmoid",
    },
    "batches of one, one sigmoid": {"shape": [1, 3, 16, 16], "last": "Sigmoid", "columns": 1, "flat": True},
}


@pytest.mark.parametrize("kind", ONNX)
def test_onnx_graphs_give_their_logits_in_every_layout(kind: str, tmp_path: Path) -> None:
    spec, net = onnx_file(tmp_path / "net.onnx", **ONNX[kind])
    model = load_model(spec, classes=("a", "b"), channels=3, image_size=16)
    x = torch.rand(4, 3, 16, 16, requires_grad=True)
    want = net(x) if net[4].out_features == 2 else torch.cat([torch.zeros(4, 1), net(x)], 1)
    torch.testing.assert_close(model(x).diff(), want.diff(), rtol=1e-4, atol=1e-5)
    (grad,) = torch.autograd.grad(model(x)[:, 1].sum() - model(x)[:, 0].sum(), x)
    (theirs,) = torch.autograd.grad(want[:, 1].sum() - want[:, 0].sum(), x)
    torch.testing.assert_close(grad, theirs, rtol=1e-3, atol=1e-6)
    assert model.head_note == ""


def test_a_layout_that_cannot_be_told_is_refused_and_can_be_said(tmp_path: Path) -> None:
    spec, net = onnx_file(tmp_path / "net.onnx", ["n", "h", "w", "c"], nhwc=True, first="Max")
    with pytest.raises(UserError, match=r"\(any, any, any, any\).*model\.layout=nchw or model\.layout=nhwc"):
        load_model(spec, classes=("a", "b"), image_size=16)
    x = torch.rand(2, 3, 16, 16)
    model = load_model(spec, classes=("a", "b"), image_size=16, layout="nhwc")
    torch.testing.assert_close(model(x), net(x), rtol=1e-4, atol=1e-5)
    with pytest.raises(UserError, match="has weights of its own"):
        load_model(spec, weights="w.pt")
