"""Look at the built site: public names have a place, links end somewhere, and nothing is fetched from a network.

python scripts/docs/check_site.py site
"""

from __future__ import annotations

import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

from public_names import MODULES, names
from reference_pages import page_of

# Where a browser fetches what an element names without being asked; <a> waits for a click.
FETCHED = {"src", "srcset", "data", "poster"}


class Page(HTMLParser):
    """The links of a page, the places in it, and what a browser fetches for it."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.links: list[str] = []
        self.places: set[str] = set()
        self.fetched: list[str] = []
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Called by the parser for each element."""
        said = {name: value or "" for name, value in attrs}
        self.places |= {said[name] for name in ("id", "name") if name in said}
        self.fetched += [said[name] for name in FETCHED if name in said]
        if "href" in said:
            (self.links if tag == "a" else self.fetched).append(said["href"])


def faults(site: Path) -> list[str]:
    """What is wrong, one line each."""
    pages = {path.relative_to(site).as_posix(): Page(path) for path in sorted(site.rglob("*.html"))}
    found = []
    for module in MODULES:
        path = page_of(module).replace(".md", ".html")
        places = pages[path].places if path in pages else set()
        found += [f"{path}: lacks {one.path}" for one in names(module) if not {one.path, one.home} & places]
    for path, page in pages.items():
        found += [f"{path}: fetches {url}" for url in page.fetched if urlsplit(url).netloc]
        # A server shows 404.html in any folder, so its links are absolute.
        links = page.links if path != "404.html" else []
        found += [f"{path}: dead link {link}" for link in links if _dead(site, pages, path, link)]
    for style in site.rglob("*.css"):
        text = style.read_text(encoding="utf-8")
        if "url(http" in text or "url(//" in text or "@import" in text:
            found.append(f"{style.relative_to(site)}: fetches from a network")
    return found


def _dead(site: Path, pages: dict[str, Page], path: str, link: str) -> bool:
    parts = urlsplit(link)
    if parts.scheme or parts.netloc:
        return False
    target = (site / path).parent / unquote(parts.path) if parts.path else site / path
    if not target.is_file():
        return True
    inside = target.resolve().relative_to(site.resolve()).as_posix()
    return bool(parts.fragment) and inside in pages and unquote(parts.fragment) not in pages[inside].places | {"__top"}


if __name__ == "__main__":
    wrong = faults(Path(sys.argv[1]))
    print("\n".join(wrong) or "The site is whole, and needs no network.")
    sys.exit(bool(wrong))
