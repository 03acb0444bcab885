"""The launchers. Adding one is a function and a line in LAUNCHERS."""

from __future__ import annotations

from collections.abc import Callable

from .processes import processes
from .ray import ray
from .serial import serial

# (cells, their folder, told, how) -> key -> done, failed or blocked
Launcher = Callable[..., dict[str, str]]

LAUNCHERS: dict[str, Launcher] = {"serial": serial, "processes": processes, "ray": ray}
