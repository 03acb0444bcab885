"""Tables of parameters: counted in the networks of a recipe, and compared without a run."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from typer.testing import CliRunner

from medrobust.cli.main import app
from medrobust.errors import UserError
from medrobust.files import read_json, write_json
from medrobust.models.zoo import build_network
from medrobust.recipes.study import NetworkSpec
from medrobust.study.expected import NUM_PARAMETERS, Wanted, read_expected
from medrobust.study.found import COUNTED, find
from medrobust.study.grid import make_grid
from medrobust.study.merge import at_profile, options_at
from medrobust.study.networks import count_parameters
from medrobust.study.page import check_study
from medrobust.study.read import STUDY_FILE, Study, read_study
from medrobust.study.recipe import find_recipe, read_study_recipe
from medrobust.study.verdicts import verdicts
from studies.make_check import Folder, condition, result
from studies.make_outcomes import study as made
from studies.toys import mini

JOEL = find_recipe("joel2021").parent
# Of Table S2, from shapes: a 3x3 convolution has a weight for each pair of channels and place, and a bias for each
# channel out; 224 pixels are 7 after five pools, so `flatten` has 7 * 7 * 512 = 25088 numbers.
WIDTHS = {
    "block1_conv1": (3, 64),
    "block1_conv2": (64, 64),
    "block2_conv1": (64, 128),
    "block2_conv2": (128, 128),
    "block3_conv1": (128, 256),
    "block3_conv2": (256, 256),
    "block3_conv3": (256, 256),
    "block4_conv1": (256, 512),
    "block4_conv2": (512, 512),
    "block4_conv3": (512, 512),
    "block5_conv1": (512, 512),
    "block5_conv2": (512, 512),
    "block5_conv3": (512, 512),
}
BARE = ["input_1", *(f"block{number}_pool" for number in range(1, 6)), "dropout", "flatten", "dropout_1"]
BY_HAND = {
    **{layer: 3 * 3 * before * after + after for layer, (before, after) in WIDTHS.items()},
    **dict.fromkeys(BARE, 0),
    "fc1": 25088 * 4096 + 4096,
    "fc2": 4096 * 1024 + 1024,
    "predictions": 1024 * 2 + 2,
}
TINY: dict[str, Any] = {"model": "zoo:cbr_tiny(width=8)", "num_classes": 2, "image_size": 32}
PARTS = {"in": None, "c1": "0", "p1": "1", "c2": "2", "c3": "4", "c4": "6", "dense": "10"}


@pytest.fixture(params=["smoke", "cpu", "paper"])
def joel(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Joel's study at a profile, of which nothing was done, with the numbers of Table S2."""
    monkeypatch.delenv("MEDROBUST_DATA", raising=False)
    make_grid(read_study_recipe(JOEL), request.param).write(tmp_path)
    lines = (JOEL / "expected.csv").read_text(encoding="utf-8").splitlines()
    chosen = [lines[0], *(line for line in lines if line.startswith("S2,"))]
    (tmp_path / "expected.csv").write_text("\n".join(chosen) + "\n", encoding="utf-8")
    return tmp_path


def judged(folder: Path) -> dict[tuple[str, str], str]:
    """(row, protocol) -> verdict."""
    found = verdicts(read_study(folder), read_expected(folder / "expected.csv"))
    return {(one.expected.row, one.protocol): one.verdict for one in found}


def test_every_number_of_table_s2_is_reproduced_without_a_run(joel: Path) -> None:
    study = read_study(joel)
    assert study.outcomes == ()
    found = verdicts(study, read_expected(joel / "expected.csv"))
    assert len(found) == 26 * 2
    assert {(one.verdict, one.why) for one in found} == {("reproduced", COUNTED)}
    ours = {one.expected.row: one.found.estimate.value for one in found if one.found.estimate is not None}
    assert ours == {**BY_HAND, "Total parameters": sum(BY_HAND.values())}
    assert study.networks == {"vgg16": {"total": 121_676_610, "layers": BY_HAND}}


@pytest.mark.parametrize("joel", ["smoke"], indirect=True)
def test_another_number_is_not_reproduced(joel: Path) -> None:
    path = joel / "expected.csv"
    path.write_text(path.read_text().replace("102764544", "102764545").replace(",2050,", ",1025,"))
    wrong = {place for place, verdict in judged(joel).items() if verdict == "not reproduced"}
    assert wrong == {(layer, of) for layer in ("fc1", "predictions") for of in ("paper", "honest")}
    assert set(judged(joel).values()) == {"reproduced", "not reproduced"}


@pytest.mark.parametrize("joel", ["smoke"], indirect=True)
def test_the_page_says_that_it_is_counted(joel: Path) -> None:
    check_study(joel).write(joel)
    text = (joel / "check.md").read_text(encoding="utf-8")
    line = next(line for line in text.splitlines() if line.startswith("| fc1 "))
    assert (line.count("102764544"), line.count("102,764,544")) == (1, 2)  # reported; as published and honest
    assert line.count(f"reproduced ({COUNTED})") == 2
    assert COUNTED in (joel / "check.html").read_text(encoding="utf-8")


@pytest.mark.parametrize("joel", ["smoke"], indirect=True)
def test_an_older_study_file_is_read_and_has_no_counts(joel: Path) -> None:
    content = read_json(joel / STUDY_FILE)
    del content["networks"]
    write_json(joel / STUDY_FILE, content)
    assert read_study(joel).networks == {}
    assert set(judged(joel).values()) == {"cannot run"}


def test_what_is_counted_is_what_the_paper_profile_trains() -> None:
    recipe = read_study_recipe(JOEL)
    train = options_at(at_profile(recipe, "paper"), {"data": "ct", "training": "standard", "seed": "0"}, "paper")[0]
    network = recipe.networks["vgg16"]
    assert (network.model, network.image_size) == (train["model"]["name"], train["data"]["image_size"])
    assert (network.num_classes, network.channels) == (2, 3)
    assert train["data"]["color"] == "rgb"


def wanted(minus: Mapping[str, str] | None = None, **where: str) -> Wanted:
    return Wanted(NUM_PARAMETERS, {"data": "ct", **where}, minus=tuple((minus or {}).items()))


def counted(**changes: Any) -> Study:
    """A study with an axis of data, of which this profile has one, and a network whose parameters are counted."""
    networks = {"tiny": {"total": 70, "layers": {"first": 50, "pool": 0, "last": 20}}}
    axes = {"data": ("ct",)}
    return made([], networks=networks, axes=axes, all_axes={"data": ("ct", "mri")}, **changes)


@pytest.mark.parametrize(
    ("where", "value"),
    [
        ({"model": "tiny"}, 70),
        ({"model": "tiny", "layer": "last"}, 20),
        ({"model": "tiny", "layer": "pool"}, 0),
        ({"model": "tiny", "data": "mri"}, 70),  # not in this profile, but nothing is run
        ({"model": "tiny", "minus": {"layer": "last"}, "layer": "first"}, 30),
    ],
)
@pytest.mark.parametrize("protocol", ["paper", "honest"])
def test_a_selection_takes_the_layer_or_the_total(where: dict[str, Any], value: int, protocol: str) -> None:
    found = find(counted(), wanted(**where), protocol)
    assert found.estimate is not None
    assert (found.estimate.value, found.estimate.low, found.estimate.high) == (value, value, value)
    assert (found.num_used, found.num_jobs, found.verdict, found.why, found.note) == (0, 0, "", "", COUNTED)


@pytest.mark.parametrize(
    ("where", "why"),
    [
        ({"model": "tiny", "layer": "fc9"}, "the network tiny of the recipe has no layer fc9"),
        ({"model": "tiny", "layr": "last"}, "the study does not tell results apart by layr (layr=last)"),
        ({"model": "tiny", "data": "xray"}, "data=xray is not in the study"),
        ({"model": "huge", "layer": "last"}, "the study does not tell results apart by model (model=huge)"),
        ({"layer": "last"}, "the study does not tell results apart by layer (layer=last)"),
    ],
)
def test_what_is_not_there_cannot_run_and_is_named(where: dict[str, str], why: str) -> None:
    found = find(counted(), wanted(**where), "paper")
    assert (found.estimate, found.verdict, found.why) == (None, "cannot run", why)


def test_other_metrics_of_a_counted_network_need_a_run() -> None:
    found = find(counted(), Wanted("accuracy", {"data": "ct", "model": "tiny"}), "paper")
    assert found.why == "the study does not tell results apart by model (model=tiny)"


def test_a_network_that_the_study_trains_is_counted_in_its_audits(tmp_path: Path) -> None:
    networks = {"small": {"total": 70, "layers": {}}, "other": {"total": 60, "layers": {}}}
    folder = Folder(tmp_path, networks=networks)
    axes = "data=xray model=small training=standard split=0"
    folder.add(axes, "paper", result([condition("none", 0.0, 18)], "paper"))
    study = read_study(folder.write())
    ours = {name: find(study, Wanted(NUM_PARAMETERS, {"model": name}), "paper") for name in networks}
    assert [one.estimate and one.estimate.value for one in ours.values()] == [1234, 60]
    assert [one.note for one in ours.values()] == ["", COUNTED]


def test_counting_is_what_the_built_network_has_and_leaves_the_random_state() -> None:
    before = torch.get_rng_state()
    found = count_parameters("tiny", NetworkSpec(**TINY, layers=PARTS))
    assert torch.equal(before, torch.get_rng_state())
    network = build_network("zoo:cbr_tiny(width=8)", num_classes=2)
    assert found["total"] == sum(weights.numel() for weights in network.parameters()) == 67_770 + 5 * 5 * 8 * 2
    # Convolution without bias, then scale and shift of batch normalization; 8, 16, 32, 64 filters of 5x5.
    widths = {"c1": (3, 8), "c2": (8, 16), "c3": (16, 32), "c4": (32, 64)}
    by_hand = {layer: 25 * before_ * after + 2 * after for layer, (before_, after) in widths.items()}
    assert found["layers"] == {"in": 0, "p1": 0, **by_hand, "dense": 64 * 2 + 2}
    assert count_parameters("tiny", NetworkSpec(**TINY)) == {"total": found["total"], "layers": {}}
    gray = count_parameters("tiny", NetworkSpec(**TINY, channels=1))
    assert found["total"] - gray["total"] == 25 * 2 * 8


def test_tables_and_profiles_leave_the_cells_as_they_are() -> None:
    with_table = make_grid(mini(networks={"tiny": {**TINY, "layers": PARTS}}), "smoke")
    assert list(with_table.cells) == list(make_grid(mini(), "smoke").cells)


WRONG = {
    "source": ({"model": "torchvison:vgg16"}, r"networks\.tiny\.model: unknown source in 'torchvison:vgg16'"),
    "network": ({"model": "zoo:cbr_tinny"}, r"networks\.tiny\.model: unknown network.*'cbr_tiny'"),
    "option": ({"model": "zoo:cbr_tiny(widht=8)"}, r"networks\.tiny\.model: unknown option 'widht'.*'width'"),
    "size": ({"model": "zoo:vgg16_joel", "image_size": 16}, r"networks\.tiny\.image_size: 16 is too small"),
    "patches": ({"model": "torchvision:vit_b_16", "image_size": 30}, r"networks\.tiny\.model: torchvision:vit_b_16"),
    "no size": ({"image_size": 0}, r"networks\.tiny\.image_size: 0 is none"),
    "no class": ({"num_classes": 0}, r"networks\.tiny\.num_classes: 0 is none"),
    "no channel": ({"channels": -1}, r"networks\.tiny\.channels: -1 is none"),
    "key": ({"modle": "zoo:cbr_tiny"}, r"networks\.tiny\.modle: unknown key.*'model'"),
    "module": ({"layers": {**PARTS, "dense": "11"}}, r"networks\.tiny\.layers\.dense: the network has no module '11'"),
    "left out": (
        {"layers": {**PARTS, "dense": None}},
        r"networks\.tiny\.layers: 130 of 68170 parameters are in no layer, the first is 10\.weight",
    ),
    "twice": ({"layers": {**PARTS, "c5": "6.conv"}}, r"networks\.tiny\.layers\.c5: '6\.conv' holds .* c4 holds"),
    "layer": ({"layers": {**PARTS, "a b": None}}, r"networks\.tiny\.layers\.a b: is no name"),
}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_networks_are_refused(name: str) -> None:
    changes, said = WRONG[name]
    with pytest.raises(UserError, match=f"^{said}"):
        make_grid(mini(networks={"tiny": {**TINY, **changes}}), "smoke")


def test_a_name_that_no_selection_can_give_is_refused() -> None:
    with pytest.raises(UserError, match=r"^networks\.a,b: is no name"):
        make_grid(mini(networks={"a,b": TINY}), "smoke")


def test_two_layers_that_count_the_same_module_are_refused_though_the_sum_is_right() -> None:
    # Both convolutions have 590,080 parameters, so the sum alone would not tell.
    layers = dict(read_study_recipe(JOEL).networks["vgg16"].layers)
    spec = NetworkSpec(model="zoo:vgg16_joel", num_classes=2, image_size=224, layers=layers)
    assert sum(count_parameters("vgg16", spec)["layers"].values()) == 121_676_610
    layers["block3_conv3"] = layers["block3_conv2"]
    with pytest.raises(UserError, match=r"^networks\.vgg16\.layers\.block3_conv3: .* that block3_conv2 holds too"):
        count_parameters("vgg16", spec)


def test_a_refused_study_writes_nothing(tmp_path: Path) -> None:
    recipe = tmp_path / "recipe.yaml"
    text = (JOEL / "recipe.yaml").read_text(encoding="utf-8")
    recipe.write_text(text.replace("fc1: head.2", "fc1: head.22"), encoding="utf-8")
    out = tmp_path / "out"
    ran = CliRunner().invoke(app, ["study", "run", str(recipe), "--profile", "smoke", "--out", str(out)])
    assert "networks.vgg16.layers.fc1: the network has no module 'head.22'. Did you mean 'head.2'?" in str(
        ran.exception
    )
    assert not out.exists()
