"""The first sheet of an .xlsx file."""

from __future__ import annotations

import warnings
from contextlib import closing
from pathlib import Path

from ...errors import UserError


def read_spreadsheet(path: Path) -> list[dict[str, str]]:
    """Rows below the header row as dicts of text; the key "" holds the row number.

    Errors: UserError when the file is no workbook or has no rows.
    """
    from openpyxl import load_workbook

    try:
        with path.open("rb") as file, warnings.catch_warnings():
            warnings.simplefilter("ignore")  # they are about styles and validation, which are not read
            with closing(load_workbook(file, read_only=True, data_only=True)) as book:
                sheet = book.worksheets[0]
                sheet.reset_dimensions()  # some writers leave a wrong size in the file, and rows would be left out
                cells = [tuple(map(_text, row)) for row in sheet.iter_rows(values_only=True)]
    except Exception as error:  # a damaged archive fails in as many ways as it has parts
        raise UserError(str(path), f"cannot be read as a workbook: {error}", "save it as a CSV file") from error
    table = [(number, row) for number, row in enumerate(cells, start=1) if any(row)]
    if len(table) < 2:
        raise UserError(str(path), "no rows below the header")
    header = {name: column for column, name in enumerate(table[0][1]) if name}
    result = [
        {name: row[column] if column < len(row) else "" for name, column in header.items()} | {"": str(number)}
        for number, row in table[1:]
    ]
    return [row for row in result if any(value for name, value in row.items() if name)]


def _text(value: object) -> str:
    return "" if value is None else str(value).strip()
