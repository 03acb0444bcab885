"""The published tables of two studies: complete, readable by a program, and consistent with themselves."""

from __future__ import annotations

import csv
import math
from collections import Counter
from pathlib import Path

import pytest

import medrobust
from medrobust.records.metric_names import METRICS

STUDIES = Path(medrobust.__file__).parents[2] / "studies"
LI, SUN = "li2024-dpaat", "sun2022-mirst-dm"
COLUMNS = ["table", "row", "column", "metric", "reported", "spread", "unit", "select"]
WIDE = "resnet34,inception_v3,densenet121"
LIGHT = "mobilenet_v2,shufflenet_v2,squeezenet"
# Li et al. print means over networks, never a single one: a comma says "the mean over these".
GROUPS = {
    "Three widely used CNNs": WIDE,
    "Three commonly used lightweight CNNs": LIGHT,
    "All six CNNs": f"{WIDE},{LIGHT}",
}
KEYS = {
    LI: {
        "model": set(GROUPS.values()),
        "training": {"standard", "at", "sat", "amat", "dpaat"},
        "attack": {"none", "fgsm", "ifgsm10", "ifgsm20", "pgd20", "pgd50"},
    },
    SUN: {
        "training": {"clean", "rst", "mirst", "gr", "at", "llr", "trades"},
        "pretraining": {"imagenet", "simclr"},
        "layer": {"max", "drop_max"},
        "attack": {"none", "fgsm", "pgd", "cw"},
    },
}


def cells(study: str) -> list[dict[str, str]]:
    with (STUDIES / study / "expected.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def selected(cell: dict[str, str]) -> dict[str, str]:
    return dict(pair.split("=") for pair in cell["select"].split(" "))


def value(study: str, table: str, row: str, column: str) -> float:
    found = [c for c in cells(study) if (c["table"], c["row"], c["column"]) == (table, row, column)]
    assert len(found) == 1, (study, table, row, column)
    return float(found[0]["reported"])


# Rows times columns of what is printed.
COUNTS = {
    # I: (5 trainings x 3 groups of networks) x (5 attacks + clean); II: (4 trainings x 3 groups) x 5 metrics.
    LI: {"I": 15 * 6, "II": 12 * 5},
    # 4 attacks (one is none) x 2 metrics, for 3 models, for 7 (LLR is dashes, 8 empty cells), and for 4.
    SUN: {"1": 8 * 3, "2": 8 * 7, "3": 8 * 4},
}


@pytest.mark.parametrize(("study", "total", "empty"), [(LI, 150, 0), (SUN, 112, 8)])
def test_every_printed_cell_stands_once(study: str, total: int, empty: int) -> None:
    found = cells(study)
    assert list(found[0]) == COLUMNS
    assert Counter(cell["table"] for cell in found) == COUNTS[study]
    assert len(found) == total == sum(COUNTS[study].values())
    assert len({(cell["table"], cell["row"], cell["column"]) for cell in found}) == total
    assert [cell["column"] for cell in found if not cell["reported"]] == ["LLR"] * empty
    assert not [cell for cell in found if cell["spread"]]  # neither paper prints a +-


@pytest.mark.parametrize("study", [LI, SUN])
def test_every_select_names_a_number_of_the_study(study: str) -> None:
    for cell in cells(study):
        keys = selected(cell)
        assert list(keys) == list(KEYS[study]), cell
        assert all(keys[key] in KEYS[study][key] for key in keys), cell
        assert cell["metric"] in {*METRICS, "mean_average_robust_precision"}


@pytest.mark.parametrize("study", [LI, SUN])
def test_a_select_names_one_number_of_a_table(study: str) -> None:
    assert max(Counter((c["table"], c["metric"], c["select"]) for c in cells(study)).values()) == 1


@pytest.mark.parametrize("study", [LI, SUN])
def test_numbers_are_in_range_and_keep_their_printed_digits(study: str) -> None:
    for cell in cells(study):
        if not cell["reported"]:
            continue
        assert 0 <= float(cell["reported"]) <= {"%": 100, "1": 1}[cell["unit"]], cell
        assert len(cell["reported"].partition(".")[2]) == {"I": 2, "II": 4}.get(cell["table"], 3), cell


def test_rows_and_columns_say_what_select_says() -> None:
    trainings = {"STD": "standard", "Base-line": "clean", "Baseline": "clean", "MI-RST": "mirst"}
    columns = {"10-IFGSM": "ifgsm10", "20-IFGSM": "ifgsm20", "20-PGD": "pgd20", "50-PGD": "pgd50", "FGSM": "fgsm"}
    for cell in cells(LI):
        group, training = cell["row"].split(" / ")
        keys, name = selected(cell), cell["column"]
        assert keys["training"] == trainings.get(training, training.lower())
        assert keys["model"] == GROUPS[group]
        assert keys["attack"] == columns.get(name, "pgd20" if name == "mARP" else "none")
    for cell in cells(SUN):
        keys, (metric, attack) = selected(cell), cell["row"].split(" / ")
        training, _, layer = cell["column"].partition(" ")
        assert keys["training"] == trainings.get(training, training.lower())
        assert keys["layer"] == ("drop_max" if layer == "w/ DM" else "max")
        assert keys["pretraining"] == ("imagenet" if cell["table"] == "1" else "simclr")
        assert keys["attack"] == {"No attack": "none"}.get(attack, attack.lower())
        assert cell["metric"] == {"F1 score": "f1", "Sensitivity": "sensitivity"}[metric]


def test_what_is_printed_in_two_tables_is_the_same() -> None:
    of_table = {
        table: {(c["metric"], c["select"]): c["reported"] for c in cells(SUN) if c["table"] == table} for table in "23"
    }
    shared = of_table["2"].keys() & of_table["3"].keys()
    assert len(shared) == 16  # RST and MIRST with max-pooling: 2 models x 8 rows
    assert all(of_table["2"][key] == of_table["3"][key] for key in shared)


# Averages of all six networks that are not the mean of the two printed groups: told in the study's README.
NOT_THE_MEAN = {
    ("I", "STD", "20-PGD"), ("I", "STD", "50-PGD"), ("I", "STD", "GAcc (%)"),
    ("I", "AT", "10-IFGSM"),
    ("I", "SAT", "20-IFGSM"), ("I", "SAT", "20-PGD"), ("I", "SAT", "50-PGD"),
    ("I", "AMAT", "20-PGD"), ("I", "AMAT", "50-PGD"),
    ("I", "DPAAT", "20-PGD"), ("I", "DPAAT", "50-PGD"),
    ("II", "AT", "mARP"), ("II", "DPAAT", "mARP"),
}  # fmt: skip


def test_all_six_networks_are_the_mean_of_the_two_groups_but_for_what_the_readme_tells() -> None:
    wrong = set()
    for cell in cells(LI):
        group, training = cell["row"].split(" / ")
        if group != "All six CNNs":
            continue
        halves = [
            value(LI, cell["table"], f"{name} / {training}", cell["column"])
            for name in ("Three widely used CNNs", "Three commonly used lightweight CNNs")
        ]
        last = 0.01 if cell["unit"] == "%" else 0.0001
        # Each group is right to half a last digit, so is the average: together they may differ by one.
        if abs(sum(halves) / 2 - float(cell["reported"])) > last * 1.001:
            wrong.add((cell["table"], training, cell["column"]))
    assert wrong == NOT_THE_MEAN


ALL = "All six CNNs"
# "DPAAT was improved by ..." against AT, SAT, AMAT, in the order of the tables: what the differences of the cells are.
DIFFERENCES = {
    ("I", "FGSM"): (1.78, 1.43, 1.53),
    ("I", "10-IFGSM"): (3.75, 6.31, 4.56),
    ("I", "20-IFGSM"): (2.86, 10.33, 6.20),
    ("I", "20-PGD"): (2.45, 4.90, 2.99),  # in words 2.49, 4.93, 3.03
    ("I", "50-PGD"): (2.45, 4.90, 2.86),  # in words 2.76, 4.93, 2.96
    ("I", "GAcc (%)"): (1.59, 0.52, 0.98),  # in words 1.58, 0.98, 0.52
    ("II", "mAP"): (15.67, 9.67, 19.17),
    ("II", "mARP"): (20.00, 14.33, 23.50),
    ("II", "Precision"): (1.83, 0.90, 1.25),
    ("II", "Recall"): (2.02, 0.92, 1.68),
    ("II", "F1-score"): (1.68, 0.78, 1.45),
}


@pytest.mark.parametrize("place", DIFFERENCES)
def test_differences_of_li(place: tuple[str, str]) -> None:
    table, column = place
    scale = 1 if table == "I" else 100
    dpaat = value(LI, table, f"{ALL} / DPAAT", column)
    found = [scale * (dpaat - value(LI, table, f"{ALL} / {other}", column)) for other in ("AT", "SAT", "AMAT")]
    assert found == pytest.approx(DIFFERENCES[place], abs=1e-6)


# The ratios that Sun et al. give in words: said in percent, new value over old one.
RATIOS = [
    (6.74, ("1", "Sensitivity / FGSM", "MIRST"), ("1", "Sensitivity / FGSM", "RST")),
    (7.17, ("1", "Sensitivity / PGD", "MIRST"), ("1", "Sensitivity / PGD", "RST")),
    (6.22, ("1", "Sensitivity / CW", "MIRST"), ("1", "Sensitivity / CW", "RST")),
    (4.14, ("2", "F1 score / No attack", "Base-line"), ("1", "F1 score / No attack", "Baseline")),
    (5.87, ("2", "F1 score / No attack", "RST"), ("1", "F1 score / No attack", "RST")),
    (10.93, ("2", "F1 score / No attack", "MI-RST"), ("1", "F1 score / No attack", "MIRST")),
    (18.06, ("2", "F1 score / FGSM", "MI-RST"), ("1", "F1 score / FGSM", "MIRST")),
    (5.46, ("2", "F1 score / PGD", "MI-RST"), ("1", "F1 score / PGD", "MIRST")),
    (2.84, ("2", "F1 score / CW", "MI-RST"), ("1", "F1 score / CW", "MIRST")),
    (3.38, ("3", "F1 score / FGSM", "RST w/ DM"), ("3", "F1 score / FGSM", "RST w/o DM")),
    (36.66, ("3", "F1 score / PGD", "RST w/ DM"), ("3", "F1 score / PGD", "RST w/o DM")),
    (58.51, ("3", "F1 score / CW", "RST w/ DM"), ("3", "F1 score / CW", "RST w/o DM")),
    (2.89, ("3", "F1 score / No attack", "RST w/ DM"), ("3", "F1 score / No attack", "RST w/o DM")),
    (43.42, ("3", "F1 score / CW", "MIRST w/ DM"), ("3", "F1 score / CW", "MIRST w/o DM")),
    (7.65, ("3", "F1 score / PGD", "MIRST w/ DM"), ("3", "F1 score / PGD", "MIRST w/o DM")),
]


def agrees(said: float, a: float, b: float) -> bool:
    """Whether 100 (a / b - 1) can be `said`, when a and b were rounded to three digits and `said` to two."""
    half = 0.0005
    low, high = 100 * ((a - half) / (b + half) - 1), 100 * ((a + half) / (b - half) - 1)
    return low - 0.005 <= said <= high + 0.005


@pytest.mark.parametrize(("said", "new", "old"), RATIOS)
def test_ratios_of_sun_agree_with_cells_that_were_rounded(
    said: float, new: tuple[str, str, str], old: tuple[str, str, str]
) -> None:
    a, b = value(SUN, *new), value(SUN, *old)
    assert agrees(said, a, b)
    # The same check refuses a cell with another second digit.
    assert not any(agrees(said, a + step, b) or agrees(said, a, b + step) for step in (-0.01, 0.01))


def test_f1_and_sensitivity_of_sun_belong_together() -> None:
    # F1 = 2 P S / (P + S) with P <= 1, so F1 <= 2 S / (1 + S), also for means over folds (the bound is concave).
    for cell in cells(SUN):
        if cell["metric"] != "f1" or not cell["reported"]:
            continue
        attack = cell["row"].split(" / ")[1]
        s, f1 = value(SUN, cell["table"], f"Sensitivity / {attack}", cell["column"]), float(cell["reported"])
        assert f1 <= 2 * s / (1 + s) + 0.001, cell
        assert math.isclose(f1, 0, abs_tol=0) == math.isclose(s, 0, abs_tol=0), cell


def readme(study: str) -> str:
    return (STUDIES / study / "README.md").read_text(encoding="utf-8")


def test_recall_of_balanced_classes_is_not_the_printed_accuracy() -> None:
    # 299 images of each class make them the same number, and the README says that they are not.
    above = [
        100 * value(LI, "II", row, "Recall") - value(LI, "I", row, "GAcc (%)")
        for row in {cell["row"] for cell in cells(LI) if cell["table"] == "II"}
    ]
    assert len(above) == 12
    assert (round(min(above), 2), round(max(above), 2)) == (0.07, 1.36)
    assert "in all 12 cells, by .07 to 1.36 points" in " ".join(readme(LI).split())


def test_the_readmes_tell_what_was_recomputed() -> None:
    for found in DIFFERENCES.values():
        assert f"| {', '.join(f'{x:.2f}' for x in found)} |" in readme(LI)
    half = 0.0005
    for said, new, old in RATIOS:
        a, b = value(SUN, *new), value(SUN, *old)
        low, high = (100 * ((a + sign * half) / (b - sign * half) - 1) for sign in (-1, 1))
        assert f"| {said:.2f} | {100 * (a / b - 1):.2f} | {low:.2f} to {high:.2f} | agrees |" in readme(SUN)


@pytest.mark.parametrize("study", [LI, SUN])
def test_the_readme_says_how_to_run_each_profile(study: str) -> None:
    for profile in ("smoke", "cpu", "paper"):
        assert f"    medrobust study run studies/{study} --profile {profile} --out DIR\n" in readme(study)
    assert "    medrobust study check DIR\n" in readme(study)


def test_accuracies_of_three_networks_on_897_images() -> None:
    # In hundredths of a percent: shares of 897 rounded to two digits, and the sums of two of them.
    shares = {round(10000 * right / 897) for right in range(898)}
    pairs = {a + b for a in shares for b in shares}
    printed = [
        round(100 * float(cell["reported"])) for cell in cells(LI) if cell["table"] == "I" and "Three" in cell["row"]
    ]
    # A sum s of three is printed as v where |s / 3 - v| <= 1 / 2.
    fit = [v for v in printed if any(s - a in pairs for s in range(3 * v - 1, 3 * v + 2) for a in shares)]
    assert (len(printed), len(fit)) == (60, 28)
    assert "32 are no mean of three" in " ".join(readme(LI).split())
    precisions = [cell for cell in cells(LI) if cell["column"] in ("mAP", "mARP") and "Three" in cell["row"]]
    assert len(precisions) == 16
    for cell in precisions:
        assert f"{round(300 * float(cell['reported'])) / 300:.4f}" == cell["reported"]


def test_precision_that_f1_and_sensitivity_imply_says_that_benign_images_were_attacked() -> None:
    def precision(attack: str) -> float:
        f1, s = (value(SUN, "2", f"{name} / {attack}", "MI-RST") for name in ("F1 score", "Sensitivity"))
        return f1 * s / (2 * s - f1)

    clean, hit, under = (
        value(SUN, "2", "Sensitivity / No attack", "MI-RST"),
        value(SUN, "2", "Sensitivity / PGD", "MI-RST"),
        precision("PGD"),
    )
    false = clean * (1 / precision("No attack") - 1)  # benign images read as malignant, for each malignant one
    assert (round(precision("No attack"), 2), round(under, 2), round(hit / (hit + false), 2)) == (0.86, 0.55, 0.80)
    said = " ".join(readme(SUN).split())
    assert "about .86 clean, .55 under PGD" in said
    assert "the .80 that malignant images alone would give" in said
