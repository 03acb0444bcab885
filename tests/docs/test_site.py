"""The scripts that make and check the site do what they say."""

from __future__ import annotations

import doctest
import importlib
from pathlib import Path
from types import ModuleType

import pytest


@pytest.mark.parametrize("name", ["docstrings", "public_names", "reference_pages"])
def test_examples(reference: ModuleType, name: str) -> None:
    found = doctest.testmod(importlib.import_module(name))
    assert found.failed == 0
    assert found.attempted > 0 or name == "public_names"


def test_docstrings_are_plain_text(reference: ModuleType) -> None:
    docstrings = importlib.import_module("docstrings")
    text = "Of (n, *c) and (m, *c), <g, d>.\n\nArgs:\n    a, b: of `x*y`,\n        and _more.\n\nErrors: none."
    assert docstrings.as_markdown(text).splitlines() == [
        "Of (n, \\*c) and (m, \\*c), &lt;g, d\\>.",
        "",
        "Args:",
        "    a: of `x*y`,",
        "        and \\_more.",
        "    b: of `x*y`,",
        "        and \\_more.",
        "",
        "**Errors:** none.",
    ]


def test_faults_of_a_site_are_found(reference: ModuleType, tmp_path: Path) -> None:
    faults = importlib.import_module("check_site").faults
    page = tmp_path / "reference" / "api" / "threat.html"
    page.parent.mkdir(parents=True)
    (tmp_path / "near.js").touch()
    page.write_text(
        '<h2 id="medrobust.threat.Ball">Ball</h2><a href="#medrobust.threat.Ball">.</a><a href="https://far.example/">.</a>'
        '<a href="gone.html">.</a><a href="#nowhere">.</a>'
        '<script src="../../near.js"></script><script src="https://far.example/far.js"></script>'
        '<link rel="stylesheet" href="//far.example/far.css">'
    )
    (tmp_path / "far.css").write_text("@font-face {src: url(https://far.example/font.woff2)}")
    found = [fault for fault in faults(tmp_path) if "threat" in fault or "css" in fault]
    assert sorted(found) == [
        "far.css: fetches from a network",
        "reference/api/threat.html: dead link #nowhere",
        "reference/api/threat.html: dead link gone.html",
        "reference/api/threat.html: fetches //far.example/far.css",
        "reference/api/threat.html: fetches https://far.example/far.js",
        "reference/api/threat.html: lacks medrobust.threat.Threat",
        "reference/api/threat.html: lacks medrobust.threat.not_above",
    ]
