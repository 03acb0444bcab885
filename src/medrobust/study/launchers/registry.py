"""The launchers. Adding one is a function and a line in LAUNCHERS."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from ..cells import Cell
from ..worker import Told
from .serial import serial

Launcher = Callable[[Sequence[Cell], Path, Told, Sequence[str], int], dict[str, str]]

LAUNCHERS: dict[str, Launcher] = {"serial": serial}
