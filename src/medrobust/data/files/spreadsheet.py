"""The first sheet of an .xlsx file, with the standard library alone."""

from __future__ import annotations

import re
import zipfile
from pathlib import Path
from xml.etree import ElementTree

from ...errors import UserError

_SPACE = {"x": "http://schemas.openxmlformats.org/spreadsheetml/2006/main"}


def read_spreadsheet(path: Path) -> list[dict[str, str]]:
    """Rows below the header row as dicts of text; the key "" holds the row number.

    Errors: UserError when the file is no workbook or has no rows.
    """
    try:
        with zipfile.ZipFile(path) as book:
            names = book.namelist()
            shared = []
            if "xl/sharedStrings.xml" in names:
                root = ElementTree.fromstring(book.read("xl/sharedStrings.xml"))
                shared = ["".join(item.itertext()) for item in root.findall("x:si", _SPACE)]
            sheet = min(name for name in names if re.fullmatch(r"xl/worksheets/sheet\d+\.xml", name))
            rows = ElementTree.fromstring(book.read(sheet)).findall(".//x:row", _SPACE)
    except (OSError, zipfile.BadZipFile, ElementTree.ParseError, ValueError, KeyError) as error:
        raise UserError(str(path), f"cannot be read as a workbook: {error}", "save it as a CSV file") from error
    table = [{_column(cell): _text(cell, shared) for cell in row} for row in rows]
    if len(table) < 2:
        raise UserError(str(path), "no rows below the header")
    header = {column: name.strip() for column, name in table[0].items() if name.strip()}
    result = [
        {name: cells.get(column, "").strip() for column, name in header.items()} | {"": str(number)}
        for number, cells in enumerate(table[1:], start=2)
    ]
    return [row for row in result if any(value for key, value in row.items() if key)]


def _column(cell: ElementTree.Element) -> str:
    return re.sub(r"\d", "", cell.get("r", ""))


def _text(cell: ElementTree.Element, shared: list[str]) -> str:
    if cell.get("t") == "inlineStr":
        return "".join(cell.itertext())
    value = cell.findtext("x:v", "", _SPACE)
    return shared[int(value)] if cell.get("t") == "s" else value
