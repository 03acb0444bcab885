"""`medrobust data`: list, check, split and prepare data sets, and the cache of decoded images."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

Classes = Annotated[str | None, typer.Option(help="Classes to use, a,b or new=a+b or rest.")]
Seed = Annotated[int, typer.Option(help="Seed of splits and choices.")]
Options = Annotated[list[str] | None, typer.Argument(help="Options of the set: group='(p\\d+)', kind=mass ...")]


@contextmanager
def _shown(what: str) -> Iterator[Callable[[int, int], None]]:
    from ..progress import progress

    with progress() as report:
        yield lambda done, of: report(what, done, of)


def _listed(text: str | None) -> list[str] | None:
    return text.split(",") if text else None


def _pairs(words: list[str] | None) -> dict[str, str]:
    from ..errors import UserError

    pairs = {}
    for word in words or []:
        key, sign, value = word.removeprefix("data.options.").partition("=")
        if not sign or not key:
            raise UserError(word, "is not key=value", "write for example kind=mass")
        pairs[key] = value
    return pairs


def ls(name: Annotated[str, typer.Argument(help="A data set, for all that is known about it.")] = "") -> None:
    """List the data sets."""
    from ..data.commands import describe

    typer.echo(describe(name))


def check(
    data: Annotated[str, typer.Argument(help="NAME:PATH, for example busi:Dataset_BUSI_with_GT.")],
    options: Options = None,
    json: Annotated[Path | None, typer.Option(help="Write the findings to this file.")] = None,
    classes: Classes = None,
    splits: Annotated[str, typer.Option(help="Splits to check: auto, group, paper, fold:1/5, FILE.csv.")] = "auto",
    seed: Seed = 0,
    fail_on: Annotated[str | None, typer.Option(help="Exit with code 1 on findings this bad: warn or fail.")] = None,
) -> None:
    """Look for duplicates, leakage, contradicting labels, shortcuts, damage and patient identifiers."""
    from ..data import commands
    from ..findings import fatal

    bad = fatal(fail_on)
    with _shown("images") as progress:
        report, text = commands.check(
            data,
            classes=_listed(classes),
            splits=splits,
            seed=seed,
            json=json,
            progress=progress,
            options=_pairs(options),
        )
    typer.echo(text)
    if report["verdict"] in bad:
        raise typer.Exit(1)


def split(
    data: Annotated[str, typer.Argument(help="NAME:PATH.")],
    out: Annotated[Path, typer.Argument(help="CSV to write, for data.splits=FILE.csv; a folder for several.")],
    options: Options = None,
    rule: Annotated[
        str, typer.Option(help="group, paper, fold:1/5, counts:800/0/299, paper-counts:800/0/299.")
    ] = "group",
    folds: Annotated[int, typer.Option(help="One file for each of so many folds by group.")] = 0,
    repeats: Annotated[int, typer.Option(help="One file for each of so many seeds, from --seed on.")] = 0,
    classes: Classes = None,
    seed: Seed = 0,
    link_duplicates: Annotated[
        bool, typer.Option("--link-duplicates", help="Keep near duplicates on one side.")
    ] = False,
) -> None:
    """Write a split, folds or repeats as tables that can be committed and used again."""
    from ..data import commands

    with _shown("images") as progress:
        said = commands.split(
            data,
            out,
            rule=rule,
            folds=folds,
            repeats=repeats,
            classes=_listed(classes),
            seed=seed,
            link_duplicates=link_duplicates,
            progress=progress,
            options=_pairs(options),
        )
    typer.echo("\n".join(said))


Source = Annotated[Path, typer.Argument(help="The download from TCIA.")]
Prepared = Annotated[Path, typer.Argument(help="Folder to write.")]


def prepare_lidc(
    source: Source,
    out: Prepared,
    mode: Annotated[str, typer.Option(help="slice: one PNG per nodule; volume: one cube in HU.")] = "slice",
    size: Annotated[int | None, typer.Option(help="Side in samples: 128 for a slice, 64 for a volume.")] = None,
    spacing: Annotated[float | None, typer.Option(help="mm between samples: 0.5, or 1.0 for a volume.")] = None,
    window: Annotated[tuple[float, float], typer.Option(help="Center and width in HU.")] = (-600.0, 1500.0),
    bits: Annotated[int, typer.Option(help="Depth of the PNG: 8 or 16.")] = 8,
    min_readers: Annotated[int, typer.Option(help="Leave out nodules outlined by fewer.")] = 1,
) -> None:
    """Nodule crops from LIDC-IDRI: CT slices in DICOM, outlines and ratings in XML."""
    from ..data.commands import prepare

    with _shown("series") as progress:
        said = prepare(
            "lidc",
            source,
            out,
            mode=mode,
            size=size,
            spacing=spacing,
            window=window,
            bits=bits,
            min_readers=min_readers,
            progress=progress,
        )
    typer.echo(said)


def prepare_cbis_ddsm(
    source: Source,
    out: Prepared,
    context: Annotated[float, typer.Option(help="Side of the crop over the side of the lesion.")] = 1.5,
    min_side: Annotated[int, typer.Option(help="Smallest side in pixels.")] = 64,
    skip_broken: Annotated[bool, typer.Option("--skip-broken", help="Leave out cases without their files.")] = False,
) -> None:
    """Lesion crops from CBIS-DDSM: mammograms and masks in DICOM, cases in CSV."""
    from ..data.commands import prepare

    with _shown("cases") as progress:
        said = prepare(
            "cbis_ddsm", source, out, context=context, min_side=min_side, skip_broken=skip_broken, progress=progress
        )
    typer.echo(said)


def cache(clear: Annotated[bool, typer.Option("--clear", help="Remove all decoded images.")] = False) -> None:
    """Show or clear the cache of decoded images ($MEDROBUST_CACHE, else ~/.cache/medrobust)."""
    from ..data.commands import cache_size, clear_cache

    count, size = clear_cache() if clear else cache_size()
    typer.echo(f"{'removed ' if clear else ''}{count} sets, {size / 1e6:.1f} MB")


def _group(name: str, text: str) -> typer.Typer:
    return typer.Typer(
        name=name,
        help=text,
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
        rich_markup_mode=None,
    )


def data_app() -> typer.Typer:
    """The commands below `medrobust data`."""
    app = _group("data", "List, check, split and prepare data sets.")
    for command in (ls, check, split, cache):
        app.command()(command)
    prepare = _group("prepare", "Make crops from a download.")
    prepare.command("lidc")(prepare_lidc)
    prepare.command("cbis_ddsm")(prepare_cbis_ddsm)
    app.add_typer(prepare)
    return app
