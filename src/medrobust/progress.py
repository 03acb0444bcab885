"""Progress of long work: a bar with an ETA on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TextIO

Report = Callable[[str, int, int], None]
LINE_EVERY = 10.0  # seconds between plain lines


def duration(seconds: float) -> str:
    """Seconds as people say them.

    Example:
        >>> duration(75), duration(7322)
        ('1 min 15 s', '2 h 2 min')
    """
    whole = round(seconds)
    if whole >= 3600:
        return f"{whole // 3600} h {whole % 3600 // 60} min"
    return f"{whole // 60} min {whole % 60} s" if whole >= 60 else f"{whole} s"


@contextmanager
def progress(stream: TextIO | None = None) -> Iterator[Report]:
    """A function report(what, done, of), shown as bars with an ETA, or as lines where nobody watches a terminal.

    Example:
        >>> import io
        >>> out = io.StringIO()
        >>> with progress(out) as report:
        ...     report("attacks", 2, 2)
        >>> out.getvalue()
        'attacks: 2 of 2, done in 0 s\\n'
    """
    stream = stream or sys.stderr
    if stream.isatty():
        with _bars(stream) as report:
            yield report
    else:
        yield _lines(stream)


@contextmanager
def optional(wanted: bool) -> Iterator[Report | None]:
    """A report as `progress` gives it where it is wanted, else None."""
    if not wanted:
        yield None
        return
    with progress() as report:
        yield report


def _lines(stream: TextIO) -> Report:
    began: dict[str, float] = {}
    first: dict[str, int] = {}
    shown: dict[str, float] = {}

    def report(what: str, done: int, of: int) -> None:
        now = time.monotonic()
        began.setdefault(what, now)
        # Work found finished by a resumed run is not counted in the speed.
        first.setdefault(what, done)
        if done < of and now - shown.get(what, 0.0) < LINE_EVERY:
            return
        shown[what] = now
        elapsed, made = now - began[what], done - first[what]
        rest = f", about {duration(elapsed / made * (of - done))} left" if made and done < of else ""
        end = f", done in {duration(elapsed)}" if done >= of else rest
        stream.write(f"{what}: {done} of {of}{end}\n")
        stream.flush()

    return report


@contextmanager
def _bars(stream: TextIO) -> Iterator[Report]:
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(file=stream)) as bars:
        tasks = {}

        def report(what: str, done: int, of: int) -> None:
            if what not in tasks:
                tasks[what] = bars.add_task(what, total=of)
            bars.update(tasks[what], completed=done, total=of)

        yield report
