"""What every check of an audit must hold, whoever wrote it, and a small audit to run it on."""

from __future__ import annotations

import copy
import json
import random
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import nn

from ..attacks import fgsm, pgd
from ..attacks.base import Attack
from ..attacks.build import describe
from ..auditing.context import Check, Context
from ..data.images.image_set import ImageSet
from ..findings import Finding
from ..measuring.measure import measure
from ..measuring.outcome import Grid
from ..measuring.plan import Plan
from ..models.classifier import Classifier
from ..models.wrap import as_classifier
from ..records.records import Records
from .image_sets import tiny_set
from .models import LinearModel

BUDGETS = (1 / 255, 16 / 255, 64 / 255)
MIDDLE = 110 / 255  # mean brightness between the two classes of tiny_set


def brightness_model(images: ImageSet) -> Classifier:
    """A linear model that tells the two classes of tiny_set apart by their brightness, and nothing else.

    Example:
        >>> images = tiny_set()
        >>> bool((brightness_model(images)(images.batch(range(12)).x).argmax(1) == images.labels).all())
        True
    """
    x = images[0][0]
    rise = torch.full((1, x.numel()), 20.0 / x.numel())
    model = LinearModel(torch.cat([-rise, rise]), torch.tensor([20 * MIDDLE, -20 * MIDDLE]))
    return Classifier(model, classes=images.classes, channels=len(x)).eval()


def small_audit(
    model: nn.Module | None = None,
    images: ImageSet | None = None,
    *,
    attacks: Mapping[str, Attack] | None = None,
    epsilons: tuple[float, ...] = BUDGETS,
    norm: str = "linf",
    protocol: str = "honest",
) -> tuple[Records, Context]:
    """The rows of a small measurement and what a check may look at besides: all that a check is called with.

    Args:
        model: by default a linear one that is right about every image.
        images: by default 24 of 8x8 pixels in two classes, two a group.
        attacks: title -> attack; by default fgsm and a short pgd.
        epsilons, norm, protocol: of the measurement. The largest default budget breaks every image.

    Example:
        >>> records, context = small_audit()
        >>> len(records.clean), list(context.plan.attacks)
        (24, ['fgsm', 'pgd'])
    """
    images = tiny_set(24) if images is None else images
    classifier = brightness_model(images) if model is None else as_classifier(model, images[0][0][None], images.classes)
    plan = Plan(attacks or {"fgsm": fgsm(), "pgd": pgd(num_steps=5)}, (Grid(norm, epsilons),), protocol)
    records, _ = measure(classifier, images, plan)
    return records, Context(classifier, images, plan, {name: {"is": describe(a)} for name, a in plan.attacks.items()})


def check_check(check: Check, *, records: Records, context: Context) -> None:
    """Run a check on the rows of a small audit and look at what it says and what it leaves behind.

    A check gives a Finding, or several: a stable kebab-case id, a severity, a title that stays the same, evidence, and
    advice unless it passed. It is a function of what it is given: it changes neither rows nor model nor global
    random state, and says the same again, whatever mode the model is in.

    Args:
        check: (records, context) -> Finding or list of Findings.
        records, context: for example those of small_audit.

    Errors: AssertionError that says what is broken.

    Example:
        >>> def counted(records, context):
        ...     return Finding("num-rows", "pass", "Are there any rows?", f"there are {len(records)}")
        >>> records, context = small_audit()
        >>> check_check(counted, records=records, context=context)
    """
    context = replace(context, model=copy.deepcopy(context.model).eval())
    first = _asked(check, records, context, seed=1)
    for finding in first:
        _check_finding(finding)
    ids = [finding.id for finding in first]
    assert len(set(ids)) == len(ids), f"two findings have one id: {', '.join(ids)}"
    again = _asked(check, records, context, seed=2)
    assert ids == [finding.id for finding in again], "the ids differ the second time"
    assert first == again, "says something else the second time"
    context.model.train()
    assert first == _asked(check, records, context, seed=3), "says something else when the model is in training mode"


def _check_finding(finding: Finding) -> None:
    assert isinstance(finding, Finding), f"gives a {type(finding).__name__}, not a Finding"
    name = finding.id
    assert re.fullmatch(r"[a-z][a-z0-9]*(-[a-z0-9]+)*", str(name)), f"the id {name!r} is not in kebab-case"
    title = finding.title
    assert " " in title.strip(), f"{name}: the title {title!r} is no sentence"
    assert title == title.strip(), f"{name}: the title {title!r} has spaces around it"
    assert "\n" not in title, f"{name}: the title {title!r} is more than one line"
    assert title[0].isupper(), f"{name}: the title {title!r} does not begin like a sentence"
    assert finding.evidence.strip(), f"{name}: no evidence"
    assert finding.severity == "pass" or finding.advice.strip(), f"{name}: {finding.severity} without advice"
    try:
        json.dumps(dict(finding.numbers), allow_nan=False)
    except (TypeError, ValueError) as error:
        raise AssertionError(f"{name}: numbers are not JSON: {error}") from error


def _asked(check: Check, records: Records, context: Context, *, seed: int) -> list[Finding]:
    """What the check says, which must leave everything as it was."""
    rows = {name: column.copy() for name, column in records.columns.items()}
    model, samples = _state(context.model), context.images.samples
    with _seeded(seed) as drawn:
        found, moved = check(records, context), drawn()
    assert records.columns.keys() == rows.keys(), "changed the columns of the records"
    for name, column in rows.items():
        assert _equal(column, records[name]), f"changed the column {name} of the records"
    assert context.images.samples == samples, "changed the samples"
    after = _state(context.model)
    for what, before in model.items():
        assert _equal(before, after.get(what)), f"changed the model: {what}"
    assert not moved, f"drew from the global generator of {moved}"
    findings = found if isinstance(found, list) else [found]
    assert findings, "finds nothing, not even that all is well"
    for finding in findings:
        assert isinstance(finding, Finding), f"gives a {type(finding).__name__}, not a Finding"
    return findings


def _state(model: nn.Module) -> dict[str, Any]:
    """What a check must not change, each with its name."""
    state: dict[str, Any] = {f"the mode of {name or 'itself'}": m.training for name, m in model.named_modules()}
    for name, tensor in (*model.named_parameters(), *model.named_buffers()):
        state[f"the values of {name}"] = tensor.detach().clone().cpu().numpy()
        state[f"whether {name} takes gradients"] = tensor.requires_grad
        state[f"the gradient of {name}"] = None if tensor.grad is None else tensor.grad.clone().cpu().numpy()
    return state


def _equal(one: Any, two: Any) -> bool:
    if isinstance(one, np.ndarray) and isinstance(two, np.ndarray):
        return one.shape == two.shape and np.array_equal(one, two, equal_nan=one.dtype.kind == "f")
    return type(one) is type(two) and bool(one == two)


@contextmanager
def _seeded(seed: int) -> Iterator[Callable[[], str]]:
    """Global generators at a seed; yields a function that names those that were drawn from since."""
    before = random.getstate(), np.random.get_state(), torch.get_rng_state()
    try:
        random.seed(seed)
        np.random.seed(seed)
        torch.manual_seed(seed)
        begun = _generators()

        def drawn() -> str:
            return ", ".join(name for name, state in _generators().items() if state != begun[name])

        yield drawn
    finally:
        random.setstate(before[0])
        np.random.set_state(before[1])
        torch.set_rng_state(before[2])


def _generators() -> dict[str, Any]:
    """The states of the global generators, as values that compare."""
    numpy: Any = np.random.get_state()
    words, position = numpy[1], numpy[2]
    return {
        "Python": random.getstate(),
        "numpy": (words.tolist(), position),
        "torch": torch.get_rng_state().tolist(),
    }
