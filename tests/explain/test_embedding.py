"""The plane: its areas, its order, its two shares and its few points, each held against another way to get it."""

from __future__ import annotations

import sys
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from medrobust.errors import UserError
from medrobust.explain.embedding import embed, regions


def blobs(n: int = 60, d: int = 8) -> tuple[np.ndarray, np.ndarray]:
    source = np.random.default_rng(0)
    answers = np.arange(n) % 3
    return source.normal(size=(n, d)) + 4 * np.eye(d)[answers], answers


def test_areas_are_the_majority_of_eleven_neighbors() -> None:
    from sklearn.neighbors import KNeighborsClassifier

    source = np.random.default_rng(1)
    places = source.normal(size=(70, 2)) * [3, 1]
    answers = (places[:, 1] > 0.2 * places[:, 0]).astype(int) + (places[:, 0] > 0)
    (left, bottom, right, top), fills = regions(places, answers, 23)
    assert right - left == pytest.approx(top - bottom)
    assert left < places[:, 0].min()
    assert right > places[:, 0].max()
    middle = (np.arange(23) + 0.5) / 23 * (right - left)
    grid = np.array([[left + column, bottom + row] for row in middle for column in middle])
    near = ((grid[:, None] - places) ** 2).sum(2).argsort(1)[:, :11]
    by_hand = np.array([np.bincount(answers[some]).argmax() for some in near]).reshape(23, 23)
    assert np.array_equal(fills, by_hand)
    assert np.array_equal(fills.reshape(-1), KNeighborsClassifier(n_neighbors=11).fit(places, answers).predict(grid))
    assert len(set(fills.reshape(-1).tolist())) == 3


def test_shares_of_the_plane_are_those_of_their_formulas() -> None:
    values, _ = blobs()
    found = embed(values)
    assert (found.method, found.k) == ("tsne", 11)
    ranks, near = [], []
    for points in (values, found.places):
        distance = np.linalg.norm(points[:, None] - points[None], axis=2)
        np.fill_diagonal(distance, np.inf)
        order = distance.argsort(1)
        near.append([set(row[:11].tolist()) for row in order])
        ranks.append(order.argsort(1) + 1)
    n, k = len(values), 11
    assert found.kept == pytest.approx(np.mean([len(a & b) / k for a, b in zip(*near, strict=True)]))
    lost = sum(ranks[0][i, j] - k for i in range(n) for j in near[1][i] - near[0][i])
    assert found.trustworthiness == pytest.approx(1 - 2 / (n * k * (2 * n - 3 * k - 1)) * lost)
    assert 0.3 < found.kept < 1


def test_the_same_points_have_the_same_plane_in_any_order() -> None:
    values, _ = blobs()
    first = embed(values)
    assert np.array_equal(first.places, embed(values.copy()).places)
    order = np.random.default_rng(2).permutation(len(values))
    assert np.array_equal(embed(values[order]).places, first.places[order])
    twice = embed(np.concatenate([values, values[:5]]))
    assert np.array_equal(twice.places[-5:], twice.places[:5])


def test_few_points_and_equal_points() -> None:
    values, _ = blobs(12)
    assert embed(values).places.shape == (12, 2)
    assert embed(values).k == 5
    with pytest.raises(UserError, match="11 of the 11 points differ, and a map needs 12"):
        embed(values[:11])
    with pytest.raises(UserError, match="1 of the 20 points differ"):
        embed(np.ones((20, 4)))
    box, fills = regions(np.zeros((12, 2)), np.ones(12, dtype=int), 5)
    assert box[0] < 0 < box[2]
    assert (fills == 1).all()


def test_umap_is_asked_for_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    values, _ = blobs(20)
    with pytest.raises(UserError, match="unknown method 'tsn'"):
        embed(values, "tsn")
    monkeypatch.setitem(sys.modules, "umap", None)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(UserError, match="umap-learn"):
        embed(values, "umap")
    monkeypatch.undo()
    asked: dict[str, Any] = {}

    class UMAP:
        def __init__(self, **options: Any) -> None:
            asked.update(options)

        def fit_transform(self, given: np.ndarray) -> np.ndarray:
            return given[:, :2]

    module = ModuleType("umap")
    module.__spec__ = ModuleSpec("umap", None)
    module.UMAP = UMAP  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "umap", module)
    found = embed(values, "umap", seed=3)
    assert found.method == "umap"
    assert np.array_equal(found.places, values[:, :2])
    assert (asked["random_state"], asked["n_neighbors"]) == (3, 15)
