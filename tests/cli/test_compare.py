"""medrobust compare: files, exit codes, one line for what cannot be compared."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

import medrobust as mr

from .run import refused, run


@pytest.fixture(scope="module")
def audits(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two networks on the same images, and the first on other budgets."""
    folder = tmp_path_factory.mktemp("audits")
    generator = torch.Generator().manual_seed(0)
    x = torch.rand(24, 1, 8, 8, generator=generator)
    y = torch.arange(24) % 2
    x[y == 1] = (x[y == 1] + 0.1).clamp(0, 1)
    images = mr.ImageSet.of(x, y, classes=["benign", "malignant"])
    for name, sign, budgets in (("a", 1.0, ["1/255", "4/255"]), ("b", -1.0, ["1/255", "4/255"]), ("c", 1.0, ["2/255"])):
        net = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, 2))
        with torch.no_grad():
            net[1].weight.copy_(torch.stack([-torch.ones(64), torch.ones(64)]) * sign)
            net[1].bias.copy_(torch.tensor([35.0, -35.0]) * sign)
        mr.audit(net, images, ["fgsm"], linf=budgets, out=folder / name)
    return folder


def test_a_run_against_itself_is_met_and_writes_three_files(
    audits: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    limits = tmp_path / "limits.yaml"
    limits.write_text(
        "- {metric: accuracy, no_worse_than: 0.2}\n"
        "- {metric: accuracy, norm: linf, epsilon: 1/255, no_worse_than: 20%}\n"
    )
    code, out, err = run(capsys, "compare", audits / "a", audits / "a", "--limits", limits, "--out", tmp_path / "same")
    assert (code, err) == (0, "")
    assert "note: Both runs are of the same classifier." in out
    content = json.loads((tmp_path / "same" / "compare.json").read_text())
    assert (content["schema"], content["verdict"]) == ("medrobust.compare/1", "met")
    assert {row["difference"]["value"] for row in content["rows"]} == {0.0}
    assert {row["p_holm"] for row in content["rows"]} == {1.0}
    page = (tmp_path / "same" / "compare.html").read_text(encoding="utf-8")
    assert "The limits are met." in page
    assert "://" not in page
    assert "| accuracy | linf 1/255 |" in (tmp_path / "same" / "compare.md").read_text()


def test_exit_codes_of_limits(audits: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    limits, out = tmp_path / "limits.yaml", ("--out", tmp_path / "out")
    given = ("compare", audits / "a", audits / "b", "--limits", limits)
    limits.write_text("- {metric: accuracy, no_worse_than: 0.1}\n")
    code, said, _ = run(capsys, *given, *out)
    assert code == 1
    assert "not met: accuracy (untouched) no worse than 0.1 below the old one" in said
    limits.write_text("- {metric: accuracy, at_least: 0.9}\n")
    undecided = ("compare", audits / "b", audits / "a", "--limits", limits, *out)
    content = mr.compare(audits / "b", audits / "a", limits)
    assert content.verdict == "undecided", content.limits
    assert run(capsys, *undecided)[0] == 1
    assert run(capsys, *undecided, "--fail-on", "not-met")[0] == 0
    assert run(capsys, *given[:3], *out)[0] == 0, "without limits there is nothing to fail"


def test_refusals_are_one_line(audits: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = ("--out", tmp_path / "out")
    assert "in one run only" in refused(capsys, "compare", audits / "a", audits / "c", *out)
    assert "no budget in common" in refused(capsys, "compare", audits / "a", audits / "c", "--common", *out)
    assert "audit.json" in refused(capsys, "compare", audits / "a", tmp_path, *out)
    limits = tmp_path / "limits.yaml"
    for text, words in (
        ("- {metric: accuracy, at_lest: 1}", "unknown key"),
        ("[", "is not YAML"),
        ("", "is not a list"),
    ):
        limits.write_text(text)
        assert words in refused(capsys, "compare", audits / "a", audits / "a", "--limits", limits, *out)
    missing = ("compare", audits / "a", audits / "a", "--limits", tmp_path / "none.yaml", *out)
    assert "none.yaml" in refused(capsys, *missing)
    assert "--fail-on" in refused(capsys, "compare", audits / "a", audits / "a", "--fail-on", "warn", *out)
    assert not (tmp_path / "out").exists()


def test_a_prevalence_given_in_python_is_used_and_refused(tmp_path: Path) -> None:
    net = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(16, 2))
    images = mr.ImageSet.of(torch.rand(12, 1, 4, 4), torch.arange(12) % 2, classes=["benign", "malignant"])
    found = mr.audit(net, images, ["fgsm"], linf=["1/255"], prevalence=0.05, out=tmp_path / "run")
    assert found.clean["prevalence"] == {"benign": 0.95, "malignant": 0.05}
    with pytest.raises(mr.UserError, match="no class of the images"):
        mr.audit(net, images, ["fgsm"], linf=["1/255"], prevalence={"cyst": 0.1}, out=tmp_path / "other")
    assert not (tmp_path / "other").exists()


def test_from_python_nothing_is_written_unless_it_is_wanted(audits: Path, tmp_path: Path) -> None:
    found = mr.compare(mr.AuditRun(audits / "a"), str(audits / "b"), [{"metric": "auroc", "at_least": 0.5}])
    assert (found.folder, found.verdict) == (None, "not met")
    assert found.rows[0]["difference"]["value"] == pytest.approx(
        found.rows[0]["b"]["value"] - found.rows[0]["a"]["value"], abs=2e-6
    )
    written = mr.compare(audits / "a", audits / "b", out=tmp_path / "out")
    assert written.folder is not None
    assert sorted(path.name for path in written.folder.iterdir()) == ["compare.html", "compare.json", "compare.md"]


def test_runs_in_which_other_pixels_may_change_are_not_compared(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A smaller share of the pixels is a smaller threat: its robust accuracy is no improvement."""
    x = torch.rand(12, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    lesions = torch.zeros(12, 8, 8)
    lesions[:, :3] = 1
    images = mr.ImageSet.of(x, torch.arange(12) % 2, classes=["benign", "malignant"], masks=lesions)
    net = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, 2))
    mr.audit(net, images, ["fgsm"], linf=["4/255"], out=tmp_path / "all")
    mr.audit(net, images, ["fgsm"], linf=["4/255"], mask="lesion", out=tmp_path / "lesion")
    message = refused(capsys, "compare", tmp_path / "all", tmp_path / "lesion")
    assert "everywhere in one run and in the lesion in the other" in message
