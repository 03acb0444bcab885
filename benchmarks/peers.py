"""The attacks of the peers behind one signature: attack(model, x, y, epsilon, num_steps, step_size) -> x_adv, in linf.

Each is called the way its own documentation does, with the same images, labels, budget, steps and step size. The
parameters of the model need no gradient, which spares CleverHans and ART the gradients of the weights.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from unittest.mock import patch

import torch
from torch import Tensor, nn

Bounded = Callable[[nn.Module, Tensor, Tensor, float, int, float], Tensor]


def _torchattacks(name: str) -> Bounded:
    def attack(model: nn.Module, x: Tensor, y: Tensor, epsilon: float, num_steps: int, step_size: float) -> Tensor:
        import torchattacks

        steps = {} if name == "FGSM" else {"alpha": step_size, "steps": num_steps}
        return getattr(torchattacks, name)(model, eps=epsilon, **steps)(x, y)

    return attack


def _foolbox(name: str, **options: bool) -> Bounded:
    def attack(model: nn.Module, x: Tensor, y: Tensor, epsilon: float, num_steps: int, step_size: float) -> Tensor:
        import foolbox

        steps = {} if name == "LinfFastGradientAttack" else {"abs_stepsize": step_size, "steps": num_steps}
        maker = getattr(foolbox.attacks, name)(**steps, **options)
        return maker.run(foolbox.PyTorchModel(model, bounds=(0, 1), device=x.device), x, y, epsilon=epsilon)

    return attack


def _art(name: str, **options: int) -> Bounded:
    def attack(model: nn.Module, x: Tensor, y: Tensor, epsilon: float, num_steps: int, step_size: float) -> Tensor:
        import art.attacks.evasion as evasion
        from art.estimators.classification import PyTorchClassifier

        with torch.no_grad():
            classes = model(x[:1]).shape[1]
        device = "gpu" if x.is_cuda else "cpu"
        wrapped = PyTorchClassifier(
            model, nn.CrossEntropyLoss(), tuple(x.shape[1:]), classes, clip_values=(0.0, 1.0), device_type=device
        )
        steps = {} if name == "FastGradientMethod" else {"eps_step": step_size, "max_iter": num_steps, "verbose": False}
        maker = getattr(evasion, name)(wrapped, eps=epsilon, batch_size=len(x), **steps, **options)
        return torch.from_numpy(maker.generate(x.cpu().numpy(), y.cpu().numpy())).to(x)

    return attack


def _cleverhans(random_start: bool) -> Bounded:
    def attack(model: nn.Module, x: Tensor, y: Tensor, epsilon: float, num_steps: int, step_size: float) -> Tensor:
        from cleverhans.torch.attacks.projected_gradient_descent import projected_gradient_descent as pgd

        options = {"clip_min": 0.0, "clip_max": 1.0, "y": y, "rand_init": random_start, "sanity_checks": False}
        return pgd(model, x, epsilon, min(step_size, epsilon), num_steps, float("inf"), **options).detach()

    return attack


def _advlib(random_start: bool) -> Bounded:
    def attack(model: nn.Module, x: Tensor, y: Tensor, epsilon: float, num_steps: int, step_size: float) -> Tensor:
        from adv_lib.attacks import pgd_linf

        return pgd_linf(model, x, y, epsilon, steps=num_steps, random_init=random_start, absolute_step_size=step_size)

    return attack


# ART has its own name for a number of random starts; CleverHans and adv-lib have no MI-FGSM.
LINF: dict[str, dict[str, Bounded]] = {
    "torchattacks": {
        "fgsm": _torchattacks("FGSM"),
        "bim": _torchattacks("BIM"),
        "pgd": _torchattacks("PGD"),
        "mi_fgsm": _torchattacks("MIFGSM"),
    },
    "foolbox": {
        "fgsm": _foolbox("LinfFastGradientAttack"),
        "bim": _foolbox("LinfBasicIterativeAttack"),
        "pgd": _foolbox("LinfProjectedGradientDescentAttack", random_start=True),
        "mi_fgsm": _foolbox("LinfMomentumIterativeFastGradientMethod"),
    },
    "art": {
        "fgsm": _art("FastGradientMethod"),
        "bim": _art("ProjectedGradientDescent", num_random_init=0),
        "pgd": _art("ProjectedGradientDescent", num_random_init=1),
        "mi_fgsm": _art("MomentumIterativeMethod"),
    },
    "cleverhans": {"bim": _cleverhans(False), "pgd": _cleverhans(True)},
    "adv-lib": {"bim": _advlib(False), "pgd": _advlib(True)},
}


@contextmanager
def same_noise(noise: Tensor) -> Iterator[None]:
    """torchattacks, Foolbox and ART start their PGD at x + noise, instead of at numbers of their own."""
    import eagerpy
    from foolbox.attacks.gradient_descent_base import LinfBaseGradientDescent

    art = "art.attacks.evasion.projected_gradient_descent.projected_gradient_descent_pytorch.random_sphere"
    with ExitStack() as stack:
        stack.enter_context(patch.object(torch.Tensor, "uniform_", lambda self, *_: self.copy_(noise)))
        start = lambda _, x0, epsilon: x0 + eagerpy.astensor(noise)  # noqa: E731
        stack.enter_context(patch.object(LinfBaseGradientDescent, "get_random_start", start))
        stack.enter_context(patch(art, lambda n, m, epsilon, norm: noise.cpu().numpy().reshape(n, m)))
        yield
