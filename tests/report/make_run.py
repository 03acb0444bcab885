"""A run directory like an audit's, made from arithmetic: every shape of input that the report must take.

`PYTHONPATH=src:tests python tests/report/make_run.py DIR [--classes 7] ...` writes one, with its report, to look at.
"""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from medrobust.attacks.names import attack_name, attack_words
from report.make_pictures import make_pictures

TWO = ("benign", "malignant")
SEVEN = (
    "nv",
    "melanoma",
    "benign keratosis",
    "basal cell carcinoma",
    "actinic keratosis",
    "vascular lesion",
    "dermatofibroma",
)
CHECKS = (
    ("Does every success hold in float32?", "7,204 of 7,204 do.", ""),
    ("Can num_steps x step_size cross the ball?", "It is at least epsilon for every attack.", ""),
    ("Is every linf budget above half a grey level?", "3 budgets are below half a grey level.", "See the saved curve."),
    ("Does the classifier answer the same twice?", {"largest_difference": 0.0, "images": 16}, ""),
    ("Are patients on one side of the split only?", "The images have no group ids.", "Give a group column."),
    ("Could every image file be read?", "200 of 200.", ""),
)


def interval(share: float, count: int) -> dict[str, float]:
    """A share with Wilson's 95% interval."""
    z = 1.96
    middle = share + z * z / 2 / count
    half = z * math.sqrt(share * (1 - share) / count + (z / 2 / count) ** 2)
    low, high = ((middle + sign * half) / (1 + z * z / count) for sign in (-1, 1))
    return {"value": share, "low": max(0.0, low), "high": min(1.0, high)}


def grid(norm: str, count: int) -> list[float]:
    """A geometric grid: 0.1 to 10 grey levels for linf."""
    low, high = (0.1 / 255, 10 / 255) if norm == "linf" else (0.05, 5.0)
    return [low] if count == 1 else [low * (high / low) ** (i / (count - 1)) for i in range(count)]


def robust(clean: float, norm: str, epsilon: float, fragility: float) -> float:
    """Robust accuracy that falls smoothly to half of the clean at 0.6 grey levels divided by the fragility."""
    half = (0.6 / 255 if norm == "linf" else 0.3) / fragility
    return round(clean / (1 + (epsilon / half) ** 2.2), 4)


def _direction(row: dict[str, Any], clean: float, num_images: int, classes: Sequence[str]) -> dict[str, Any]:
    lost, k = round((clean - row["robust_accuracy"]["value"]) * num_images), len(classes)
    pairs = [(i, j) for i in range(k) for j in range(k) if i != j]
    counts = [
        {"from": classes[i], "to": classes[j], "count": lost * (1 + (3 * i + 2 * j) % 4) // (2 * len(pairs))}
        for i, j in pairs
    ]
    return {"norm": row["norm"], "epsilon": row["epsilon"], "counts": counts}


def _groups(worst: Sequence[dict[str, Any]], clean: float, num_images: int) -> list[dict[str, Any]]:
    rows = []
    for column, values in (("age", ("under 50", "50 and over")), ("site", ("A", "B", "C"))):
        for i, value in enumerate(values):
            n = num_images // (2 + i)
            shares = [min(1.0, row["robust_accuracy"]["value"] * (1.1 - 0.25 * i)) for row in worst]
            found = [
                {"norm": w["norm"], "epsilon": w["epsilon"], **interval(s, n)}
                for w, s in zip(worst, shares, strict=True)
            ]
            clean_accuracy = interval(max(0.0, clean - 0.02 * i), n)
            row = {"column": column, "value": value, "num_images": n, "clean_accuracy": clean_accuracy}
            rows.append({**row, "robust_accuracy": found})
    return rows


def _clean(clean: float, num_images: int) -> dict[str, Any]:
    shift = {"accuracy": 0, "balanced_accuracy": -0.006, "sensitivity": -0.03, "specificity": 0.02, "precision": -0.01}
    shift |= {"f1": -0.015, "auroc": 0.04}
    found = {name: interval(min(1.0, max(0.0, clean + d)), num_images) for name, d in shift.items()}
    return {**found, "method": "95 % Wilson interval of the effective number of images, 186 groups"}


def make_audit(
    *,
    classes: Sequence[str] = TWO,
    num_budgets: int = 10,
    norms: Sequence[str] = ("linf",),
    attacks: Sequence[str] = ("fgsm", "bim", "pgd", "cw_linf"),
    clean: float = 0.915,
    fragility: float = 1.0,
    num_images: int = 200,
    model: str = "default",
    data: str = "phantom",
    severities: Sequence[str] = ("pass", "pass", "warn", "pass", "not_run", "pass"),
    num_broken: int = 2,
) -> dict[str, Any]:
    """audit.json of a classifier whose robust accuracy follows `robust`; fragility 0 never falls."""
    k, curve, worst, stored = len(classes), [], [], []
    budgets = [(norm, epsilon) for norm in norms for epsilon in grid(norm, num_budgets)]
    for norm, epsilon in budgets:
        for i, attack in enumerate(attacks):
            weaker = 1 + 0.55 * (len(attacks) - 1 - i)
            share = robust(clean, norm, epsilon, fragility / weaker) if fragility else clean
            raw = min(1.0, share + (0.013 if attack == "fgsm" and epsilon > 5 / 255 else 0.0))
            row = {"attack": attack, "norm": norm, "epsilon": epsilon, "robust_accuracy": interval(share, num_images)}
            curve.append({**row, "raw": {"value": raw}})
        share = robust(clean, norm, epsilon, fragility * 1.05) if fragility else clean
        kept = clean if norm == "linf" and epsilon < 0.5 / 255 else share
        worst.append({"norm": norm, "epsilon": epsilon, "robust_accuracy": interval(share, num_images)})
        stored.append({"norm": norm, "epsilon": epsilon, "robust_accuracy": interval(kept, num_images)})
    first = [epsilon for norm, epsilon in budgets if norm == norms[0]]
    median = {"median": first[len(first) // 2], "quantiles": {"0.05": first[0], "0.95": None}, "num_images": num_images}
    fragile = [
        {
            "image_id": f"{classes[i % k]}/case-{1000 + 37 * i}.png",
            "group_id": f"patient-{i:03d}",
            "label": classes[i % k],
            "norm": norms[0],
            "epsilon_wrong": first[min(i // 3, len(first) - 1)],
            "attack": attacks[i % len(attacks)],
        }
        for i in range(12)
    ]
    return {
        "schema": "medrobust.audit/1",
        "model": {
            "name": model,
            "network": "zoo:cbr_tiny",
            "classes": list(classes),
            "num_parameters": 61314,
            "said": [
                {"fact": "outputs", "value": ", ".join(classes), "source": "the card", "other": ""},
                {"fact": "normalization", "value": "mean 0.4, std 0.2", "source": "given", "other": "the card: none"},
            ],
        },
        "data": {
            "name": data,
            "title": "Phantom of breast ultrasound",
            "split": "test",
            "num_images": num_images,
            "num_groups": max(1, num_images - 14),
            "classes": list(classes),
            "positive_class": classes[-1] if k == 2 else None,
            "bit_depth": 8,
            "image_size": [96, 96],
            "broken": [[f"scans/broken-{i}.png", "truncated after 1,024 bytes"] for i in range(num_broken)],
        },
        "protocol": {
            "name": "honest",
            "precision": "fast",
            "attacks": {
                name: {
                    "name": attack_name(name),
                    "says": attack_words(name),
                    "kind": "bounded",
                    "needs": "gradients",
                    "parameters": {"num_steps": 20},
                    "goal": "untargeted",
                    "parts": "P(f=<function g at 0x7f01>)",
                }
                for name in attacks
            },
            "verified": "every success was re-checked in float32",
        },
        "cost": {"forwards": 48120, "backwards": 39870, "seconds": 41.7, "checks_and_pictures_seconds": 6.2},
        "threat": {"budgets": [{"norm": norm, "epsilon": epsilon, "text": ""} for norm, epsilon in budgets]},
        "clean": _clean(clean, num_images),
        "curve": curve,
        "worst_case": worst,
        "stored": stored,
        "sensitivity": [{"norm": norms[0], "epsilon_wrong": median, "epsilon_flip": median, "num_never": 3}],
        "fragile": fragile,
        "direction": [_direction(row, clean, num_images, classes) for row in worst],
        "groups": _groups([row for row in worst if row["norm"] == norms[0]], clean, num_images),
        "referral": [
            {
                "fraction": f / 20,
                "accuracy": min(1.0, clean + (1 - clean) * f / 12),
                "baseline_confidence": min(1.0, clean + (1 - clean) * f / 10),
                "random": clean,
            }
            for f in range(11)
        ],
        "not_tested": ["Changes of geometry, contrast, noise, scanner or site.", "Images from another hospital."],
        "findings": [
            {"id": f"check-{i}", "severity": severity, "title": title, "evidence": evidence, "advice": advice}
            for i, severity in enumerate(severities)
            for title, evidence, advice in [CHECKS[i % len(CHECKS)]]
        ],
        "provenance": {
            "medrobust": "0.1.0",
            "versions": {"torch": "2.15.0", "python": "3.11.7"},
            "commit": "2f133857e941dd5cd8ef1b93ac34e0f45852f270",
            "command": "medrobust audit --out runs/demo",
            "seed": 0,
            "model_sha256": "0f" * 32,
            "data_sha256": "a1" * 32,
            "recipe_sha256": "7c" * 32,
            "hardware": "2 cores, Linux",
            "started": "2026-11-21T08:00:00+00:00",
            "finished": "2026-11-21T08:00:48+00:00",
        },
    }


def make_run(
    folder: Path,
    *,
    num_gallery: int = 4,
    image_size: int = 96,
    without: Sequence[str] = (),
    replace: dict[str, Any] | None = None,
    **options: Any,
) -> Path:
    """Write a run directory; `without` drops keys of audit.json, `replace` sets them, options go to make_audit."""
    folder.mkdir(parents=True, exist_ok=True)
    audit = make_audit(**options) | (replace or {})
    kept = {key: value for key, value in audit.items() if key not in without}
    (folder / "audit.json").write_text(json.dumps(kept, indent=1), encoding="utf-8")
    (folder / "run.json").write_text(json.dumps({"kind": "audit", "status": "done", "command": "medrobust audit"}))
    (folder / "recipe.yaml").write_text("model:\n  name: default\ndata:\n  name: phantom\n", encoding="utf-8")
    classes = list(options.get("classes", TWO))
    norm = next(iter(options.get("norms", ("linf",))))
    make_pictures(
        folder / "images",
        [row["image_id"] for row in audit["fragile"][:num_gallery]],
        [(norm, epsilon) for epsilon in grid(norm, options.get("num_budgets", 10))],
        num_classes=len(classes),
        size=image_size,
        attack="pgd",
        half=0.6 / 255 / (options.get("fragility", 1.0) or 1e-6),
    )
    return folder


if __name__ == "__main__":
    from medrobust.report import write_report

    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--classes", type=int, default=2)
    parser.add_argument("--budgets", type=int, default=10)
    parser.add_argument("--gallery", type=int, default=4)
    parser.add_argument("--size", type=int, default=96)
    parser.add_argument("--norms", default="linf")
    parser.add_argument("--clean", type=float, default=0.915)
    parser.add_argument("--fragility", type=float, default=1.0)
    given = parser.parse_args()
    made = make_run(
        given.folder,
        classes=TWO if given.classes == 2 else SEVEN[: given.classes],
        num_budgets=given.budgets,
        num_gallery=given.gallery,
        image_size=given.size,
        norms=given.norms.split(","),
        clean=given.clean,
        fragility=given.fragility,
    )
    print(write_report(made))
