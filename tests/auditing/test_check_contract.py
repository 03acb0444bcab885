"""Every entry of CHECKS through the check of checks that third parties run on theirs, and checks that break it."""

from __future__ import annotations

import random
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import nn

from medrobust.auditing.checks import CHECKS
from medrobust.auditing.context import Check, Context
from medrobust.findings import Finding
from medrobust.records import Records
from medrobust.testing import check_check, small_audit
from medrobust.testing.image_sets import tiny_set


@pytest.fixture(scope="module")
def audit() -> tuple[Records, Context]:
    """A small audit of a network with batch normalization and dropout, so that its mode matters."""
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Dropout(0.5), nn.Flatten())
    return small_audit(nn.Sequential(*net, nn.Linear(144, 2)), tiny_set(12))


@pytest.mark.parametrize("check", CHECKS, ids=[check.__name__ for check in CHECKS])
def test_every_check_of_an_audit(check: Check, audit: tuple[Records, Context]) -> None:
    records, context = audit
    check_check(check, records=records, context=context)


def test_ids_of_all_checks_differ(audit: tuple[Records, Context]) -> None:
    found = [check(*audit) for check in CHECKS]
    ids = [finding.id for one in found for finding in (one if isinstance(one, list) else [one])]
    assert len(ids) == len(set(ids)) > len(CHECKS)


def finding(**changes: object) -> Finding:
    usual = {"id": "num-rows", "severity": "pass", "title": "Are there any rows?", "evidence": "there are"}
    return Finding(**(usual | changes))  # type: ignore[arg-type]


def says(**changes: object) -> Check:
    return lambda records, context: finding(**changes)


def does(act: Callable[[Records, Context], object]) -> Check:
    """A check that does something beside giving its finding."""

    def check(records: Records, context: Context) -> Finding:
        act(records, context)
        return finding()

    return check


def counting(field: str, text: str) -> Check:
    """A check whose finding differs every time."""
    calls: list[int] = []

    def check(records: Records, context: Context) -> Finding:
        calls.append(1)
        return finding(**{field: f"{text}{len(calls)}"})

    return check


def answers(records: Records, context: Context) -> Finding:
    """Looks at the model in the mode that it finds it in."""
    with torch.no_grad():
        logits = context.model(context.images.batch(range(4)).x)
    return finding(evidence=f"the logits are {logits.tolist()}")


def dropout(records: Records, context: Context) -> None:
    with context.model.frozen(), torch.no_grad():
        nn.functional.dropout(context.model(context.images.batch(range(4)).x))


def step(records: Records, context: Context) -> None:
    context.model(context.images.batch(range(4)).x).sum().backward()


def first_weight(context: Context) -> torch.Tensor:
    return next(context.model.parameters())


WRONG: dict[str, tuple[Check, str]] = {
    "no finding": (lambda records, context: "all is well", "gives a str, not a Finding"),
    "a list of none": (lambda records, context: [], "finds nothing"),
    "a list with something else": (lambda records, context: [finding(), None], "gives a NoneType"),
    "two of one id": (lambda records, context: [finding(), finding()], "one id"),
    "id with capitals": (says(id="NumRows"), "not in kebab-case"),
    "id with underscores": (says(id="num_rows"), "not in kebab-case"),
    "id that counts": (counting("id", "num-rows-"), "the ids differ the second time"),
    "one word for a title": (says(title="Rows"), "is no sentence"),
    "title over two lines": (says(title="Are there\nany rows?"), "more than one line"),
    "title that does not begin": (says(title="rows are there"), "does not begin like a sentence"),
    "no evidence": (says(evidence=" "), "num-rows: no evidence"),
    "warning without advice": (says(severity="warn"), "num-rows: warn without advice"),
    "not run without advice": (says(severity="not_run"), "not_run without advice"),
    "numbers that are no JSON": (says(numbers={"rows": np.float32(1)}), "numbers are not JSON"),
    "numbers that are not numbers": (says(numbers={"rows": float("nan")}), "numbers are not JSON"),
    "says something else": (counting("evidence", "call "), "says something else the second time"),
    "changes a row": (does(lambda r, c: r["label"].__setitem__(0, 1 - r["label"][0])), "the column label"),
    "changes weights": (does(lambda r, c: first_weight(c).data.add_(1)), "the values of network.0.weight"),
    "leaves gradients": (does(step), "changed the model: "),
    "freezes the model": (does(lambda r, c: first_weight(c).requires_grad_(False)), "takes gradients"),
    "changes the mode": (does(lambda r, c: c.model.train()), "the mode of itself"),
    "depends on the mode": (answers, "changed the model: |training mode"),
    "moves the running means": (does(lambda r, c: c.model.network[1].running_mean.add_(1)), "running_mean"),
    "draws from torch": (does(dropout), "the global generator of torch"),
    "draws from numpy": (does(lambda r, c: np.random.rand()), "the global generator of numpy"),
    "draws from Python": (does(lambda r, c: random.random()), "the global generator of Python"),
}


@pytest.mark.parametrize("fault", WRONG)
def test_what_is_wrong_is_named(fault: str, audit: tuple[Records, Context]) -> None:
    check, words = WRONG[fault]
    records, context = audit
    writable = Records({name: column.copy() for name, column in records.columns.items()}, records.protocol)
    with pytest.raises(AssertionError, match=words):
        check_check(check, records=writable, context=context)


def test_the_model_given_stays_as_it_was(audit: tuple[Records, Context]) -> None:
    records, context = audit
    before = [p.clone() for p in context.model.parameters()], context.model.training, torch.get_rng_state()
    check_check(says(), records=records, context=context)
    assert all(map(torch.equal, before[0], context.model.parameters()))
    assert context.model.training == before[1]
    assert torch.equal(torch.get_rng_state(), before[2])


def test_a_small_audit_takes_a_network_images_attacks_and_budgets() -> None:
    from medrobust.attacks import bim

    images = tiny_set(6)
    net = nn.Sequential(nn.Flatten(), nn.Linear(192, 2))
    records, context = small_audit(net, images, attacks={"one": bim()}, epsilons=(0.5,), norm="l2", protocol="paper")
    assert records.cells == [("one", "l2")]
    assert (len(records), records.protocol) == (12, "paper")
    assert context.images is images
    assert context.model.network is net
