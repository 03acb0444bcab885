"""Every link of the documentation ends somewhere."""

from __future__ import annotations

import posixpath
from pathlib import Path

import pytest

from .pages import MORE, PAGES, ROOT, anchors, links, name_of

# Examples that pages may link to before they are written.
PENDING = {
    "examples/attack_a_tensor.py",
    "examples/audit_a_monai_loader.py",
    "examples/audit_a_timm_model.py",
    "examples/first_audit.ipynb",
    "examples/hardening.ipynb",
    "examples/own_attack.py",
    "examples/own_check.py",
    "examples/own_data_set.py",
    "examples/own_objective.py",
    "examples/own_report_section.py",
    "examples/train_in_a_plain_loop.py",
    "examples/train_in_lightning.py",
}


def dead(page: Path, target: str, generated: dict[str, str]) -> str:
    """Why a link is dead; "" for a living one."""
    file, _, anchor = target.partition("#")
    place = posixpath.normpath(posixpath.join(posixpath.dirname(name_of(page)), file)) if file else name_of(page)
    made = generated.get(place.removeprefix("docs/"))
    path = ROOT / place
    if made is None and not path.is_file():
        return "" if place in PENDING else f"{target}: no such file"
    if anchor and anchor not in anchors(made if made is not None else path.read_text(encoding="utf-8")):
        return f"{target}: no such heading"
    return ""


@pytest.mark.parametrize("page", [*PAGES, *MORE], ids=name_of)
def test_links(page: Path, generated: dict[str, str]) -> None:
    assert [why for why in (dead(page, target, generated) for target in links(page)) if why] == []


def test_dead_links_are_found(generated: dict[str, str]) -> None:
    page = ROOT / "docs" / "index.md"
    assert dead(page, "nowhere.md", generated)
    assert dead(page, "reference/api/attacks.md#medrobust.attacks.nothing", generated)
    assert not dead(page, "reference/api/attacks.md#medrobust.attacks.pgd", generated)
    assert sum(len(list(links(page))) for page in PAGES) > 60
