"""Records: the rows of a run as columns, and what they say."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import UserError
from .arrow import column_of
from .curves import Curve, curves, norms, worst_case
from .drawing import curve_svg
from .rows import CLEAN, MASK, META, PROTOCOL, read_table, rows_table, write_table
from .sensitivity import Sensitivity, sensitivity


@dataclass(frozen=True)
class Records:
    """The rows of a run as columns: one row per (image, attack, epsilon), and one per image for the clean image.

    Args:
        columns: name -> (num_rows,) array; `scores` is (num_rows, num_classes) float32.
        protocol: how the rows were measured, honest or paper; curves follow it.
        mask: where pixels were allowed to change: lesion, background, or "" everywhere.

    Example:
        >>> import torch, medrobust as mr
        >>> net = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(16, 2))
        >>> images = mr.ImageSet.of(torch.rand(6, 1, 4, 4), torch.arange(6) % 2, classes=["benign", "malignant"])
        >>> records = mr.measure(net, images, ["fgsm"], linf=["1/255", "4/255"])
        >>> len(records), len(records.clean), records.cells
        (18, 6, [('fgsm', 'linf')])
        >>> len(records.worst_case("linf").estimates())
        2
    """

    columns: Mapping[str, np.ndarray]
    protocol: str = "honest"
    mask: str = ""

    @staticmethod
    def read(path: Path | str) -> Records:
        """Read records.parquet. Errors: UserError when it is missing, broken or lacks a column."""
        return Records.of_table(read_table(path))

    @staticmethod
    def of_table(table: Any) -> Records:
        """The records in a pyarrow.Table."""
        columns = {name: column_of(table.column(name).combine_chunks()) for name in table.column_names}
        said = table.schema.metadata or {}
        return Records(columns, said.get(PROTOCOL, b"honest").decode(), said.get(MASK, b"").decode())

    def write(self, path: Path | str) -> None:
        """Write records.parquet, whole or not at all."""
        write_table(Path(path), self._table())

    def _table(self) -> Any:
        meta = {
            name[len(META) :]: "float64" if column.dtype.kind in "fiu" else "string"
            for name, column in self.columns.items()
            if name.startswith(META)
        }
        names = list(self.columns)
        rows = [dict(zip(names, values, strict=True)) for values in zip(*self.columns.values(), strict=True)]
        return rows_table(rows, meta, self.protocol, self.mask)

    def to_pandas(self) -> Any:
        """The rows as a pandas.DataFrame. Errors: UserError without pandas."""
        try:
            import pandas as pd
        except ImportError as error:
            raise UserError("to_pandas", "pandas is not installed", "pip install pandas") from error

        columns = {name: list(column) if column.ndim > 1 else column for name, column in self.columns.items()}
        return pd.DataFrame(columns)

    def __len__(self) -> int:
        return len(self.columns["image_id"])

    def __getitem__(self, name: str) -> np.ndarray:
        return self.columns[name]

    def __repr__(self) -> str:
        where = f", {self.mask} only" if self.mask else ""
        cells = ", ".join(f"{attack} ({norm})" for attack, norm in self.cells)
        return f"Records({len(self)} rows, {len(self.clean)} images, {cells or 'no attack'}, {self.protocol}{where})"

    def _repr_html_(self) -> str:
        figures = [curve_svg([self.worst_case(norm), *self.curves(norm)]) for norm in self.norms]
        return "".join(figures) or f"<p>{self!r}</p>"

    def where(self, **equal: Any) -> Records:
        """The rows whose columns equal these values, e.g. where(attack="pgd", norm="linf")."""
        mask = np.ones(len(self), dtype=bool)
        for name, value in equal.items():
            mask &= self.columns[name] == value
        return Records({name: column[mask] for name, column in self.columns.items()}, self.protocol, self.mask)

    @property
    def honest(self) -> bool:
        """Whether the protocol was honest."""
        return self.protocol == "honest"

    @property
    def clean(self) -> Records:
        """One row per image: the clean one, in the order of the data set."""
        return self.where(attack=CLEAN)

    @property
    def cells(self) -> list[tuple[str, str]]:
        """The (attack, norm) pairs measured, in the order of the rows."""
        pairs = dict.fromkeys(zip(self["attack"].tolist(), self["norm"].tolist(), strict=True))
        return [pair for pair in pairs if pair[0] != CLEAN]

    @property
    def norms(self) -> list[str]:
        """The norms measured, in the order of the rows."""
        return norms(self)

    def curves(self, norm: str) -> list[Curve]:
        """Accuracy against the budget, one curve per attack of a norm."""
        return [curve for curve in curves(self) if curve.norm == norm]

    def worst_case(self, norm: str) -> Curve:
        """Per image the worst over all attacks of a norm. Errors: ValueError for a norm that was not measured."""
        return worst_case(self, norm)

    def sensitivity(self, norm: str) -> Sensitivity:
        """How much change each image needs, over all attacks of a norm."""
        return sensitivity(self, norm)

    def matrix(self, attack: str, norm: str, column: str) -> tuple[np.ndarray, np.ndarray]:
        """Budgets (e,), ascending, and the column as (num_images, e), images in the order of `clean`."""
        rows = self.where(attack=attack, norm=norm)
        ids = {name: i for i, name in enumerate(self.clean["image_id"].tolist())}
        epsilons, where = np.unique(rows["epsilon"], return_inverse=True)
        out = np.zeros((len(ids), len(epsilons)), dtype=rows[column].dtype)
        out[np.array([ids[name] for name in rows["image_id"].tolist()], dtype=int), where] = rows[column]
        return epsilons, out
