"""medrobust compare: two runs on the same images, and the limits that the new one must keep."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

FAIL_ON = ("undecided", "not-met")


def compare(
    a: Annotated[Path, typer.Argument(help="Directory of the audit of the old classifier.")],
    b: Annotated[Path, typer.Argument(help="Directory of the audit of the new classifier.")],
    limits: Annotated[Path | None, typer.Option(help="YAML file of acceptance limits.")] = None,
    out: Annotated[
        Path | None, typer.Option("--out", help="Directory of compare.json, compare.md, compare.html.")
    ] = None,
    common: Annotated[bool, typer.Option("--common", help="Compare the budgets that both runs have.")] = False,
    fail_on: Annotated[
        str, typer.Option(help="Exit with code 1 on limits that are undecided or not met, or on not-met alone.")
    ] = "undecided",
) -> None:
    """Is the new classifier worse than the old one? Paired by image, against limits from a file."""
    from ..auditing.compare import budget_text, compare_runs, p_text, shown, write_comparison
    from ..auditing.run import AuditRun
    from ..errors import UserError, nearest
    from ..recipes.yaml import read_list
    from ..records.limits import limits_of
    from ..report.compare import write_compare_page

    if fail_on not in FAIL_ON:
        raise UserError("--fail-on", f"{fail_on!r} is unknown", nearest(fail_on, FAIL_ON))
    wanted = limits_of(read_list(limits), str(limits)) if limits else []
    content = compare_runs(AuditRun(a), AuditRun(b), wanted, common=common)
    folder = write_comparison(content, out)
    page = write_compare_page(content, folder)
    for note in content["notes"]:
        typer.echo(f"note: {note}")
    for row in content["rows"]:
        words = f"{row['metric']:<12} {budget_text(row):>16}  B - A {shown(row['difference'])}"
        typer.echo(f"  {words}  p {p_text(row['p_value'])}, corrected {p_text(row['p_holm'])}")
    for one in content["limits"]:
        typer.echo(f"{one['verdict']}: {one['words']}, found {shown(one['judged'])}")
    typer.echo(f"Report: {page}")
    bad = ("not met",) if fail_on == "not-met" else ("not met", "undecided")
    if any(one["verdict"] in bad for one in content["limits"]):
        raise typer.Exit(1)
