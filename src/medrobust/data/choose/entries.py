"""What a person writes in data.classes: names, `new=a+b`, `rest`, `-name`; names in quotes are never rules."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from ...errors import UserError

_QUOTED = r"'(?:[^']|'')*'|\"(?:[^\"]|\"\")*\""
_WORD = re.compile(rf"{_QUOTED}|[^+=]+")


def exact_names(names: Iterable[str]) -> list[str]:
    """Entries that are these names and no rules, for names that a program knows and nobody has written.

    Example:
        >>> exact_names(["grade=2", "rest", "no 'x'"])
        ["'grade=2'", "'rest'", "'no ''x'''"]
    """
    return ["'" + name.replace("'", "''") + "'" for name in names]


@dataclass(frozen=True)
class Entry:
    """One entry of data.classes.

    Args:
        name: of the class that it makes, or that it leaves out.
        members: the classes of the source that it takes; () for `rest`.
        rule: it is more than a name.
        dropped: it leaves its class out.
    """

    name: str
    members: tuple[str, ...]
    rule: bool = False
    dropped: bool = False


def read_entry(text: str, known: Sequence[str] = ()) -> Entry:
    """An entry as a person writes it.

    Args:
        text: a name, `new=a+b`, `rest` or `-name`, where a lone `-` is the empty label of a table; a name in single or
            double quotes is only a name.
        known: the classes of the source; a text that is one of them is that class, whatever signs it holds.

    Errors: UserError for an entry that cannot be read.

    Example:
        >>> read_entry("bad='a+b'+c").members, read_entry("grade=2", ["grade=1", "grade=2"]).members
        (('a+b', 'c'), ('grade=2',))
    """
    if text in known or re.fullmatch(_QUOTED, text):
        name = text if text in known else _unquoted(text)
        return Entry(name, (name,))
    if text == "rest":
        return Entry(text, (), rule=True)
    if text.startswith("-"):
        name = _unquoted(text[1:])
        return Entry(name, (name,), dropped=True)
    words = _WORD.findall(text)
    signs = _WORD.sub("", text)
    if not words or not re.fullmatch(r"(=\+*)?", signs) or len(words) != len(signs) + 1:
        raise UserError("data.classes", f"{text!r} cannot be read", "write NAME, NEW=A+B or rest; quote names: 'a=b'")
    names = tuple(_unquoted(word) for word in words)
    return Entry(names[0], names[1:], rule=True) if signs else Entry(names[0], names)


def _unquoted(word: str) -> str:
    if re.fullmatch(_QUOTED, word):
        return word[1:-1].replace(word[0] * 2, word[0])
    return word
