"""Named hypotheses of a study: what was claimed, a test of it, how large it is, and what could have been seen."""

from .judged import CONTRADICTED, HOLDS, NOT_RUN, NOT_SHOWN, Judged
from .judging import judge

__all__ = ["CONTRADICTED", "HOLDS", "NOT_RUN", "NOT_SHOWN", "Judged", "judge"]
