"""How each library is asked: every function returns run(net, x, y) -> named tensors. For make.py only."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

Run = Callable[[nn.Module, Tensor, Tensor], dict[str, Tensor]]
DISTANCE = {"linf": float("inf"), "l2": 2.0, "l1": 1.0}


class Asked:
    """The inputs that a network is asked about: the first is a peer's start, the last its last point."""

    def __init__(self, net: nn.Module) -> None:
        self.inputs: list[Tensor] = []
        self._hook = net.register_forward_pre_hook(lambda _, args: self.inputs.append(args[0].detach().clone()))

    def __enter__(self) -> list[Tensor]:
        return self.inputs

    def __exit__(self, *_: object) -> None:
        self._hook.remove()


def _distances(net: nn.Module, x: Tensor, y: Tensor, x_adv: Tensor, norm: str) -> dict[str, Tensor]:
    size = torch.linalg.vector_norm((x_adv - x).flatten(1), ord=DISTANCE[norm], dim=1)
    wrong = net(x_adv).argmax(1) != y
    return {"x_adv": x_adv, "distance": torch.where(wrong, size, torch.inf)}


def torchattacks_run(name: str, parameters: dict[str, Any], least_likely: bool) -> Run:
    import torchattacks

    def run(net: nn.Module, x: Tensor, y: Tensor) -> dict[str, Tensor]:
        attack = getattr(torchattacks, name)(net, **parameters)
        if least_likely:
            attack.set_mode_targeted_least_likely(quiet=True)
        torch.manual_seed(0)
        with Asked(net) as inputs:
            x_adv = attack(x, y)
        # In the least-likely mode the first question is about the clean images.
        return {"x_adv": x_adv, "start": inputs[1 if least_likely else 0]}

    return run


def advlib_pgd(epsilon: list[float], step_size: float, loss: str) -> Run:
    from adv_lib.attacks import pgd_linf

    def run(net: nn.Module, x: Tensor, y: Tensor) -> dict[str, Tensor]:
        torch.manual_seed(0)
        radius = torch.tensor(epsilon).expand(len(x)).clone()
        with Asked(net) as inputs:
            pgd_linf(net, x, y, radius, steps=11, absolute_step_size=step_size, loss_function=loss)
        return {"x_adv": inputs[10], "start": inputs[0]}

    return run


def foolbox_bim(epsilon: float, step_size: float) -> Run:
    import foolbox

    def run(net: nn.Module, x: Tensor, y: Tensor) -> dict[str, Tensor]:
        attack = foolbox.attacks.LinfBasicIterativeAttack(abs_stepsize=step_size, steps=10, random_start=False)
        model = foolbox.PyTorchModel(net, bounds=(0, 1), device="cpu")
        return {"x_adv": attack.run(model, x.clone(), y, epsilon=epsilon)}

    return run


def art_bim(epsilon: float, step_size: float) -> Run:
    from art.attacks.evasion import ProjectedGradientDescentPyTorch
    from art.estimators.classification import PyTorchClassifier

    def run(net: nn.Module, x: Tensor, y: Tensor) -> dict[str, Tensor]:
        classes = net(x).shape[1]
        model = PyTorchClassifier(
            net, nn.CrossEntropyLoss(), tuple(x.shape[1:]), classes, clip_values=(0, 1), device_type="cpu"
        )
        attack = ProjectedGradientDescentPyTorch(model, eps=epsilon, eps_step=step_size, max_iter=10, verbose=False)
        return {"x_adv": torch.from_numpy(attack.generate(x.numpy(), y.numpy()))}

    return run


def cleverhans_bim(epsilon: float, step_size: float) -> Run:
    from cleverhans.torch.attacks.projected_gradient_descent import projected_gradient_descent

    def run(net: nn.Module, x: Tensor, y: Tensor) -> dict[str, Tensor]:
        x_adv = projected_gradient_descent(
            net,
            x,
            epsilon,
            step_size,
            10,
            float("inf"),
            clip_min=0.0,
            clip_max=1.0,
            y=y,
            rand_init=False,
            sanity_checks=False,
        )
        return {"x_adv": x_adv.detach()}

    return run


def apgd_run(loss: str, norm: str, epsilon: float, num_steps: int) -> Run:
    from pyautoattack.autopgd_base import APGDAttack, APGDAttack_targeted

    def run(net: nn.Module, x: Tensor, y: Tensor) -> dict[str, Tensor]:
        options: dict[str, Any] = {"n_iter": num_steps, "norm": norm, "eps": epsilon, "device": "cpu"}
        if loss == "dlr-targeted":
            attack = APGDAttack_targeted(net, **options)
            attack.y_target = net(x).scatter(1, y[:, None], -torch.inf).argmax(1)
        else:
            attack = APGDAttack(net, loss=loss, **options)
        attack.init_hyperparam(x)
        torch.manual_seed(0)
        with Asked(net) as inputs:
            best, _, value, _ = attack.attack_single_run(x.clone(), y)
        return {"x_adv": best.detach(), "value": value, "start": inputs[0]}

    return run


def advlib_smallest(name: str, **parameters: Any) -> Run:
    import adv_lib.attacks

    norm = {1: "l1", float("inf"): "linf"}.get(parameters.get("norm", 2), "l2")

    def run(net: nn.Module, x: Tensor, y: Tensor) -> dict[str, Tensor]:
        torch.manual_seed(0)
        attack = getattr(adv_lib.attacks, name)
        return _distances(net, x, y, attack(net, x.clone(), y.clone(), **parameters).detach(), norm)

    return run


def foolbox_smallest(name: str, **parameters: Any) -> Run:
    import foolbox

    def run(net: nn.Module, x: Tensor, y: Tensor) -> dict[str, Tensor]:
        torch.manual_seed(0)
        model = foolbox.PyTorchModel(net, bounds=(0, 1), device="cpu")
        right = net(x).argmax(1) == y
        x_adv = x.clone()
        attack = getattr(foolbox.attacks, name)(**parameters)
        x_adv[right] = attack.run(model, x[right].clone(), foolbox.criteria.Misclassification(y[right]))
        return _distances(net, x, y, x_adv, "l2")

    return run


def fab_run(norm: str, num_targets: int) -> Run:
    from pyautoattack.fab_pt import FABAttack_PT

    def run(net: nn.Module, x: Tensor, y: Tensor) -> dict[str, Tensor]:
        attack = FABAttack_PT(net, norm=norm, n_iter=50, device="cpu")
        tried = []
        for target in range(2, 2 + num_targets) if num_targets else (None,):
            attack.target_class = target
            tried.append(
                _distances(net, x, y, attack.attack_single_run(x, y, is_targeted=target is not None), norm.lower())
            )
        best = torch.stack([one["distance"] for one in tried]).argmin(0)
        rows = torch.arange(len(x))
        return {key: torch.stack([one[key] for one in tried])[best, rows] for key in ("x_adv", "distance")}

    return run


def square_run(norm: str, epsilon: float) -> Run:
    from pyautoattack.square import SquareAttack

    def run(net: nn.Module, x: Tensor, y: Tensor) -> dict[str, Tensor]:
        x_adv = SquareAttack(net, norm=norm, n_queries=2000, eps=epsilon, device="cpu").perturb(x, y)
        return {"x_adv": x_adv, "reached": net(x_adv).argmax(1) != y}

    return run


def autoattack_run(norm: str, epsilon: float) -> Run:
    from pyautoattack import AutoAttack

    def run(net: nn.Module, x: Tensor, y: Tensor) -> dict[str, Tensor]:
        attack = AutoAttack(net, norm=norm, eps=epsilon, seed=0, version="standard", device="cpu")
        attack.apgd_targeted.n_target_classes = attack.fab.n_target_classes = net(x).shape[1] - 1
        x_adv, _ = attack.run_standard_evaluation(x, y)
        return {"x_adv": x_adv, "reached": net(x_adv).argmax(1) != y}

    return run
