"""Where the adversary may write: nothing outside a mask moves, and a mask never makes an image easier to break."""

import numpy as np
import pytest
import torch

from medrobust import measure as measure_face
from medrobust.attacks import ATTACKS, build_attack
from medrobust.attacks.honest import honest
from medrobust.data import ImageSet
from medrobust.errors import UserError
from medrobust.goals import or_wrong
from medrobust.measuring.measure import _outcome, measure
from medrobust.measuring.outcome import Grid
from medrobust.measuring.plan import Plan
from medrobust.measuring.search_model import make_search_model
from medrobust.measuring.subjects import Subjects, allowed
from medrobust.norms import NORMS
from medrobust.streams import Streams
from medrobust.threat import Threat

from .toys import SIDE, exact_distance, linear, of_bits, small_net

BUDGETS = {"linf": (0.02, 0.1), "l2": (0.1, 0.4), "l1": (0.5, 2.0)}
FEW = {"num_queries": 60, "num_steps": 6, "num_draws": 3, "num_restarts": 1, "max_queries": 60}


def few(name: str):
    """An attack of few steps, as a contract is kept by every one of them."""
    import inspect

    known = inspect.signature(ATTACKS[name]).parameters
    return build_attack(name, {key: value for key, value in FEW.items() if key in known and name != "fgsm"})


def masked_set(n: int = 6, empty: bool = True) -> ImageSet:
    """Images in the middle of the range, each with a mask of its own; the mask of the last covers nothing."""
    g = torch.Generator().manual_seed(0)
    x = 0.35 + 0.3 * torch.rand(n, 1, SIDE, SIDE, generator=g)
    mask = torch.rand(n, 1, SIDE, SIDE, generator=g) < 0.5
    if empty:
        mask[-1] = False
    return ImageSet.of(x, torch.arange(n) % 3, masks=mask, classes=["c0", "c1", "c2"])


@pytest.mark.parametrize("name", sorted(set(ATTACKS) - {"worst_corruption"}))  # which takes no mask
def test_no_pixel_outside_the_mask_moves_in_any_attack_and_norm(name):
    images, model = masked_set(), small_net(3)
    x, indices = images.batch(range(len(images))).x, range(len(images))
    attack = few(name)
    for where in ("lesion", "background"):
        mask = allowed(images, indices, where)
        frozen = ~mask.expand(x.shape)
        for norm in attack.abilities.norms:
            grid = Grid(norm, BUDGETS[norm])
            plan = Plan({name: attack}, (grid,), batch_size=4, mask=where)
            with model.frozen():
                logits = model(x).detach()
                y, streams = logits.argmax(1), Streams.of(0, [s.image_id for s in images.samples])
                threat = Threat(epsilon=grid.epsilons[-1], norm=NORMS[norm], mask=mask)
                tried = attack(model, x, y, threat, generator=streams)
                search, _ = make_search_model(model, images, plan, None)
                goal = or_wrong(attack.goal)(logits, y)
                subjects = Subjects(x, y, goal, logits, of_bits([8] * len(x)), streams, mask)
                outcome = _outcome(honest(attack), subjects, grid, search, plan)
            for points in (tried, outcome.points):
                assert not bool((points.double() - x.double())[frozen].any()), (name, norm, where)
            if where == "lesion":  # the mask of the last image covers nothing: no success, no change
                assert not bool(outcome.reached[-1].any())
                assert torch.equal(tried[-1], x[-1])


def test_masked_budgets_are_those_of_the_closed_form():
    """The smallest budget of a linear model is |margin| / sum of |w| over the pixels that may change."""
    images, model = masked_set(24, empty=False), linear(2)
    images = images.replace(
        samples=tuple(s.__class__(s.image_id, None, 0, s.group_id, frame=s.frame) for s in images.samples)
    )
    x = images.batch(range(len(images))).x
    grid = Grid("linf", tuple(np.geomspace(1e-3, 0.3, 40).tolist()))
    layer = model.network[1]
    w = (layer.weight[1] - layer.weight[0]).detach().double().abs()
    for where in ("lesion", "background"):
        records, _ = measure(model, images, Plan({"pgd": build_attack("pgd")}, (grid,), mask=where))
        assert records.mask == where
        assert where in repr(records)
        inside = allowed(images, range(len(images)), where).flatten(1).double() @ w
        expected = (exact_distance(model, x) * w.sum() / inside).detach().numpy()
        flip = records.sensitivity("linf").epsilon_flip
        for found, least in zip(flip, expected, strict=True):
            above = [e for e in grid.epsilons if e >= least * (1 + 1e-5)]
            assert found == (above[0] if above else np.inf)


def test_robust_accuracy_with_a_mask_is_never_below_that_without():
    images, model = masked_set(24, empty=False), small_net(3)
    with torch.no_grad():
        labels = model(images.batch(range(24)).x).argmax(1)
    images = ImageSet.of(images.batch(range(24)).x, labels, masks=images.masks.values, classes=["c0", "c1", "c2"])
    found = {}
    for where in (None, "lesion", "background"):
        found[where] = measure_face(
            model, images, ["fgsm", "pgd", "smallest"],
            linf=[0.01, 0.03, 0.1], l2=[0.05, 0.15, 0.5], mask=where,
        )  # fmt: skip
    for norm in ("linf", "l2"):
        free = found[None].worst_case(norm).correct
        assert 0 < free.mean() < 1  # budgets at which a difference can show
        for where in ("lesion", "background"):
            masked = found[where].worst_case(norm).correct
            assert (masked >= free).all(), (norm, where)
            assert masked.mean() > free.mean()


def test_rows_do_not_depend_on_batches_with_masks():
    images, model = masked_set(9, empty=False), small_net(3)
    plan = {"attacks": {"apgd": few("apgd")}, "grids": (Grid("linf", BUDGETS["linf"]),), "mask": "lesion"}
    one, _ = measure(model, images, Plan(**plan, batch_size=9))
    other, _ = measure(model, images, Plan(**plan, batch_size=2))
    assert one["reached"].tolist() == other["reached"].tolist()


def test_images_without_masks_are_refused_before_anything_is_attacked():
    x = torch.rand(4, 1, SIDE, SIDE)
    with pytest.raises(UserError, match="have no masks"):
        measure_face(small_net(2), ImageSet.of(x, torch.arange(4) % 2, classes=["c0", "c1"]), ["fgsm"], mask="lesion")
    with pytest.raises(UserError, match="unknown mask 'tumor'"):
        measure_face(small_net(3), masked_set(), ["fgsm"], mask="tumor")
