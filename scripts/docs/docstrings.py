"""The docstrings of medrobust as the reference shows them: a griffe extension, and the parser that it shares.

They are plain text: an asterisk is an asterisk, `Args:` may gather several names in one entry, `Errors:` is a sentence.
"""

from __future__ import annotations

import re
from typing import Any

_ENTRY = re.compile(r"^    (?! )(\*{0,2}\w+(?:, \*{0,2}\w+)*): (.*)$")
_SPECIAL = re.compile(r"[*|>\[\]]|(?<!\w)_|_(?!\w)")
_CODE = re.compile(r"(`[^`]*`)")


def arguments(text: str) -> list[tuple[tuple[str, ...], str]]:
    """The entries of `Args:` in a docstring without indentation: (names, meaning).

    Example:
        >>> arguments("Adds.\\n\\nArgs:\\n    a, b: numbers,\\n        of any size.\\n    c: another.")
        [(('a', 'b'), 'numbers, of any size.'), (('c',), 'another.')]
    """
    found: list[tuple[tuple[str, ...], str]] = []
    inside = False
    for line in text.splitlines():
        if not line.startswith(" "):
            inside = line == "Args:" or (inside and not line)
        elif inside and (entry := _ENTRY.match(line)):
            found.append((tuple(entry[1].split(", ")), entry[2]))
        elif inside and found:
            names, meaning = found[-1]
            found[-1] = (names, f"{meaning} {line.strip()}")
    return found


def plain(text: str) -> str:
    """Text in which Markdown finds nothing but `code`."""
    parts = _CODE.split(text.replace("\\*", "*"))
    parts[::2] = [_SPECIAL.sub(lambda hit: f"\\{hit[0]}", part).replace("<", "&lt;") for part in parts[::2]]
    return "".join(parts)


def as_markdown(text: str) -> str:
    """A docstring as griffe's Google parser and Markdown read it.

    Example:
        >>> as_markdown("Of (n, *spatial).\\n\\nErrors: none.").splitlines()
        ['Of (n, \\\\*spatial).', '', '**Errors:** none.']
    """
    lines, section = [], ""
    for line in text.splitlines():
        if line.strip() and not line.startswith(" "):
            section = line if line in ("Args:", "Example:") else ""
        if line == "Example:":
            lines.append("Examples:")
        elif section == "Example:":
            lines.append(line)
        elif section == "Args:" and (entry := _ENTRY.match(line)):
            lines.append(f"    {entry[1]}: {plain(entry[2])}")
        elif line.startswith("Errors:"):
            lines.append("**Errors:**" + plain(line.removeprefix("Errors:")))
        else:
            lines.append(line[: len(line) - len(line.lstrip())] + plain(line.lstrip()))
    return "\n".join(_each_name(lines))


def _each_name(lines: list[str]) -> list[str]:
    """Entries of several names written once for each, so that each shows its type and default."""
    found: list[str] = []
    at = 0
    while at < len(lines):
        entry = _ENTRY.match(lines[at])
        more = at + 1
        while entry and more < len(lines) and lines[more].startswith("        "):
            more += 1
        names = entry[1].split(", ") if entry else []
        if entry and len(names) > 1:
            for name in names:
                found += [f"    {name}: {entry[2]}", *lines[at + 1 : more]]
            at = more
        else:
            found.append(lines[at])
            at += 1
    return found


try:
    import griffe
except ImportError:  # the tests read docstrings without it
    pass
else:

    class Docstrings(griffe.Extension):
        """Every docstring rewritten before it is parsed."""

        def on_object(self, *, obj: griffe.Object, **kwargs: Any) -> None:
            if obj.docstring is not None:
                obj.docstring.value = as_markdown(obj.docstring.value)
