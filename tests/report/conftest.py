"""Runs and pages that the tests of the report share."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from medrobust.report import write_report
from report.browser import Page, browser, executable
from report.make_run import make_run
from report.reader import Document, read


@pytest.fixture
def page(tmp_path: Path) -> Callable[..., Document]:
    """Make a run, write its report, read it."""

    def made(**options: Any) -> Document:
        return read(write_report(make_run(tmp_path / "run", **options)))

    return made


@pytest.fixture(scope="session")
def chromium() -> Iterator[Page]:
    """One browser for all tests."""
    if executable() is None:
        pytest.skip("no Chromium on this machine (apt-get install chromium)")
    with browser() as tab:
        yield tab
