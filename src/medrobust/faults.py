"""What went wrong inside, told so that it can be sent to strangers: no values of variables, no names, no places.

Kept of a traceback are the places in code and the lines of medrobust and of installed packages. Of a message, words
that stand in that code, plain lower-case words and short numbers are kept; quoted text, paths, names, dates and
everything else is replaced, equal text by equal marks.
"""

from __future__ import annotations

import builtins
import hashlib
import linecache
import os
import re
import sysconfig
import traceback
from pathlib import Path
from types import TracebackType

from .errors import printable

PACKAGE = Path(__file__).resolve().parent
SUFFIX = re.compile(
    r"\.(bmp|csv|dcm|gz|jpe?g|json|nii|np[yz]|onnx|parquet|pgm|png|pt2?|pth|safetensors|tiff?|tsv|txt|xlsx|ya?ml)"
)
PLAIN = re.compile(r"[a-z]+(?:[-'][a-z]+)*")
NUMBER = re.compile(r"[-+]?(?:\d{1,6}(?:\.\d+)?(?:e[-+]?\d+)?%?|\d{1,6}(?:[x*]\d{1,6})+|\d{1,3}/\d{1,4})\.?")
QUOTED = re.compile(r"(?<!\w)[bBrRuU]{0,2}(['\"`]).*?\1(?!\w)", re.DOTALL)
WORD = re.compile(r"<[a-z]+ [0-9a-f]{6}[.\w]*>|[^\s,()\[\]{}:;=]+")
LONGEST_WORD = 24
TYPES = frozenset({*vars(builtins), "NoneType", "Tensor", "ndarray", "function", "method", "module"})
_SALT = os.urandom(16)  # without it a name could be found again by trying names


class ElsewhereError(RuntimeError):
    """An unexpected failure of another process of ours.

    Args:
        told: its type and the first line of its message.
        details: what described says of it there.
    """

    def __init__(self, told: str, details: str) -> None:
        super().__init__(told, details)
        self.told, self.details = told, details

    def __str__(self) -> str:
        return self.told


def told(error: BaseException) -> str:
    """The type of an exception and the first line of its message, for the person at the terminal.

    Example:
        >>> told(ValueError("two\\nlines"))
        'ValueError: two'
    """
    if isinstance(error, ElsewhereError):
        return error.told
    first = next((line for line in str(error).splitlines() if line.strip()), "")
    return printable(f"{type(error).__name__}: {first}" if first else type(error).__name__)


def hidden(text: str, what: str = "text") -> str:
    """A mark in place of text that may name a person or a place; equal text has equal marks within a process.

    Example:
        >>> hidden("a/MUELLER.png", "path") == hidden("a/MUELLER.png", "path") != hidden("a/MAIER.png", "path")
        True
        >>> hidden("a/MUELLER.png", "path").endswith(".png>")
        True
    """
    suffix = Path(text).suffix.lower()
    digest = hashlib.sha256(_SALT + text.encode("utf-8", "surrogatepass")).hexdigest()[:6]
    return f"<{what} {digest}{suffix if SUFFIX.fullmatch(suffix) else ''}>"


def cleaned(message: str, known: frozenset[str] = frozenset()) -> str:
    """A message without what may come from a file: see the top of this module.

    Args:
        message: of an exception.
        known: words that stand in the code which raised it.

    Example:
        >>> import re
        >>> re.sub("[0-9a-f]{6}", "#", cleaned("cannot read /data/MUELLER.png of 'Eva M' born 19610203: 3 x 4"))
        'cannot read <path #.png> of <text #> born <text #>: 3 x 4'
    """

    def word(match: re.Match[str]) -> str:
        found = match[0]
        if (found.startswith("<") and found.endswith(">")) or found.strip("'\"`") in known | TYPES:
            return found
        bare = found.strip(".!?")
        plain = PLAIN.fullmatch(bare) and len(bare) <= LONGEST_WORD
        if not bare or bare in known | TYPES or plain or NUMBER.fullmatch(bare):
            return found
        return hidden(found, "path" if "/" in found or "\\" in found or Path(bare).suffix else "text")

    def quoted(match: re.Match[str]) -> str:
        return match[0] if match[0].strip("'\"`") in known | TYPES else hidden(match[0])

    return WORD.sub(word, QUOTED.sub(quoted, message))


def _library(path: Path) -> str:
    """The path of a file of medrobust, an installed package or Python, without where it is installed; else ""."""
    places = [sysconfig.get_path(name) for name in ("purelib", "platlib", "stdlib", "platstdlib")]
    for root in (PACKAGE.parent, *(Path(place).resolve() for place in places if place)):
        if path.is_relative_to(root) and (root != PACKAGE.parent or path.is_relative_to(PACKAGE)):
            return path.relative_to(root).as_posix()
    return path.name if str(path).startswith("<") else ""


def frames(trace: TracebackType | None) -> list[tuple[str, str, int, str]]:
    """(place, file, line, function) of each frame, the innermost last; place is "" for code that is not installed."""
    found = []
    for frame, number in traceback.walk_tb(trace):
        name = frame.f_code.co_filename
        place = _library(Path(name) if name.startswith("<") else Path(name).resolve())
        found.append((place, name, number, frame.f_code.co_name))
    return found


def strange_place(error: BaseException) -> str:
    """FILE line N of the user's own code, when the exception came out of it rather than out of medrobust; else ""."""
    for place, name, number, _ in reversed(frames(error.__traceback__)):
        if not place:
            return f"{Path(name).name} line {number}"
        if place.startswith(f"{PACKAGE.name}/"):
            return ""
    return ""


def described(error: BaseException) -> str:
    """The traceback of an exception and of those that caused it, as text that can be sent to strangers."""
    blocks: list[str] = []
    seen: set[int] = set()
    one: BaseException | None = error
    while one is not None and id(one) not in seen:
        seen.add(id(one))
        blocks.append(_one(one))
        one = one.__cause__ or (None if one.__suppress_context__ else one.__context__)
    return "\nwhich came after:\n".join(blocks)


def _one(error: BaseException) -> str:
    lines, known = [], set()
    for place, name, number, function in frames(error.__traceback__):
        lines.append(f"  {place or Path(name).name}, line {number}, in {function}")
        if place and not place.startswith("<"):
            lines.append(f"    {linecache.getline(name, number).strip()}")
            known |= set(re.findall(r"[^\s,()\[\]{}:;='\"`]+", "".join(linecache.getlines(name))))
    if len(lines) > 200:
        lines = [*lines[:60], f"  ... {len(lines) - 120} lines ...", *lines[-60:]]
    kind = type(error)
    message = printable(cleaned(str(error), frozenset(known)))[:2000]
    text = "\n".join([*lines, f"{kind.__module__}.{kind.__qualname__}: {message}"])
    return f"{text}\nin another process:\n{error.details}" if isinstance(error, ElsewhereError) else text
