"""expected.csv is read as written, and what is broken in it is named with its line."""

from __future__ import annotations

from pathlib import Path

import pytest

from medrobust.errors import UserError
from medrobust.study.expected import read_expected
from studies.make_check import HEADER

GOOD = "1,PGD,small,accuracy,61.0,2.5,%,data=xray attack=pgd epsilon=1/255"


def written(folder: Path, *rows: str, header: str = HEADER) -> Path:
    path = folder / "expected.csv"
    path.write_text("\n".join([header, *rows]) + "\n")
    return path


def test_a_row_is_read(tmp_path: Path) -> None:
    listed = '2,all,x,precision,0.7010,,1,"model=a,b attack=none"'
    change = '2,all,y,accuracy,-5.9,,points,"data=xray training=at subset=aware minus=training:standard,subset:all"'
    one, two, three, four = read_expected(written(tmp_path, GOOD, listed, "", change, "3,a,b,f1,-,,1,data=xray"))
    assert (one.table, one.row, one.column, one.reported, one.spread, one.unit) == ("1", "PGD", "small", 61.0, 2.5, "%")
    assert one.wanted.where == {"data": "xray", "attack": "pgd", "epsilon": "1/255"}
    assert (one.scale, one.tolerance, two.scale, two.tolerance) == (100, 2.5, 1, 0.02)
    assert (two.wanted.where["model"], two.printed, one.printed) == ("a,b", "0.7010", "61.0 \u00b1 2.5")
    assert three.reported == -5.9
    assert (three.wanted.subset, three.wanted.other.subset) == ("aware", "all")
    assert three.wanted.other.where == {"data": "xray", "training": "standard"}
    assert (four.reported, four.printed, four.tolerance) == (None, "", 0.02)


@pytest.mark.parametrize(
    ("row", "problem"),
    [
        ("1,PGD,small,accuracy,61.0,%,data=xray", "has 7 cells instead of 8"),
        (",PGD,small,accuracy,61.0,,%,data=xray", "table is empty"),
        ("1,PGD,small,acuracy,61.0,,%,data=xray", "unknown metric 'acuracy'. Did you mean 'accuracy'?"),
        ("1,PGD,small,accuracy,61.0,,percent,data=xray", "the unit of accuracy is 'percent'"),
        ("1,PGD,small,num_parameters,61,,%,data=xray", "the unit of num_parameters is '%'"),
        ("1,PGD,small,accuracy,61.0,,count,data=xray", "the unit of accuracy is 'count'"),
        ("1,PGD,small,accuracy,about 61,,%,data=xray", "'about 61' is not a number"),
        ("1,PGD,small,accuracy,61%,,%,data=xray", "'61%' is not a number"),
        ("1,PGD,small,accuracy,nan,,%,data=xray", "'nan' is not a number"),
        ("1,PGD,small,accuracy,61,x,%,data=xray", "'x' is not a number"),
        ("1,PGD,small,accuracy,61,,%,data", "'data' is no selection"),
        ("1,PGD,small,accuracy,61,,%,data=a data=b", "data is given twice"),
        ("1,PGD,small,accuracy,61,,%,data=a epsilon=x", "'x' is not a number"),
        ("1,PGD,small,accuracy,61,,%,data=a subset=best", "unknown subset 'best'"),
        ("1,PGD,small,f1,0.6,,1,data=a subset=aware", "f1 of subset=aware"),
        ("1,PGD,small,accuracy,6,,points,data=a minus=data", "'data' is no selection"),
        ("1,PGD,small,accuracy,6,,points,data=a minus=model:b", "minus changes model"),
        ('1,PGD,small,accuracy,6,,points,"data=a,b minus=data:c"', "minus changes data"),
        (GOOD, "is the same cell of table 1 as line 2"),
        ('1,"PGD,small', "is no CSV"),
    ],
)
def test_broken_rows_are_named_with_their_line(tmp_path: Path, row: str, problem: str) -> None:
    path = written(tmp_path, GOOD, row)
    with pytest.raises(UserError) as raised:
        read_expected(path)
    assert str(raised.value).startswith(f"{path}:3: {problem}")


def test_broken_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"expected\.csv: no such file"):
        read_expected(tmp_path / "expected.csv")
    with pytest.raises(UserError, match=r"expected\.csv:1: the header is 'table,row'"):
        read_expected(written(tmp_path, header="table,row"))
    (tmp_path / "expected.csv").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UserError, match="cannot be read"):
        read_expected(tmp_path / "expected.csv")
