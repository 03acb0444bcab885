"""How the cells of a study are spread over processes and machines."""

from .registry import LAUNCHERS

__all__ = ["LAUNCHERS"]
