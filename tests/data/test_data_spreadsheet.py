"""Workbooks: their rows as text, and broken ones in one line."""

import re
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from openpyxl import Workbook

from medrobust.data.files.spreadsheet import read_spreadsheet
from medrobust.errors import UserError


def workbook(path: Path, rows: list[list[object]]) -> None:
    book = Workbook()
    for row in rows:
        book.active.append(row)
    book.create_sheet("Notes").append(["not the table"])
    book.save(path)


def rewrite(path: Path, part: str, change: Callable[[bytes], bytes]) -> None:
    """Change one part of a workbook."""
    with zipfile.ZipFile(path) as book:
        parts = {name: book.read(name) for name in book.namelist()}
    parts[part] = change(parts[part])
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as book:
        for name, content in parts.items():
            book.writestr(name, content)


def test_spreadsheet_rows_have_the_numbers_of_the_sheet(tmp_path):
    path = tmp_path / "table.xlsx"
    workbook(path, [[], [" name ", "age", None, "sex"], ["a", 40, "x", "f"], [], ["b", 51.5], [None, None, "y"]])
    rows = [{"name": "a", "age": "40", "sex": "f", "": "3"}, {"name": "b", "age": "51.5", "sex": "", "": "5"}]
    assert read_spreadsheet(path) == rows
    rewrite(path, "xl/worksheets/sheet1.xml", lambda sheet: re.sub(rb'ref="A\d+:D\d+"', b'ref="A1"', sheet))
    assert read_spreadsheet(path) == rows, "the size that a file gives is not believed"


def test_broken_spreadsheets_are_refused_in_one_line(tmp_path):
    path = tmp_path / "table.xlsx"
    workbook(path, [["name"]])
    with pytest.raises(UserError, match=r"table\.xlsx: no rows below the header"):
        read_spreadsheet(path)
    workbook(path, [["name"], ["a"]])
    whole = path.read_bytes()
    for content in (b"", b"name,age", whole[:-30], whole[:200], whole.replace(b"xl/workbook", b"xl/weekbook")):
        path.write_bytes(content)
        with pytest.raises(UserError, match=r"table\.xlsx: cannot be read as a workbook"):
            read_spreadsheet(path)
    for part in ("xl/workbook.xml", "xl/worksheets/sheet1.xml"):
        path.write_bytes(whole)
        rewrite(path, part, lambda content: content[: len(content) // 2])
        with pytest.raises(UserError, match=r"table\.xlsx: cannot be read as a workbook"):
            read_spreadsheet(path)
