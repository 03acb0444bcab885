"""Checks of facts that have two sources: class order, normalization, what was trained on."""

from __future__ import annotations

import math

import numpy as np

from ...findings import Finding
from ...models.trials import try_others
from ...records.assignment import assignment
from ...records.metrics import auroc
from ...records.records import Records
from ..context import Context
from ..probed import NUM_LABELED, PATIENCE, affordable, mixed

GAIN = 0.1  # of accuracy that is worth a finding
SURE, LIKELY = 1e-3, 1e-2  # that chance alone gives it
SECONDS = 10 * PATIENCE  # for other preprocessings, where the first look saw too few images


def _by_chance(gained: int, lost: int) -> float:
    """The probability of so many gains or more among gained + lost even chances (McNemar's exact test)."""
    n = gained + lost
    return sum(math.comb(n, k) for k in range(gained, n + 1)) / 2**n


def class_order(records: Records, context: Context) -> Finding:
    """Outputs in another order than the names would be right far more often under another one.

    The AUROC of two classes far below one half says the same whatever the threshold (Hanley & McNeil 1982,
    doi:10.1148/radiology.143.1.7063747). McNemar's exact test, times the number of orders, rules out chance.
    """
    title = "Are the outputs in the order of the classes?"
    clean, classes = records.clean, context.images.classes
    labels, answers = clean["label"], clean["clean_prediction"]
    counts = np.zeros((len(classes), len(classes)), dtype=int)
    np.add.at(counts, (answers, labels), 1)
    best = assignment(counts)  # output -> the class that it answers to best
    right, other = answers == labels, best[answers] == labels
    gained, lost = int((other & ~right).sum()), int((right & ~other).sum())
    chance = min(1.0, _by_chance(gained, lost) * math.factorial(len(classes)))
    evidence = f"{right.mean():.1%} of the answers are right"
    recalls = [float(other[labels == k].mean()) for k in np.unique(labels).tolist()]
    tells = np.mean(recalls) > 1 / len(classes) + GAIN  # one answer to all is no order of answers
    swapped = tells and other.mean() - right.mean() >= GAIN and chance < LIKELY
    sure = chance < SURE
    ordered = [classes[k] for k in best.tolist()]
    if len(classes) == 2:
        area = auroc(labels, clean["scores"], 1)
        ones, zeros = int((labels == 1).sum()), int((labels == 0).sum())
        evidence += f", AUROC {area:.3f}" if math.isfinite(area) else ""
        swapped = swapped and area < 0.5
        if ones and zeros:
            z = (area - 0.5) / math.sqrt((ones + zeros + 1) / (12 * ones * zeros))
            sure = sure or z < -3.1
            if z < -2.33 and area < 0.5 - GAIN:  # 1 in 100 by chance
                ordered, swapped = list(classes[::-1]), True
    if not swapped:
        return Finding("class-order", "pass", title, evidence)
    written = ",".join(ordered)
    evidence += f"; in the order {written} of the outputs {other.mean() if gained else 1 - right.mean():.1%} would be"
    advice = f"The outputs, or the labels, are probably in another order: try model.classes=[{written}]."
    return Finding("class-order", "fail" if sure else "warn", title, evidence, advice)


def normalization(records: Records, context: Context) -> Finding:
    """The preprocessing is the one that the network was trained with, or another usual one would be more accurate."""
    title = "Is the network shown images as it was trained on them?"
    found = context.look
    if not found.trials:
        few = "all images" if found.num_right == found.num_images else "no other was tried on the images"
        return Finding(
            "normalization", "pass", title, f"{few} looked at: {found.num_right} of {found.num_images} right"
        )
    trials = found.trials
    chosen = mixed(context.images, affordable(context.images, NUM_LABELED))
    if trials[0].num_images < len(chosen):  # the first look had little time
        batch = context.images.batch(chosen)
        device = context.plan.device
        trials = tuple(try_others(context.model, batch.x.to(device), batch.y.to(device), SECONDS))
    best = trials[0]
    chance = min(1.0, len(trials) * _by_chance(best.gained, best.lost))
    evidence = f"{best.own_right} of {best.num_images} images are right, {best.right} with another: {best.name}"
    if best.right - best.own_right < GAIN * best.num_images or chance >= LIKELY:
        return Finding("normalization", "pass", title, evidence)
    advice = f"The network was probably trained with that: {best.fix}."
    return Finding("normalization", "fail" if chance < SURE else "warn", title, evidence, advice)


def sources(records: Records, context: Context) -> Finding:
    """Where two sources say different things of one fact, one of them is wrong."""
    title = "Do all sources of a fact say the same?"
    lost = [one for one in context.said if one.other]
    if not lost:
        return Finding("sources", "pass", title, f"{len(context.said)} facts, none with a source that disagrees")
    evidence = "; ".join(f"{one.fact}: {one.value} ({one.source}) is used, not {one.other}" for one in lost)
    return Finding("sources", "warn", title, evidence, "Leave the setting out, unless the other source is wrong.")


def trained_on(records: Records, context: Context) -> Finding:
    """Images that a model was trained on say nothing of others, however they are called now."""
    title = "Has the model been trained on none of these images?"
    advice = "Audit images that its training left out: leave data.split at auto."
    if not context.is_ours:
        evidence = "only checkpoints of medrobust say which images they were trained on"
        return Finding("trained-on", "not_run", title, evidence, "Make sure that none of these images was among them.")
    table = context.table
    if table is None or not (table.by_content or context.same_set):
        evidence = "the split table beside the checkpoint is missing, or older than the hashes of images in it"
        return Finding("trained-on", "not_run", title, evidence, "Train again, or compare the images yourself.")
    seen = table.counts(context.images, same_set=context.same_set)
    evidence = f"{seen['train']} of {len(context.images)} images were trained on"
    if seen["val"]:
        evidence += f", {seen['val']} more chose the epoch that was kept"
    if seen["train"]:
        return Finding("trained-on", "fail", title, evidence, advice)
    return Finding("trained-on", "warn" if seen["val"] else "pass", title, evidence, advice if seen["val"] else "")
