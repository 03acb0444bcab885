"""The published numbers of two papers: all there, consistent with one another, and what their READMEs say of them."""

from __future__ import annotations

import csv
from collections import Counter
from decimal import Decimal
from pathlib import Path

import pytest

STUDIES = Path(__file__).parents[2] / "studies"
HEADER = ["table", "row", "column", "metric", "reported", "spread", "unit", "select"]
NETWORKS = {"CBR-LargeT": "cbr_large_t", **{f"Resnet-{depth}": f"resnet{depth}" for depth in (8, 20, 32, 50)}}
DATA = {"CT": "ct", "Mammogram": "mammogram", "MRI": "mri", "MNIST": "mnist", "CIFAR-10": "cifar10"}

COUNTS = {
    # Attacks (no attack, FGSM, PGD) x five networks; Table 2 has no FGSM and no CBR-LargeT.
    "rodriguez2022": {"1(a)": 3 * 5, "1(b)": 3 * 5, "1(c)": 3 * 5, "2(a)": 2 * 4, "2(b)": 2 * 4, "2(c)": 2 * 4},
    # Baseline and three attacks x four budgets, by five data sets; three data sets x (before, after, change);
    # 25 layers and the total; three attacks x three data sets x (before, after, difference).
    "joel2021": {"1": (1 + 3 * 4) * 5, "2": 3 * 3, "S2": 25 + 1, "S5": 3 * 3 * 3},
}
# Sums of results and of spreads, each times its place in its table, from a second reading of the papers from the end.
SUMS = {
    "rodriguez2022": {
        "1(a)": ("3693.55", "574.14"),
        "1(b)": ("7209.57", "1039.31"),
        "1(c)": ("7272.29", "832.49"),
        "2(a)": ("2739.51", "0"),
        "2(b)": ("2908.10", "0"),
        "2(c)": ("2317.91", "0"),
    },
    "joel2021": {"1": ("113941.04", "0"), "2": ("2476.96", "0"), "S2": ("5738319910", "0"), "S5": ("18890.36", "0")},
}
BUDGETS = {"1(a)": "1", "1(b)": "0.1", "1(c)": "2", "2(a)": "10", "2(b)": "1", "2(c)": "4"}
PARTS = {"(a)": "chest_xray", "(b)": "dermoscopy", "(c)": "oct"}
KEYS = {
    "rodriguez2022": {"data", "model", "training", "attack", "epsilon"},
    "joel2021": {"data", "training", "attack", "epsilon", "subset", "minus", "model", "layer"},
}

Row = dict[str, str]
Cells = list[tuple[Row, dict[str, str]]]


def chosen(text: str, separator: str = " ", equals: str = "=") -> dict[str, str]:
    """The keys of a select; a key that stands twice or has no value is an error."""
    pairs = [part.split(equals) for part in text.split(separator)]
    assert all(len(pair) == 2 and pair[0] and pair[1] for pair in pairs), text
    assert len(dict(pairs)) == len(pairs), text
    return dict(pairs)


def cells(study: str) -> Cells:
    with (STUDIES / study / "expected.csv").open(encoding="utf-8", newline="") as file:
        reader = csv.DictReader(file, strict=True)
        rows = list(reader)
    assert reader.fieldnames == HEADER
    assert all(None not in row and None not in row.values() for row in rows)
    return [(row, chosen(row["select"])) for row in rows]


def number(row: Row) -> Decimal:
    return Decimal(row["reported"])


@pytest.mark.parametrize(("study", "total"), [("rodriguez2022", 69), ("joel2021", 127)])
def test_every_cell_of_every_table_is_there_once(study: str, total: int) -> None:
    rows = [row for row, _ in cells(study)]
    assert Counter(row["table"] for row in rows) == COUNTS[study]
    assert len(rows) == total == len({(row["table"], row["row"], row["column"]) for row in rows})


@pytest.mark.parametrize("study", SUMS)
def test_tables_sum_as_in_a_second_reading(study: str) -> None:
    for table, sums in SUMS[study].items():
        rows = [row for row, _ in cells(study) if row["table"] == table]
        results = sum(place * number(row) for place, row in enumerate(rows, 1))
        spreads = sum(place * Decimal(row["spread"] or 0) for place, row in enumerate(rows, 1))
        assert (results, spreads) == tuple(map(Decimal, sums)), table


@pytest.mark.parametrize("study", COUNTS)
def test_numbers_are_as_printed_and_have_their_unit(study: str) -> None:
    for row, keys in cells(study):
        if row["metric"] == "num_parameters":
            assert row["unit"] == "count"
            assert row["reported"].isdecimal()
            continue
        assert row["metric"] == "accuracy"
        assert row["unit"] == ("points" if "minus" in keys else "%")
        assert 0 < number(row) < 100
        # Both papers print two decimals everywhere; Rodriguez' Table 1 alone has spreads.
        assert number(row).as_tuple().exponent == -2
        assert bool(row["spread"]) == (study == "rodriguez2022" and row["table"].startswith("1"))
        assert not row["spread"] or Decimal(row["spread"]).as_tuple().exponent == -2


@pytest.mark.parametrize("study", COUNTS)
def test_selects_name_known_keys_and_a_budget_only_under_attack(study: str) -> None:
    for row, keys in cells(study):
        assert keys.keys() <= KEYS[study], row
        assert ("epsilon" in keys) == (keys.get("attack", "none") != "none"), row
        assert ("attack" in keys) == (row["metric"] == "accuracy") == ("training" in keys), row


def test_selects_of_rodriguez_say_what_their_row_and_column_say() -> None:
    found = cells("rodriguez2022")
    for row, keys in found:
        attack = {"No Attack": "none", "FGSM": "fgsm", "PGD": "pgd"}[row["row"]]
        assert (keys["attack"], keys["model"]) == (attack, NETWORKS[row["column"]])
        assert keys["data"] == PARTS[row["table"][1:]]
        assert keys["training"] == {"1": "standard", "2": "adversarial"}[row["table"][0]]
        assert keys.get("epsilon", "") == ("" if attack == "none" else f"{BUDGETS[row['table']]}/255")
    assert len({row["select"] for row, _ in found}) == len(found)


def test_selects_of_joel_say_what_their_row_and_column_say() -> None:
    for row, keys in cells("joel2021"):
        if row["table"] == "S2":
            layer = {} if row["row"] == "Total parameters" else {"layer": row["row"]}
            assert keys == {"data": "ct", "model": "vgg16", **layer}
            continue
        if row["table"] == "2":
            assert keys["data"] == DATA[row["row"]]
            assert (keys["attack"], keys["training"]) == ("none", "standard")
            assert keys.get("subset", "") == ("" if row["column"].startswith("Original") else "aware")
            assert keys.get("minus", "") == ("subset:all" if row["column"].startswith("Change") else "")
            continue
        attack, _, epsilon = row["row"].partition(" ")
        of, _, kind = row["column"].partition(" ")
        expected = {"data": DATA[of], "training": "standard" if kind in ("", "Original") else "adversarial"}
        expected["attack"] = "none" if attack == "Baseline" else attack.lower()
        if attack != "Baseline":
            expected["epsilon"] = epsilon or "0.002"  # the caption of Table S5
        if kind == "Difference":
            expected["minus"] = "training:standard"
        assert keys == expected, row


def test_differences_are_the_cell_minus_the_other_one() -> None:
    found = cells("joel2021")
    seen = 0
    for row, keys in found:
        if "minus" not in keys:
            continue
        first = {key: value for key, value in keys.items() if key != "minus"}
        second = first | chosen(keys["minus"], ",", ":")
        wanted = [{key: value for key, value in one.items() if value != "all"} for one in (first, second)]
        values = [[number(r) for r, k in found if k == one and r["table"] == row["table"]] for one in wanted]
        assert [len(one) for one in values] == [1, 1], row
        assert values[0][0] - values[1][0] == number(row), row
        seen += 1
    assert seen == 3 + 3 * 3  # Table 2; three attacks on three data sets in Table S5


def test_a_result_printed_in_two_tables_is_the_same_in_both() -> None:
    values: dict[str, list[str]] = {}
    for row, _ in cells("joel2021"):
        values.setdefault(row["select"], []).append(row["reported"])
    twice = [one for one in values.values() if len(one) > 1]
    assert len(twice) == 3 + 3 * 3  # Baselines of Table 2 and originals of Table S5 stand in Table 1 as well.
    assert all(len(set(one)) == 1 for one in twice)


def test_layers_of_joels_network_add_up_and_are_ours() -> None:
    pytest.importorskip("torchvision")
    import torch

    from medrobust.models.zoo import build_network

    counts = {keys.get("layer", "total"): int(row["reported"]) for row, keys in cells("joel2021") if "model" in keys}
    total = counts.pop("total")
    assert sum(counts.values()) == total == 121_676_610
    with torch.device("meta"):
        network = build_network("zoo:vgg16_joel", num_classes=2, image_size=224)
    layers = [module for module in network.modules() if hasattr(module, "weight")]
    ours = [sum(weights.numel() for weights in layer.parameters()) for layer in layers]
    assert ours == [count for count in counts.values() if count]


def under(table: str, row: str) -> list[Decimal]:
    return [number(cell) for cell, _ in cells("rodriguez2022") if (cell["table"], cell["row"]) == (table, row)]


def test_what_the_readme_says_of_rodriguez_tables() -> None:
    assert under("1(b)", "No Attack")[1:] == under("1(c)", "No Attack")[1:]
    rest = under("1(c)", "FGSM")[1:]
    assert rest[0] < rest[2] < rest[3]
    assert sorted(under("1(b)", "PGD")[2:]) == under("1(b)", "PGD")[2:]
    clean, attacked = under("2(b)", "No Attack"), under("2(b)", "PGD")
    assert clean.index(max(clean)) == 3
    assert attacked.index(max(attacked)) == 0
    floors = [100 - one for one in under("1(a)", "No Attack")[3:]]
    assert all(one < floor for one, floor in zip(under("1(a)", "PGD")[3:], floors, strict=True))


def is_share(value: Decimal, images: int) -> bool:
    """Whether a whole number of so many images is this percentage, rounded to two decimals."""
    return abs(Decimal(round(value * images / 100)) * 100 / images - value) <= Decimal("0.005")


def test_shares_of_whole_images() -> None:
    odd = Counter()
    for row, keys in cells("rodriguez2022"):
        odd[row["table"][0]] += not is_share(number(row), 10 * 150 * (4 if keys["data"] == "oct" else 2))
    assert odd == {"1": 2, "2": 16}
    images = {"ct": 858, "mammogram": 560, "mri": 1320}
    shares = [
        is_share(number(row), images[keys["data"]])
        for row, keys in cells("joel2021")
        if keys["data"] in images and row["unit"] == "%" and "subset" not in keys
    ]
    assert len(shares) == 13 * 3 + 3 + 9 * 2
    assert all(shares)
    aware = {keys["data"]: number(row) for row, keys in cells("joel2021") if keys.get("subset") and "minus" not in keys}
    left_out = {
        name: [gone for gone in range(total) if is_share(aware[name], total - gone)] for name, total in images.items()
    }
    assert 173 in left_out["ct"]
    assert {107, 112} <= set(left_out["mammogram"])
    assert [gone for gone in left_out["mri"] if 222 <= gone <= 299] == [222, 299]


def test_an_attack_on_the_networks_own_answers_ends_at_the_wrong_ones() -> None:
    table = {(row["row"], keys["data"]): number(row) for row, keys in cells("joel2021") if row["table"] == "1"}
    for name in ("mammogram", "mri"):
        for attack in ("PGD", "BIM"):
            assert table[f"{attack} 0.006", name] == 100 - table["Baseline", name]
    assert table["FGSM 0.006", "ct"] > table["FGSM 0.004", "ct"]


def test_the_network_called_simplest_is_the_largest() -> None:
    import torch

    from medrobust.models.zoo import build_network

    specs = ["zoo:cbr_large_t", *(f"zoo:cifar_resnet_{depth}" for depth in (8, 20, 32, 50))]
    sizes = []
    for spec in specs:
        with torch.device("meta"):
            options = {} if "cbr" in spec else {"image_size": 224}
            network = build_network(spec, num_classes=2, **options)
        sizes.append(round(sum(weights.numel() for weights in network.parameters()) / 1e6, 2))
    assert sizes == [8.54, 0.08, 0.28, 0.47, 0.77]


@pytest.mark.parametrize("study", COUNTS)
def test_the_readme_says_how_to_run_it(study: str) -> None:
    text = (STUDIES / study / "README.md").read_text(encoding="ascii")
    for profile in ("smoke", "cpu", "paper"):
        assert f"    medrobust study run studies/{study} --profile {profile} --out DIR\n" in text
    assert "    medrobust study check DIR\n" in text
    assert f"{sum(COUNTS[study].values())} results" in text
