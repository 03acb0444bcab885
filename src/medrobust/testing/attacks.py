"""What every attack must do, whoever wrote it. A check raises AssertionError and says what is broken."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import torch
from torch import nn

from ..attacks.base import Attack
from ..goals import Goal
from ..streams import Streams
from . import claims
from .models import HEADS
from .setting import SHAPES, AttackCase, assert_equal_losses, assert_inside, setting


def says_its_goal(case: AttackCase) -> None:
    """`attack.goal(logits, y)` is the goal of each image, so that others can tell whether it got there."""
    given = setting(case.norms[0])
    goal = case.attack.goal(given.model(given.x).detach(), given.y)
    assert goal.reached(given.model(given.x)).shape == given.y.shape, "the goal does not judge each image"


def stays_inside(case: AttackCase) -> None:
    """The result is in the ball and the domain, whatever the domain."""
    for norm in case.norms:
        for domain in ((0.0, 1.0), (-1.0, 1.0), (0.0, 255.0)):
            given = setting(norm, domain=domain)
            assert_inside(given, given.run(case), f"{norm} on {domain}")


def changes_images(case: AttackCase) -> None:
    """The attack is not the identity."""
    for norm in case.norms:
        given = setting(norm)
        assert not torch.equal(given.run(case), given.x), f"{norm}: nothing was changed"


def lowers_accuracy(case: AttackCase) -> None:
    """Correct answers become wrong ones."""
    for norm in case.norms:
        given = setting(norm)
        reached = Goal(given.y, False).reached(given.model(given.run(case)))
        assert bool(reached.any()), f"{norm}: no answer changed"


def leaves_inputs_alone(case: AttackCase) -> None:
    """x, y, epsilon and mask are as before."""
    for norm in case.norms:
        given = setting(norm)
        epsilon = torch.full((len(given.x),), float(given.threat.epsilon))
        mask = torch.ones(given.x.shape, dtype=torch.bool)
        mask_or_none = mask if given.threat.norm.has_slope else None
        given = replace(given, threat=replace(given.threat, epsilon=epsilon, mask=mask_or_none))
        tensors = (given.x, given.y, epsilon, mask, given.streams.keys)
        before = [tensor.clone() for tensor in tensors]
        x_adv = given.run(case)
        assert all(map(torch.equal, tensors, before)), f"{norm}: an argument was modified in place"
        x_adv.add_(1)
        assert torch.equal(given.x, before[0]), f"{norm}: the result shares the memory of x"


def leaves_model_alone(case: AttackCase) -> None:
    """No gradients on parameters, no change of weights, buffers, modes, or what needs a gradient."""
    given = setting(case.norms[0])
    quiet = nn.Identity().train()
    given.model.add_module("quiet", quiet)
    next(given.model.parameters()).requires_grad_(False)

    def state() -> list[object]:
        modes = [module.training for module in given.model.modules()]
        return [modes, [(p.requires_grad, p.grad is None) for p in given.model.parameters()]]

    before, weights = state(), {name: value.clone() for name, value in given.model.state_dict().items()}
    given.run(case)
    assert state() == before, "modes, gradients or requires_grad of the model changed"
    after = given.model.state_dict()
    assert all(torch.equal(weights[name], after[name]) for name in weights), "weights or buffers of the model changed"


def zero_budget_changes_nothing(case: AttackCase) -> None:
    """epsilon = 0 returns x."""
    for norm in case.norms:
        given = setting(norm)
        given = replace(given, threat=replace(given.threat, epsilon=0.0))
        assert torch.equal(given.run(case), given.x), f"{norm}: changed an image with no budget"


def budgets_are_per_sample(case: AttackCase) -> None:
    """A vector of equal budgets is a scalar, and a sample gets the same beside samples of other budgets."""
    for norm in case.norms:
        given = setting(norm)
        x_adv = given.run(case)
        equal = torch.full((len(given.x),), float(given.threat.epsilon))
        same = replace(given, threat=replace(given.threat, epsilon=equal)).run(case)
        assert_equal_losses(given, x_adv, same, f"{norm}: a vector of equal budgets is not the scalar")
        odd = torch.arange(len(given.x)) % 2 == 1
        mixed = replace(given, threat=replace(given.threat, epsilon=torch.where(odd, equal / 10, equal)))
        found = mixed.run(case)
        assert_inside(mixed, found, f"{norm}: budgets per sample")
        expected = torch.where(odd.reshape(-1, *[1] * (found.ndim - 1)), found, x_adv)
        assert_equal_losses(given, found, expected, f"{norm}: the budget of a neighbor matters")


def batches_do_not_matter(case: AttackCase) -> None:
    """An image alone, in a small batch or in another order meets the same success."""
    for norm in case.norms:
        given = setting(norm, num_images=6)
        x_adv = given.run(case)
        for parts in ([[0], [1, 2], [3, 4, 5]], [[5, 3, 1, 0, 2, 4]]):
            found = torch.empty_like(x_adv)
            for part in parts:
                index = torch.tensor(part)
                found[index] = given.run(case, index)
            assert_equal_losses(given, x_adv, found, f"{norm}: the result depends on the batch or its order")


def masks_hold(case: AttackCase) -> None:
    """Nothing moves outside the mask, and something moves inside; a mask (h, w) holds for the whole batch."""
    for norm in case.norms:
        given = setting(norm, num_images=4)
        if not given.threat.norm.has_slope:  # such a threat takes no mask
            continue
        each = torch.arange(given.x.numel()).reshape(given.x.shape) % 3 > 0
        for mask in (each, each[0, 0], each[:1]):
            masked = replace(given, threat=replace(given.threat, mask=mask))
            x_adv = masked.run(case)
            assert_inside(masked, x_adv, f"{norm}, masked")
            frozen = ~mask.expand(given.x.shape)
            moved = x_adv != given.x
            assert not bool(moved[frozen].any()), f"{norm}: a pixel outside the mask {tuple(mask.shape)} moved"
            assert bool(moved.any()), f"{norm}: nothing moved inside the mask"


def randomness_is_given(case: AttackCase) -> None:
    """The generator alone decides: equal ones give the same, others something else where the attack is randomized.

    The global generator is not touched.
    """
    for norm in case.norms:
        given = setting(norm)
        once = given.run(case)
        torch.manual_seed(1234)
        before = torch.get_rng_state()
        again = given.run(case)
        assert torch.equal(before, torch.get_rng_state()), f"{norm}: drew from the global generator"
        assert torch.equal(once, again), f"{norm}: two runs with equal generators differ"
        others = [replace(given, streams=Streams.of(seed, range(len(given.x)))).run(case) for seed in (1, 2)]
        varied = any(not torch.equal(once, other) for other in others)
        assert varied == case.said.randomized, (
            f"{norm}: randomized={case.said.randomized}, but other seeds say {varied}"
        )
    given = setting(case.norms[0])
    for generator in (None, 3, torch.Generator().manual_seed(3)):
        found = case.attack(given.model, given.x, given.y, given.threat, generator=generator)
        assert_inside(given, found, f"generator {generator!r}")


def works_on_every_shape(case: AttackCase) -> None:
    """Signals (n, c, l), images (n, c, h, w) and volumes (n, c, d, h, w) are attacked alike."""
    for norm in case.norms:
        for name in case.shapes:
            given = setting(norm, shape=SHAPES[name])
            x_adv = given.run(case)
            assert_inside(given, x_adv, f"{norm}: {name}")
            assert bool((given.loss(x_adv) > given.loss(given.x)).any()), f"{norm}: no gain on a {name}"


def works_with_every_head(case: AttackCase) -> None:
    """Models of two or more classes, of one logit (n, 1) and of independent labels are attacked alike."""
    for norm in case.norms:
        for head in case.heads:
            given = setting(norm, head=head)
            x_adv = given.run(case)
            assert_inside(given, x_adv, f"{norm}: {head}")
            reached = Goal(given.y, False).reached(given.model(x_adv))
            assert bool(reached.any()), f"{norm}: no answer changed with the head {head}"


def works_without_grad_mode(case: AttackCase) -> None:
    """The result is the same inside torch.no_grad(), where callers that measure are."""
    given = setting(case.norms[0])
    expected = given.run(case)
    with torch.no_grad():
        assert torch.equal(given.run(case), expected), "under torch.no_grad() the result differs"
    assert torch.is_grad_enabled(), "gradients were left disabled"


ATTACK_CHECKS: dict[str, Callable[[AttackCase], None]] = {
    check.__name__: check
    for check in (
        claims.works_in_the_norms_it_says,
        says_its_goal,
        stays_inside,
        changes_images,
        lowers_accuracy,
        leaves_inputs_alone,
        leaves_model_alone,
        zero_budget_changes_nothing,
        budgets_are_per_sample,
        batches_do_not_matter,
        masks_hold,
        randomness_is_given,
        works_on_every_shape,
        works_with_every_head,
        works_without_grad_mode,
        claims.needs_no_more_than_it_says,
        claims.reaches_as_far_as_it_says,
        claims.steps_are_steady_if_it_says_so,
        claims.says_what_is_inside,
        claims.finds_small_changes,
        claims.keeps_what_won,
    )
}


def check_attack(attack: Attack, *, heads: Sequence[str] = tuple(HEADS), shapes: Sequence[str] = tuple(SHAPES)) -> None:
    """Run every check on an attack, which says itself what it is and needs: `attack.abilities`.

    Args:
        attack: any callable of the signature; see medrobust.attacks.Attack.
        heads: names in HEADS that it supports.
        shapes: names in SHAPES that it supports: signal, image, volume.

    Errors: AssertionError that names the check and says what is broken.

    Example:
        >>> from medrobust.attacks import fgsm
        >>> check_attack(fgsm())
    """
    case = AttackCase(attack=attack, heads=heads, shapes=shapes)
    for name, check in ATTACK_CHECKS.items():
        try:
            check(case)
        except AssertionError as error:
            raise AssertionError(f"{name}: {error}") from error
        except Exception as error:  # whatever an attack may raise, the check that met it is named
            raise AssertionError(f"{name}: {type(error).__name__}: {error}") from error
