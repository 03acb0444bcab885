"""Named sets of attacks: what they stand for in each norm, and how they are chosen beside attacks."""

from __future__ import annotations

import pytest
import torch
from torch import nn

import medrobust as mr
from medrobust.attacks import build_attack, pgd
from medrobust.attacks.sets import SETS, choose
from medrobust.errors import UserError
from medrobust.norms import NORMS
from medrobust.recipes.audit import AuditRecipe
from medrobust.recipes.yaml import audit_recipe


@pytest.mark.parametrize("name", SETS)
def test_members_can_do_the_norm_that_they_are_listed_for(name: str) -> None:
    assert list(SETS[name]) == list(NORMS)
    for norm, members in SETS[name].items():
        assert members
        for title, parameters in members.items():
            assert norm in build_attack(title, parameters).abilities.norms


@pytest.mark.parametrize("name", SETS)
def test_a_title_means_one_attack_in_all_norms(name: str) -> None:
    chosen = choose({name: {}}, NORMS)
    assert set(chosen.attacks) == {title for members in SETS[name].values() for title in members}


def test_the_default_is_the_standard_set() -> None:
    assert AuditRecipe().attacks == {"standard": {}}
    assert "fgsm" in SETS["standard"]["linf"], "no set should be weaker than one step"


def test_what_is_named_beside_a_set_runs_as_named() -> None:
    chosen = choose({"standard": {}, "fgsm": {"loss": "margin"}, "mine": {"name": "pgd"}}, ["linf", "l1"])
    assert chosen.attacks["fgsm"] == {"loss": "margin"}
    assert chosen.attacks["mine"] == {"name": "pgd"}
    assert "fgsm" not in chosen.norms
    assert chosen.norms["smallest"] == ("linf",)


def test_a_recipe_mixes_sets_and_names() -> None:
    assert audit_recipe({"attacks": "[quick, square]"}).attacks == {"quick": {}, "square": {}}
    assert audit_recipe({"attacks": "full"}).attacks == {"full": {}}


def test_what_a_set_cannot_be_told() -> None:
    with pytest.raises(UserError, match=r"attacks\.standard: a set has no parameters"):
        choose({"standard": {"num_steps": 3}}, ["linf"])
    with pytest.raises(UserError, match="both have smallest, with other parameters"):
        choose({"standard": {}, "quick": {}}, ["linf"])
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
    with pytest.raises(UserError, match=r"attacks\.smallest: is not made for l1"):
        mr.measure(network(), images(), ["smallest"], l1=[1.0])


def test_a_report_says_which_set_it_was(tmp_path) -> None:
    run = mr.audit(network(), images(), "quick", linf=["1/255"], l1=[1.0], out=tmp_path / "audit")
    how = run.content["protocol"]
    assert how["set"] == "quick"
    assert how["attacks"]["smallest"]["norms"] == ["linf"]
    assert "norms" not in how["attacks"]["fgsm"]
    page = run.report.read_text()
    assert "run in linf only" in page
