"""`medrobust explain`: what a classifier looks at, before and after the smallest change that misleads it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer


def explain(
    model: Annotated[str, typer.Argument(help="As audit --model: a run directory, torchvision:NAME, FILE.onnx, ...")],
    images: Annotated[str, typer.Argument(help="As audit --data: phantom, busi:PATH, ...; or a folder of classes.")],
    overrides: Annotated[
        list[str] | None, typer.Argument(help="key=value, as audit takes them, e.g. data.limit=50.")
    ] = None,
    weights: Annotated[str | None, typer.Option(help="Safetensors or state dict of a named network.")] = None,
    maps: Annotated[str | None, typer.Option(help="Some of the maps, comma-separated; all by default.")] = None,
    method: Annotated[str, typer.Option(help="The plane of the decision boundary: tsne, or umap.")] = "tsne",
    out: Annotated[Path, typer.Option("--out", help="Folder for explain.json and the pictures.")] = Path("explain"),
) -> None:
    """What decides, before and after an attack (PGD by default)? Writes explain.json and pictures."""
    import tempfile

    from ..auditing.explained import write_explained
    from ..auditing.setup import resolve
    from ..errors import UserError, nearest
    from ..explain.boundary import check_method
    from ..explain.registry import MAPS
    from ..measuring.measure import measure
    from ..models.memory import keep_freed_memory
    from ..progress import progress
    from ..recipes.yaml import audit_recipe, read_recipe

    names = tuple(MAPS) if maps is None else tuple(maps.split(","))
    for name in names:
        if name not in MAPS:
            raise UserError("--maps", f"unknown map {name!r}", nearest(name, MAPS))
    check_method(method)
    data = f"folder:{images}" if ":" not in images and Path(images).is_dir() else images
    given: dict[str, object] = {"model.name": model, "model.weights": weights, "data.name": data, "explain": "on"}
    if not any(one.partition("=")[0].partition(".")[0] == "attacks" for one in overrides or []):
        given["attacks"] = "pgd"
    recipe = audit_recipe(read_recipe(None, overrides or [], given))
    keep_freed_memory()
    with progress() as report, tempfile.TemporaryDirectory() as kept:
        setup = resolve(recipe, report)
        parts = Path(kept) / "parts"
        records, _ = measure(setup.model, setup.images, setup.plan, parts, report)
        content = write_explained(out, setup, records, report, parts, names, method)
    if "reason" in content:
        raise UserError("explain", content["reason"], "choose larger budgets with threat.epsilons")
    typer.echo(f"{content['num_images']} misled images, {content['num_masks']} with a mask of the lesion")
    typer.echo(f"layer of class activation maps: {content['layer'] or 'none'}")
    for row in content["maps"]:
        typer.echo(_line(row))
    typer.echo(_boundary(content["boundary"]))
    typer.echo(f"Written: {out / 'explain.json'}")


def _boundary(found: dict[str, Any]) -> str:
    from ..plane import caution

    if "reason" in found:
        return f"decision boundary: no map, {found['reason']}"
    kept, k, trust, agrees = (found[key] for key in ("neighbors_kept", "k", "trustworthiness", "fill_agrees"))
    return f"decision boundary: {len(found['ids'])} images, {len(found['at'])} pictures. " + caution(
        found["method"], kept, k, trust, agrees
    )


def _line(row: dict[str, object]) -> str:
    if "reason" in row:
        return f"  {row['title']:<21} not made: {row['reason']}"
    agreed, tested = row["agreement"], row["sanity"]
    assert isinstance(agreed, dict)
    assert isinstance(tested, dict)
    text = f"  {row['title']:<21} sanity {tested['verdict']}"
    for name, label in (("ssim", "SSIM"), ("rank_correlation", "rank correlation"), ("shift", "shift (pixels)")):
        found = agreed[name]
        if found["value"] is not None:
            text += f"  {label} {found['value']:.2f} [{found['low']:.2f}, {found['high']:.2f}]"
    return text
