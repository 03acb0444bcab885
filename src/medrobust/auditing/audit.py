"""The audit: measure, summarize, check, picture. One directory, resumable, whole or absent."""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from time import perf_counter
from typing import Any

from torch import Tensor

from ..attacks.base import Attack
from ..attacks.build import describe
from ..attacks.names import attack_name, attack_words
from ..attacks.sets import choose
from ..corruptions import choose as choose_corruptions
from ..files import read_json, write_atomic, write_json
from ..findings import Finding
from ..measuring.certified import certified
from ..measuring.clean import clean_pass
from ..measuring.faults_of_images import measure_faults
from ..measuring.measure import measure, measure_parts
from ..measuring.plan import Plan
from ..models.digest import weights_digest
from ..progress import Report
from ..quotable import quotable
from ..recipes.plain import deciding
from ..records.records import Records
from ..runs import AUDIT_SCHEMA, begin, digest, finish, hardware, look
from ..version import __version__
from .checks import CHECKS
from .checks.reasons import with_reason
from .context import Check, Context, run_checks
from .explained import EXPLAIN, write_explained
from .gallery import make_gallery
from .masked import mask_digest, mask_facts
from .operating import operating_point, prevalences
from .setup import Setup
from .summary import not_tested, source_units, summarize


def identity(setup: Setup) -> dict[str, str]:
    """Hashes that must be equal for a stopped run to go on: of recipe, model, data and code version."""
    masks = mask_digest(setup.images) if setup.plan.mask else None
    return {
        "recipe": digest(deciding(setup.recipe)),
        "model": weights_digest(setup.model),
        "data": setup.images.fingerprint(),
        "version": __version__,
        **({} if masks is None else {"masks": masks}),
    }


def run_audit(
    setup: Setup,
    out: Path | None,
    recipe_text: str,
    report: Report | None = None,
    checks: Sequence[Check] = tuple(CHECKS),
    spread: Callable[[Path, int], None] | None = None,
) -> Path:
    """Run or go on with an audit; returns its directory.

    Args:
        setup: what to audit.
        out: the directory; by default runs/audit-HASH, so that the same command goes on with the same run.
        recipe_text: YAML of the whole recipe, kept in the directory.
        report: called with (what, done, of).
        checks: functions (records, context) -> Finding, or several.
        spread: called with the directory and the number of parts when the first is measured; it may measure others in
            other processes. What it leaves is measured here.

    Errors: UserError for every bad input, and what an attack raises on the first images, before anything is written.
    """
    recipe = setup.recipe
    hashes = identity(setup)
    folder = out or Path("runs") / f"audit-{digest(hashes)[:10]}"
    details = {"seed": recipe.seed, "hardware": hardware(setup.plan.device)}
    run, begun = look(folder, "audit", hashes, details)

    def start() -> None:
        begin(folder, run)
        write_atomic(folder / "recipe.yaml", recipe_text)

    if begun:
        start()
    if (folder / "records.parquet").exists() and run["status"] != "running":
        records, cost, finished = Records.read(folder / "records.parquet"), run["cost"], True
    else:
        # What cannot be measured is refused by the first pass or the first images, before a new run has a folder.
        clean = None if begun else _clean(setup, report)
        parts, finished = folder / "parts", False
        if spread is not None:
            num = measure_parts(setup.model, setup.images, setup.plan, parts, (0,), report, clean, start)
            spread(folder, num)
        records, cost = measure(setup.model, setup.images, setup.plan, parts, report, clean, start)
    began = perf_counter()
    if not (folder / "images" / "gallery.json").exists():
        make_gallery(records, setup, folder / "images", report, folder / "parts")
    if recipe.explain == "on" and not (folder / EXPLAIN).exists():
        write_explained(folder, setup, records, report)
    # Before anything is concluded: a certificate above an attack stops the audit.
    proved = _certified(folder, setup, records, cost, report)
    faults = _faults(folder, setup, report)
    findings = _kept(folder, checks) if finished else None
    if findings is None:
        found = run_checks(checks, records, _context(setup, report, cost))
        findings = [with_reason(one) for one in found]
    if not finished:
        cost = {**cost, "checks_and_pictures_seconds": round(perf_counter() - began, 3)}
    run = finish(folder, run, cost=cost)
    content = summary(setup, records, run) | {
        "checks": _names(checks),
        "quotable": quotable(findings).as_dict(),
        "active_test": _numbers(findings, "active-test"),
        "certified": proved,
        **({"corruptions": faults} if faults else {}),
        "findings": [_row(finding) for finding in findings],
    }
    write_json(folder / "audit.json", content)
    shutil.rmtree(folder / "parts", ignore_errors=True)  # its chunks are in records.parquet now
    return folder


def _names(checks: Sequence[Check]) -> list[str]:
    return [str(getattr(check, "__name__", type(check).__name__)) for check in checks]


def _kept(folder: Path, checks: Sequence[Check]) -> list[Finding] | None:
    """What the same checks of ours found when the run was finished; None for others, which may have changed since."""
    path = folder / "audit.json"
    if not path.exists() or any(check not in CHECKS for check in checks):
        return None
    content = read_json(path)
    if content.get("checks") != _names(checks):
        return None
    return [Finding(**row) for row in content["findings"]]


def _certified(
    folder: Path, setup: Setup, records: Records, cost: Mapping[str, Any], report: Report | None
) -> dict[str, Any]:
    if setup.recipe.certify == "off":
        return {"reason": "no certificate: not asked for (certify=off)"}
    return certified(folder, setup.model, setup.images, records, setup.plan, cost["seconds"], report)


def _faults(folder: Path, setup: Setup, report: Report | None) -> dict[str, Any]:
    chosen = choose_corruptions(setup.recipe.corruptions)
    if not chosen:
        return {}
    with setup.model.frozen():
        return measure_faults(setup.model.to(setup.plan.device), setup.images, setup.plan, chosen, folder, report)


def _context(setup: Setup, report: Report | None, cost: Mapping[str, Any]) -> Context:
    return Context(
        setup.model,
        setup.images,
        setup.plan,
        _parameters(setup),
        report,
        probed=setup.probed,
        said=setup.said,
        table=setup.table,
        is_ours=bool(setup.model.folder),
        same_set=setup.same_set,
        cost=cost,
    )


def _clean(setup: Setup, report: Report | None) -> Tensor:
    with setup.model.frozen():
        return clean_pass(setup.model.to(setup.plan.device), setup.images, setup.plan, report)


def _attack(title: str, parameters: Mapping[str, Any], attack: Attack) -> dict[str, Any]:
    """What a reader may want to know of an attack: its name, what it is and needs, its parameters and parts."""
    kind, said = str(parameters.get("name", title)), attack.abilities
    return {
        "name": attack_name(kind, title),
        "says": attack_words(kind),
        "kind": said.kind,
        "needs": said.needs,
        "parameters": dict(parameters),
        "parts": describe(attack),
    }


def _parameters(setup: Setup) -> dict[str, dict[str, Any]]:
    """Title -> parameters of every attack, sets resolved; of an object in memory, what it is."""
    return choose(setup.recipe.attacks, [grid.norm_name for grid in setup.plan.grids]).attacks


def _only(plan: Plan, title: str) -> dict[str, list[str]]:
    """The norms in which an attack ran, where it did not run in all."""
    norms = [grid.norm_name for grid in plan.grids_of(title)]
    return {} if len(norms) == len(plan.grids) else {"norms": norms}


def _row(finding: Finding) -> dict[str, Any]:
    """A finding for audit.json, with numbers, reason and reference where it has them."""
    optional = ("numbers", "why", "reference")
    return {key: value for key, value in dataclasses.asdict(finding).items() if value or key not in optional}


def _numbers(findings: Sequence[Finding], name: str) -> dict[str, Any]:
    """The numbers of a finding."""
    return next((dict(finding.numbers) for finding in findings if finding.id == name), {})


def summary(setup: Setup, records: Records, run: dict[str, Any]) -> dict[str, Any]:
    """audit.json without the findings."""
    images, plan, recipe, given = setup.images, setup.plan, setup.recipe, _parameters(setup)
    source = source_units(images, [e for g in plan.grids if g.norm_name == "linf" for e in g.epsilons])
    measured = summarize(
        records,
        classes=images.classes,
        positive=images.positive_index,
        grids=plan.grids,
        resolutions=source["resolutions"],
        prevalence=prevalences(recipe.data.prevalence, images),
        operating_point=operating_point(setup.model.folder, run["identity"]["model"], images),
    )
    if plan.mask:
        measured["threat"]["mask"] = mask_facts(images, plan.mask)
    return {
        "schema": AUDIT_SCHEMA,
        "model": {
            "name": recipe.model.name,
            "network": setup.model.spec,
            "classes": list(images.classes),
            "num_parameters": sum(p.numel() for p in setup.model.parameters()),
            "head": setup.model.head,
            "said": [dataclasses.asdict(one) for one in setup.said],
        },
        "data": {
            "name": images.name,
            "title": images.card.title,
            "license": images.card.license,
            "paper": images.card.paper,
            "split": recipe.data.split,
            "num_images": len(images),
            "num_groups": len(set(images.groups)),
            "classes": list(images.classes),
            "positive_class": None if images.positive_index is None else images.classes[images.positive_index],
            "bit_depth": min(source["bits"]),
            "source": source,
            "image_size": list(images[0][0].shape[1:]),
            "broken": [list(pair) for pair in images.broken],
        },
        "protocol": {
            "name": plan.protocol,
            "precision": plan.precision,
            **({"set": " and ".join(plan.sets)} if plan.sets else {}),
            "attacks": {
                title: _attack(title, given[title], attack) | {"goal": plan.goals[title]} | _only(plan, title)
                for title, attack in plan.runs.items()
            },
            "verified": "every success was re-checked in float32, inside the exact ball, by the classifier itself",
        },
        "cost": run["cost"],
        **measured,
        "not_tested": not_tested(bool(recipe.corruptions) or plan.slopes != plan.grids),
        "provenance": {
            "medrobust": __version__,
            "torch": run["versions"].get("torch"),
            "python": run["versions"].get("python"),
            "versions": run["versions"],
            "commit": run["commit"],
            "command": run["command"],
            "seed": recipe.seed,
            "model_sha256": run["identity"]["model"],
            "data_sha256": run["identity"]["data"],
            "recipe_sha256": run["identity"]["recipe"],
            "hardware": run["hardware"],
            "started": run["started"],
            "finished": run["finished"],
        },
    }


def read_audit(folder: Path) -> dict[str, Any]:
    """audit.json of a run directory. Errors: UserError when there is none."""
    content = read_json(folder / "audit.json")
    return dict(content)
