"""Values to Arrow and back: as pyarrow itself converts them, and without the imports that this brings."""

import math
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from medrobust.records.arrow import array_of, column_of

WORDS = st.lists(st.none() | st.text(st.characters(exclude_categories=["Cs"]), max_size=5), max_size=20)
NUMBERS = st.lists(st.none() | st.floats(), max_size=20)
WHOLE = st.lists(st.integers(-(2**63), 2**63 - 1), max_size=20)
ANSWERS = st.lists(st.booleans(), max_size=20)
SCORES = st.lists(st.lists(st.floats(width=32), min_size=3, max_size=3), max_size=20)
KINDS = [
    (pa.string(), WORDS),
    (pa.float64(), NUMBERS),
    (pa.int64(), WHOLE),
    (pa.bool_(), ANSWERS),
    (pa.list_(pa.float32()), SCORES),
]


def same(found: np.ndarray, other: np.ndarray) -> bool:
    if found.dtype != other.dtype or found.shape != other.shape:
        return False
    return np.array_equal(found, other, equal_nan=found.dtype.kind == "f")


@pytest.mark.parametrize(("kind", "values"), KINDS, ids=lambda one: str(one) if isinstance(one, pa.DataType) else "")
def test_arrays_are_those_of_pyarrow(kind: pa.DataType, values: st.SearchStrategy) -> None:
    @given(values, st.integers(0, 9))
    def check(some: list, first: int) -> None:
        mine, theirs = array_of(some, kind), pa.array(some, kind)
        mine.validate(full=True)
        assert mine.type == theirs.type
        assert str(mine) == str(theirs)  # equals() says that NaN differs from itself
        # A part of a table begins inside its buffers.
        for part, other in ((mine, theirs), (theirs[first:], theirs[first:]), (mine[first:7], theirs[first:7])):
            expected = other.to_numpy(zero_copy_only=False)
            if pa.types.is_list(kind):
                expected = other.flatten().to_numpy().reshape(len(other), 3 if len(other) else 0)
            assert same(column_of(part), expected)

    check()


def test_what_is_missing_in_words_may_be_nan() -> None:
    assert array_of([math.nan, "a", None, 3], pa.string()).to_pylist() == [None, "a", None, "3"]


@pytest.mark.parametrize(("kind", "value"), [(pa.int64(), 1.5), (pa.int64(), None), (pa.float64(), "x")])
def test_a_value_of_another_kind_is_refused(kind: pa.DataType, value: object) -> None:
    with pytest.raises((TypeError, ValueError)):
        array_of([value], kind)


def test_equal_words_are_one_object() -> None:
    found = column_of(array_of(["image-1", "image-2", "image-1"], pa.string()))
    assert found[0] is found[2]


def test_columns_of_other_tables_are_read_too() -> None:
    assert column_of(pa.array([1, None], pa.int64())).tolist()[0] == 1.0
    assert column_of(pa.array(["a", "b"], pa.large_string())).tolist() == ["a", "b"]


def test_reading_and_writing_records_does_not_import_pandas(tmp_path: Path) -> None:
    code = """
import sys
import numpy as np
from medrobust.records.records import Records
from medrobust.records.rows import COLUMNS, rows_table
row = dict.fromkeys(COLUMNS, 0) | {"scores": np.zeros(2, np.float32), "meta_age": None, "meta_sex": "f"}
records = Records.of_table(rows_table([row, row], {"age": "float64", "sex": "string"}))
records.write("records.parquet")
assert len(Records.read("records.parquet")) == 2
print(*sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=tmp_path)
    assert "pyarrow" in done.stdout.split()
    assert not {"pandas", "pyarrow.dataset", "pyarrow.compute"} & set(done.stdout.split())
