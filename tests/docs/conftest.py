"""The scripts that make the reference, as the site uses them."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from types import ModuleType

import pytest

from .pages import ROOT


@pytest.fixture(scope="session")
def reference() -> Iterator[ModuleType]:
    """scripts/docs/reference_pages.py."""
    folder = str(ROOT / "scripts" / "docs")
    sys.path.insert(0, folder)
    yield importlib.import_module("reference_pages")
    sys.path.remove(folder)


@pytest.fixture(scope="session")
def generated(reference: ModuleType) -> dict[str, str]:
    """Path in docs/ -> text of the pages that are made when the site is."""
    made: dict[str, str] = reference.pages()
    return made
