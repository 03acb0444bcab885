"""What is measured: refused before anything runs where it cannot be right, and the same from Python and the command."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
import torch

import medrobust as mr
from measuring.toys import EPSILONS, image_set, linear, small_net
from medrobust.attacks import bim, deepfool, fgsm, mi_fgsm, pgd, restarts, worst_case
from medrobust.attacks.build import describe
from medrobust.auditing.audit import run_audit
from medrobust.auditing.setup import Setup
from medrobust.engine.keep import FirstReached, Last
from medrobust.errors import UserError
from medrobust.goals import least_likely, targeted
from medrobust.measuring import Grid, Plan, measure
from medrobust.recipes.audit import AuditRecipe
from medrobust.recipes.parts import DataSpec, ModelSpec, ThreatSpec
from medrobust.records import Records

GRID = Grid("linf", EPSILONS)


def test_a_norm_that_an_attack_is_not_made_for_is_refused() -> None:
    with pytest.raises(UserError, match=r"attacks\.quick: is not made for l1\. Valid: linf, l2"):
        Plan({"pgd": pgd(), "quick": deepfool()}, (GRID, Grid("l1", (1.0,))))
    with pytest.raises(UserError, match=r"attacks\.both: is not made for l1"):
        Plan({"both": worst_case([pgd(), deepfool()])}, (Grid("l1", (1.0,)),))


def test_what_cannot_be_measured_is_refused() -> None:
    with pytest.raises(UserError, match=r"protocol: unknown protocol 'fair'\. Valid: honest, paper"):
        Plan({"fgsm": fgsm()}, (GRID,), protocol="fair")
    with pytest.raises(UserError, match="attacks: none given"):
        Plan({}, (GRID,))
    with pytest.raises(UserError, match="no budget"):
        Plan({"fgsm": fgsm()}, ())


def test_honest_keeps_a_point_that_won_and_paper_runs_attacks_as_published() -> None:
    given = {"pgd": pgd(), "twice": restarts(bim(), 2), "deepfool": deepfool()}
    honest, paper = Plan(given, (GRID,)), Plan(given, (GRID,), protocol="paper")
    assert isinstance(honest.runs["pgd"].keep, FirstReached)
    assert [type(part.keep) for part in honest.runs["twice"].attacks] == [FirstReached, FirstReached]
    assert honest.runs["deepfool"] == given["deepfool"]
    assert dict(paper.attacks) == given
    assert isinstance(paper.runs["pgd"].keep, Last)
    assert (honest.honest, paper.honest) == (True, False)


def test_goals_are_named_for_the_rows() -> None:
    attacks = {"a": pgd(), "b": pgd(goal=least_likely()), "c": bim(goal=targeted(1))}
    assert Plan(attacks, (GRID,)).goals == {"a": "untargeted", "b": "least_likely", "c": "targeted:1"}


def rows(records: Records) -> dict[str, list]:
    return {name: column.tolist() for name, column in records.columns.items()}


@pytest.mark.parametrize("protocol", ["honest", "paper"])
def test_python_and_the_command_measure_the_same_rows(protocol: str, tmp_path: Path) -> None:
    """Long steps oscillate about the boundary: what is kept decides whether an attack wins."""
    model, images = small_net(), image_set(12, 3)
    attacks = {
        "mi": mi_fgsm(num_steps=4, relative_step_size=1.0),
        "fgsm": fgsm(),
        "twice": restarts(pgd(num_steps=3), 2),
    }
    face = mr.measure(model, images, attacks, linf=list(EPSILONS), protocol=protocol, batch_size=8)
    recipe = AuditRecipe(
        model=ModelSpec(name="toy"),
        data=DataSpec(split="all"),
        attacks={title: describe(attack) for title, attack in attacks.items()},
        threat=ThreatSpec(epsilons=EPSILONS),
        protocol=protocol,  # type: ignore[arg-type]
    )
    plan = Plan(attacks, (GRID,), protocol, batch_size=8)
    folder = run_audit(Setup(recipe, model, images, plan, {}), tmp_path / "run", "", checks=[])
    command = Records.read(folder / "records.parquet")
    assert rows(face) == rows(command)
    assert face.protocol == command.protocol == protocol


def test_a_point_that_won_is_kept_from_python() -> None:
    model, images = linear(), image_set(16)
    paper = mr.measure(model, images, {"odd": _ThereAndBack()}, linf=[0.2], protocol="paper")
    honest = mr.measure(model, images, {"odd": _ThereAndBack()}, linf=[0.2])
    right = paper.clean["prediction"] == paper.clean["label"]
    assert right.sum() > 4
    assert not paper.where(attack="odd")["reached"][right].any()
    assert honest.where(attack="odd")["reached"].all()


class _ThereAndBack:
    """An attack that wins on its way and returns the image, unless it is asked to keep what won."""

    goal = staticmethod(pgd().goal)

    def __init__(self, keep: bool = False) -> None:
        self.keep = keep

    @property
    def abilities(self):
        from medrobust.engine.abilities import Abilities

        return Abilities(keeping=None if self.keep else lambda: _ThereAndBack(True))

    def __call__(self, model, x, y, threat, *, generator=None):
        return bim()(model, x, y, threat) if self.keep else x.clone()


def test_measuring_does_not_change_the_model_or_global_random_numbers() -> None:
    model = small_net().train()
    state, random = {k: v.clone() for k, v in model.state_dict().items()}, torch.get_rng_state()
    measure(model, image_set(6, 3), Plan({"pgd": pgd(num_steps=3)}, (GRID,)))
    assert model.training
    assert all(p.requires_grad and p.grad is None for p in model.parameters())
    assert all(torch.equal(value, state[name]) for name, value in model.state_dict().items())
    assert torch.equal(random, torch.get_rng_state())


def test_another_protocol_of_a_plan_runs_the_attacks_as_given() -> None:
    honestly = Plan({"pgd": pgd()}, (GRID,))
    published = dataclasses.replace(honestly, protocol="paper")
    assert published.attacks == honestly.attacks == {"pgd": pgd()}
    assert isinstance(published.runs["pgd"].keep, Last)
    assert isinstance(dataclasses.replace(published, protocol="honest").runs["pgd"].keep, FirstReached)
