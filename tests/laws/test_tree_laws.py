"""Per-sample state can be taken apart and put together: a refilled lane sees nothing of the one before."""

from __future__ import annotations

from typing import NamedTuple

import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from medrobust.engine.tree import choose, concatenate, map_tree, put, take
from medrobust.norms import L2
from medrobust.streams import Streams
from medrobust.threat import Ball, Threat


class State(NamedTuple):
    size: Tensor
    flags: Tensor
    inner: tuple[Tensor, None]
    streams: Streams
    rule: str


def state(n: int, first: float = 0.0) -> State:
    at = first + torch.arange(n, dtype=torch.float32)
    inner = (at[:, None, None].expand(n, 2, 3), None)
    return State(at, at % 2 == 0, inner, Streams.of(int(first), range(n)), "rule")


def assert_same(a: State, b: State) -> None:
    assert torch.equal(a.size, b.size)
    assert torch.equal(a.flags, b.flags)
    assert torch.equal(a.inner[0], b.inner[0])
    assert torch.equal(a.streams.keys, b.streams.keys)
    assert a.inner[1] is None
    assert b.inner[1] is None
    assert a.rule == b.rule == "rule"


indices = st.lists(st.integers(0, 5), max_size=6, unique=True).map(lambda found: torch.tensor(found, dtype=torch.long))


@given(index=indices)
def test_what_is_put_is_what_is_taken(index: Tensor) -> None:
    whole, other = state(6), state(len(index), first=100)
    changed = put(whole, index, other)
    assert isinstance(changed, State)
    assert_same(take(changed, index), other)
    rest = torch.tensor([i for i in range(6) if i not in index.tolist()], dtype=torch.long)
    assert_same(take(changed, rest), take(whole, rest))
    assert_same(whole, state(6))


@given(index=indices)
def test_put_of_take_changes_nothing(index: Tensor) -> None:
    whole = state(6)
    assert_same(put(whole, index, take(whole, index)), whole)


@given(flags=st.lists(st.booleans(), min_size=6, max_size=6))
def test_choose_is_per_sample(flags: list[bool]) -> None:
    yes, no, condition = state(6, 100), state(6), torch.tensor(flags)
    chosen = choose(condition, yes, no)
    for i, flag in enumerate(flags):
        index = torch.tensor([i])
        assert_same(take(chosen, index), take(yes if flag else no, index))


def test_concatenate_and_take_are_inverse() -> None:
    whole = state(6)
    parts = [take(whole, torch.arange(2)), take(whole, torch.arange(2, 6))]
    assert_same(concatenate(parts), whole)


def test_a_ball_is_a_tree() -> None:
    x = torch.rand(4, 1, 2, 2)
    mask = torch.rand(4, 1, 2, 2) < 0.5
    ball = Threat(epsilon=torch.tensor([0.1, 0.2, 0.3, 0.4]), norm=L2(), domain=(-1.0, 2.0), mask=mask).around(x)
    part = take(ball, torch.tensor([2, 0]))
    assert isinstance(part, Ball)
    assert part.norm == L2()
    assert part.domain == (-1.0, 2.0)
    assert torch.equal(part.radius, torch.tensor([0.3, 0.1]))
    assert torch.equal(part.center, x[[2, 0]])
    assert torch.equal(part.mask, mask[[2, 0]])
    scalar = Threat(epsilon=0.1).around(x)
    assert put(scalar, torch.tensor([1]), take(scalar, torch.tensor([1]))).radius.tolist() == scalar.radius.tolist()


def test_map_tree_keeps_types() -> None:
    doubled = map_tree(lambda t: t * 2, (torch.ones(2), (torch.ones(2), None, 7, "x")))
    assert doubled[0].tolist() == [2, 2]
    assert doubled[1][1:] == (None, 7, "x")
