"""Pictures: a few images, what the attack added, what the classifier then said, at every budget."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..attacks.base import Attack
from ..engine.program import clean_goal
from ..files import write_atomic, write_json
from ..measuring.outcome import Grid
from ..measuring.shown import picks, read_shown
from ..measuring.subjects import allowed, units_of
from ..measuring.verify import verify
from ..progress import Report
from ..records.records import Records
from ..records.sensitivity import sensitivity
from ..streams import Streams
from ..threat import Threat
from .setup import Setup


def choose(records: Records, norm: str, seed: int) -> list[tuple[int, str]]:
    """Positions of images worth showing, and why: two fragile, one robust, one at random."""
    found, clean = sensitivity(records, norm), records.clean
    right = clean["clean_prediction"] == clean["label"]
    return picks(found.epsilon_wrong, right, [str(name) for name in clean["image_id"]], seed)


def as_picture(x: Tensor, domain: tuple[float, float] = (0.0, 1.0)) -> bytes:
    """PNG of one image (c, h, w), or of the middle slice of a volume (c, d, h, w)."""
    from PIL import Image

    while x.ndim > 3:
        x = x[:, x.shape[1] // 2]
    low, high = domain
    pixels = ((x - low) / (high - low) * 255).round().clamp(0, 255).to(torch.uint8).cpu().numpy()
    array = pixels[0] if len(pixels) == 1 else np.ascontiguousarray(pixels[:3].transpose(1, 2, 0))
    buffer = io.BytesIO()
    Image.fromarray(array).save(buffer, format="PNG", optimize=True)
    return buffer.getvalue()


def _amplified(d: Tensor) -> tuple[Tensor, float]:
    peak = float(d.abs().max())
    gain = 0.5 / peak if peak > 0 else 1.0
    return 0.5 + gain * d, round(gain, 1)


def _attack_of(records: Records, setup: Setup, norm: str, image_id: str) -> str:
    """The attack that broke this image at the smallest budget; the last one of this norm when none did."""
    names = [title for title in setup.plan.attacks if norm in [g.norm_name for g in setup.plan.grids_of(title)]]
    won = records.where(image_id=image_id, norm=norm)
    reached = [
        (float(e), names.index(a)) for e, a, r in zip(won["epsilon"], won["attack"], won["reached"], strict=True) if r
    ]
    return names[min(reached)[1]] if reached else names[-1]


def _frames(setup: Setup, attack: Attack, name: str, grid: Grid, i: int, folder: Path) -> list[dict[str, Any]]:
    x, label, _ = setup.images[i]
    device = setup.plan.device
    x, y = x[None].to(device), torch.tensor([label], device=device)
    units = units_of(setup.images, [i]).to(device)
    mask = allowed(setup.images, [i], setup.plan.mask, device)
    streams = Streams.of(setup.plan.seed, [setup.images.samples[i].image_id], device).child(name)
    frames: list[dict[str, Any]] = []
    for j, epsilon in enumerate(grid.epsilons):
        threat = Threat(epsilon=epsilon, norm=grid.norm, domain=grid.domain, mask=mask)
        x_adv = attack(setup.model, x, y, threat, generator=streams.child(j))
        found = verify(setup.model, x_adv, threat.exact(x), clean_goal(attack.goal, setup.model, x, y), units)
        shown, gain = _amplified((found.x - x)[0].cpu())
        stem = f"{i:06d}_{grid.norm_name}_{j:02d}"
        write_atomic(folder / f"{stem}_adversarial.png", as_picture(found.x[0], grid.domain))
        write_atomic(folder / f"{stem}_perturbation.png", as_picture(shown))
        frames.append(
            {
                "norm": grid.norm_name,
                "epsilon": epsilon,
                "attack": name,
                "prediction": int(found.logits[0].argmax()),
                "probabilities": [round(p, 6) for p in found.logits[0].softmax(0).tolist()],
                "adversarial_png": f"{stem}_adversarial.png",
                "perturbation_png": f"{stem}_perturbation.png",
                "amplification": gain,
            }
        )
    return frames


def _kept_frames(records: Records, grid: Grid, i: int, point: Tensor, x: Tensor, name: str, folder: Path) -> list[Any]:
    """The frames of the honest protocol, where one point stands for all budgets from the smallest that broke the image.

    What is shown is what the rows say; below that budget no attack changed the answer.
    """
    rows = records.where(image_id=str(records.clean["image_id"][i]), norm=grid.norm_name, attack=name)
    shown, gain = _amplified(point - x)
    stem = f"{i:06d}_{grid.norm_name}"
    write_atomic(folder / f"{stem}_adversarial.png", as_picture(point, grid.domain))
    write_atomic(folder / f"{stem}_perturbation.png", as_picture(shown))
    write_atomic(folder / f"{stem}_unchanged.png", as_picture(torch.full_like(x, 0.5)))
    frames = []
    for epsilon in grid.epsilons:
        j = int(np.flatnonzero(rows["epsilon"] == epsilon)[0])
        broken = bool(rows["reached"][j])
        frames.append(
            {
                "norm": grid.norm_name,
                "epsilon": epsilon,
                "attack": name if broken else "",
                "size": float(rows["distance"][j]),
                "prediction": int(rows["prediction"][j]),
                "probabilities": [round(float(p), 6) for p in rows["scores"][j]],
                "adversarial_png": f"{stem}_adversarial.png" if broken else f"{i:06d}_clean.png",
                "perturbation_png": f"{stem}_{'perturbation' if broken else 'unchanged'}.png",
                "amplification": gain if broken else 1.0,
            }
        )
    return frames


def make_gallery(
    records: Records, setup: Setup, folder: Path, report: Report | None = None, parts: Path | None = None
) -> None:
    """Write gallery.json and its pictures into a folder, for the first norm measured.

    The pictures are the points that measuring kept in `parts`; where there are none, the images are attacked once more.
    """
    grid = setup.plan.grids[0]
    kept = read_shown(parts) if parts is not None else {}
    clean = records.clean
    rows = []
    picks = choose(records, grid.norm_name, setup.plan.seed)
    with setup.model.frozen():
        for done, (i, why) in enumerate(picks, start=1):
            image_id = str(clean["image_id"][i])
            name = _attack_of(records, setup, grid.norm_name, image_id)
            if i in kept:
                frames = _kept_frames(records, grid, i, kept[i][0], setup.images[i][0], name, folder)
            else:
                frames = _frames(setup, setup.plan.runs[name], name, grid, i, folder)
            write_atomic(folder / f"{i:06d}_clean.png", as_picture(setup.images[i][0], grid.domain))
            rows.append(
                {
                    "image_id": image_id,
                    "group_id": str(clean["group_id"][i]),
                    "label": int(clean["label"][i]),
                    "clean_prediction": int(clean["clean_prediction"][i]),
                    "clean_probabilities": [round(float(p), 6) for p in clean["scores"][i]],
                    "why": why,
                    "clean_png": f"{i:06d}_clean.png",
                    "frames": frames,
                }
            )
            if report:
                report("pictures", done, len(picks))
    write_json(folder / "gallery.json", {"images": rows})
