"""Checks of the model itself."""

from __future__ import annotations

import numpy as np
import torch

from ...findings import Finding
from ...records.records import Records
from ..context import Context

NUM_IMAGES = 8
TOLERANCE = 1e-4  # AutoAttack's rule for deterministic models (arXiv:2003.01690, checks of the reference code)


def _logits(context: Context, rows: torch.Tensor) -> torch.Tensor:
    with context.model.frozen(), torch.no_grad():
        return context.model(rows.to(context.plan.device)).float().cpu()


def _some_images(context: Context) -> torch.Tensor:
    return torch.stack([context.images[i][0] for i in range(min(NUM_IMAGES, len(context.images)))])


def deterministic(records: Records, context: Context) -> Finding:
    """The same image gives the same answer every time, or a single gradient says little.

    After the checks in the reference code of AutoAttack (Croce & Hein 2020, arXiv:2003.01690); what to do about a
    random classifier is in Athalye et al. 2018 (arXiv:1802.00420).
    """
    x = _some_images(context)
    first = _logits(context, x)
    gap = max(float((_logits(context, x) - first).abs().max()) for _ in range(3))
    title = "Does the classifier give the same output for the same image?"
    evidence = f"largest difference of a logit over 4 passes of {len(x)} images: {gap:.2g}"
    if gap <= TOLERANCE:
        return Finding("deterministic", "pass", title, evidence)
    advice = "The classifier is random at test time: attack the mean of many passes (medrobust.models.wrappers.eot)."
    return Finding("deterministic", "fail", title, evidence, advice)


def batch_independent(records: Records, context: Context) -> Finding:
    """An image alone gives the same answer as in a batch.

    Batch normalization in training mode breaks this: it normalizes each image by the others of its batch (Ioffe &
    Szegedy 2015, arXiv:1502.03167).
    """
    x = _some_images(context)
    together = _logits(context, x)
    alone = torch.cat([_logits(context, x[i : i + 1]) for i in range(len(x))])
    gap = float(((together - alone).abs() / together.abs().clamp_min(1)).max())
    title = "Does an image get the same output alone as beside others?"
    evidence = f"largest relative difference of a logit: {gap:.2g}"
    if gap <= TOLERANCE:
        return Finding("batch-independent", "pass", title, evidence)
    advice = "Some layer mixes the images of a batch, perhaps batch normalization in training mode."
    return Finding("batch-independent", "fail", title, evidence, advice)


def answers_something(records: Records, context: Context) -> Finding:
    """A classifier that always gives one answer is "robust" and useless.

    So the clean accuracy stands beside the robust one (Carlini et al. 2019, arXiv:1902.06705), and the balanced one,
    which prevalence cannot raise (Maier-Hein et al. 2024, doi:10.1038/s41592-023-02151-z).
    """
    clean = records.clean
    counts = np.bincount(clean["clean_prediction"], minlength=len(context.images.classes))
    share, k = counts.max() / counts.sum(), len(counts)
    recalls = [
        float((clean["clean_prediction"][clean["label"] == c] == c).mean()) for c in np.unique(clean["label"]).tolist()
    ]
    balanced = float(np.mean(recalls))
    title = "Does the classifier tell the classes apart at all?"
    present = np.bincount(clean["label"], minlength=k) > 0
    absent = [repr(name) for name, here in zip(context.images.classes, present, strict=True) if not here]
    missing = f"no image of class {', '.join(absent)} in the part audited; " if absent else ""
    if present.sum() == 1:
        # All right or all wrong says nothing here: one constant answer is as good as any.
        right = f"{missing}{balanced:.0%} of the images of the only class there are right"
        return Finding("answers-something", "fail", title, right, "Audit a part that has images of every class.")
    evidence = missing + (
        f"{share:.0%} of the answers are '{context.images.classes[int(counts.argmax())]}'; "
        f"balanced accuracy {balanced:.3f}, guessing gives {1 / k:.3f}"
    )
    # A rare class makes one answer frequent: what counts is whether the answers follow the labels.
    if share < 1 and balanced > 1 / k + 0.05:
        return Finding("answers-something", "pass", title, evidence)
    advice = "Do not quote the robust accuracy of a classifier that has collapsed: a constant answer cannot be changed."
    return Finding("answers-something", "fail", title, evidence, advice)
