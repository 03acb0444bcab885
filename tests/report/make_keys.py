"""The keys of audit.json that say whether the attacks work, what is proven, and how sure the rest is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from report.make_run import interval


def with_ecdf(row: Mapping[str, Any]) -> dict[str, Any]:
    """A row of sensitivity with its distribution: 90 of 100 images fall, evenly between 0.1 and 9.1 grey levels."""
    points = [[(0.1 + i / 10) / 255, (i + 1) / 100] for i in range(90)]
    return {**row, "ecdf": {"points": points, "num_images": 100, "num_never": 10}}


def _corruptions(accuracy: dict[str, Any], worst: list[Any]) -> dict[str, Any]:
    """Blur at two severities, the second exactly as visible as the largest budget, the first less than the smallest."""
    sizes = [0.5 * worst[0]["epsilon"], worst[-1]["epsilon"]]
    cells = [
        {"corruption": "gaussian_blur", "family": "blur", "severity": float(k), "parameter": float(k), "unit": "pixels",
         "accuracy": accuracy, "psnr": 30.5 - k, "ssim": 0.9, "equal_epsilon": size}
        for k, size in enumerate(sizes, start=1)
    ]  # fmt: skip
    lost = [{"family": "blur", "severity": row["severity"], "accuracy": accuracy} for row in cells]
    return {"names": ["gaussian_blur"], "words": "of 4 draws", "clean": accuracy, "rows": cells, "worst": lost}


def make_keys(audit: Mapping[str, Any], *, quotable: bool = True, reason: str = "") -> dict[str, Any]:
    """What a run with an active test, a certificate, calibration and measures of each class adds.

    A reason takes the place of the certificate.
    """
    worst, classes = audit["worst_case"], audit["data"]["classes"]
    first = [row for row in worst if row["norm"] == worst[0]["norm"]]
    share = audit["clean"]["accuracy"]["value"]
    proven = [
        {
            "norm": row["norm"],
            "epsilon": row["epsilon"],
            "certified_accuracy": interval(round(share * max(0.0, 0.97 - 0.3 * i), 4), 200),
        }
        for i, row in enumerate(first)
    ]
    why = [] if quotable else ["PGD finds 3 of 30 planted answers at 0.1/255", "The patients are on both sides."]
    return {
        "corruptions": _corruptions(interval(round(0.9 * share, 4), 200), first),
        "quotable": {"value": "yes" if quotable else "no", "why": why},
        "active_test": {
            "rows": [
                {
                    "attack": attack,
                    "norm": row["norm"],
                    "epsilon": row["epsilon"],
                    "planted": 32,
                    "won_by_random": 2,
                    "found": 30 if quotable or attack != "pgd" else 3,
                }
                for attack in audit["protocol"]["attacks"]
                for row in first[:2]
            ],
            "together": [
                {"norm": row["norm"], "epsilon": row["epsilon"], "counted": 30, "found": 30} for row in first[:2]
            ],
            "layer": "the last linear layer",
            "reason": "",
        },
        "certified": {"reason": reason}
        if reason
        else {"method": "ibp", "words": "Bounds by intervals (IBP).", "rows": proven, "num_images": 200, "reason": ""},
        "under_attack": [
            {
                "norm": row["norm"],
                "epsilon": row["epsilon"],
                "metrics": {
                    "balanced_accuracy": row["robust_accuracy"],
                    "auroc": {"value": 0.5, "low": None, "high": None},
                },
            }
            for row in worst
        ],
        "per_class": [
            {"class": name, "norm": "linf", "epsilon": epsilon, "sensitivity": interval(0.8, 90), "specificity": None}
            for epsilon in (0, first[0]["epsilon"])
            for name in classes
        ],
        "calibration": {"ece": {"value": 0.031, "low": 0.02, "high": 0.05}, "brier": 0.06},
        "sensitivity": [with_ecdf(row) for row in audit["sensitivity"]],
        "fragile": [
            row | {"change_wrong": 0.8 * row["epsilon_wrong"] + i * 1e-6, "read_as": classes[1]}
            for i, row in enumerate(audit["fragile"])
        ],
        "sample_size": {
            "half_width": 0.04,
            "rows": [
                {
                    "metric": "accuracy",
                    "norm": None,
                    "epsilon": 0.0,
                    "num_images": 210,
                    "num_groups": 160,
                    "enough": False,
                },
                {"metric": "robust_accuracy", "norm": "linf", "epsilon": 1 / 255, "num_images": 900, "num_groups": 700},
            ],
        },
    }
