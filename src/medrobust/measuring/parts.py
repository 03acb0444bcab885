"""Where measured parts are kept until all are there: in memory, or as files from which a killed run goes on."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from ..files import read_json, write_json
from ..records.records import Records
from ..records.rows import merge, read_table, write_table
from .shown import Shown, write_shown

LAYOUT = "layout.json"
Cost = dict[str, Any]
Chosen = tuple[list[int], Shown]


class Memory:
    """Chunks that are kept in memory."""

    def __init__(self) -> None:
        self._tables: list[Any] = []
        self._costs: list[Cost] = []

    searched_with: str | None = None

    def laid_out(self, size: int, kind: str) -> int:
        return size

    def has(self, number: int) -> bool:
        return number < len(self._tables)

    def add(self, number: int, table: Any, cost: Cost, first: int, shown: Chosen) -> None:
        self._tables.append(table)
        self._costs.append(cost)

    def ended(self, num_chunks: int) -> tuple[Records, Cost]:
        import pyarrow as pa

        return Records.of_table(pa.concat_tables(self._tables)), _sum(self._costs)


class Folder:
    """Chunks that are files, so that a killed run goes on."""

    def __init__(self, folder: Path, begin: Callable[[], Any]) -> None:
        self._folder, self._begin, self._layout = folder, begin, folder / LAYOUT

    def _path(self, number: int) -> Path:
        return self._folder / f"part-{number:05d}.parquet"

    @property
    def searched_with(self) -> str | None:
        """The copy, in words, that searched the parts that are there."""
        return read_json(self._layout).get("search") if self._layout.exists() else None

    def laid_out(self, size: int, kind: str) -> int:
        """Images in a part: decided when the run starts, kept when it goes on, maybe on another device."""
        self._said: Cost = read_json(self._layout) if self._layout.exists() else {"images": size, "search": kind}
        return int(self._said["images"])

    def has(self, number: int) -> bool:
        return self._path(number).exists()

    def add(self, number: int, table: Any, cost: Cost, first: int, shown: Chosen) -> None:
        if not self._layout.exists():
            self._begin()
            write_json(self._layout, self._said)
        write_shown(self._folder / f"shown-{number:05d}.npz", first, *shown)
        write_json(self._folder / f"cost-{number:05d}.json", cost)
        write_table(self._path(number), table)

    def ended(self, num_chunks: int) -> tuple[Records, Cost]:
        target = self._folder.parent / "records.parquet"
        merge([self._path(number) for number in range(num_chunks)], target)
        costs = [read_json(path) for path in sorted(self._folder.glob("cost-*.json"))]
        return Records.of_table(read_table(target)), _sum(costs)


def _sum(costs: list[Cost]) -> Cost:
    return {name: round(sum(cost[name] for cost in costs), 3) for name in ("forwards", "backwards", "seconds")}
