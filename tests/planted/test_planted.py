"""Every planted defect is caught by the checks it is meant for; no sound classifier is said to be attacked badly."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from medrobust.auditing.checks import budgets, contract, facts, finite, function, model, proof, rows, sample, stronger
from medrobust.auditing.checks.data import data_findings
from medrobust.auditing.context import Check
from medrobust.quotable import DECIDING, quotable

from .case import REFUSED, Case, audited
from .defects import DEFECTS
from .sound import SOUND

CHECK_OF: dict[str, Check] = {
    "active-test": proof.active,
    "closed-form": proof.closed_form,
    "unbounded": stronger.unbounded,
    "convergence": stronger.convergence,
    "black-box": stronger.black_box,
    "reach": budgets.reach,
    "steps-help": rows.steps_help,
    "last-point": rows.last_point,
    "gradients": contract.gradients,
    "saturation": contract.saturation,
    "head": contract.head,
    "differences": function.differences,
    "inner-loop": function.inner_loop,
    "precision": function.precision,
    "input-range": function.input_range,
    "finite": finite.finite_under_attack,
    "class-order": facts.class_order,
    "normalization": facts.normalization,
    "trained-on": facts.trained_on,
    "deterministic": model.deterministic,
    "batch-independent": model.batch_independent,
    "answers-something": model.answers_something,
    "enough-images": sample.enough_images,
    "data-shortcuts": data_findings,
    "data-exact-duplicates": data_findings,
    "data-label-conflicts": data_findings,
}
# Of the budgets and the images, not of how the classifier was attacked.
OF_THE_SETTING = ("grey-level", "largest-budget", "enough-images", "trained-on")


def named(cases: Sequence[Case]) -> list[object]:
    return [pytest.param(case, id=case.name.replace(" ", "-")) for case in cases]


def test_there_are_as_many_as_promised() -> None:
    """Thirty defects and ten sound set-ups at least, each with a name of its own."""
    names = [case.name for case in (*DEFECTS, *SOUND)]
    assert len(DEFECTS) >= 30
    assert len(SOUND) >= 10
    assert len(set(names)) == len(names)
    assert all(case.caught for case in DEFECTS)
    assert not any(case.caught for case in SOUND)


@pytest.mark.parametrize("case", named(DEFECTS))
def test_a_defect_is_caught(case: Case) -> None:
    """Each check that it is meant for warns or fails, and the audit may not be quoted."""
    checks = list(dict.fromkeys(CHECK_OF[name] for name in case.caught if name != REFUSED)) or [proof.closed_form]
    found = audited(case.make(), checks)
    bad = {one.id: one.severity for one in found if one.severity in ("warn", "fail")}
    assert set(case.caught) <= set(bad), [f"{one.id} {one.severity}: {one.evidence}" for one in found]
    if any(bad[name] == "fail" or name in DECIDING for name in case.caught):
        assert quotable(found).value == "no"


@pytest.mark.parametrize("case", named(SOUND))
def test_a_sound_classifier_is_not_accused(case: Case) -> None:
    """No check of classifier or attacks warns or fails, and the proofs were made."""
    checks = [check for name, check in CHECK_OF.items() if not name.startswith("data-") and name not in OF_THE_SETTING]
    found = audited(case.make(), checks)
    accused = [f"{one.id} {one.severity}: {one.evidence}" for one in found if one.severity in ("warn", "fail")]
    assert [line for line in accused if line.split()[0] not in case.known] == []
    assert [one.id for one in found if one.severity == "not_run"] in ([], ["steps-help"])
