"""Records of many made-up images: the smallest change of each is known, and names are markup."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from medrobust.records import Records
from report.make_run import make_audit

NORMS = {"linf": (1 / 255, 8 / 255), "l2": (0.5,)}


def change_of(index: int) -> float:
    """The smallest linf change of image i, in grey levels of 255: 0 wrong untouched, inf never misled."""
    return 0.0 if index % 10 == 3 else float("inf") if index % 10 == 7 else round(0.01 + (index * 7919 % 797) / 100, 2)


def make_image_records(count: int) -> Records:
    """Rows of `count` images, attacked by pgd in both norms; in l2 every image that is right falls to 0.25."""
    index, attacks = np.arange(count), [("clean", "", 0.0)]
    attacks += [("pgd", norm, epsilon) for norm, epsilons in NORMS.items() for epsilon in epsilons]
    label, wrong = index % 2, index % 10 == 3
    clean = np.where(wrong, 1 - label, label)
    size = np.array([change_of(i) for i in index]) / 255
    parts = []
    for attack, norm, epsilon in attacks:
        fell = wrong | ((size <= epsilon) if norm == "linf" else np.full(count, norm == "l2"))
        answer = clean if attack == "clean" else np.where(fell, 1 - label, label)
        distance = np.where(fell & ~wrong, size if norm == "linf" else 0.25, 0.0) if norm else np.zeros(count)
        parts.append(
            {
                "image_id": np.array([f"scan/<script>{i:05d}</script>" for i in index], dtype=object),
                "group_id": np.array([f"patient-{i // 2}" for i in index], dtype=object),
                "label": label,
                "clean_prediction": clean,
                "attack": np.full(count, attack, dtype=object),
                "norm": np.full(count, norm, dtype=object),
                "epsilon": np.full(count, epsilon),
                "goal": np.full(count, "untargeted" if norm else "", dtype=object),
                "reached": answer != label,
                "prediction": answer,
                "scores": np.stack([np.where(answer == k, 0.75, 0.25) for k in (0, 1)], 1).astype(np.float32),
                "distance": np.where(np.isfinite(distance), distance, 0.0),
                "forwards": np.full(count, 3),
                "backwards": np.full(count, 2),
                "survives_source_bit_depth": answer != label,
                "meta_age": np.where(index % 7 == 0, np.nan, 20.0 + index % 60),
                "meta_site": np.array(["=A", "B"], dtype=object)[index % 2],
            }
        )
    return Records({name: np.concatenate([part[name] for part in parts]) for name in parts[0]})


def make_image_run(folder: Path, count: int) -> Path:
    """A run directory with audit.json and records.parquet, enough for the page of every image."""
    folder.mkdir(parents=True, exist_ok=True)
    make_image_records(count).write(folder / "records.parquet")
    (folder / "audit.json").write_text(json.dumps(make_audit(attacks=("pgd",), num_images=count)))
    return folder
