"""A compiled network trains to the same numbers, to rounding; where nothing compiles, one line says so."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import nn

from medrobust.models import load_model
from medrobust.recipes.train import ModelSpec, OptimizerSpec
from medrobust.training import TrainRecipe, train

Make = Callable[..., TrainRecipe]


def common(make_recipe: Make, **changes: object) -> TrainRecipe:
    return make_recipe(
        "gr" if changes.pop("second", False) else "clean",
        model=ModelSpec(name="training_nets:plain"),
        epochs=2,
        optimizer=OptimizerSpec(name="sgd", lr=0.05),
        **changes,
    )


def use_backend(monkeypatch: pytest.MonkeyPatch, backend: object) -> None:
    """Another backend than inductor, which takes a minute of a C++ compiler."""
    usual = nn.Module.compile
    monkeypatch.setattr(nn.Module, "compile", lambda self: usual(self, backend=backend))


def test_a_compiled_network_is_used_and_computes_the_same(
    make_recipe: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    graphs = 0

    def backend(graph: torch.fx.GraphModule, inputs: object) -> object:
        nonlocal graphs
        graphs += 1
        return graph.forward

    use_backend(monkeypatch, backend)
    train(common(make_recipe), tmp_path / "plain")
    assert graphs == 0
    lines: list[str] = []
    train(common(make_recipe, compile=True), tmp_path / "compiled", say=lines.append)
    assert graphs > 0
    assert not any(line.startswith("compile") for line in lines)
    plain, compiled = (load_model(str(tmp_path / name / "last")).state_dict() for name in ("plain", "compiled"))
    for name in plain:
        torch.testing.assert_close(compiled[name], plain[name])


def test_no_compiler_is_one_line(make_recipe: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def backend(graph: object, inputs: object) -> object:
        raise RuntimeError("no C++ compiler")

    use_backend(monkeypatch, backend)
    lines: list[str] = []
    train(common(make_recipe), tmp_path / "plain")
    train(common(make_recipe, compile=True), tmp_path / "run", say=lines.append)
    (line,) = (line for line in lines if line.startswith("compile: not possible here"))
    assert "no C++ compiler" in line
    weights = [(tmp_path / name / "model.safetensors").read_bytes() for name in ("plain", "run")]
    assert weights[0] == weights[1]


def test_losses_with_second_derivatives_are_not_compiled(
    make_recipe: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    use_backend(monkeypatch, "aot_eager")
    lines: list[str] = []
    folder = train(common(make_recipe, compile=True, second=True), tmp_path / "run", say=lines.append)
    assert sum("needs second derivatives" in line for line in lines) == 1
    assert json.loads((folder / "run.json").read_text())["status"] == "done"
