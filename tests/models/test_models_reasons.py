"""Networks that do not take the images: the one line says why."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from medrobust.errors import UserError
from medrobust.models import load_model
from medrobust.models.wrap import as_classifier

NETS = """
import torch
from torch import nn
class Net(nn.Module):
    def __init__(self, do):
        super().__init__(); self.do, self.fc = do, nn.Linear(3, 2)
    def forward(self, x): return self.fc(self.do(x))
def mean(x): return x.mean((2, 3))
def one_by_one(): return Net(lambda x: x.mean((2, 3)).view(1, 3))
def by_32(): return nn.Sequential(nn.Flatten(), nn.Linear(3 * 32 * 32, 2))
def strided(): return nn.Sequential(nn.Conv2d(3, 2, 4, 4), nn.Flatten(), nn.Linear(2 * 10 * 10, 2))
def grey(): return nn.Sequential(nn.Conv2d(1, 2, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten())
def grey_by_28(): return nn.Sequential(nn.Flatten(), nn.Linear(28 * 28, 2))
def at_the_end(): return Net(lambda x: nn.functional.linear(x, torch.ones(3, 3)).mean((1, 2)))
def missing():
    def do(x):
        import a_module_that_nobody_has
    return Net(do)
def key(): return Net(lambda x: {}["nothing"])
def maps(): return nn.Conv2d(3, 2, 1)
def labels(): return Net(lambda x: x.mean((2, 3))).register_forward_hook and Labels()
def nothing(): return Nothing()
def several(): return Several()
def features(): return nn.Sequential(nn.AdaptiveAvgPool2d(4), nn.Flatten())
class Labels(nn.Module):
    def forward(self, x): return x.mean((2, 3)).argmax(1)
class Nothing(nn.Module):
    def forward(self, x): pass
class Several(nn.Module):
    def forward(self, x): return {"first": x.mean((2, 3))[:, :2], "second": x.mean((2, 3))[:, 1:]}
class InDouble(nn.Module):
    def __init__(self):
        super().__init__(); self.table = torch.ones(3, 2, dtype=torch.float64)
    def forward(self, x): return x.mean((2, 3)) @ self.table
"""
SAYS = {
    "one_by_one": r"takes one image at a time, not 3 at once\. Let forward keep the first dimension",
    "by_32": r"takes images of 32 x 32 pixels, not 24 x 24\. Set data\.image_size=32",
    "strided": r"takes images of \d+ x \d+ pixels, not 24 x 24\. Set data\.image_size=4",
    "grey": r"takes images of 1 channel, not 3\. Set data\.color=grey",
    "grey_by_28": r"28 x 28 pixels, not 24 x 24, and of 1 channel, not 3.*data\.image_size=28 and data\.color=grey",
    "at_the_end": r"takes images \(n, h, w, c\).*model\.layout=nhwc",
    "missing": r"needs a_module_that_nobody_has, which is not here.*pip install a_module_that_nobody_has",
    "key": r"fails on images of shape \(3, 3, 24, 24\): KeyError: 'nothing'",
    "maps": r"returns \(3, 2, 24, 24\) for 3 images",
    "Labels": "returns whole numbers .*perhaps the class itself",
    "Nothing": "returns a NoneType",
    "Several": r"several outputs \(first, second\)",
    "features": "48 outputs for 2 classes",
    "InDouble": "takes float64 numbers only, not float32",
}


@pytest.mark.parametrize("name", SAYS)
def test_the_reason_is_the_true_one(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / f"nets_{name}.py").write_text(NETS)
    with pytest.raises(UserError, match=SAYS[name]) as caught:
        load_model(f"nets_{name}:{name}", classes=("a", "b"), image_size=24)
    assert "\n" not in str(caught.value)
    if name == "at_the_end":
        assert load_model(f"nets_{name}:{name}", classes=("a", "b"), image_size=24, layout="nhwc").channels == 3


def test_networks_in_memory_have_the_same_reasons() -> None:
    net = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(3 * 32 * 32, 2))
    with pytest.raises(UserError, match="model: takes images of 32 x 32 pixels, not 24 x 24"):
        as_classifier(net, torch.rand(2, 3, 24, 24))


def test_one_of_several_outputs_is_found_by_its_columns() -> None:
    class Rich(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            return x.flatten(1), x.mean((2, 3))[:, :2]

    x = torch.rand(4, 3, 5, 5)
    assert torch.equal(as_classifier(Rich(), x, ("a", "b"))(x), x.mean((2, 3))[:, :2])
