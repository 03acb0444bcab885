"""The best one-to-one assignment of rows to columns; scipy.optimize, which has one too, takes long to import."""

from __future__ import annotations

import numpy as np


def assignment(gain: np.ndarray) -> np.ndarray:
    """(n,) the column of each row such that the sum of the gains is largest; 0, 1, 2 ... where none is larger.

    Shortest augmenting paths with potentials (Kuhn 1955, doi:10.1002/nav.3800020109; Jonker & Volgenant 1987,
    doi:10.1007/BF02278710): rows enter one after the other, n^3 additions in all.

    Args:
        gain: (n, n) finite numbers.

    Example:
        >>> assignment(np.array([[3, 5, 0], [4, 4, 1], [1, 2, 2]])).tolist()
        [1, 0, 2]
    """
    n, cost = len(gain), np.max(gain, initial=0) - np.asarray(gain, dtype=float)
    own = np.arange(n)
    # Column n is where a new row begins; `row` is the row that a column has, n for none.
    of_row, of_column, row = np.zeros(n + 1), np.zeros(n + 1), np.full(n + 1, n)
    for new in range(n):
        row[n], column = new, n
        least, before = np.full(n + 1, np.inf), np.full(n + 1, n)
        seen = np.zeros(n + 1, dtype=bool)
        while row[column] != n:
            seen[column] = True
            open_ = np.flatnonzero(~seen[:n])
            reduced = cost[row[column], open_] - of_row[row[column]] - of_column[open_]
            nearer = reduced < least[open_]
            least[open_[nearer]], before[open_[nearer]] = reduced[nearer], column
            column = int(open_[least[open_].argmin()])
            step = least[column]
            of_row[row[seen]] += step
            of_column[seen] -= step
            least[open_] -= step
        while column != n:
            row[column] = row[before[column]]
            column = int(before[column])
    found = np.empty(n, dtype=int)
    found[row[:n]] = own
    return own if gain[own, own].sum() >= gain[own, found].sum() else found
