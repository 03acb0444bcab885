"""What the site has beyond the files of docs/: pages of the reference, and pages of files that docs/ links to.

Run by MkDocs; see `hooks` in mkdocs.yml.
"""

from __future__ import annotations

import json
import posixpath
import re
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page
from public_names import MODULES
from reference_pages import page_of, pages

ROOT = Path(__file__).resolve().parents[2]
LINK = re.compile(r"(?<!\!)\[([^\]]+)\]\(([^)#:\s]+)(#[^)\s]*)?\)")
EXAMPLES = ("*.py", "*.ipynb")
# Files of the repository that are pages of the site, by their place there.
OUTSIDE = {"CHANGELOG.md": "changelog.md", "CONTRIBUTING.md": "contributing.md", "SECURITY.md": "security.md"}


def outside() -> dict[str, str]:
    """Path in the repository -> path in the site, of files outside docs/."""
    found = dict(OUTSIDE)
    for path in [*ROOT.glob("benchmarks/**/*.md"), *ROOT.glob("examples/README.md")]:
        name = path.relative_to(ROOT).as_posix()
        found[name] = name.replace("README.md", "index.md")
    return found | {name: f"examples/{Path(name).stem}.md" for name in examples()}


def examples() -> list[str]:
    """Paths of the examples in the repository, the notebooks first."""
    return [
        path.relative_to(ROOT).as_posix()
        for pattern in reversed(EXAMPLES)
        for path in sorted((ROOT / "examples").glob(pattern))
    ]


def on_config(config: Any) -> Any:
    """The parts of the navigation that nobody should have to write: modules, decisions, examples."""
    folder = Path(config.docs_dir)
    decisions = sorted(path.relative_to(folder).as_posix() for path in folder.glob("decisions/*.md"))
    more: dict[str, list[Any]] = {
        "Tutorials": [{"Examples": [path for name, path in outside().items() if name.startswith("examples/")]}],
        "Reference": [{module.removeprefix("medrobust."): page_of(module)} for module in MODULES],
        "Explanation": [{"Decisions": decisions}],
    }
    for section in config.nav:
        for title, entries in section.items():
            if isinstance(entries, list):
                entries += more.get(title, [])
    return config


def on_files(files: Files, config: Any) -> Files:
    """The generated pages, and those of files outside docs/."""
    for path, text in pages().items():
        files.append(File.generated(config, path, content=text))
    for name, path in outside().items():
        files.append(File.generated(config, path, content=_as_page(ROOT / name)))
    return files


def _as_page(path: Path) -> str:
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".py":
        return f"# {path.name}\n\n```python\n{text}```\n"
    if path.suffix == ".ipynb":
        cells = [(cell["cell_type"], "".join(cell["source"])) for cell in json.loads(text)["cells"]]
        return "\n\n".join(source if kind == "markdown" else f"```python\n{source}\n```" for kind, source in cells)
    return text


def on_page_markdown(markdown: str, page: Page, **kwargs: Any) -> str:
    """Links to files outside docs/ as links to their pages; to files that have none, as their names."""
    place = page.file.src_uri
    sources = {path: name for name, path in outside().items()}
    folder = posixpath.dirname(sources.get(place, f"docs/{place}"))

    def moved(link: re.Match[str]) -> str:
        text, target, fragment = link[1], posixpath.normpath(posixpath.join(folder, link[2])), link[3] or ""
        if target.startswith("docs/"):
            found = target.removeprefix("docs/")
        elif target in outside():
            found = outside()[target]
        else:
            return text
        return f"[{text}]({posixpath.relpath(found, posixpath.dirname(place) or '.')}{fragment})"

    return LINK.sub(moved, markdown)
