"""The engine: one loop, step rules, radius rules, what to keep."""

from .ascend import Objective, Point, Radius, Score, Search, Step, advance, against, ascend, begin
from .keep import KEEPS, Keep, first_reached, highest, last, smallest_success
from .program import Model, Program, clean_goal
from .steps import Momentum, Steepest

__all__ = [
    "KEEPS",
    "Keep",
    "Model",
    "Momentum",
    "Objective",
    "Point",
    "Program",
    "Radius",
    "Score",
    "Search",
    "Steepest",
    "Step",
    "advance",
    "against",
    "ascend",
    "begin",
    "clean_goal",
    "first_reached",
    "highest",
    "last",
    "smallest_success",
]
