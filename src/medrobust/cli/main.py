"""The command line. Everything heavy is imported by the command that needs it."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from .data import data_app
from .explain import explain
from .faults import Commands, finish

app = typer.Typer(
    name="medrobust",
    cls=Commands,
    help="Measure and harden the adversarial robustness of medical image classifiers.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

Overrides = Annotated[list[str] | None, typer.Argument(help="key=value overrides, e.g. attacks.pgd.num_steps=40")]
Out = Annotated[Path | None, typer.Option("--out", help="Directory of the run.")]


def _version(wanted: bool) -> None:
    if wanted:
        from ..version import __version__

        typer.echo(__version__)
        raise typer.Exit()


@app.callback()
def _main(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")
    ] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show tracebacks; may stand anywhere.")] = False,
) -> None:
    pass


@app.command()
def audit(
    overrides: Overrides = None,
    model: Annotated[
        str | None,
        typer.Option(
            help="Run directory, torchvision:NAME, timm:NAME, zoo:NAME, FILE.onnx, FILE.pt2, module:callable."
        ),
    ] = None,
    weights: Annotated[str | None, typer.Option(help="Safetensors or state dict of a named network.")] = None,
    data: Annotated[str | None, typer.Option(help="phantom, folder:PATH, csv:FILE, busi:PATH, ...")] = None,
    out: Out = None,
    recipe: Annotated[Path | None, typer.Option(help="YAML file with the same keys.")] = None,
    precision: Annotated[str | None, typer.Option(help="fast or float32.")] = None,
    skip_broken: Annotated[
        bool, typer.Option("--skip-broken", help="Leave unreadable files out and list them.")
    ] = False,
    fail_on: Annotated[str | None, typer.Option(help="Exit with code 1 on findings this bad: warn or fail.")] = None,
    quick: Annotated[
        bool, typer.Option("--quick", help="A first look: attacks=quick, unless attacks are given.")
    ] = False,
) -> None:
    """How small a change flips the decisions of a classifier? Writes a report."""
    from ..auditing.audit import run_audit
    from ..auditing.setup import resolve
    from ..findings import fatal
    from ..models.memory import keep_freed_memory
    from ..progress import progress
    from ..recipes.yaml import audit_recipe, dump, read_recipe
    from ..report.html import write_report

    bad = fatal(fail_on)
    given: dict[str, object] = {
        "model.name": model,
        "model.weights": weights,
        "data.name": data,
        "precision": precision,
    }
    given |= {"data.skip_broken": True} if skip_broken else {}
    if quick and not any(one.partition("=")[0].partition(".")[0] == "attacks" for one in overrides or []):
        given["attacks"] = "quick"
    checked = audit_recipe(read_recipe(recipe, overrides or [], given))
    keep_freed_memory()
    with progress() as report:
        folder = run_audit(resolve(checked, report), out, dump(checked), report)
        page = write_report(folder)
    _say(folder, page)
    _exit_on(folder, bad)


def _say(folder: Path, page: Path) -> None:
    from ..auditing.audit import read_audit
    from ..numbers import epsilon_text

    content = read_audit(folder)
    for finding in content["findings"]:
        if finding["severity"] == "fail":  # before the numbers that it is about
            typer.echo(f"fail: {finding['title']} {finding['evidence']}")
    quotable = content["quotable"]
    typer.echo(f"May this be quoted? {quotable['value']}")
    for reason in quotable["why"] if quotable["value"] == "no" else []:
        if not reason.startswith(tuple(row["title"] for row in content["findings"] if row["severity"] == "fail")):
            typer.echo(f"  {reason}")
    clean = content["clean"]["accuracy"]
    typer.echo(f"{content['data']['num_images']} images, clean accuracy {clean['value']:.3f}")
    source = content["data"]["source"]
    if source["unit"] != "grey level" or source["bits"] != [8]:
        typer.echo(f"  {source['words']}")
    for point in content["worst_case"]:
        label = epsilon_text(point["epsilon"], point["norm"])
        found = point["robust_accuracy"]
        span = f"[{found['low']:.3f}, {found['high']:.3f}]"
        typer.echo(f"  {point['norm']} {label:>10}  robust accuracy {found['value']:.3f}  {span}")
    typer.echo(f"Report: {page}")


def _exit_on(folder: Path, bad: tuple[str, ...]) -> None:
    from ..auditing.audit import read_audit

    hits = [finding for finding in read_audit(folder)["findings"] if finding["severity"] in bad]
    for finding in hits:
        typer.echo(f"{finding['severity']}: {finding['title']} {finding['evidence']}", err=True)
    if hits:
        raise typer.Exit(1)


@app.command()
def train(
    recipe: Annotated[Path, typer.Argument(help="YAML recipe.")],
    overrides: Overrides = None,
    out: Out = None,
    folds: Annotated[int, typer.Option(help="Train on each of so many folds, test on the left-out one.")] = 0,
    repeats: Annotated[int, typer.Option(help="The same with so many seeds of the split.")] = 1,
    on_collapse: Annotated[
        str | None, typer.Option(help="When training collapses: continue, stop, or restart with another seed.")
    ] = None,
) -> None:
    """Train a classifier, plainly or against attacks."""
    from ..models.memory import keep_freed_memory
    from ..progress import progress
    from ..recipes.yaml import read_recipe, train_recipe
    from ..training.folds import SUMMARY, train_folds
    from ..training.run import train as run_training

    spec = train_recipe(read_recipe(recipe, overrides or [], {"on_collapse": on_collapse}))
    keep_freed_memory()
    with progress() as report:
        if folds or repeats != 1:
            folder = train_folds(spec, out, report, folds=folds, repeats=repeats)
            typer.echo((folder / f"{SUMMARY}.md").read_text(encoding="utf-8"), nl=False)
            return
        folder = run_training(spec, out, report)
    typer.echo(f"Checkpoint: {folder}")


@app.command()
def report(
    directory: Annotated[Path, typer.Argument(help="Directory of an audit.")],
    all_images: Annotated[
        bool, typer.Option("--all-images", help="Write images.html and images.csv, too: a row for every image.")
    ] = False,
) -> None:
    """Write report.html again from the records, without measuring."""
    from ..report.html import write_report

    typer.echo(f"Report: {write_report(directory)}")
    if all_images:
        from ..report.images import write_images

        typer.echo(f"Every image: {write_images(directory)}")


models_app = typer.Typer(name="models", help="Networks that medrobust can build.", no_args_is_help=True)


@models_app.callback()
def _models() -> None:
    pass


@models_app.command("ls")
def models_ls() -> None:
    """List the networks of our own, and how to name those of torchvision and timm."""
    from ..models.zoo import MODELS

    for name, builder in sorted(MODELS.items()):
        what = getattr(builder, "func", builder).__doc__ or ""
        typer.echo(f"zoo:{name:<16} {what.strip().splitlines()[0]}")
    typer.echo("torchvision:NAME     any classification network of torchvision, with --weights FILE")
    typer.echo("timm:NAME            any network of timm (pip install medrobust[timm]), with --weights FILE")


app.command()(explain)
app.add_typer(models_app, name="models")
app.add_typer(data_app(), name="data")


def main() -> None:
    """Entry point: every end is an exit code and at most one line; see cli/faults.py."""
    sys.exit(finish(app, sys.argv[1:]))


if __name__ == "__main__":
    main()
