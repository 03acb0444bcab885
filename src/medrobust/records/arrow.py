"""Values to Arrow arrays and back through their buffers: what pyarrow converts itself makes it import pandas."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate, pairwise
from operator import index
from typing import Any

import numpy as np

NUMBERS = {"int64": np.int64, "double": np.float64, "float": np.float32}


def array_of(values: Sequence[Any], kind: Any) -> Any:
    """A pyarrow.Array of string, bool, int64, float64 or list of float32.

    Args:
        values: one per row. None is missing in numbers with a point and in words; NaN is missing in words.
        kind: the pyarrow.DataType.

    Errors: TypeError or ValueError for a value that is not of that kind.

    Example:
        >>> import pyarrow as pa
        >>> array_of(["a", None, float("nan")], pa.string()).to_pylist()
        ['a', None, None]
    """
    import pyarrow as pa

    n = len(values)
    if pa.types.is_string(kind):
        known = np.array([value is not None and value == value for value in values], dtype=bool)
        words = [str(value).encode() if there else b"" for value, there in zip(values, known, strict=True)]
        return _array(kind, n, known, _offsets(words), b"".join(words))
    if pa.types.is_list(kind):
        flat = np.concatenate([np.empty(0, np.float32), *(np.asarray(value, np.float32) for value in values)])
        inner = _array(kind.value_type, len(flat), None, flat)
        return pa.Array.from_buffers(kind, n, [None, pa.py_buffer(_offsets(values))], children=[inner])
    if pa.types.is_boolean(kind):
        return _array(kind, n, None, np.packbits(np.array(values, dtype=bool), bitorder="little"))
    if pa.types.is_integer(kind):
        return _array(kind, n, None, np.fromiter(map(index, values), np.int64, n))
    known = np.array([value is not None for value in values], dtype=bool)
    return _array(kind, n, known, np.array([0.0 if value is None else value for value in values], dtype=np.float64))


def column_of(array: Any) -> np.ndarray:
    """A pyarrow.Array as numpy: missing numbers are NaN, missing words None; words that are equal are one object.

    Lists of equal length are the rows of a matrix.

    Example:
        >>> import pyarrow as pa
        >>> column_of(array_of([0.5, None], pa.float64())).tolist(), column_of(array_of([True], pa.bool_())).tolist()
        ([0.5, nan], [True])
    """
    import pyarrow as pa

    kind, n, nulls = array.type, len(array), array.null_count
    if pa.types.is_string(kind):
        return _words(array)
    if pa.types.is_list(kind):
        ends = np.frombuffer(array.buffers()[1], np.int32, n + 1, 4 * array.offset) if n else [0, 0]
        return column_of(array.values)[ends[0] : ends[-1]].reshape(n, -1 if n else 0)
    if pa.types.is_boolean(kind) and not nulls:
        return _unpacked(array.buffers()[1], array)
    if str(kind) in NUMBERS and (not nulls or pa.types.is_floating(kind)):
        number = np.dtype(NUMBERS[str(kind)])
        if not n:
            return np.empty(0, number)
        found = np.frombuffer(array.buffers()[1], number, n, number.itemsize * array.offset)
        return np.where(_known(array), found, number.type(np.nan)) if nulls else found
    out: np.ndarray = array.to_numpy(zero_copy_only=False)  # of a table that is not ours
    return out


def _array(kind: Any, n: int, known: np.ndarray | None, *buffers: Any) -> Any:
    import pyarrow as pa

    missing = known is not None and not known.all()
    valid = pa.py_buffer(np.packbits(known, bitorder="little")) if known is not None and missing else None
    return pa.Array.from_buffers(kind, n, [valid, *map(pa.py_buffer, buffers)])


def _offsets(parts: Sequence[Any]) -> np.ndarray:
    return np.fromiter(accumulate(map(len, parts), initial=0), np.int32, len(parts) + 1)


def _words(array: Any) -> np.ndarray:
    out, n = np.full(len(array), None, dtype=object), len(array)
    if array.null_count == n:
        return out
    _, places, data = array.buffers()
    ends = np.frombuffer(places, np.int32, n + 1, 4 * array.offset).tolist()
    letters = data.to_pybytes() if data else b""
    known: dict[bytes, str] = {}
    for i, (a, b) in enumerate(pairwise(ends)):
        word = letters[a:b]
        if word not in known:
            known[word] = word.decode()
        out[i] = known[word]
    if array.null_count:
        out[~_known(array)] = None
    return out


def _known(array: Any) -> np.ndarray:
    return _unpacked(array.buffers()[0], array)


def _unpacked(buffer: Any, array: Any) -> np.ndarray:
    if not len(array):
        return np.empty(0, dtype=bool)
    count = array.offset + len(array)
    return np.unpackbits(np.frombuffer(buffer, np.uint8), bitorder="little", count=count)[array.offset :].astype(bool)
