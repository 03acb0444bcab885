"""A report as a tree that tests can ask, with the standard library's parser; it refuses what is not well nested."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path

VOID = {"meta", "img", "input", "br", "hr", "link", "wbr"}


@dataclass
class Element:
    """A tag, its attributes, and its children: elements and text."""

    tag: str
    attributes: dict[str, str]
    children: list[Element | str] = field(default_factory=list)

    def all(self, tag: str = "", **attributes: str) -> list[Element]:
        """Descendants with this tag whose attributes have these values, class as one of its words."""
        wanted = {key.rstrip("_"): value for key, value in attributes.items()}
        return [e for e in self.walk() if (not tag or e.tag == tag) and all(e.has(k, v) for k, v in wanted.items())]

    def one(self, tag: str = "", **attributes: str) -> Element:
        """The first of all."""
        return self.all(tag, **attributes)[0]

    def has(self, key: str, value: str) -> bool:
        """Whether an attribute has a value, or class the word."""
        found = self.attributes.get(key)
        return found is not None and (value in found.split() if key == "class" else found == value)

    def walk(self) -> Iterator[Element]:
        """All descendants, in the order of the page."""
        for child in self.children:
            if isinstance(child, Element):
                yield child
                yield from child.walk()

    @property
    def text(self) -> str:
        """Everything written in it, with single spaces."""
        parts = [child if isinstance(child, str) else child.text for child in self.children]
        return " ".join(" ".join(parts).split())


class _Parser(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.open = [Element("", {})]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        element = Element(tag, {key: value or "" for key, value in attrs})
        self.open[-1].children.append(element)
        if tag not in VOID:
            self.open.append(element)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.open[-1].children.append(Element(tag, {key: value or "" for key, value in attrs}))

    def handle_endtag(self, tag: str) -> None:
        assert self.open[-1].tag == tag, f"</{tag}> closes <{self.open[-1].tag}> at {self.getpos()}"
        self.open.pop()

    def handle_data(self, data: str) -> None:
        self.open[-1].children.append(data)


@dataclass
class Document:
    """The file, its source and its tree."""

    path: Path
    source: str
    root: Element

    def section(self, name: str) -> Element:
        """A section by its id."""
        return self.root.one("section", id=name)


def read(path: Path) -> Document:
    """Parse a report."""
    source = path.read_text(encoding="utf-8")
    parser = _Parser()
    parser.feed(source)
    parser.close()
    assert len(parser.open) == 1, f"<{parser.open[-1].tag}> is never closed"
    return Document(path, source, parser.open[0])
