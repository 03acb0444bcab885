"""A finished audit, looked at from Python: the rows, the numbers and the findings of its directory."""

from __future__ import annotations

import dataclasses
import json
import shutil
from pathlib import Path

import pytest
import torch

from medrobust.attacks import pgd
from medrobust.attacks.build import describe
from medrobust.auditing import audit as module
from medrobust.auditing.audit import run_audit
from medrobust.auditing.checks.sample import broken_files
from medrobust.auditing.context import run_checks
from medrobust.auditing.run import AuditRun
from medrobust.auditing.setup import Setup
from medrobust.errors import UserError
from medrobust.findings import SEVERITIES, Finding
from medrobust.recipes.audit import AuditRecipe
from medrobust.recipes.parts import DataSpec, ModelSpec, ThreatSpec
from medrobust.records import Records
from medrobust.testing import small_audit
from medrobust.testing.image_sets import tiny_set

BUDGETS = (1 / 255, 64 / 255)


def worrying(records: Records, context: object) -> list[Finding]:
    """A check of one's own, whose words are no markup."""
    advice = "Look at <them>."
    return [
        Finding("own-warning", "warn", "Is anything <odd>?", f"{len(records)} rows & more", advice, {"rows": 3}),
        Finding("own-failure", "fail", "Is anything wrong?", "yes", advice),
    ]


@pytest.fixture(scope="module")
def setup() -> Setup:
    _, context = small_audit(images=tiny_set(12), attacks={"pgd": pgd(num_steps=3)}, epsilons=BUDGETS)
    attacks = {name: describe(attack) for name, attack in context.plan.attacks.items()}
    recipe = AuditRecipe(
        model=ModelSpec(name="toy"), data=DataSpec(split="all"), attacks=attacks, threat=ThreatSpec(epsilons=BUDGETS)
    )
    return Setup(recipe, context.model, context.images, context.plan, {})


@pytest.fixture(scope="module")
def run(setup: Setup, tmp_path_factory: pytest.TempPathFactory) -> AuditRun:
    folder = tmp_path_factory.mktemp("audit") / "run"
    return AuditRun(run_audit(setup, folder, "# a recipe\n", checks=[broken_files, worrying]))


def fails(records: Records, context: object) -> Finding:
    raise KeyError("age")


def says_nothing(records: Records, context: object) -> None:
    """Forgets its finding."""


def test_a_check_that_ends_in_an_error_is_a_finding_and_stops_no_other() -> None:
    found = {one.id: one for one in run_checks([fails, says_nothing, worrying], *small_audit())}  # type: ignore[list-item]
    assert [found[name].severity for name in ("fails", "says-nothing", "own-warning")] == ["not_run", "not_run", "warn"]
    assert "KeyError: 'age'" in found["fails"].evidence
    assert "returned a NoneType" in found["says-nothing"].evidence


def test_numbers_of_a_finding_are_kept(run: AuditRun) -> None:
    assert {one.id: dict(one.numbers) for one in run.findings}["own-warning"] == {"rows": 3}


def test_the_rows_and_the_numbers_agree(run: AuditRun) -> None:
    worst = run.records.worst_case("linf")
    assert [row["epsilon"] for row in run.worst_case] == worst.epsilons.tolist() == list(BUDGETS)
    assert [row["robust_accuracy"]["value"] for row in run.worst_case] == worst.envelope.mean(0).tolist() == [1.0, 0.0]
    clean = run.records.clean
    assert run.clean["accuracy"]["value"] == float((clean["label"] == clean["clean_prediction"]).mean()) == 1.0
    assert len(run.records) == 12 * 3


def test_findings_are_the_worst_first(run: AuditRun) -> None:
    assert [finding.id for finding in run.findings] == ["own-failure", "own-warning", "broken-files"]
    ranks = [SEVERITIES.index(finding.severity) for finding in run.findings]
    assert ranks == sorted(ranks)
    assert run.findings[1].evidence == "36 rows & more"


def test_a_notebook_shows_numbers_and_findings_as_text(run: AuditRun) -> None:
    html = run._repr_html_()
    assert html.startswith("<svg")
    assert "64/255</td><td>0.000" in html
    assert "Is anything &lt;odd&gt;? 36 rows &amp; more" in html
    assert "<odd>" not in html
    assert repr(run) == f"AuditRun({str(run.folder)!r}, 12 images, checks: fail, quotable: no)"


def test_the_directory_holds_what_the_design_says(run: AuditRun) -> None:
    names = {path.name for path in run.folder.iterdir()}
    assert names == {"recipe.yaml", "run.json", "records.parquet", "audit.json", "certified.json", "images"}
    assert json.loads((run.folder / "run.json").read_text())["status"] == "done"
    content, identity = run.content, json.loads((run.folder / "run.json").read_text())["identity"]
    assert content["protocol"]["attacks"]["pgd"]["goal"] == "untargeted"
    assert content["data"]["num_groups"] == 6
    assert content["provenance"]["recipe_sha256"] == identity["recipe"]
    assert "numbers" not in content["findings"][0]


def test_a_finished_audit_is_not_measured_again(
    run: AuditRun, setup: Setup, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = shutil.copytree(run.folder, tmp_path / "again")
    monkeypatch.setattr(module, "measure", None)
    again = AuditRun(run_audit(setup, folder, "# a recipe\n", checks=[broken_files]))
    assert [finding.id for finding in again.findings] == ["broken-files"]
    assert again.worst_case == run.worst_case
    # Nor are checks of ours made again; what they found is kept.
    content = json.loads((folder / "audit.json").read_text())
    content["findings"][0]["evidence"] = "as found before"
    (folder / "audit.json").write_text(json.dumps(content))
    once_more = AuditRun(run_audit(setup, folder, "# a recipe\n", checks=[broken_files]))
    assert [finding.evidence for finding in once_more.findings] == ["as found before"]
    assert again.content["cost"] == run.content["cost"]


def test_another_model_other_images_or_another_recipe_are_refused(run: AuditRun, setup: Setup) -> None:
    other = tiny_set(14)
    with torch.no_grad():
        model = dataclasses.replace(setup, model=_shifted(setup.model))
    for changed, what in (
        (model, "model"),
        (dataclasses.replace(setup, images=other), "data"),
        (dataclasses.replace(setup, recipe=dataclasses.replace(setup.recipe, seed=1)), "recipe"),
    ):
        with pytest.raises(UserError, match=f"holds a run of another {what}"):
            run_audit(changed, run.folder, "")


def _shifted(model: torch.nn.Module) -> torch.nn.Module:
    import copy

    found = copy.deepcopy(model)
    next(found.parameters()).add_(0.1)
    return found


def test_folders_that_hold_no_audit_are_refused(run: AuditRun, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"audit\.json: no such file"):
        AuditRun(tmp_path).worst_case  # noqa: B018
    with pytest.raises(UserError, match="cannot be read as Parquet"):
        AuditRun(tmp_path).records  # noqa: B018
    (tmp_path / "audit.json").write_text(json.dumps({**run.content, "schema": "medrobust.audit/0"}))
    with pytest.raises(UserError, match=r"is not 'medrobust\.audit/1'. Measure again"):
        AuditRun(tmp_path).findings  # noqa: B018
    (tmp_path / "audit.json").write_text("[]")
    with pytest.raises(UserError, match="Measure again"):
        AuditRun(tmp_path).clean  # noqa: B018


def test_a_folder_with_something_else_is_refused(setup: Setup, tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(UserError, match="not empty and not a run"):
        run_audit(setup, tmp_path, "")
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


def test_a_finding_of_no_known_severity_is_refused() -> None:
    with pytest.raises(ValueError, match="'error' of 'odd' is none of fail, warn, not_run, pass"):
        Finding("odd", "error", "Is it odd?", "yes")  # type: ignore[arg-type]
