"""Makes apgd_double.npz: long runs of the original Auto-PGD in double precision. Run in the environment of the peers.

    python tests/attacks/make_apgd_double.py

In single precision long runs wander: equal magnitudes tie in l1, losses tie on plateaus, and roundings decide. In
double precision ours must agree with the original on every image on which the original agrees with itself when the
pixels come in reverse order; the others are marked.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch
from pyautoattack import autopgd_base
from torch import Tensor, nn

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent / "golden"))
from nets import made  # noqa: E402

NUM_STEPS = 60
EPSILON = {"Linf": 6 / 255, "L2": 0.06, "L1": 2.5}
# Linf and L2 far from black and white; L1 at the edges, without which its best change is one pixel.
NET = {"Linf": "inside", "L2": "inside", "L1": "five"}
RUNS = [(norm, loss) for norm in EPSILON for loss in ("ce", "dlr", "dlr-targeted")] + [("L1", "ce-from-larger-balls")]


@contextmanager
def reversed_draws(reverse: bool) -> Iterator[None]:
    """The global generator draws every image with its columns in reverse order."""
    drawn = {name: getattr(torch, name) for name in ("rand", "randn", "randn_like")}
    try:
        for name, function in drawn.items():
            if reverse:
                setattr(torch, name, lambda *args, function=function: function(*args).flip(-1))
        yield
    finally:
        for name, function in drawn.items():
            setattr(torch, name, function)


def asked(net: nn.Module, x: Tensor, y: Tensor, norm: str, loss: str, reverse: bool) -> tuple[Tensor, Tensor]:
    """The first point that the original asks about, and the losses (n,) that it reaches."""
    inputs: list[Tensor] = []

    def model(x: Tensor) -> Tensor:
        inputs.append(x.detach().clone())
        return net(x.flip(-1) if reverse else x)

    x = x.flip(-1) if reverse else x.clone()
    kind = autopgd_base.APGDAttack_targeted if loss == "dlr-targeted" else autopgd_base.APGDAttack
    options = {} if loss == "dlr-targeted" else {"loss": loss.split("-")[0]}
    epsilon = EPSILON[norm]
    attack = kind(model, n_iter=NUM_STEPS, norm=norm, eps=epsilon, device="cpu", **options)
    attack.init_hyperparam(x)
    if loss == "dlr-targeted":
        attack.y_target = model(x).scatter(1, y[:, None], -torch.inf).argmax(1)
    inputs.clear()
    torch.manual_seed(0)
    with reversed_draws(reverse):
        if loss == "ce-from-larger-balls":
            part = int(0.3 * NUM_STEPS)
            lengths = [part, part, NUM_STEPS - 2 * part]
            value = attack.decr_eps_pgd(x, y, [3 * epsilon, 2 * epsilon, epsilon], lengths)[2]
        else:
            value = attack.attack_single_run(x, y)[2]
    return inputs[0], value


def main() -> None:
    torch.set_num_threads(1)
    torch.set_default_dtype(torch.float64)
    # The original projects on the l1 ball in single precision.
    torch.Tensor.float = torch.Tensor.double
    arrays: dict[str, Tensor] = {}
    nets = {}
    for name in sorted(set(NET.values())):
        net, x, y = made(name, 0)
        # The last image is wrong from the start: AutoAttack would not attack it.
        nets[name] = net, x, y = net.double(), x[:6].double(), y[:6]
        arrays |= {f"{name}.weights.{key}": value for key, value in net.state_dict().items()}
        arrays |= {f"{name}.x": x, f"{name}.y": y}
    runs = []
    for number, (norm, loss) in enumerate(RUNS):
        net, x, y = nets[NET[norm]]
        start, value = asked(net, x, y, norm, loss, reverse=False)
        again = asked(net, x, y, norm, loss, reverse=True)[1]
        stable = (value - again).abs() <= 1e-9 * (1 + value.abs())
        arrays |= {f"{number}.start": start, f"{number}.value": value, f"{number}.stable": stable}
        runs.append({"norm": norm.lower(), "loss": loss, "epsilon": EPSILON[norm], "net": NET[norm]})
        print(norm, loss, "agrees with itself on", int(stable.sum()), "of", len(x))
    library = "pyautoattack"
    meta = {"library": library, "version": version(library), "torch": torch.__version__, "num_steps": NUM_STEPS}
    path = HERE / "apgd_double.npz"
    values = {key: value.numpy() for key, value in arrays.items()}
    np.savez_compressed(path, meta=json.dumps(meta | {"runs": runs}), **values)
    print(path.name, round(path.stat().st_size / 1024, 1), "KB")


if __name__ == "__main__":
    main()
