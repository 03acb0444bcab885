"""What an audit says on the terminal, and its exit code."""

from __future__ import annotations

from pathlib import Path

import typer


def say(folder: Path, page: Path) -> None:
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


def exit_on(folder: Path, bad: tuple[str, ...]) -> None:
    from ..auditing.audit import read_audit

    hits = [finding for finding in read_audit(folder)["findings"] if finding["severity"] in bad]
    for finding in hits:
        typer.echo(f"{finding['severity']}: {finding['title']} {finding['evidence']}", err=True)
    if hits:
        raise typer.Exit(1)
