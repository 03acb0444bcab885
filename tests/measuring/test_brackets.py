"""Brackets of budgets: laws that hold whatever the searches find, in whatever order they end."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import medrobust.measuring.brackets as module
from measuring.toys import of_bits
from medrobust.attacks import pgd
from medrobust.engine.lanes import Done
from medrobust.goals import Goal
from medrobust.measuring.brackets import Brackets
from medrobust.measuring.outcome import Grid
from medrobust.measuring.subjects import Subjects
from medrobust.streams import Streams

CENTER = 0.5
NEVER = 9.0


def slow(x: torch.Tensor) -> torch.Tensor:
    """A smooth model that is right about the image in the middle."""
    z = x.flatten(1).mean(1) - 0.8
    return torch.stack([-z, z], 1)


def begun(num_images: int, epsilons: tuple[float, ...], num_lanes: int = 3, whole: bool = False) -> Brackets:
    x = torch.full((num_images, 1, 2, 2), CENTER)
    y = torch.zeros(num_images, dtype=torch.long)
    units = of_bits([8] * num_images)
    subjects = Subjects(x, y, Goal(y, False), slow(x), units, Streams.of(0, range(num_images)))
    brackets = Brackets(pgd(num_steps=3), subjects, Grid("linf", epsilons), whole)
    brackets.estimate(slow, num_lanes)
    return brackets


def ended(item: torch.Tensor, slot: torch.Tensor, reached: torch.Tensor, x: torch.Tensor, best: torch.Tensor) -> Done:
    """Searches, none of them whole runs, that took one gradient each."""
    return Done(item, slot, torch.zeros_like(reached), torch.ones_like(item), reached, x, best)


class Searches:
    """Stands in for the lanes: image i breaks from the distance thresholds[i] on. Checks every job it is given."""

    def __init__(self, brackets: Brackets, epsilons: tuple[float, ...], thresholds: list[float]) -> None:
        self.brackets, self.epsilons, self.thresholds = brackets, epsilons, thresholds
        self.low, self.high = [-1] * len(thresholds), [len(epsilons)] * len(thresholds)
        self.asked: list[tuple[int, int]] = []

    def run(self, draw: st.DataObject) -> None:
        """Search until nothing is left to search."""
        waiting: list[tuple[int, int]] = []
        while True:
            lanes = self.brackets.jobs(draw.draw(st.integers(1, 3)))
            if lanes is not None:
                for i, slot, radius in zip(lanes.item, lanes.slot, lanes.search.ball.radius, strict=True):
                    self.check_job(int(i), int(slot), float(radius))
                    waiting.append((int(i), int(slot)))
                assert bool(lanes.search.ball.contains(lanes.search.x, 1e-5).all()), "begins outside its ball"
            if not waiting:
                return
            ended = [waiting.pop(draw.draw(st.integers(0, len(waiting) - 1)))]
            while waiting and draw.draw(st.booleans()):
                ended.append(waiting.pop())
            self.end(ended, draw)

    def check_job(self, i: int, slot: int, radius: float) -> None:
        assert 0 <= slot < len(self.epsilons)
        assert self.low[i] < slot < self.high[i], "asks for what is known"
        assert radius == pytest.approx(self.epsilons[slot])
        self.asked.append((i, slot))

    def end(self, jobs: list[tuple[int, int]], draw: st.DataObject) -> None:
        distances, margins, reached = [], [], []
        for i, slot in jobs:
            epsilon, threshold = self.epsilons[slot], self.thresholds[i]
            won = epsilon >= threshold
            share = draw.draw(st.floats(0, 1))
            distances.append(threshold + share * (epsilon - threshold) if won else epsilon)
            margins.append(draw.draw(st.floats(0.01, 5)) * (1 if won else -1))
            reached.append(won)
            if won:
                nearest = sum(e < distances[-1] * (1 - 1e-6) for e in self.epsilons)
                self.high[i] = max(min(nearest, slot), self.low[i] + 1)
            else:
                self.low[i] = slot
        item, slot = (torch.tensor(column) for column in zip(*jobs, strict=True))
        moved = torch.tensor(distances).reshape(-1, 1, 1, 1)
        x = torch.full((len(jobs), 1, 2, 2), CENTER) + moved
        self.brackets.finished(ended(item, slot, torch.tensor(reached), x, torch.tensor(margins)))


GRIDS = st.integers(1, 7).map(lambda e: tuple(0.01 * 1.6**k for k in range(e)))


@st.composite
def cases(draw: st.DrawFn) -> tuple[tuple[float, ...], list[float]]:
    """A grid, and thresholds between its budgets, below the first, and beyond the last."""
    epsilons = draw(GRIDS)
    slots = draw(st.lists(st.integers(0, len(epsilons)), min_size=1, max_size=4))
    bounds = (0.0, *epsilons)
    thresholds = [
        NEVER if k == len(epsilons) else bounds[k] + draw(st.floats(0.05, 0.95)) * (bounds[k + 1] - bounds[k])
        for k in slots
    ]
    return epsilons, thresholds


@settings(max_examples=40)
@given(cases(), st.data())
def test_each_image_ends_at_its_smallest_budget(case: tuple[tuple[float, ...], list[float]], data) -> None:
    epsilons, thresholds = case
    brackets = begun(len(thresholds), epsilons)
    searches = Searches(brackets, epsilons, thresholds)
    searches.run(data)
    expected = [sum(e < t for e in epsilons) for t in thresholds]
    assert brackets.high.tolist() == expected == searches.high
    assert all(high - low == 1 for low, high in zip(searches.low, searches.high, strict=True))
    assert brackets.broken.tolist() == [i for i, k in enumerate(expected) if k < len(epsilons)]
    # One question at a budget, and none twice.
    assert len(searches.asked) == len(set(searches.asked))
    counts = torch.zeros(len(thresholds), len(epsilons), dtype=torch.int64)
    for i, slot in searches.asked:
        counts[i, slot] += 1
    assert int(brackets.forwards.sum()) == len(searches.asked) + len(thresholds), "one more for the first guess"
    assert bool((brackets.forwards >= counts).all())
    assert torch.equal(brackets.forwards, brackets.backwards)


@settings(max_examples=25)
@given(cases(), st.data())
def test_what_was_found_lies_in_the_ball_of_its_budget(case, data) -> None:
    epsilons, thresholds = case
    brackets = begun(len(thresholds), epsilons)
    Searches(brackets, epsilons, thresholds).run(data)
    seen = []
    for items, points, ball in brackets.claims(brackets.broken, 2):
        assert len(items) <= 2
        assert bool(ball.contains(points, 1e-5).all())
        assert ball.radius.tolist() == pytest.approx([epsilons[int(k)] for k in brackets.high[items]])
        for i, distance in zip(items.tolist(), ball.distance(points).tolist(), strict=True):
            assert distance >= thresholds[i] - 1e-6
        seen += items.tolist()
    assert seen == brackets.broken.tolist()
    never = [i for i, t in enumerate(thresholds) if t == NEVER]
    assert bool((brackets.found[never] == CENTER).all())


@settings(max_examples=25)
@given(cases(), st.integers(0, 1), st.data())
def test_what_is_denied_is_asked_again_and_ends(case, up: int, data) -> None:
    """Claims that the classifier denies: the images are searched again from there and end at the true budget or not."""
    epsilons, thresholds = case
    brackets = begun(len(thresholds), epsilons)
    first = Searches(brackets, epsilons, thresholds)
    first.run(data)
    broken = brackets.broken
    again = brackets.reopen(broken, up)
    assert again.tolist() == [i for i in broken.tolist() if first.high[i] + up < len(epsilons)]
    # The denied budget stays open for another search, or is given up for the next larger one.
    truth = [epsilons[min(k + data.draw(st.integers(up, 2)), len(epsilons) - 1)] * 0.999 for k in first.high]
    second = Searches(brackets, epsilons, [max(a, b) for a, b in zip(truth, thresholds, strict=True)])
    second.low = [high - 1 + up if i in again.tolist() else -1 for i, high in enumerate(first.high)]
    second.run(data)
    for i in again.tolist():
        expected = sum(e < second.thresholds[i] for e in epsilons)
        assert int(brackets.high[i]) == expected
        assert int(brackets.high[i]) >= first.high[i] + up


@settings(max_examples=25)
@given(cases(), st.data())
def test_failures_are_those_of_whole_runs(case, data) -> None:
    """Searches may lose what the attack itself wins: whole runs go down until one fails at the budget below."""
    epsilons, thresholds = case
    brackets = begun(len(thresholds), epsilons, whole=True)
    truth = [min(t, 0.9) * data.draw(st.sampled_from([0.1, 0.45, 1.0])) if t != NEVER else NEVER for t in thresholds]
    failed: list[set[int]] = [set() for _ in truth]
    while (lanes := brackets.jobs(data.draw(st.integers(1, 3)))) is not None:
        items, slots, whole = lanes.item.tolist(), lanes.slot.tolist(), lanes.whole
        from_ = [truth[i] if cold else thresholds[i] for i, cold in zip(items, whole.tolist(), strict=True)]
        won = [epsilons[slot] >= least for slot, least in zip(slots, from_, strict=True)]
        for i, slot, yes, cold in zip(items, slots, won, whole.tolist(), strict=True):
            if cold:
                assert int(brackets.high[i]) == slot + 1, "the largest budget that failed"
                assert slot not in failed[i], "asks twice"
                failed[i] |= set() if yes else {slot}
        reach = [t if yes else epsilons[k] for t, k, yes in zip(from_, slots, won, strict=True)]
        x = torch.full((len(items), 1, 2, 2), CENTER) + torch.tensor(reach).reshape(-1, 1, 1, 1)
        best = torch.where(torch.tensor(won), 1.0, -1.0)
        done = ended(lanes.item, lanes.slot, torch.tensor(won), x, best)
        brackets.finished(done._replace(whole=whole))
    for _, points, ball in brackets.claims(brackets.broken, 2):
        assert bool(ball.contains(points, 1e-5).all())
    expected = [sum(e < t for e in epsilons) for t in truth]
    assert brackets.high.tolist() == expected
    assert all(high == 0 or high - 1 in seen for high, seen in zip(expected, failed, strict=True))


def test_the_classifier_is_asked_about_the_failures_that_came_nearest() -> None:
    brackets = failing([-0.5, -0.01, -0.2, -0.3], whole=True)
    assert brackets.ask_itself(2).tolist() == [1, 2]
    brackets.itself = True
    lanes = brackets.jobs(8)
    assert lanes is not None
    assert (lanes.item.tolist(), lanes.slot.tolist(), lanes.whole.tolist()) == ([1, 2], [1, 1], [True, True])
    lost = ended(lanes.item, lanes.slot, torch.zeros(2, dtype=torch.bool), lanes.search.x, torch.tensor([-1.0, -1.0]))
    brackets.finished(lost._replace(whole=lanes.whole))
    assert brackets.ask_itself(2).tolist() == [3, 0], "its own failures are not asked about again"


def failing(margins: list[float], epsilons: tuple[float, ...] = (0.01, 0.02), whole: bool = False) -> Brackets:
    """Every search of every budget failed, the last one by these margins."""
    brackets = begun(len(margins), epsilons, whole=whole)
    while (lanes := brackets.jobs(8)) is not None:
        best = torch.tensor([margins[int(i)] for i in lanes.item])
        x = lanes.search.ball.center + lanes.search.ball.radius.reshape(-1, 1, 1, 1)
        lost = ended(lanes.item, lanes.slot, torch.zeros(len(best), dtype=torch.bool), x, best)
        brackets.finished(lost._replace(whole=lanes.whole))
    return brackets


def test_failures_within_rounding_are_shown_to_the_classifier() -> None:
    brackets = failing([-0.5, -0.01, -0.2])
    assert not len(brackets.broken)
    found = list(brackets.near_failures(0.3, 1))
    assert [items.tolist() for items, _, _ in found] == [[1], [2]]
    for _, points, ball in found:
        assert ball.radius.tolist() == pytest.approx([0.02])
        assert bool(ball.contains(points, 1e-5).all())
    brackets.broken_at_low(torch.tensor([1]))
    assert brackets.broken.tolist() == [1]
    assert brackets.high.tolist() == [2, 1, 2]
    assert float(brackets.found[1].max()) == pytest.approx(CENTER + 0.02)


def test_failures_near_a_success_are_looked_at_again_where_they_ended() -> None:
    brackets = failing([-0.5, -0.01])
    brackets.look_again(0.3)
    lanes = brackets.jobs(8)
    assert lanes is not None
    assert (lanes.item.tolist(), lanes.slot.tolist()) == ([1], [1])
    assert float(lanes.search.x.max()) == pytest.approx(CENTER + 0.02)
    won = ended(lanes.item, lanes.slot, torch.tensor([True]), lanes.search.x, torch.tensor([0.1]))
    brackets.finished(won)
    assert brackets.high.tolist() == [2, 1]


def test_positions_that_are_handed_out_are_copies() -> None:
    brackets = failing([-0.5])
    brackets.high.zero_()
    assert brackets.high.tolist() == [2]


def test_nobody_needs_its_private_fields() -> None:
    """Every change of a bracket goes through its methods."""
    fields = {name for name in vars(begun(1, (0.1,))) if name.startswith("_")}
    assert len(fields) > 10
    for path in Path(module.__file__).parents[1].rglob("*.py"):
        if path == Path(module.__file__):
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Attribute) and not (isinstance(node.value, ast.Name) and node.value.id == "self"):
                assert node.attr not in fields, f"{path.name}:{node.lineno} looks at {node.attr}"
