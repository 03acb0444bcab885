"""What a user can cause, said in one line: where, what, and how to mend it."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class UserError(Exception):
    """Bad input. The command line prints it as one line and exits with code 2.

    Args:
        place: the file, key or argument at fault.
        problem: what is wrong with it.
        fix: what to do about it.

    Example:
        >>> str(UserError("data.name", "unknown data set 'bussi'", "did you mean 'busi'?"))
        "data.name: unknown data set 'bussi'. Did you mean 'busi'?"
    """

    def __init__(self, place: str, problem: str, fix: str = "") -> None:
        self.place, self.problem, self.fix = place, problem, fix
        super().__init__(place, problem, fix)

    def __str__(self) -> str:
        fix = f" {self.fix[0].upper()}{self.fix[1:]}" if self.fix else ""
        text = f"{self.place}: {self.problem.rstrip('.')}.{fix}"
        return " ".join(text.split())


def nearest(word: str, valid: Iterable[str]) -> str:
    """A fix that names the nearest valid word, or all of them when none is near.

    Example:
        >>> nearest("num_step", ["num_steps", "epsilon"])
        "did you mean 'num_steps'?"
        >>> nearest("zzz", ["a", "b"])
        'valid: a, b'
    """
    valid = sorted(valid)
    close = difflib.get_close_matches(word, valid, n=1)
    return f"did you mean '{close[0]}'?" if close else f"valid: {', '.join(valid)}"
