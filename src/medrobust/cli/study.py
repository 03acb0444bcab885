"""medrobust study: the commands."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Name = Annotated[str, typer.Argument(help="A study that comes with medrobust, its folder, or a recipe.yaml.")]
Profile = Annotated[str, typer.Option("--profile", help="smoke, cpu, paper, or a profile of the recipe.")]
Cells = Annotated[
    Path | None, typer.Option("--cells", help="Folder of cells, shared by studies; OUT/cells by default.")
]
Out = Annotated[Path | None, typer.Option("--out", help="Folder of the study; runs/study-NAME-PROFILE by default.")]
Folder = Annotated[Path, typer.Argument(help="The --out of `study run`, or committed results.")]

study_app = typer.Typer(name="study", help="A grid of trainings and audits from one file.", no_args_is_help=True)


@study_app.callback()
def _study() -> None:
    pass


@study_app.command("ls")
def ls() -> None:
    """List the studies that come with medrobust."""
    from ..study.recipe import bundled, read_study_recipe

    for name, folder in bundled().items():
        recipe = read_study_recipe(folder)
        typer.echo(f"{name:<20} {recipe.title} (profiles: {', '.join(recipe.profiles) or 'paper'})")


@study_app.command("cp")
def cp(name: Name, folder: Annotated[Path, typer.Argument(help="New folder.")]) -> None:
    """Copy a study, to change its data and models."""
    from ..study.recipe import copy_study

    typer.echo(f"Recipe: {copy_study(name, folder)}")


@study_app.command("validate")
def validate(name: Name) -> None:
    """Resolve every place of every profile; nothing is run or written."""
    from ..study.grid import make_grid
    from ..study.recipe import read_study_recipe

    recipe = read_study_recipe(name)
    for profile in dict.fromkeys([*recipe.profiles, "paper"]):
        grid = make_grid(recipe, profile)
        cannot = sum(job.cannot is not None for job in grid.jobs)
        typer.echo(f"{profile}: {len(grid.jobs)} places, {len(grid.cells)} cells, {cannot} places cannot run here")


@study_app.command("plan")
def plan(name: Name, profile: Profile = "cpu", out: Out = None, cells: Cells = None) -> None:
    """Every cell: done, missing, stale or failed, why, and how long it will take; nothing is run or written."""
    from ..study.grid import make_grid
    from ..study.plan import lines
    from ..study.plan import plan as make_plan
    from ..study.recipe import read_study_recipe
    from ..study.worker import cells_of

    grid = make_grid(read_study_recipe(name), profile)
    for line in lines(grid, make_plan(grid, cells_of(_out(out, grid.recipe.study, profile), cells))):
        typer.echo(line)


def _out(out: Path | None, study: str, profile: str) -> Path:
    return out if out is not None else Path("runs") / f"study-{study}-{profile}"


@study_app.command("run")
def run(
    name: Name,
    profile: Profile = "cpu",
    out: Out = None,
    cells: Cells = None,
    launcher: Annotated[
        str, typer.Option(help="serial, processes or ray; auto is processes, or serial on a graphics card.")
    ] = "auto",
    workers: Annotated[int, typer.Option(help="Processes; 0 is as many as cores and memory hold.")] = 0,
    threads: Annotated[
        int, typer.Option(help="Of each cell: OMP_NUM_THREADS, else 1. At equal numbers rows are equal everywhere.")
    ] = 0,
    address: Annotated[
        str | None, typer.Option(help="Of a Ray cluster, as ray://HOST:10001; RAY_ADDRESS, else here.")
    ] = None,
    retry_failed: Annotated[bool, typer.Option("--retry-failed", help="Do failed cells again.")] = False,
    force: Annotated[str | None, typer.Option(help="Do cells of this name anew, as '*resnet8*'.")] = None,
    read_only: Annotated[bool, typer.Option("--read-only", help="Run nothing; say what is there.")] = False,
    device: Annotated[str | None, typer.Option(help="cpu, cuda or auto.")] = None,
) -> None:
    """Do what is missing of a study, and compare it with the paper."""
    from ..models.memory import keep_freed_memory
    from ..progress import progress
    from ..study.grid import make_grid
    from ..study.recipe import EXPECTED, find_recipe, read_study_recipe
    from ..study.run import overrides_of, run_study

    recipe = read_study_recipe(name)
    folder = _out(out, recipe.study, profile)
    if read_only:
        plan(name, profile, folder, cells)
        return
    grid = make_grid(recipe, profile, overrides_of(device, None))
    keep_freed_memory()
    with progress() as report:
        ran = run_study(
            grid,
            folder,
            cells=cells,
            launcher=launcher,
            workers=workers,
            address=address,
            threads=threads,
            retry_failed=retry_failed,
            force=force,
            expected=find_recipe(name).parent / EXPECTED,
            report=report,
            say=lambda line: typer.echo(line),
        )
    for cell, why in ran.errors.items():
        typer.echo(f"failed: {cell}: {why}", err=True)
    typer.echo(", ".join(f"{num} {status}" for status, num in ran.counts.items()) or "nothing to do")
    _check(folder, cells)
    typer.echo(f"Study: {folder}")
    if set(ran.statuses.values()) - {"done"}:
        raise typer.Exit(1)


@study_app.command("check")
def check(folder: Folder, cells: Cells = None) -> None:
    """Compare a study with its paper, from the files of its cells alone; writes check.html, check.md, results.csv."""
    for line in _check(folder, cells):
        typer.echo(line)
    typer.echo(f"Page: {folder / 'check.html'}")


@study_app.command("pack")
def pack(folder: Folder, target: Annotated[Path, typer.Argument(help="Folder to keep.")], cells: Cells = None) -> None:
    """Copy what `check` reads, without weights, rows and pictures: results to commit or to send."""
    from ..study.pack import pack as copy

    typer.echo(f"{copy(folder, target, cells)} cells: {target}")


@study_app.command("choose")
def choose(
    folder: Folder,
    where: Annotated[
        list[str] | None, typer.Argument(help="Values of other axes, and the budget: data=ct epsilon=1/255")
    ] = None,
    axis: Annotated[str, typer.Option(help="The axis whose values are compared.")] = "model",
    margin: Annotated[str, typer.Option(help="Difference of clean accuracies that does not matter.")] = "3%",
    cells: Cells = None,
) -> None:
    """Which network to take: of those as good as the best untouched the most robust, then the simplest."""
    from ..errors import UserError
    from ..files import write_atomic
    from ..numbers import parse_number
    from ..study.choose import choose as choose_value
    from ..study.read import read_study

    wanted = {}
    for one in where or []:
        key, sign, value = one.partition("=")
        if not sign or not key or not value:
            raise UserError(one, "is not axis=value", "write for example data=ct")
        wanted[key] = value
    choice = choose_value(read_study(folder, cells), wanted, axis, parse_number(margin, "--margin"))
    write_atomic(folder / "choose.md", choice.markdown())
    write_atomic(folder / "choose.html", choice.html())
    typer.echo(f"{axis}: {choice.chosen.name}")
    if choice.undecided:
        typer.echo(f"{choice.headline}.")
    typer.echo(choice.why)
    typer.echo(f"Page: {folder / 'choose.html'}")


def _check(folder: Path, cells: Path | None) -> tuple[str, ...]:
    from dataclasses import asdict

    from ..study.hypotheses import judge
    from ..study.page import check_study
    from ..study.read import read_study
    from ..study.recipe import EXPECTED, bundled

    study = read_study(folder, cells)
    own = bundled().get(study.name)
    beside = None if (folder / EXPECTED).exists() or own is None else own / EXPECTED
    expected = beside if beside is not None and beside.exists() else None
    found = check_study(folder, cells, expected, [asdict(one) for one in judge(study)])
    found.write(folder)
    return tuple(found.lines())
