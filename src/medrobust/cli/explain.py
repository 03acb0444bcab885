"""`medrobust explain`: what a classifier looks at, before and after the smallest change that misleads it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer


def explain(
    model: Annotated[str, typer.Argument(help="As audit --model: a run directory, torchvision:NAME, FILE.onnx, ...")],
    images: Annotated[
        str,
        typer.Argument(help="As audit --data: phantom, busi:PATH, ...; a folder of classes; or images without labels."),
    ],
    overrides: Annotated[
        list[str] | None, typer.Argument(help="key=value, as audit takes them, e.g. data.limit=50.")
    ] = None,
    weights: Annotated[str | None, typer.Option(help="Safetensors or state dict of a named network.")] = None,
    maps: Annotated[str | None, typer.Option(help="Some of the maps, comma-separated; all by default.")] = None,
    method: Annotated[str, typer.Option(help="The plane of the decision boundary: tsne, or umap.")] = "tsne",
    out: Annotated[Path, typer.Option("--out", help="Folder for explain.json and the pictures.")] = Path("explain"),
    no_labels: Annotated[
        bool, typer.Option("--no-labels", help="Folders are no classes: explain the answers.")
    ] = False,
) -> None:
    """What decides, before and after an attack (PGD by default)? Writes explain.json and pictures.

    Of images without labels (a file, a folder without class folders, csv:FILE without a column label) the answers are
    explained, and nothing is attacked.
    """
    from ..data.unlabeled import comes_without_labels
    from ..errors import UserError, nearest
    from ..explain.embedding import check_method
    from ..explain.registry import MAPS
    from ..recipes.yaml import audit_recipe, read_recipe

    names = tuple(MAPS) if maps is None else tuple(maps.split(","))
    for name in names:
        if name not in MAPS:
            raise UserError("--maps", f"unknown map {name!r}", nearest(name, MAPS))
    check_method(method)
    if out.is_file():
        raise UserError(str(out), "is a file", "give --out a folder")
    given: dict[str, object] = {"model.name": model, "model.weights": weights}
    keys = [one.partition("=")[0] for one in overrides or []]
    attacked = any(key.partition(".")[0] == "attacks" for key in keys)
    if no_labels or comes_without_labels(images):
        if attacked:
            raise UserError("attacks", "need labels, and these images have none", "leave attacks out")
        content = _of_answers(audit_recipe(read_recipe(None, overrides or [], given)), images, out, names)
    else:
        data = f"folder:{images}" if ":" not in images and Path(images).is_dir() else images
        given |= {"data.name": data, "explain": "on"} | ({} if attacked else {"attacks": "pgd"})
        content = _of_attacks(audit_recipe(read_recipe(None, overrides or [], given)), out, names, method)
    typer.echo(f"layer of class activation maps: {content['layer'] or 'none'}")
    for row in content["maps"]:
        typer.echo(_line(row))
    if content["looks"]:
        typer.echo(content["looks"]["words"])
    if "boundary" in content:
        typer.echo(_boundary(content["boundary"]))
    typer.echo(f"Written: {out / 'explain.json'}")


def _of_answers(recipe: Any, images: str, out: Path, names: tuple[str, ...]) -> dict[str, Any]:
    from collections import Counter

    from ..errors import printable
    from ..predicting.explained import explain_answers
    from ..progress import progress

    with progress() as report:
        content = explain_answers(recipe, images, out, report, names)
    count = Counter(content["classes"][k] for k in content["answered"].values())
    said = ", ".join(f"{number} {name}" for name, number in sorted(count.items()))
    typer.echo(printable(f"{content['num_images']} images, answered {said}; {content['num_masks']} with a mask"))
    if content["num_other_images"]:
        typer.echo(f"{content['num_other_images']} more are not explained: too many, or of another size")
    if content["broken"]:
        typer.echo(f"{len(content['broken'])} files could not be read", err=True)
    typer.echo("; ".join(content["left_out"]))
    return content


def _of_attacks(recipe: Any, out: Path, names: tuple[str, ...], method: str) -> dict[str, Any]:
    import tempfile

    from ..auditing.explained import write_explained
    from ..auditing.setup import resolve
    from ..errors import UserError
    from ..measuring.measure import measure
    from ..models.memory import keep_freed_memory
    from ..progress import progress

    keep_freed_memory()
    with progress() as report, tempfile.TemporaryDirectory() as kept:
        setup = resolve(recipe, report)
        parts = Path(kept) / "parts"
        records, _ = measure(setup.model, setup.images, setup.plan, parts, report)
        content = write_explained(out, setup, records, report, parts, names, method)
    if "reason" in content:
        raise UserError("explain", content["reason"], "choose larger budgets with threat.epsilons")
    typer.echo(f"{content['num_images']} misled images, {content['num_masks']} with a mask of the lesion")
    return content


def _boundary(found: dict[str, Any]) -> str:
    from ..plane import caution

    if "reason" in found:
        return f"decision boundary: no map, {found['reason']}"
    kept, k, trust, agrees = (found[key] for key in ("neighbors_kept", "k", "trustworthiness", "fill_agrees"))
    return f"decision boundary: {len(found['ids'])} images, {len(found['at'])} pictures. " + caution(
        found["method"], kept, k, trust, agrees
    )


def _line(row: dict[str, Any]) -> str:
    if "reason" in row:
        return f"  {row['title']:<21} not made: {row['reason']}"
    text = f"  {row['title']:<21} sanity {row['sanity']['verdict']}"
    for name, label in (("ssim", "SSIM"), ("rank_correlation", "rank correlation"), ("shift", "shift (pixels)")):
        found = row["agreement"].get(name)
        if found and found["value"] is not None:
            text += f"  {label} {found['value']:.2f} [{found['low']:.2f}, {found['high']:.2f}]"
    if row["lesion"] and row["sanity"]["verdict"] == "passed":
        text += f"  {row['lesion']['looks']['words']}"
    return text
