"""The command line. Everything heavy is imported by the command that needs it."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from .compare import compare
from .data import data_app
from .explain import explain
from .faults import Commands, finish
from .said import exit_on, say
from .study import study_app

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
    launcher: Annotated[str, typer.Option(help="serial; processes or ray share the images out.")] = "serial",
    workers: Annotated[int, typer.Option(help="Processes; 0 is as many as cores and memory hold.")] = 0,
    address: Annotated[str | None, typer.Option(help="Of a Ray cluster, with --launcher ray.")] = None,
    threads: Annotated[
        int, typer.Option(help="Rows are equal at equal threads. Serial: all cores; else of each worker, 1.")
    ] = 0,
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
    sharing = launcher != "serial" or address is not None
    if workers or threads or sharing:
        from ..study.launchers.threads import check_counts, threads_of, use_threads

        check_counts(workers, threads)
    keep_freed_memory()
    with progress() as report:
        shared = None
        if sharing:
            from ..study.launchers.how import How
            from ..study.shards import spread

            threads = threads_of(threads)
            shared = spread(checked, launcher, How(workers, address, threads=threads), report)
        if threads:
            use_threads(threads)
        folder = run_audit(resolve(checked, report), out, dump(checked), report, spread=shared)
        page = write_report(folder)
    say(folder, page)
    exit_on(folder, bad)


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


app.command()(compare)


@app.command()
def refer(
    model: Annotated[str, typer.Argument(help="Run or checkpoint folder of ours.")],
    overrides: Overrides = None,
    rate: Annotated[str | None, typer.Option(help="Share of images to refer, 10% or 0.1.")] = None,
    accuracy: Annotated[str | None, typer.Option(help="Least accuracy of those kept.")] = None,
    sensitivity: Annotated[str | None, typer.Option(help="Least sensitivity of those kept.")] = None,
    by: Annotated[str, typer.Option(help="confidence, entropy or smallest_change.")] = "confidence",
    operate: Annotated[
        str | None, typer.Option(help="Operating point of two classes: youden, or the wanted sensitivity.")
    ] = None,
    data: Annotated[str | None, typer.Option(help="By default the set that the model was trained on.")] = None,
) -> None:
    """Choose on validation images which answers go to a person, and save that rule with the model."""
    from ..errors import UserError
    from ..numbers import parse_number
    from ..predicting.refer import YOUDEN
    from ..predicting.refer import refer as choose_rule
    from ..progress import progress
    from ..recipes.yaml import audit_recipe, read_recipe

    given = {"rate": rate, "accuracy": accuracy, "sensitivity": sensitivity}
    wanted = {name: parse_number(text, f"--{name}") for name, text in given.items() if text is not None}
    if len(wanted) != 1:
        raise UserError("refer", f"{len(wanted) or 'none'} of --rate, --accuracy, --sensitivity given", "give one")
    point = operate if operate in (None, YOUDEN) else parse_number(operate, "--operate")
    checked = audit_recipe(read_recipe(None, overrides or [], {"model.name": model, "data.name": data}))
    with progress() as report:
        path, rule = choose_rule(checked, by, wanted, point, report)
    reached = {name: found["value"] for name, found in rule.reached.items()}
    typer.echo(f"{rule.score} {rule.threshold:.6g}, on {rule.chosen_on['num_images']} validation images:")
    for name, value in reached.items():
        typer.echo(f"  {'share referred' if name == 'rate' else name + ' of those kept'}: {_share(value)}")
    if rule.operating_point is not None:
        positive, threshold = rule.operating_point["positive_class"], rule.operating_point["threshold"]
        typer.echo(f"  {positive} from a probability of {threshold:.6g} on")
    typer.echo(f"Rule: {path}")


def _share(value: float | None) -> str:
    return "not defined" if value is None else f"{value:.3f}"


@app.command()
def predict(
    model: Annotated[str, typer.Argument(help="As in audit --model.")],
    images: Annotated[str, typer.Argument(help="Folder, file, or csv:FILE with a column image; no labels.")],
    overrides: Overrides = None,
    out: Annotated[Path | None, typer.Option("--out", help="Write FILE.json or FILE.csv.")] = None,
    weights: Annotated[str | None, typer.Option(help="Safetensors or state dict of a named network.")] = None,
) -> None:
    """Answers, probabilities, and whether a person should look, by the rule saved with the model."""
    from rich.console import Console
    from rich.table import Table

    from ..errors import printable
    from ..predicting.predict import check_format, predict_images
    from ..progress import progress
    from ..recipes.yaml import audit_recipe, read_recipe

    if out is not None:
        check_format(out)
    given = {"model.name": model, "model.weights": weights}
    checked = audit_recipe(read_recipe(None, overrides or [], given))
    with progress() as report:
        found = predict_images(checked, images, report)
    if out is not None:
        found.write(out)
    head, *lines = found.table
    table = Table()
    for name in head:
        table.add_column(name, overflow="fold")
    for line in lines:
        table.add_row(*map(printable, line))
    width = None if sys.stdout.isatty() else 10_000  # a file or pipe has room for every line
    Console(width=width, markup=False, emoji=False, highlight=False).print(table)
    if found.num_broken:
        typer.echo(f"{found.num_broken} of {len(found.rows)} files could not be read", err=True)
    if out is not None:
        typer.echo(f"Predictions: {out}")


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
app.add_typer(study_app, name="study")


def main() -> None:
    """Entry point: every end is an exit code and at most one line; see cli/faults.py."""
    sys.exit(finish(app, sys.argv[1:]))


if __name__ == "__main__":
    main()
