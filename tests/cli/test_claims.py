"""A folder is a run's own when something of the run has succeeded; until then nothing is written."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from cli.run import QUICK, refused, run


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


NETS = """
from torch import nn

class Late(nn.Sequential):
    def forward(self, x):
        if x.requires_grad:
            raise KeyError("weights")
        return super().forward(x)

def late():
    return Late(nn.Flatten(), nn.Linear(32 * 32, 2))

def right():
    return nn.Sequential(nn.Flatten(), nn.Linear(32 * 32, 2))
"""


def test_an_attack_that_fails_on_the_first_images_leaves_no_folder(capsys, here, images, monkeypatch) -> None:
    """The answers of this network are fine; only attacks make it fail. The same folder is free afterwards."""
    (here / "nets_of_faults.py").write_text(NETS)
    monkeypatch.syspath_prepend(here)
    words = ("--data", f"folder:{images}", "--out", here / "run", "data.color=grey", *QUICK)
    code, _, err = run(capsys, "audit", "--model", "nets_of_faults:late", *words)
    assert code == 2
    assert not (here / "run").exists()
    assert "Traceback" not in err
    code, _, err = run(capsys, "audit", "--model", "nets_of_faults:right", *words)
    assert code == 0, err


def test_what_fails_after_measuring_can_be_gone_on_with(capsys, here, images, checkpoint, monkeypatch) -> None:
    words = ("audit", "--model", checkpoint, "--data", f"folder:{images}", "--out", here / "run", *QUICK)
    with monkeypatch.context() as patch:
        patch.setattr("medrobust.auditing.audit.make_gallery", None)
        assert run(capsys, *words)[0] == 70
    assert (here / "run" / "records.parquet").exists()
    code, _, err = run(capsys, *words)
    assert code == 0, err
    assert "attacks: 12 of 12" in err
    assert (here / "run" / "report.html").exists()


@pytest.mark.parametrize("place", ["a file", "below a file"])
def test_a_place_that_is_no_folder_is_refused_at_once(place, capsys, here, images, checkpoint) -> None:
    (here / "taken").write_text("x")
    out = here / "taken" / ("run" if place == "below a file" else "")
    line = refused(capsys, "audit", "--model", checkpoint, "--data", f"folder:{images}", "--out", out, *QUICK)
    assert line.endswith("Choose another --out")
    assert (here / "taken").read_text() == "x"


def test_a_run_file_that_lacks_what_it_must_say_is_refused(capsys, here, images, checkpoint) -> None:
    words = ("audit", "--model", checkpoint, "--data", f"folder:{images}", "--out", here / "run", *QUICK)
    assert run(capsys, *words)[0] == 0
    content = json.loads((here / "run" / "run.json").read_text())
    for key in ("started", "identity", "versions", "status"):
        (here / "run" / "run.json").write_text(json.dumps({k: v for k, v in content.items() if k != key}))
        assert "run.json: is not what medrobust writes" in refused(capsys, *words)
