"""Records: one row per (image, attack, epsilon), the one output of measuring. Parquet in and out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import UserError
from ..files import write_with

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
    "verified_float32": "bool_",
    "survives_source_bit_depth": "bool_",
}
META = "meta_"


def _schema(meta: Mapping[str, str]) -> Any:
    import pyarrow as pa

    fields = [
        (name, pa.list_(pa.float32()) if kind == "list" else getattr(pa, kind)()) for name, kind in COLUMNS.items()
    ]
    return pa.schema(fields + [(META + name, getattr(pa, kind)()) for name, kind in sorted(meta.items())])


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


def write_rows(path: Path, rows: Sequence[Mapping[str, Any]], meta: Mapping[str, str]) -> None:
    """Write rows as one Parquet file, whole or not at all."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    def column(name: str, kind: Any) -> Any:
        values = [row.get(name) for row in rows]
        if pa.types.is_string(kind):
            values = [None if value is None else str(value) for value in values]
        return pa.array(values, kind)

    schema = _schema(meta)
    table = pa.table([column(field.name, field.type) for field in schema], schema=schema)
    write_with(path, lambda temporary: pq.write_table(table, temporary))


def merge(parts: Sequence[Path], path: Path) -> None:
    """Join Parquet parts into one file, a part at a time, so that memory does not grow with their number."""
    import pyarrow.parquet as pq

    def write(temporary: Path) -> None:
        with pq.ParquetWriter(temporary, pq.read_schema(parts[0])) as writer:
            for part in parts:
                writer.write_table(pq.read_table(part))

    write_with(path, write)


@dataclass(frozen=True)
class Records:
    """The rows of a run as columns.

    Args:
        columns: name -> (num_rows,) array; `scores` is (num_rows, num_classes) float32.
    """

    columns: Mapping[str, np.ndarray]

    @staticmethod
    def read(path: Path | str) -> Records:
        """Read records.parquet. Errors: UserError when it is missing, broken or lacks a column."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        try:
            table = pq.read_table(path)
        except (OSError, pa.ArrowException) as error:
            raise UserError(str(path), f"cannot be read as Parquet: {error}") from error
        missing = [name for name in COLUMNS if name not in table.column_names]
        if missing:
            raise UserError(str(path), f"no column {', '.join(missing)}", "is this records.parquet of medrobust?")
        columns = {}
        for name in table.column_names:
            array = table.column(name).combine_chunks()
            if name == "scores":
                flat = array.flatten().to_numpy(zero_copy_only=False)
                columns[name] = flat.reshape(len(array), -1) if len(array) else flat.reshape(0, 0)
            else:
                columns[name] = array.to_numpy(zero_copy_only=False)
        return Records(columns)

    def __len__(self) -> int:
        return len(self.columns["image_id"])

    def __getitem__(self, name: str) -> np.ndarray:
        return self.columns[name]

    def where(self, **equal: Any) -> Records:
        """The rows whose columns equal these values, e.g. where(attack="pgd", norm="linf")."""
        mask = np.ones(len(self), dtype=bool)
        for name, value in equal.items():
            mask &= self.columns[name] == value
        return Records({name: column[mask] for name, column in self.columns.items()})

    @property
    def clean(self) -> Records:
        """One row per image: the clean one, in the order of the data set."""
        return self.where(attack=CLEAN)

    @property
    def cells(self) -> list[tuple[str, str]]:
        """The (attack, norm) pairs measured, in the order of the rows."""
        pairs = dict.fromkeys(zip(self["attack"].tolist(), self["norm"].tolist(), strict=True))
        return [pair for pair in pairs if pair[0] != CLEAN]

    def matrix(self, attack: str, norm: str, column: str) -> tuple[np.ndarray, np.ndarray]:
        """Budgets (e,), ascending, and the column as (num_images, e), images in the order of `clean`."""
        rows = self.where(attack=attack, norm=norm)
        ids = {name: i for i, name in enumerate(self.clean["image_id"].tolist())}
        epsilons, where = np.unique(rows["epsilon"], return_inverse=True)
        out = np.zeros((len(ids), len(epsilons)), dtype=rows[column].dtype)
        out[np.array([ids[name] for name in rows["image_id"].tolist()], dtype=int), where] = rows[column]
        return epsilons, out
