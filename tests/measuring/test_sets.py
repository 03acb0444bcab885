"""Named sets of attacks: what they stand for in each norm, and how they are chosen beside attacks."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import nn

import medrobust as mr
from measuring.toys import of_bits
from medrobust.attacks import Attack, build_attack, pgd, smallest
from medrobust.attacks.combine import Scouted
from medrobust.attacks.sets import SETS, choose
from medrobust.auditing.setup import resolve
from medrobust.errors import UserError
from medrobust.goals import Goal
from medrobust.measuring.bisect import bisect
from medrobust.measuring.outcome import Grid
from medrobust.measuring.search_model import SearchModel
from medrobust.measuring.subjects import Subjects
from medrobust.measuring.sweep import Effort
from medrobust.norms import NORMS
from medrobust.numbers import FAMILIES
from medrobust.recipes.audit import AuditRecipe
from medrobust.recipes.yaml import audit_recipe
from medrobust.records.curves import worst_case
from medrobust.streams import Streams


@pytest.mark.parametrize("name", SETS)
def test_members_can_do_the_norm_that_they_are_listed_for(name: str) -> None:
    assert list(SETS[name]) == [*NORMS, *FAMILIES]
    for norm, members in SETS[name].items():
        assert members
        for title, parameters in members.items():
            assert norm in build_attack(title, parameters).abilities.norms


@pytest.mark.parametrize("name", SETS)
def test_a_title_means_one_attack_in_all_norms(name: str) -> None:
    chosen = choose({name: {}}, [*NORMS, *FAMILIES])
    assert set(chosen.attacks) == {title for members in SETS[name].values() for title in members}


def test_the_default_is_the_standard_set() -> None:
    assert AuditRecipe().attacks == {"standard": {}}
    assert "fgsm" in SETS["standard"]["linf"], "no set should be weaker than one step"


def test_what_is_named_beside_a_set_runs_as_named() -> None:
    chosen = choose({"standard": {}, "fgsm": {"loss": "margin"}, "mine": {"name": "pgd"}}, ["linf", "l1"])
    assert chosen.attacks["fgsm"] == {"loss": "margin"}
    assert chosen.attacks["mine"] == {"name": "pgd"}
    assert "fgsm" not in chosen.norms
    assert chosen.norms["smallest_apgd"] == ("linf",)


def test_a_recipe_mixes_sets_and_names() -> None:
    assert audit_recipe({"attacks": "[quick, square]"}).attacks == {"quick": {}, "square": {}}
    assert audit_recipe({"attacks": "full"}).attacks == {"full": {}}


def test_what_a_set_cannot_be_told() -> None:
    with pytest.raises(UserError, match=r"attacks\.standard: a set has no parameters"):
        choose({"standard": {"num_steps": 3}}, ["linf"])
    with pytest.raises(UserError, match="both have smallest_t, with other parameters"):
        choose({"full": {}, "quick": {}}, ["linf"])
    with pytest.raises(UserError, match="Did you mean 'standard'"):
        build_attack("standrad")


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Flatten(), nn.Linear(16, 8), nn.Tanh(), nn.Linear(8, 3))


def images() -> mr.ImageSet:
    x = torch.rand(6, 1, 4, 4, generator=torch.Generator().manual_seed(0))
    return mr.ImageSet.of(x, torch.arange(6) % 3)


def test_every_member_runs_in_its_norms_and_no_other() -> None:
    records = mr.measure(network(), images(), ["quick", pgd()], linf=["1/255", "8/255"], l1=[1.0])
    expected = {(title, norm) for norm in ("linf", "l1") for title in SETS["quick"][norm]}
    assert set(records.cells) == expected | {("pgd", "linf"), ("pgd", "l1")}


def test_an_attack_named_by_itself_is_still_refused_in_a_foreign_norm() -> None:
    with pytest.raises(UserError, match=r"attacks\.deepfool: is not made for l1"):
        mr.measure(network(), images(), ["deepfool"], l1=[1.0])


def test_a_report_says_which_set_it_was(tmp_path, monkeypatch) -> None:
    members = {"fgsm": {}, "deepfool": {}}
    monkeypatch.setitem(SETS, "quick", {"linf": members, "l2": members, "l1": {"fgsm": {}}})
    run = mr.audit(network(), images(), "quick", linf=["1/255"], l1=[1.0], out=tmp_path / "audit")
    how = run.content["protocol"]
    assert how["set"] == "quick"
    assert how["attacks"]["deepfool"]["norms"] == ["linf"]
    assert "norms" not in how["attacks"]["fgsm"]
    page = run.report.read_text()
    assert "run in linf only" in page


REFERENCE = {"apgd_ce": {"num_steps": 40}, "apgd_dlr": {"num_steps": 40}, "fmn": {}, "fab": {"num_steps": 20}}
BUDGETS = {"linf": ["1/255", "2/255", "3/255"], "l2": [0.1, 0.2, 0.4], "l1": [1.0, 2.0, 4.0]}


@pytest.mark.slow
@pytest.mark.parametrize("norm", NORMS)
def test_the_default_is_as_strong_as_longer_searches_on_the_bundled_classifier(norm: str) -> None:
    """At every budget as few images stand as after the worst of APGD, FMN and FAB, or one of 100 more."""
    setup = resolve(audit_recipe({"data": {"limit": 100, "split": "all"}, "device": "cpu"}))
    given = {norm: BUDGETS[norm], "precision": "float32", "batch_size": 50, "device": "cpu"}
    ours = worst_case(mr.measure(setup.model, setup.images, **given), norm)
    theirs = worst_case(mr.measure(setup.model, setup.images, REFERENCE, **given), norm)
    assert 0.05 < ours.envelope[:, 1].mean() < 0.95
    assert bool((ours.envelope.sum(0) <= theirs.envelope.sum(0) + 1).all())


def test_the_default_is_as_strong_as_apgd_on_a_few_images_of_the_bundled_classifier() -> None:
    """One of 12 images more may stand."""
    setup = resolve(audit_recipe({"data": {"limit": 12, "split": "all"}, "device": "cpu"}))
    given = {"l1": [1.0, 2.0, 4.0], "precision": "float32", "batch_size": 12, "device": "cpu"}
    ours = mr.measure(setup.model, setup.images, **given)
    theirs = worst_case(mr.measure(setup.model, setup.images, {"apgd_ce": {"num_steps": 40}}, **given), "l1")
    left = worst_case(ours, "l1").envelope.sum(0)
    assert bool((left <= theirs.envelope.sum(0) + 1).all())
    assert int(left[0]) > 0


def test_a_scout_goes_first_and_whole_runs_follow_below_it() -> None:
    """One image is broken by the scout at the third of four budgets; the attack is asked at the second, and fails."""
    shown: list[tuple[str, float]] = []

    def watched(attack: Attack, name: str) -> Attack:
        def run(model, x, y, threat, *, generator=None):
            shown.append((name, round(float(threat.epsilon.max()), 3)))
            return attack(model, x, y, threat, generator=generator)

        run.goal, run.abilities = attack.goal, replace(attack.abilities, program=None)
        return run

    def model(x: torch.Tensor) -> torch.Tensor:
        z = (x - 0.5).flatten(1).mean(1)
        return torch.stack([-z, z - 0.06], 1)  # a change of .03 in all pixels

    x, y = torch.full((1, 1, 4, 4), 0.5), torch.zeros(1, dtype=torch.long)
    subjects = Subjects(x, y, Goal(y, False), model(x), of_bits([8]), Streams.of(0, range(1)))
    attack = Scouted(watched(pgd(num_steps=4), "pgd"), watched(smallest(num_steps=20), "scout"))
    grid = Grid("linf", (0.01, 0.02, 0.04, 0.1))
    outcome = bisect(attack, subjects, grid, SearchModel(model, model), Effort())
    assert shown == [("scout", 0.1), ("pgd", 0.02)]
    assert outcome.reached.tolist() == [[False, False, True, True]]


def test_a_scout_looks_for_the_smallest_change() -> None:
    made = build_attack("apgd", {"scout": "smallest", "num_steps": 3})
    assert made.abilities.scout == smallest()
    assert made.abilities.norms == ("linf", "l2", "l1")
    with pytest.raises(UserError, match=r"attacks\.apgd\.scout: an attack that goes before others"):
        build_attack("apgd", {"scout": "pgd"})
    with pytest.raises(UserError, match=r"attacks\.apgd\.scout: 3 is neither"):
        build_attack("apgd", {"scout": 3})
