"""What a user can cause, said in one line: where, what, and how to mend it."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

COMMANDS = ("git", "medrobust", "pip", "python")
LONGEST = 1500  # characters of a line


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
        return printable(f"{self.place}: {self.problem.rstrip('.')}. {_sentence(self.fix)}")


def _sentence(fix: str) -> str:
    """A fix with a capital, unless it begins with a command or a key, which are typed as they are."""
    first = fix.partition(" ")[0].rstrip(",;:")
    return fix if first in COMMANDS or set("=./_") & set(first) else fix[:1].upper() + fix[1:]


def printable(text: str) -> str:
    """Text as one line that any terminal can be given: white space joined, what cannot be seen escaped, not too long.

    Names in files may hold line ends, the commands of a terminal and signs that turn the writing around.

    Example:
        >>> printable("a\\nb  \\x1b[2J \\u202egnp")
        'a b \\\\x1b[2J \\\\u202egnp'
    """
    line = " ".join(text.split())
    if len(line) > LONGEST:
        line = f"{line[: LONGEST // 2]} ... {line[-LONGEST // 2 :]}"
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in line)


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
