"""The pages that people read, and the code blocks and links in them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
MORE = [ROOT / name for name in ("CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md", "benchmarks/README.md")]
_FENCE = re.compile(r"^```(\w*)(.*)$")
_LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")


@dataclass(frozen=True)
class Block:
    """A fenced code block.

    Args:
        page: the file that it is in.
        line: of its first line of code, from 1.
        language: the word after the fence.
        title: what `title="..."` says, "" without one.
        text: the code.
    """

    page: Path
    line: int
    language: str
    title: str
    text: str

    def __str__(self) -> str:
        return f"{name_of(self.page)}:{self.line}"


def name_of(page: Path) -> str:
    """Its path in the repository."""
    return page.relative_to(ROOT).as_posix()


def blocks(page: Path) -> list[Block]:
    """The fenced code blocks of a page, in their order."""
    found: list[Block] = []
    lines = page.read_text(encoding="utf-8").splitlines()
    at = 0
    while at < len(lines):
        if opened := _FENCE.match(lines[at]):
            end = lines.index("```", at + 1)
            title = re.search(r'title="([^"]*)"', opened[2])
            text = "\n".join(lines[at + 1 : end]) + "\n"
            found.append(Block(page, at + 2, opened[1], title[1] if title else "", text))
            at = end
        at += 1
    return found


def prose(page: Path) -> str:
    """A page without its code."""
    text = page.read_text(encoding="utf-8")
    for block in blocks(page):
        text = text.replace(block.text, "")
    return re.sub(r"`[^`\n]*`", "", text)


def links(page: Path) -> Iterator[str]:
    """The targets of links and pictures that are not addresses."""
    for target in _LINK.findall(prose(page)):
        if not re.match(r"[a-z]+:", target):
            yield target


def slug(heading: str) -> str:
    """The anchor of a heading, as MkDocs and hosts of repositories make it.

    Example:
        >>> slug("How they compare, on real `images`")
        'how-they-compare-on-real-images'
    """
    return re.sub(r"[-\s]+", "-", re.sub(r"[^\w\s-]", "", heading).strip().lower())


def anchors(text: str) -> set[str]:
    """Where links into a page may end: headings, and in generated pages the definitions and their names."""
    headings = re.findall(r"^#+ (.+)$", re.sub(r"^```.*?^```$", "", text, flags=re.M | re.S), flags=re.M)
    marked = re.findall(r'<a id="([^"]+)"|^::: (\S+)$', text, flags=re.M)
    return {slug(one) for one in headings} | {name for pair in marked for name in pair if name}
