"""Our attacks against outcomes that independent libraries wrote into the files beside this one (make.py).

A file names the attack in our words, so a new attack needs a new file and nothing here. Its `checks`:
    x_adv t      the same images, within t; 0 means bit for bit
    value t      the same losses reached, per image, within t
    distance f   falls wherever the peer's falls, at a mean distance of at most f times the peer's
    reached      falls wherever the peer's falls
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from medrobust.attacks import ATTACKS
from medrobust.engine.keep import KEEPS
from medrobust.goals import GOALS
from medrobust.losses import LOSSES
from medrobust.norms import NORMS
from medrobust.threat import Threat

from .nets import restored

FILES = sorted(Path(__file__).parent.glob("*.npz"))
PARTS: dict[str, dict[str, Any]] = {"goal": GOALS, "loss": LOSSES, "keep": KEEPS}


def _ours(file: dict[str, Any], meta: dict[str, Any], **start: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
    net, x, y = restored(file, meta["net"])
    options = {key: PARTS[key][value] if key in PARTS else value for key, value in meta["options"].items()}
    attack = ATTACKS[meta["attack"]](**options)
    epsilon = torch.inf if meta["epsilon"] is None else meta["epsilon"]
    threat = Threat(epsilon=torch.tensor(epsilon) if isinstance(epsilon, list) else epsilon, norm=NORMS[meta["norm"]])
    x_adv = attack(net, x, y, threat, generator=0, **start)
    with torch.no_grad():
        logits, wrong = net(x_adv), net(x_adv).argmax(1) != y
        goal = attack.goal(net(x), y)
    seen = {
        "x_adv": x_adv,
        "reached": wrong,
        "distance": torch.where(wrong, NORMS[meta["norm"]].size(x_adv - x), torch.inf),
    }
    if "value" in meta["checks"]:
        seen["value"] = attack.loss(logits, goal)
    if "at_least" in meta["checks"]:
        with torch.no_grad():
            peer = attack.loss(net(torch.from_numpy(file["x_adv"])), goal)
        seen["at_least"] = attack.loss(logits, goal) - peer
    return x, seen


def _load(path: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    with np.load(path) as archive:
        file = dict(archive)
    return file, json.loads(str(file.pop("meta")))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_equals_the_peer(path: Path) -> None:
    file, meta = _load(path)
    if meta["attack"] not in ATTACKS:
        pytest.skip(f"no attack called {meta['attack']} yet")
    start = {"start": torch.from_numpy(file["start"])} if "start" in file else {}
    x, ours = _ours(file, meta, **start)
    for check, limit in meta["checks"].items():
        if check == "at_least":
            assert float(ours[check].mean()) >= -limit
            assert float(ours[check].abs().max()) > 0
            continue
        peer = torch.from_numpy(file[check])
        if check in ("x_adv", "value"):
            assert not torch.equal(peer, x), "the peer changed nothing: the file proves nothing"
            assert float((ours[check] - peer).abs().max()) <= limit
        else:
            fallen = peer if check == "reached" else peer.isfinite()
            assert bool((ours["reached"] | ~fallen).all())
        if check == "distance":
            assert float(ours[check][fallen].mean()) <= limit * float(peer[fallen].mean())


def test_there_is_a_file_for_every_family() -> None:
    attacks = {_load(path)[1]["attack"] for path in FILES}
    assert {"fgsm", "bim", "pgd", "cw_linf", "mi_fgsm"} <= attacks


def test_the_comparison_sees_a_wrong_step() -> None:
    """A tenth more step, and the files that compare images no longer agree: the comparison can fail."""
    file, meta = _load(Path(__file__).parent / "pgd_linf.npz")
    meta["options"]["step_size"] *= 1.1
    _, ours = _ours(file, meta, start=torch.from_numpy(file["start"]))
    assert float((ours["x_adv"] - torch.from_numpy(file["x_adv"])).abs().max()) > 1e-4


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_files_are_small_and_say_where_they_come_from(path: Path) -> None:
    _, meta = _load(path)
    assert path.stat().st_size < 100_000
    assert all(meta[word] for word in ("library", "version", "call"))
