"""Points of many dimensions in a plane, how much of their neighborhoods is left, and areas of the answers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ..errors import UserError, nearest

if TYPE_CHECKING:
    from numpy.typing import NDArray

K, SIZE, MARGIN = 11, 100, 0.05  # neighbors, cells of a side, and the room around the points as a share of the side
LEAST, PERPLEXITY = 12, 30.0
METHODS = ("tsne", "umap")


class Embedding(NamedTuple):
    """m points in a plane, and how much of the feature space is left in it.

    Args:
        places: (m, 2) float64; points with the same features have the same place.
        method: "tsne", "umap", or "none" where the features are a plane themselves.
        k: neighbors that the two shares are of.
        trustworthiness: how far neighbors in the plane are neighbors in feature space: 1 if all are.
        kept: the share of the k nearest neighbors in feature space that are among the k nearest in the plane.
    """

    places: NDArray[np.float64]
    method: str
    k: int
    trustworthiness: float
    kept: float


def check_method(method: str) -> None:
    """Errors: UserError for an unknown method, and for umap where umap-learn is not installed."""
    if method not in METHODS:
        raise UserError("method", f"unknown method {method!r}", nearest(method, METHODS))
    if method == "umap":
        from importlib.util import find_spec

        if find_spec("umap") is None:
            raise UserError("method", "umap needs the package umap-learn", "pip install umap-learn, or take tsne")


def embed(values: NDArray[Any], method: str = "tsne", seed: int = 0) -> Embedding:
    """One embedding of all points; the same for the same values, method and seed.

    t-SNE (van der Maaten & Hinton 2008) starts from the principal components, with perplexity min(30, (m - 1) / 3) for
    m different points. Features of one or two values are a plane already, and stay as they are.

    Args:
        values: (m, d) features.
        method: tsne, or umap where umap-learn is installed.
        seed: of the method.

    Errors: UserError for fewer than 12 different points.

    Example:
        >>> found = embed(np.random.default_rng(0).normal(size=(40, 5)))
        >>> found.places.shape, found.k, 0 < found.kept < 1
        ((40, 2), 11, True)
    """
    check_method(method)
    own, index = np.unique(values, axis=0, return_inverse=True)
    if len(own) < LEAST:
        problem = f"{len(own)} of the {len(values)} points differ, and a map needs {LEAST}"
        raise UserError("boundary", problem, "give more images")
    if own.shape[1] <= 2:
        method, places = "none", np.pad(own.astype(np.float64), ((0, 0), (0, 2 - own.shape[1])))
    else:
        places = _umap(own, seed) if method == "umap" else _tsne(own, seed)
    k = min(K, (len(own) - 1) // 2)
    return Embedding(places[index.reshape(-1)], method, k, *_left(own, places, k))


def _tsne(values: NDArray[Any], seed: int) -> NDArray[np.float64]:
    from sklearn.manifold import TSNE
    from threadpoolctl import threadpool_limits

    perplexity = min(PERPLEXITY, (len(values) - 1) / 3)
    with threadpool_limits(1):  # sums of several threads differ in their last digits, and the plane then in all
        found = TSNE(2, perplexity=perplexity, init="pca", random_state=seed).fit_transform(values)
    return np.asarray(found, dtype=np.float64)


def _umap(values: NDArray[Any], seed: int) -> NDArray[np.float64]:
    from umap import UMAP

    neighbors = min(15, len(values) - 1)
    found = UMAP(n_neighbors=neighbors, init="pca", random_state=seed, n_jobs=1).fit_transform(values)
    return np.asarray(found, dtype=np.float64)


def _left(values: NDArray[Any], places: NDArray[np.float64], k: int) -> tuple[float, float]:
    """Trustworthiness, and the share of the k nearest neighbors that stay."""
    from sklearn.manifold import trustworthiness
    from sklearn.neighbors import NearestNeighbors

    near, near_in_plane = (NearestNeighbors(n_neighbors=k).fit(one).kneighbors()[1] for one in (values, places))
    shared = [len(np.intersect1d(a, b)) for a, b in zip(near, near_in_plane, strict=True)]
    return float(trustworthiness(values, places, n_neighbors=k)), float(np.mean(shared) / k)


def regions(
    places: NDArray[np.float64], answers: NDArray[np.int64], size: int = SIZE
) -> tuple[tuple[float, float, float, float], NDArray[np.int64]]:
    """What most of the 11 nearest points answer, in each cell of a square around all points.

    Args:
        places: (m, 2), 11 or more.
        answers: (m,) of the classifier.
        size: cells of a side.

    Returns: (left, bottom, right, top), and (size, size) classes: rows from the bottom, at the middles of the cells.

    Example:
        >>> places = np.stack([np.arange(30.0), np.zeros(30)], 1)
        >>> box, fills = regions(places, (places[:, 0] >= 15).astype(int), 4)
        >>> fills[0].tolist()
        [0, 0, 1, 1]
    """
    from sklearn.neighbors import KNeighborsClassifier

    low, high = places.min(0), places.max(0)
    half = (high - low).max() / 2 * (1 + 2 * MARGIN)
    left, bottom = ((low + high) / 2 - (half or 1.0)).tolist()
    side = 2 * (half or 1.0)
    steps = (np.arange(size) + 0.5) / size * side
    grid = np.stack(np.meshgrid(left + steps, bottom + steps), 2).reshape(-1, 2)
    nearby = KNeighborsClassifier(K).fit(places, answers)
    return (left, bottom, left + side, bottom + side), nearby.predict(grid).reshape(size, size)
