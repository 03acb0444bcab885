"""Rows: one per (image, attack, epsilon), the one output of measuring. Parquet in and out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from ..errors import UserError
from ..files import write_with
from .arrow import array_of

CLEAN = "clean"
COLUMNS = {
    "image_id": "string",
    "group_id": "string",
    "label": "int64",
    "clean_prediction": "int64",
    "attack": "string",
    "norm": "string",
    "epsilon": "float64",
    "goal": "string",
    "reached": "bool_",
    "prediction": "int64",
    "scores": "list",
    "distance": "float64",
    "forwards": "int64",
    "backwards": "int64",
    "survives_source_bit_depth": "bool_",
}
META = "meta_"
PROTOCOL = b"medrobust.protocol"
MASK = b"medrobust.mask"


class Rows(Protocol):
    """What curves and statistics ask of the rows of a run."""

    def __getitem__(self, name: str) -> np.ndarray:
        """(num_rows,) a column; `scores` is (num_rows, num_classes)."""

    @property
    def columns(self) -> Mapping[str, np.ndarray]:
        """All columns by their names."""

    @property
    def clean(self) -> Rows:
        """One row per image: the clean one, in the order of the data set."""

    @property
    def cells(self) -> list[tuple[str, str]]:
        """The (attack, norm) pairs measured, in the order of the rows."""

    @property
    def honest(self) -> bool:
        """Whether the protocol was honest."""

    def __len__(self) -> int: ...

    def where(self, **equal: Any) -> Rows:
        """The rows whose columns equal these values."""

    def matrix(self, attack: str, norm: str, column: str) -> tuple[np.ndarray, np.ndarray]:
        """Budgets (e,), ascending, and the column as (num_images, e), images in the order of `clean`."""


def _schema(meta: Mapping[str, str], protocol: str, mask: str) -> Any:
    import pyarrow as pa

    fields = [
        (name, pa.list_(pa.float32()) if kind == "list" else getattr(pa, kind)()) for name, kind in COLUMNS.items()
    ]
    fields += [(META + name, getattr(pa, kind)()) for name, kind in sorted(meta.items())]
    return pa.schema(fields, {PROTOCOL: protocol.encode(), MASK: mask.encode()})


def meta_types(metadata: Iterable[Mapping[str, Any]]) -> dict[str, str]:
    """The metadata columns of a data set, and whether each holds numbers or words.

    Example:
        >>> meta_types([{"age": 61.0, "sex": "f"}, {"age": 47.0}])
        {'age': 'float64', 'sex': 'string'}
    """
    types: dict[str, str] = {}
    for row in metadata:
        for name, value in row.items():
            number = isinstance(value, (int, float)) and types.get(name, "float64") == "float64"
            types[name] = "float64" if number else "string"
    return types


def rows_table(
    rows: Sequence[Mapping[str, Any]], meta: Mapping[str, str], protocol: str = "honest", mask: str = ""
) -> Any:
    """Rows as a pyarrow.Table that knows its protocol, and where pixels were allowed to change."""
    import pyarrow as pa

    schema = _schema(meta, protocol, mask)
    columns = [array_of([row.get(field.name) for row in rows], field.type) for field in schema]
    return pa.Table.from_arrays(columns, schema=schema)


def write_table(path: Path, table: Any) -> None:
    """Write a table as one Parquet file, whole or not at all."""
    import pyarrow.parquet as pq

    write_with(path, lambda temporary: pq.write_table(table, temporary))


def merge(parts: Sequence[Path], path: Path) -> None:
    """Join Parquet parts into one file, one part at a time, so that memory does not grow with their number."""
    import pyarrow.parquet as pq

    def write(temporary: Path) -> None:
        with pq.ParquetWriter(temporary, pq.read_schema(parts[0])) as writer:
            for part in parts:
                writer.write_table(_read(part))

    write_with(path, write)


def read_table(path: Path | str) -> Any:
    """The table in records.parquet. Errors: UserError when it is missing, broken or lacks a column."""
    import pyarrow as pa

    try:
        table = _read(path)
    except (OSError, pa.ArrowException) as error:
        raise UserError(str(path), f"cannot be read as Parquet: {error}") from error
    missing = [name for name in COLUMNS if name not in table.column_names]
    if missing:
        raise UserError(str(path), f"no column {', '.join(missing)}", "is this records.parquet of medrobust?")
    return table


def _read(path: Path | str) -> Any:
    """One Parquet file; pyarrow.parquet.read_table would import pyarrow.dataset and pandas."""
    import pyarrow.parquet as pq

    with pq.ParquetFile(path) as file:
        return file.read()
