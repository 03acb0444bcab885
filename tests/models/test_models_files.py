"""Files that are no weights, or weights that a checkpoint does not take: each is refused by name."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from medrobust.errors import UserError
from medrobust.models import build_network, load_model, save_checkpoint
from medrobust.models.classifier import Classifier
from medrobust.models.create import new_classifier

State = dict[str, Tensor]

POINTER = (
    "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a214614ab2935c943f9e0ff69d22eadbb8f32b\nsize 44712345\n"
)


@pytest.mark.parametrize("suffix", [".pt", ".pth", ".safetensors", ".onnx", ".pt2"])
def test_git_lfs_pointers_are_named(tmp_path: Path, suffix: str) -> None:
    file = tmp_path / f"net{suffix}"
    file.write_text(POINTER)
    says = "Git LFS pointer .* Run git lfs pull"
    with pytest.raises(UserError, match=says):
        load_model(str(file))
    if suffix in (".pt", ".pth", ".safetensors"):
        with pytest.raises(UserError, match=says):
            load_model("zoo:cbr_tiny", weights=file)
        with pytest.raises(UserError, match=says):
            new_classifier("zoo:cbr_tiny", classes=("a", "b"), init=file)


@pytest.mark.parametrize("name", ["card.json", "model.safetensors"])
def test_git_lfs_pointers_in_a_checkpoint_are_named(tmp_path: Path, name: str) -> None:
    spec = "zoo:cbr_tiny(width=4)"
    save_checkpoint(tmp_path, Classifier(build_network(spec, num_classes=2), classes=("a", "b"), spec=spec))
    (tmp_path / name).write_text(POINTER)
    with pytest.raises(UserError, match=f"{name}: is a Git LFS pointer"):
        load_model(str(tmp_path))


@pytest.mark.filterwarnings("ignore")
def test_torchscript_archives_are_code(tmp_path: Path) -> None:
    torch.jit.save(torch.jit.script(nn.Linear(2, 2)), tmp_path / "net.pt")
    for call in (
        lambda: load_model(str(tmp_path / "net.pt")),
        lambda: load_model("zoo:cbr_tiny", weights=tmp_path / "net.pt"),
    ):
        with pytest.raises(UserError, match=r"TorchScript archive, which is code .* torch\.export\.save"):
            call()


def test_a_checkpoint_takes_no_other_weights(tmp_path: Path) -> None:
    spec = "zoo:cbr_tiny(width=4)"
    network = build_network(spec, num_classes=2)
    save_checkpoint(tmp_path, Classifier(network, classes=("a", "b"), spec=spec))
    save_file(network.state_dict(), tmp_path / "w.safetensors")
    with pytest.raises(UserError, match="has weights of its own"):
        load_model(str(tmp_path), weights=tmp_path / "w.safetensors")
