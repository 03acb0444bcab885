"""Training objectives by their names: `trades(threat, beta=6)` makes a Trades, and so do the others."""

from .adversarial import Adversarial, AgainstAttack
from .amat import Amat
from .awp import Awp
from .base import TrainingLoss, TrainingObjective
from .clean import Clean
from .dpaat import Dpaat
from .epsilon import Adaptive, Constant, EpsilonRule, Feedback, WarmUp
from .fast import Fast, Free
from .mirst import Mirst, Rst
from .registry import OBJECTIVES, make_objective
from .regularized import GradientRegularized, LocallyLinear
from .semi import SemiRst
from .simclr import SimClr
from .trades import Mart, Trades

# The names of the literature and of recipes; they hide the modules of the same names, which nobody needs.
adversarial, amat, awp, clean, dpaat, fast, free = Adversarial, Amat, Awp, Clean, Dpaat, Fast, Free
gr, llr, mart, mirst, rst = GradientRegularized, LocallyLinear, Mart, Mirst, Rst
semi_rst, simclr, trades = SemiRst, SimClr, Trades

__all__ = [
    "OBJECTIVES",
    "Adaptive",
    "Adversarial",
    "AgainstAttack",
    "Amat",
    "Awp",
    "Clean",
    "Constant",
    "Dpaat",
    "EpsilonRule",
    "Fast",
    "Free",
    "GradientRegularized",
    "LocallyLinear",
    "TrainingLoss",
    "Mart",
    "Mirst",
    "Feedback",
    "Rst",
    "SemiRst",
    "SimClr",
    "TrainingObjective",
    "Trades",
    "WarmUp",
    "adversarial",
    "amat",
    "awp",
    "clean",
    "dpaat",
    "fast",
    "free",
    "gr",
    "llr",
    "make_objective",
    "mart",
    "mirst",
    "rst",
    "semi_rst",
    "simclr",
    "trades",
]
