"""Every finding of an audit says why it matters; what is said is of findings that exist."""

from __future__ import annotations

import pytest

from medrobust.auditing.checks import CHECKS
from medrobust.auditing.checks.reasons import REASONS, with_reason
from medrobust.auditing.context import run_checks
from medrobust.findings import Finding
from medrobust.testing import small_audit
from medrobust.testing.image_sets import tiny_set


@pytest.fixture(scope="module")
def found() -> list[Finding]:
    return run_checks(CHECKS, *small_audit(images=tiny_set(12)))


def test_every_finding_has_a_reason(found: list[Finding]) -> None:
    assert [one.id for one in found if not with_reason(one).why] == []
    assert set(REASONS) - {one.id for one in found} == set()


def test_a_reason_is_one_sentence_and_no_evidence(found: list[Finding]) -> None:
    for name, (why, reference) in REASONS.items():
        assert why.endswith("."), name
        assert not any(sign in why for sign in "%{}"), name
        assert reference == "" or "arXiv:" in reference or "doi:" in reference, name


def test_a_check_may_say_its_own() -> None:
    own = Finding("reach", "pass", "Can it?", "it can", why="Because.")
    assert with_reason(own) == own
    assert with_reason(Finding("another", "pass", "?", "!")).why == ""
