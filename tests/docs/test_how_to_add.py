"""What the how-to pages add to medrobust works: the files, the lines of the registries, and nothing else."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from .pages import ROOT, Block, blocks

FOLDER = ROOT / "docs" / "how-to"
# Page -> the most lines that a newcomer should pay: all files together.
LIMITS = {
    "add-an-attack": 40,
    "add-a-data-set": 60,
    "add-an-objective": 40,
    "add-a-check": 30,
    "add-a-section": 40,
}
WORKS = """
from pathlib import Path

import numpy as np
import torch
from PIL import Image

import medrobust as mr
from medrobust.attacks import build_attack
from medrobust.auditing.checks import CHECKS
from medrobust.data import open_images
from medrobust.objectives import make_objective
from medrobust.testing import check_attack, check_check, check_image_set, check_objective, small_audit

check_attack(build_attack("frank_wolfe", {"num_steps": 20, "momentum": 0.5}))
check_objective(make_objective("logit_pairing", {"weight": 0.5}, threat=mr.Threat(epsilon=0.1)))
records, context = small_audit()
check_check(next(check for check in CHECKS if check.__name__ == "every_attack_works"), records=records, context=context)

root = Path("MontgomerySet")
(root / "CXR_png").mkdir(parents=True)
(root / "ClinicalReadings").mkdir()
for i in range(24):
    name, noise = f"MCUCXR_{i:04d}_{i % 2}", np.random.default_rng(i).integers(0, 150, (24, 24))
    Image.fromarray((noise + 80 * (i % 2)).astype(np.uint8)).save(root / "CXR_png" / f"{name}.png")
    (root / "ClinicalReadings" / f"{name}.txt").write_text(f"Patient's Sex: F\\nPatient's Age: 0{20 + i}Y\\nnormal\\n")
images = open_images(f"montgomery:{root}", view=mr.View(color="grey"), split="all")
assert [sample.label for sample in images.samples] == [i % 2 for i in range(24)]
assert images.samples[3].metadata == {"sex": "F", "age": 23.0}
assert images.groups[3] == "0003"
check_image_set(images)

torch.manual_seed(0)
net = torch.nn.Sequential(torch.nn.AvgPool2d(4), torch.nn.Flatten(), torch.nn.Linear(36, 2))
mr.train(net, make_objective("clean", {}), images, epochs=10, batch_size=8, lr=0.1, out="model")
short = mr.attacks.bim(num_steps=2, step_size=1e-4)
said = {}
for title, attacks, protocol in (
    ("sound", ["fgsm", "frank_wolfe"], "honest"),
    ("masked", ["fgsm", short], "paper"),
    ("alone", ["frank_wolfe"], "honest"),
):
    run = mr.audit(net, images, attacks, linf=["1/255", "60/255"], protocol=protocol, out=title)
    said[title] = next(finding.severity for finding in run.findings if finding.id == "attacks-work")
    page = run.report.read_text()
    assert '<section id="quantiles"' in page
assert said == {"sound": "pass", "masked": "warn", "alone": "not_run"}, said
assert "grey level" in page.split('<section id="quantiles"')[1].split("</section>")[0]
"""


def added(page: str) -> list[Block]:
    """The files that a page adds."""
    return [block for block in blocks(FOLDER / f"{page}.md") if block.title]


def registered(page: str) -> tuple[str, list[tuple[str, str]]]:
    """The registry that a page changes, and (before, after) of each place."""
    (diff,) = (block.text for block in blocks(FOLDER / f"{page}.md") if block.language == "diff")
    head, *hunks = re.split(r"^@@\n", diff, flags=re.M)
    pairs = []
    for hunk in hunks:
        lines = hunk.splitlines(keepends=True)
        before, after = ("".join(line[1:] for line in lines if line[0] in kept) for kept in (" -", " +"))
        pairs.append((before, after))
    return re.findall(r"^\+\+\+ b/(.+)$", head, flags=re.M)[0], pairs


@pytest.mark.parametrize("page", LIMITS)
def test_a_page_says_what_it_costs(page: str) -> None:
    sizes = [block.text.count("\n") for block in added(page)]
    said = (FOLDER / f"{page}.md").read_text(encoding="utf-8").partition("\n\n")[2].partition("\n\n")[0]
    assert [int(number) for number in re.findall(r"of (\d+) lines", said)] == sizes
    assert sum(sizes) <= LIMITS[page]
    lines = sum(after.count("\n") - before.count("\n") for before, after in registered(page)[1])
    assert f"{lines} lines in the registry" in " ".join(said.split())


def test_what_the_pages_add_works(tmp_path: Path) -> None:
    source = tmp_path / "src"
    shutil.copytree(ROOT / "src", source, ignore=shutil.ignore_patterns("__pycache__"))
    for page in LIMITS:
        for block in added(page):
            path = tmp_path / block.title
            assert path.parent.is_dir()
            assert not path.exists(), f"{block.title} is part of medrobust now: {page} needs another example"
            path.write_text(block.text, encoding="utf-8")
        registry, places = registered(page)
        text = (tmp_path / registry).read_text(encoding="utf-8")
        for before, after in places:
            assert text.count(before) == 1, f"{page}: {before!r} is not one place of {registry}"
            text = text.replace(before, after)
        (tmp_path / registry).write_text(text, encoding="utf-8")
    (tmp_path / "works.py").write_text(WORKS, encoding="utf-8")
    environment = {"PYTHONPATH": str(source), "PATH": "", "MEDROBUST_CACHE": "off", "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "works.py"], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=240
    )
    assert done.returncode == 0, done.stderr
