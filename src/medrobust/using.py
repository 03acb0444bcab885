"""Functions of `import medrobust` for what is there already: compare two audits, answer with a model."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from torch import nn

from .arguments import subject
from .auditing.compare import Comparison, compare_runs, write_comparison
from .auditing.run import AuditRun
from .errors import UserError
from .models.wrap import device_of
from .predicting.predict import Predictions, answers, predict_images
from .predicting.scores import Shown
from .progress import optional
from .recipes.yaml import audit_recipe, read_list, read_recipe
from .records.limits import limits_of
from .report.compare import write_compare_page

__all__ = ["Comparison", "Predictions", "compare", "predict"]


def compare(
    a: AuditRun | Path | str,
    b: AuditRun | Path | str,
    limits: Sequence[Any] | Path | str | None = None,
    *,
    out: Path | str | None = None,
    common: bool = False,
) -> Comparison:
    """Is the new classifier worse than the old one? What `medrobust compare` does.

    Args:
        a, b: audits of the old and of the new classifier on the same images, or their directories.
        limits: that the new one is held to: mappings {metric, norm, epsilon, at_least or no_worse_than}, or a YAML
            file of them.
        out: directory of compare.json, compare.md and compare.html; nothing is written by default.
        common: compare the budgets that both have, and leave out the others.

    Errors: UserError where the runs are not of the same images and budgets, and for a limit that cannot be read.

    Example:
        >>> import tempfile, torch, medrobust as mr
        >>> net = nn.Sequential(nn.Flatten(), nn.Linear(64, 2))
        >>> images = mr.ImageSet.of(torch.rand(12, 1, 8, 8), torch.arange(12) % 2)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     run = mr.audit(net, images, ["fgsm"], linf=["1/255"], out=folder + "/audit")
        ...     mr.compare(run, run, [{"metric": "accuracy", "no_worse_than": 0.3}]).verdict
        'met'
    """
    runs = [run if isinstance(run, AuditRun) else AuditRun(Path(run)) for run in (a, b)]
    place = str(limits) if isinstance(limits, (str, Path)) else "limits"
    given = read_list(limits) if isinstance(limits, (str, Path)) else limits
    content = compare_runs(runs[0], runs[1], [] if given is None else limits_of(given, place), common=common)
    if out is None:
        return Comparison(content)
    folder = write_comparison(content, Path(out))
    write_compare_page(content, folder)
    return Comparison(content, folder)


def predict(
    model: nn.Module | Path | str, images: Any, *, batch_size: int | None = None, progress: bool = False, **keys: Any
) -> Predictions:
    """Answers, probabilities, and whether a person should look: what `medrobust predict` does.

    Args:
        model: any nn.Module or a Classifier, or what the command takes: a checkpoint folder, for example.
        images: of a network in memory, an ImageSet or what ImageSet.of takes, whose labels are not looked at; of a
            model by name a folder, a file or csv:FILE.
        batch_size: images shown at once.
        progress: show a bar.
        keys: of a model by name, keys of a recipe with __ for the dot: model__weights="net.safetensors".

    Errors: UserError for what an audit refuses too.

    Example:
        >>> import torch
        >>> net = nn.Sequential(nn.Flatten(), nn.Linear(16, 2))
        >>> found = predict(net, [(torch.rand(1, 4, 4), k % 2) for k in range(3)])
        >>> len(found.rows), found.rows[0]["refer"]
        (3, None)
    """
    with optional(progress) as report:
        if isinstance(model, (str, Path)):
            given = {key.replace("__", "."): value for key, value in keys.items()} | {"model.name": str(model)}
            given |= {} if batch_size is None else {"batch_size": batch_size}
            return predict_images(audit_recipe(read_recipe(None, (), given)), str(images), report)
        if keys:
            raise UserError(next(iter(keys)), "is a key of a model by name", "give a folder or file as the model")
        classifier, image_set = subject(model, images)
        return answers(classifier, image_set, Shown(batch_size or 32, str(device_of(classifier))), None, report)
