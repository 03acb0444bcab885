"""Rows in and out: nothing is lost on the way to a file and back, and what is no run is refused in one line."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from medrobust.errors import UserError
from medrobust.records import Records
from medrobust.records.rows import COLUMNS, merge, meta_types, read_table, rows_table, write_table
from records.tables import make_records

ATTACKS = {("pgd", "linf"): {0.1: [0, 1, 2], 0.2: [1, 1, 2]}, ("cw", "l2"): {1.0: [1, 0, 0]}}
META = {"age": [61.0, np.nan, 47.5], "sex": ["f", None, "m"], "site": ["A", "A", "B"]}


@pytest.fixture
def records() -> Records:
    return make_records([0, 1, 2], [0, 1, 1], ATTACKS, num_classes=3, meta=META, groups=["p", "p", "q"])


def same(one: Records, two: Records) -> None:
    assert set(one.columns) == set(two.columns)
    for name, column in one.columns.items():
        other = two[name]
        assert column.shape == other.shape, name
        if column.dtype.kind == "f":
            assert column.dtype == other.dtype, name
            assert np.array_equal(column, other, equal_nan=True), name
        else:
            assert column.tolist() == other.tolist(), name


@pytest.mark.parametrize("protocol", ["honest", "paper"])
def test_every_column_survives_a_file(records: Records, protocol: str, tmp_path: Path) -> None:
    records = Records(records.columns, protocol)
    assert set(records.columns) == set(COLUMNS) | {"meta_age", "meta_sex", "meta_site"}
    records.write(tmp_path / "records.parquet")
    again = Records.read(tmp_path / "records.parquet")
    same(records, again)
    assert again.protocol == protocol
    assert again.honest == (protocol == "honest")
    again.write(tmp_path / "twice.parquet")
    same(records, Records.read(tmp_path / "twice.parquet"))
    assert again["scores"].dtype == np.float32
    assert again["scores"].shape == (len(records), 3)


def test_a_part_survives_a_file_and_keeps_its_protocol(records: Records, tmp_path: Path) -> None:
    part = Records(records.columns, "paper").where(attack="pgd", norm="linf")
    part.write(tmp_path / "part.parquet")
    again = Records.read(tmp_path / "part.parquet")
    same(part, again)
    assert (len(again), again.protocol) == (6, "paper")


def test_a_write_that_fails_leaves_the_old_file(records: Records, tmp_path: Path) -> None:
    path = tmp_path / "records.parquet"
    records.write(path)
    before = path.read_bytes()
    broken = dict(records.columns)
    broken["epsilon"] = np.array(["x"] * len(records), dtype=object)
    with pytest.raises(Exception, match="x"):
        Records(broken).write(path)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_files_that_are_no_records_are_refused(records: Records, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"nowhere\.parquet: cannot be read as Parquet"):
        Records.read(tmp_path / "nowhere.parquet")
    (tmp_path / "text.parquet").write_text("no Parquet")
    with pytest.raises(UserError, match="cannot be read as Parquet"):
        Records.read(tmp_path / "text.parquet")
    records.write(tmp_path / "records.parquet")
    table = read_table(tmp_path / "records.parquet")
    write_table(tmp_path / "less.parquet", table.drop_columns(["epsilon", "reached"]))
    with pytest.raises(UserError, match="no column epsilon, reached"):
        Records.read(tmp_path / "less.parquet")


def test_parts_are_joined_in_their_order(records: Records, tmp_path: Path) -> None:
    records.write(tmp_path / "all.parquet")
    table = read_table(tmp_path / "all.parquet")
    write_table(tmp_path / "1.parquet", table.slice(0, 5))
    write_table(tmp_path / "2.parquet", table.slice(5))
    merge([tmp_path / "1.parquet", tmp_path / "2.parquet"], tmp_path / "joined.parquet")
    same(records, Records.read(tmp_path / "joined.parquet"))


def test_metadata_are_numbers_only_where_all_are() -> None:
    assert meta_types([{"a": 1, "b": "x"}, {"a": 2.5, "c": 3}, {"a": "old", "c": 4}]) == {
        "a": "string",
        "b": "string",
        "c": "float64",
    }
    row = dict.fromkeys(COLUMNS, 0) | {"scores": np.zeros(2, np.float32), "reached": True, "meta_a": 3}
    row["survives_source_bit_depth"] = False
    table = rows_table([row, {**row, "meta_a": None}], {"a": "string"})
    assert table.column("meta_a").to_pylist() == ["3", None]
    missing = rows_table([row, {**row, "meta_a": float("nan")}], {"a": "string"})
    assert missing.column("meta_a").to_pylist() == ["3", None]


def test_pandas_has_the_same_rows(records: Records) -> None:
    pytest.importorskip("pandas")
    frame = records.to_pandas()
    assert list(frame.columns) == list(records.columns)
    assert len(frame) == len(records)
    assert frame["epsilon"].tolist() == records["epsilon"].tolist()
    assert [list(scores) for scores in frame["scores"]] == [list(scores) for scores in records["scores"]]
    hits = frame[frame.attack == "pgd"].groupby("epsilon").reached.mean()
    assert hits[0.2] == pytest.approx(2 / 3)


def test_without_pandas_it_says_so(records: Records, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(UserError, match=r"to_pandas: pandas is not installed\. pip install pandas"):
        records.to_pandas()


def test_rows_are_chosen_by_equal_values(records: Records) -> None:
    assert len(records.where(attack="pgd", epsilon=0.2, label=1)) == 1
    assert len(records.where(attack="nothing")) == 0
    assert records.clean["image_id"].tolist() == ["i0", "i1", "i2"]
    assert records.cells == [("pgd", "linf"), ("cw", "l2")]


def test_matrices_are_images_by_budgets_whatever_the_order_of_the_rows(records: Records) -> None:
    order = np.random.default_rng(0).permutation(len(records))
    clean = np.flatnonzero(records["attack"] == "clean")
    shuffled = np.concatenate([clean, order[~np.isin(order, clean)]])
    mixed = Records({name: column[shuffled] for name, column in records.columns.items()})
    for given in (records, mixed):
        epsilons, prediction = given.matrix("pgd", "linf", "prediction")
        assert epsilons.tolist() == [0.1, 0.2]
        assert prediction.tolist() == [[0, 1], [1, 1], [2, 2]]


def test_says_what_it_is(records: Records) -> None:
    assert repr(records) == "Records(12 rows, 3 images, pgd (linf), cw (l2), honest)"
