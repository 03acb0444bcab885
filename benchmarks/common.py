"""What the comparisons share: model, images, exact counts, medians of interleaved runs, results with their machine."""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import platform
import statistics
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from importlib import metadata
from pathlib import Path
from time import perf_counter
from typing import Any, Generic, TypeVar

import torch
from torch import Tensor, nn

from medrobust.attacks import Attack
from medrobust.auditing.setup import Setup, resolve
from medrobust.goals import as_classes
from medrobust.measuring.measure import measure
from medrobust.measuring.outcome import Grid
from medrobust.numbers import DEFAULT_EPSILONS, parse_budgets
from medrobust.recipes.yaml import audit_recipe, read_recipe
from medrobust.runs import commit

RESULTS = Path(__file__).parent / "results"
PEERS = ("torchattacks", "foolbox", "adversarial-robustness-toolbox", "cleverhans", "adv-lib", "pyautoattack")
T = TypeVar("T")


class Counting(nn.Module):
    """A classifier that counts the images it is shown and the gradients that are taken through it, and nothing else."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model
        self.forwards = self.backwards = 0
        # torchattacks puts a model back into the mode that its outermost module was in.
        self.eval()

    def forward(self, x: Tensor) -> Tensor:
        self.forwards += len(x)
        logits = self.model(x)
        if logits.requires_grad:
            logits.register_hook(lambda grad: self._count(len(grad)))
        return logits

    def _count(self, n: int) -> None:
        self.backwards += n

    def counts(self) -> tuple[int, int]:
        """Forwards and backwards since the last call."""
        out = self.forwards, self.backwards
        self.forwards = self.backwards = 0
        return out


@dataclass(frozen=True)
class Job:
    """A frozen classifier, its images in memory (n, c, *spatial) on its device, labels (n,), and budgets."""

    setup: Setup
    model: Counting
    x: Tensor
    y: Tensor
    clean: Tensor
    epsilons: list[float]
    batch_size: int
    repeats: int
    arguments: argparse.Namespace

    @property
    def right(self) -> Tensor:
        """(n,) bool: images that the model classifies correctly before any attack."""
        return self.clean.argmax(1) == self.y

    def batched(self, attack: Callable[[Tensor, Tensor], Tensor], index: Tensor | None = None) -> Tensor:
        """attack(x, y) batch by batch, in order, on all images or on those at index."""
        index = torch.arange(len(self.x)) if index is None else index
        return torch.cat([attack(self.x[part], self.y[part]) for part in index.split(self.batch_size)])

    def wrong(self, x_adv: Tensor, index: Tensor | None = None) -> Tensor:
        """(m,) bool: the model answers wrongly, in float32, not counted as part of an attack."""
        y = self.y if index is None else self.y[index]
        with torch.no_grad():
            answers = [as_classes(self.model.model(part)).argmax(1) for part in x_adv.split(self.batch_size)]
        return torch.cat(answers) != y


def parser(description: str, **defaults: Any) -> argparse.ArgumentParser:
    """The options that every comparison takes, named as those of `medrobust audit`."""
    out = argparse.ArgumentParser(description=description.splitlines()[0])
    out.add_argument(
        "overrides", nargs="*", metavar="key=value", help="as for medrobust audit, e.g. data.image_size=112"
    )
    out.add_argument("--model", help="as for medrobust audit; the bundled classifier by default")
    out.add_argument("--weights")
    out.add_argument("--data", help="as for medrobust audit; the phantom by default")
    out.add_argument(
        "--epsilons", default=defaults.pop("epsilons", None), help="a list, or geometric(first, last, count)"
    )
    out.add_argument("--limit", type=int, default=defaults.pop("limit", 108), help="images, stratified; 0 for all")
    out.add_argument("--batch-size", type=int, default=defaults.pop("batch_size", 32))
    out.add_argument("--repeats", type=int, default=defaults.pop("repeats", 3), help="timed runs of each side (3)")
    out.add_argument("--threads", type=int, default=os.cpu_count(), help="of PyTorch")
    out.add_argument("--device", default="cpu")
    out.add_argument("--name", help="of the result files; the script's by default")
    for name, value in defaults.items():
        out.add_argument(f"--{name.replace('_', '-')}", type=type(value), default=value)
    return out


def job(arguments: argparse.Namespace, norm: str = "linf") -> Job:
    """Load what the arguments name. Errors: UserError, as from medrobust audit."""
    torch.set_num_threads(arguments.threads)
    given: dict[str, object] = {"model.name": arguments.model, "model.weights": arguments.weights}
    given |= {"data.name": arguments.data, "data.limit": arguments.limit or None, "device": arguments.device}
    recipe = audit_recipe(read_recipe(None, arguments.overrides, given | {"batch_size": arguments.batch_size}))
    grid = parse_budgets(arguments.epsilons or DEFAULT_EPSILONS[norm], norm)
    if not arguments.epsilons:
        grid = recipe.threat.grids().get(norm, grid)
    threat = dataclasses.replace(recipe.threat, norm=norm, epsilons=grid)
    setup = resolve(dataclasses.replace(recipe, attacks={"pgd": {}}, threat=threat))
    device = setup.plan.device
    model = setup.model.to(device).eval().requires_grad_(False)
    items = [setup.images[i] for i in range(len(setup.images))]
    x = torch.stack([item[0] for item in items]).to(device)
    y = torch.tensor([item[1] for item in items], device=device)
    with torch.no_grad():
        clean = torch.cat([as_classes(model(part)) for part in x.split(arguments.batch_size)])
    return Job(setup, Counting(model), x, y, clean, grid, arguments.batch_size, arguments.repeats, arguments)


def measured(job: Job, attacks: Mapping[str, Attack], norm: str, precision: str) -> tuple[list[float], int, int]:
    """medrobust.measuring.measure with the honest protocol, as a user gets it: reading, search, checks, writing.

    Returns worst-case robust accuracy in percent at each budget, and the forwards and backwards of all images.
    """
    grid = Grid(norm, tuple(e for e in job.epsilons if e))
    plan = replace(job.setup.plan, attacks=dict(attacks), grids=(grid,), precision=precision)
    with tempfile.TemporaryDirectory() as folder:
        records, cost = measure(job.setup.model, job.setup.images, plan, Path(folder) / "parts")
    robust = [100 * float(share) for share in records.worst_case(norm).counted.mean(0)]
    clean = 100 * float(job.right.float().mean())
    return [clean] * (len(job.epsilons) - len(robust)) + robust, int(cost["forwards"]), int(cost["backwards"])


@dataclass
class Runs(Generic[T]):
    """The repeated runs of one side: seconds of each, and what the last returned."""

    seconds: list[float] = field(default_factory=list)
    result: T | None = None

    @property
    def median(self) -> float:
        return statistics.median(self.seconds)


def interleaved(sides: Mapping[str, Callable[[], T]], repeats: int) -> dict[str, Runs[T]]:
    """Every side once, then every side again: what else the machine does falls on all of them alike."""
    out: dict[str, Runs[T]] = {name: Runs() for name in sides}
    for turn in range(repeats):
        for name, run in sides.items():
            if torch.cuda.is_available():
                torch.cuda.synchronize()
            began = perf_counter()
            out[name].result = run()
            if torch.cuda.is_available():
                torch.cuda.synchronize()
            out[name].seconds.append(perf_counter() - began)
            print(f"  run {turn + 1} of {repeats}: {name} {out[name].seconds[-1]:.2f} s", file=sys.stderr, flush=True)
    return out


def machine(arguments: argparse.Namespace) -> dict[str, Any]:
    """What the seconds depend on: processor, cores, threads, memory, device, versions, commit, command."""
    cpu = platform.processor()
    if Path("/proc/cpuinfo").exists():
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        cpu = next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), cpu)
    found = {"python": platform.python_version(), "torch": torch.__version__}
    for name in ("medrobust", "torchvision", *PEERS):
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return {
        "cpu": cpu,
        "cores": os.cpu_count(),
        "threads": arguments.threads,
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        "device": torch.cuda.get_device_name() if arguments.device != "cpu" else "cpu",
        "versions": found,
        "commit": commit(),
        "command": " ".join(["python", f"benchmarks/{Path(sys.argv[0]).name}", *sys.argv[1:]]),
    }


def show(header: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    """A table in Markdown with aligned columns; numbers to four figures."""
    cells = [[f"{c:.4g}" if isinstance(c, float) else str(c) for c in row] for row in rows]
    widths = [max(len(line[k]) for line in [list(header), *cells]) for k in range(len(header))]
    lines = [list(header), ["-" * width for width in widths], *cells]
    return "\n".join("| " + " | ".join(c.ljust(w) for c, w in zip(line, widths, strict=True)) + " |" for line in lines)


def finish(job: Job, script: str, header: Sequence[str], rows: Sequence[Sequence[Any]], **more: Any) -> None:
    """Print the table and write it, with the machine and whatever else is given, to results/NAME.json and NAME.md."""
    setting = {
        "model": job.setup.model.spec or job.setup.spec.model["name"],
        "data": job.setup.images.name,
        "images": len(job.x),
        "shape": list(job.x.shape[1:]),
        "clean_accuracy": float(job.right.float().mean()),
        "batch_size": job.batch_size,
        "repeats": job.repeats,
        "epsilons": job.epsilons,
    }
    write(job.arguments, script, setting, header, rows, **more)


def write(
    arguments: argparse.Namespace,
    script: str,
    setting: Mapping[str, Any],
    header: Sequence[str],
    rows: Sequence[Sequence[Any]],
    **more: Any,
) -> None:
    """finish, for a comparison without a Job; arguments need name, threads and device."""
    table, name = show(header, rows), arguments.name or script
    content = {
        "setting": dict(setting),
        "machine": machine(arguments),
        "header": list(header),
        "rows": list(map(list, rows)),
    }
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / f"{name}.json").write_text(json.dumps(content | more, indent=1) + "\n")
    (RESULTS / f"{name}.md").write_text(table + "\n")
    print(table)
