"""How a command ends: a refusal, an interrupt, a lack of the machine and a fault of medrobust are one line each."""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import re
import select
import sys
import tempfile
import time
import traceback
import warnings
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, TextIO

import typer
from typer.core import TyperGroup

from ..errors import UserError, printable

REFUSED, FAULT, STOPPED, PIPE_CLOSED = 2, 70, 130, 141
GOES_ON = ("audit", "train")  # commands that go on where they were stopped
# What the system says truly: the file or the machine is at fault, not medrobust.
ADVICE = {
    errno.ENOSPC: "free space, or choose another --out or TMPDIR",
    errno.EDQUOT: "free space, or choose another --out or TMPDIR",
    errno.EACCES: "change its permissions, or choose another place",
    errno.EPERM: "change its permissions, or choose another place",
    errno.EROFS: "choose another place",
    errno.EMFILE: "raise the limit of open files (ulimit -n), or lower num_workers",
    errno.ENFILE: "close other programs",
    errno.ENOMEM: "lower batch_size or data.image_size",
    errno.EIO: "the disk or the network share failed; copy the file elsewhere",
    errno.ENAMETOOLONG: "use a shorter name",
    errno.ELOOP: "remove the link that leads back to itself",
    errno.ESTALE: "mount the network share again",
}
MEMORY = re.compile(r"can't allocate memory|not enough memory|out of memory|Cannot allocate memory", re.IGNORECASE)


class EndedError(Exception):
    """Carries what click would turn into something else: an interrupt, the end of a file, a closed pipe."""

    def __init__(self, error: BaseException) -> None:
        super().__init__(error)
        self.error = error


class Commands(TyperGroup):
    """The group of all commands, with every exception handed on as it is."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except (KeyboardInterrupt, EOFError, OSError) as error:
            raise EndedError(error) from error


def finish(app: Callable[..., Any], words: Sequence[str]) -> int:
    """Run the command that words name; returns the exit code, and says in one line what went wrong.

    With --debug anywhere among the words, tracebacks are shown, and what was not expected is raised.
    """
    debug, words = "--debug" in words, [word for word in words if word != "--debug"]
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(AttributeError, OSError, ValueError):  # where it is no file, or closed
            stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr] # names that it cannot show
    try:
        with _warnings(show_all=debug):
            code = int(app(args=words, prog_name="medrobust", standalone_mode=False) or 0)
        sys.stdout.flush()
        return code
    except EndedError as ended:
        error: BaseException = ended.error
    except (Exception, KeyboardInterrupt) as other:
        error = other
    if isinstance(error, BrokenPipeError) and _closed():
        return PIPE_CLOSED
    code, line = _ending(error, words)
    if debug and code == FAULT:
        raise error
    if debug and code == REFUSED:
        traceback.print_exception(error)
    if code == FAULT:
        line += _kept(error, words)
    if line:
        sys.stderr.write(f"medrobust: {line}\n")
    return code


@contextlib.contextmanager
def _warnings(*, show_all: bool) -> Iterator[None]:
    """Warnings of ours as one line each; those of other packages, which speak to who wrote the code, not at all."""
    package, level = str(Path(__file__).resolve().parents[1]), logging.root.manager.disable

    def show(message: Warning | str, category: type[Warning], filename: str, *more: Any, **named: Any) -> None:
        if show_all or (filename.startswith(package) and issubclass(category, UserWarning)):
            sys.stderr.write(f"warning: {printable(str(message))}\n")

    with warnings.catch_warnings():
        warnings.showwarning = show
        logging.disable(level if show_all else logging.CRITICAL)
        try:
            yield
        finally:
            logging.disable(level)


def _ending(error: BaseException, words: Sequence[str]) -> tuple[int, str]:
    """The exit code and the line for whatever ended a command."""
    from ..faults import strange_place, told

    if isinstance(error, UserError):
        return REFUSED, str(error)
    if isinstance(error, (KeyboardInterrupt, typer.Abort)):
        on = next((word for word in words if not word.startswith("-")), "") in GOES_ON
        return STOPPED, f"stopped.{' The same command goes on where it stopped.' if on else ''}"
    if hasattr(error, "format_message") and hasattr(error, "exit_code"):  # click's own: a word that is no option
        return REFUSED, _usage(error)
    if _is_memory(error):
        problem = "the memory does not suffice" + (f" ({told(error)})" if str(error) else "")
        return REFUSED, str(UserError("memory", problem, "lower batch_size, data.image_size or data.limit"))
    if isinstance(error, OSError) and error.errno in ADVICE:
        name = error.filename if isinstance(error.filename, (str, bytes)) else "the system"
        problem = error.strerror or os.strerror(error.errno)
        return REFUSED, str(UserError(os.fsdecode(name), problem, ADVICE[error.errno]))
    own = strange_place(error)
    if own:
        return REFUSED, str(UserError(own, f"your code raised {told(error)}", "--debug shows the traceback"))
    if isinstance(error, RecursionError):
        return FAULT, f"this is a fault of medrobust: something is nested too deeply to be followed ({told(error)})"
    return FAULT, f"this is a fault of medrobust, not of your input: {told(error)}"


def _usage(error: Any) -> str:
    """One line for a command line that cannot be read; the help where no command was given."""
    context = getattr(error, "ctx", None)
    if context is not None and type(error).__name__ == "NoArgsIsHelpError":
        sys.stderr.write(f"{context.get_help()}\n")
        return ""
    where = f" See '{context.command_path} --help'." if context is not None else ""
    return f"{printable(error.format_message()).rstrip('.')}.{where}"


def _is_memory(error: BaseException) -> bool:
    return isinstance(error, MemoryError) or (isinstance(error, RuntimeError) and bool(MEMORY.search(str(error))))


def _closed() -> bool:
    """Whether nobody reads what we say any more; if so, the rest goes nowhere, also what Python flushes at its end."""
    closed = [stream for stream in (sys.stdout, sys.stderr) if not _open(stream)]
    for stream in closed:
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
    return bool(closed)


def _open(stream: TextIO) -> bool:
    try:
        poll = select.poll()  # not on every system
        poll.register(stream.fileno(), 0)
        return not poll.poll(0)
    except (AttributeError, OSError, ValueError):
        return True


def _kept(error: BaseException, words: Sequence[str]) -> str:
    """Write what is needed to find the fault; the end of the line that says where."""
    name = f"medrobust-fault-{time.strftime('%Y%m%d-%H%M%S')}-{os.getpid()}.txt"
    try:
        content = report(error, words)
    except Exception:  # the line about the fault is worth more than its details
        return "; please report it"
    from ..files import write_atomic

    for folder in (Path(), Path(tempfile.gettempdir())):
        try:
            write_atomic(folder / name, content)
        except (UserError, OSError):
            continue
        return f"; details in {folder / name}, please report it"
    return "; details could not be written, please report it"


def report(error: BaseException, words: Sequence[str]) -> str:
    """What to send: versions, the command without names and places, the traceback without values."""
    from ..faults import described
    from ..runs import commit, versions

    found = ", ".join(f"{name} {version}" for name, version in versions().items())
    return (
        "A fault of medrobust. This file holds no pixels, no values of variables, no names and no paths of data:\n"
        "each is replaced by a mark such as <path 1a2b3c.png>. Please look through it, then report it.\n\n"
        f"versions: {found}\nsystem: {sys.platform}\ncommit: {commit() or 'installed'}\n"
        f"command: {' '.join(['medrobust', *map(_shown, words)])}\n\n{described(error)}\n"
    )


# Of these, what comes after the colon names nothing of the user's.
PUBLIC = re.compile(r"(?:phantom|zoo|timm|torchvision)(?::[\w.@,=()\[\]-]*)?|medmnist:[a-z0-9@]+")
SHOWN = re.compile(r"[\[\]{}(),.%:\s\d/+-]+|[a-z][a-z_0-9]*|\[[a-z0-9_, ]*\]|true|false")


def _shown(word: str) -> str:
    """A word of the command line with its value hidden unless it is a number, a plain word or a public name.

    Example:
        >>> _shown("threat.epsilons=[1/255,8/255]"), _shown("--model"), _shown("zoo:cbr_tiny(width=4)")
        ('threat.epsilons=[1/255,8/255]', '--model', 'zoo:cbr_tiny(width=4)')
        >>> _shown("folder:/data/MUELLER")[:13], _shown("data.classes=[Eva,Max]")[:19]
        ('folder:<text ', 'data.classes=<text ')
    """
    from ..faults import hidden

    option = re.fullmatch(r"(--[a-z-]+)(?:=(.*))?", word, re.DOTALL)
    if (option and option[2] is None) or PUBLIC.fullmatch(word):
        return word
    key, sign, value = word.partition("=")
    if sign and re.fullmatch(r"(?:--)?[a-z_.-]+[\w.]*", key):
        return f"{key}={_shown(value) if key not in ('data.classes', 'model.classes') else hidden(value)}"
    source, sign, rest = word.partition(":")
    if sign and re.fullmatch(r"[a-z_0-9]+", source):
        return f"{source}:{hidden(rest)}"
    return word if SHOWN.fullmatch(word) and not Path(word).exists() else hidden(word)
