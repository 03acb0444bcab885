"""Every example runs as it is, is short, and does what it says."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from medrobust import AuditRun, Records

FOLDER = Path(__file__).parents[2] / "examples"
SCRIPTS = sorted(FOLDER.glob("*.py"))


def shares(line: str) -> list[float]:
    """The numbers with two decimals in a line."""
    return [float(text) for text in re.findall(r"\b[01]\.\d\d\b", line)]


def attack_a_tensor(out: Path, lines: list[str]) -> None:
    changed = [int(re.search(r"(\d+) answers changed", line)[1]) for line in lines[1:4]]
    assert min(changed) > 0
    assert "0 benign answers changed" in lines[4]
    assert (out / "before_and_after.png").is_file()


def audit_a_timm_model(out: Path, lines: list[str]) -> None:
    run = AuditRun(out / "audit")
    assert [shares(line)[0] for line in lines[1:5]] == [round(w["robust_accuracy"]["value"], 2) for w in run.worst_case]
    assert run.report.is_file()


def audit_a_monai_loader(out: Path, lines: list[str]) -> None:
    run = AuditRun(out / "audit")
    assert run.content["data"]["num_groups"] == 23 < run.content["data"]["num_images"] == 30
    assert run.records.clean["scores"].shape == (30, 2)


def train_in_lightning(out: Path, lines: list[str]) -> None:
    saved = torch.load(out / "hardened.ckpt", weights_only=False)
    assert int(saved["state_dict"]["objective.epoch"]) == saved["epoch"] == 10


def train_in_a_plain_loop(out: Path, lines: list[str]) -> None:
    clean, hardened = (shares(line) for line in lines[:2])
    assert hardened[-1] > clean[-1]  # at the largest budget
    assert (out / "hardened.pt").is_file()


def own_attack(out: Path, lines: list[str]) -> None:
    records = Records.read(out / "records.parquet")
    assert records.cells == [("stripes", "linf"), ("pgd", "linf")]
    stripes, pgd = (curve.envelope.sum(0) for curve in records.curves("linf"))
    assert pgd[-1] < stripes[-1] < len(records.clean)


def own_objective(out: Path, lines: list[str]) -> None:
    malignant = [int(line.split("%")[0].split()[-1]) for line in lines[:2]]
    assert malignant[1] > malignant[0]
    assert (out / "price_4" / "history.json").is_file()


def own_data_set(out: Path, lines: list[str]) -> None:
    records = AuditRun(out / "audit").records
    assert set(records["meta_site"].tolist()) <= set("ABC")
    assert len(records.clean) == 20


def own_check(out: Path, lines: list[str]) -> None:
    run = AuditRun(out / "audit")
    finding = next(one for one in run.findings if one.id == "robust-sensitivity")
    attacked = run.records.where(attack="pgd", label=1, epsilon=1 / 255)
    found = int(((attacked["prediction"] == 1) & (attacked["clean_prediction"] == 1)).sum())
    assert finding.evidence == f"{found} of {len(attacked)}"
    assert finding.severity == ("pass" if found >= 0.8 * len(attacked) else "fail")
    assert finding.title in run.report.read_text(encoding="utf-8")


def own_report_section(out: Path, lines: list[str]) -> None:
    page = (out / "audit" / "report.html").read_text(encoding="utf-8")
    assert '<section id="agreement"' in page
    assert "The agreement with the radiology department is not kept." in page


FACTS: dict[str, Callable[[Path, list[str]], None]] = {
    fact.__name__: fact
    for fact in (
        attack_a_tensor,
        audit_a_timm_model,
        audit_a_monai_loader,
        train_in_lightning,
        train_in_a_plain_loop,
        own_attack,
        own_objective,
        own_data_set,
        own_check,
        own_report_section,
    )
}


def test_each_example_is_known_and_has_its_line_in_the_readme() -> None:
    assert len(SCRIPTS) == 10
    assert {script.stem for script in SCRIPTS} == set(FACTS)
    readme = (FOLDER / "README.md").read_text(encoding="utf-8")
    named = re.findall(r"^- \[\w+\.\w+\]\((\w+\.\w+)\)", readme, re.MULTILINE)
    assert sorted(named) == sorted(path.name for path in [*SCRIPTS, *FOLDER.glob("*.ipynb"), *FOLDER.glob("*.sh")])


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.stem)
def test_an_example_is_short_and_says_what_it_shows(script: Path) -> None:
    source = script.read_text(encoding="utf-8")
    assert len(source.splitlines()) < 60
    assert f"python examples/{script.name}" in (ast.get_docstring(ast.parse(source)) or "")


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.stem)
def test_an_example_does_what_it_says(script: Path, run_script: Callable[[Path, Path], str], tmp_path: Path) -> None:
    out = tmp_path / "out"
    printed = run_script(script, out)
    FACTS[script.stem](out, printed.splitlines())
    assert str(out) in printed
