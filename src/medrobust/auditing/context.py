"""What a check is, and what it may look at."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from ..data.choose.trained import Trained
from ..data.images.image_set import ImageSet
from ..errors import UserError
from ..findings import Finding, worst_first
from ..measuring.plan import Plan
from ..models.classifier import Classifier
from ..models.search_copy import alike_copies
from ..progress import Report
from ..records.records import Records
from .probed import Probed, look
from .said import Said

# Evidence and advice of checks that look along slopes, where only families of corruptions were searched.
NO_NORM = ("no norm was measured, and families of corruptions are searched without slopes", "Add threat.norm=linf.")


@dataclass(frozen=True)
class Context:
    """What a check may look at besides the records.

    Args:
        model: the classifier.
        images: those that were attacked.
        plan: what was measured.
        attacks: title -> parameters, as the recipe gives them.
        report: called with (what, done, of).
        probed: what a look at the classifier showed before it was attacked; looked at now where it was not then.
        said: what was read of model and data, and from where.
        table: which images a checkpoint of ours was trained on; None for others and where it does not say so.
        is_ours: the model is a checkpoint of ours.
        same_set: the images are of the set that it was trained on.
        cost: of the measurement, as in audit.json.
    """

    model: Classifier
    images: ImageSet
    plan: Plan
    attacks: dict[str, dict[str, Any]] = field(default_factory=dict)
    report: Report | None = None
    probed: Probed | None = None
    said: tuple[Said, ...] = ()
    table: Trained | None = None
    is_ours: bool = False
    same_set: bool = False
    cost: Mapping[str, Any] = field(default_factory=dict)

    @cached_property
    def copy(self) -> Classifier:
        """A copy that gives the same answers in single precision, and gives them faster."""
        x = self.images.batch(list(range(min(2, len(self.images))))).x.to(self.plan.device)
        with self.model.frozen():
            return next(alike_copies(self.model, x, "float32"))[0]

    @property
    def look(self) -> Probed:
        """What a look at the classifier shows."""
        return self.probed or look(self.model, self.images, self.plan.device)


Check = Callable[[Records, Context], Finding | list[Finding]]


def run_checks(checks: Sequence[Check], records: Records, context: Context) -> list[Finding]:
    """The findings of all checks, the worst first. A check that ends in an error is a finding, and stops no other."""
    return worst_first(one for check in checks for one in _found(check, records, context))


def _found(check: Check, records: Records, context: Context) -> list[Finding]:
    try:
        result = check(records, context)
    except UserError:
        raise
    except Exception as error:  # the measurement is done: a fault in one check must not cost it
        return [_broken(check, f"it ended in {type(error).__name__}: {error}")]
    found = list(result) if isinstance(result, list | tuple) else [result]
    if all(isinstance(one, Finding) for one in found):
        return found
    return [_broken(check, f"it returned a {type(result).__name__} instead of findings")]


def _broken(check: Check, problem: str) -> Finding:
    name = str(getattr(check, "__name__", type(check).__name__))
    said = f"The check {name} gave no answer: {problem}"
    return Finding(name.replace("_", "-"), "not_run", f"Did {name} run?", said, "mend the check, then audit again")
