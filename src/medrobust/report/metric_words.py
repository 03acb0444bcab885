"""The metrics of unchanged images: how they are called and what they say, in plain words."""

from __future__ import annotations

from typing import NamedTuple


class Metric(NamedTuple):
    """Its name, its meaning for two classes and for more, and whether it is a share written in percent."""

    name: str
    two: str
    more: str
    in_percent: bool = True


METRICS: dict[str, Metric] = {
    "accuracy": Metric(
        "Accuracy",
        "of all images, the share read correctly",
        "of all images, the share read correctly",
    ),
    "balanced_accuracy": Metric(
        "Balanced accuracy",
        "the mean of both classes' shares read correctly; guessing gives 50%",
        "the mean of the classes' shares read correctly",
    ),
    "sensitivity": Metric(
        "Sensitivity",
        "of the {positive} images, the share read as {positive}",
        "of the images of a class, the share read as it; mean over classes",
    ),
    "specificity": Metric(
        "Specificity",
        "of the {negative} images, the share read as {negative}",
        "of the images not of a class, the share not read as it; mean over classes",
    ),
    "ppv": Metric(
        "Positive predictive value",
        "of the images read as {positive}, the share that are",
        "of the images read as a class, the share that are; mean over classes",
    ),
    "precision": Metric(
        "Precision",
        "of the images read as {positive}, the share that are",
        "of the images read as a class, the share that are; mean over classes",
    ),
    "npv": Metric(
        "Negative predictive value",
        "of the images read as {negative}, the share that are",
        "of the images not read as a class, the share that are not; mean over classes",
    ),
    "recall": Metric(
        "Recall",
        "of the {positive} images, the share read as {positive}",
        "of the images of a class, the share read as it; mean over classes",
    ),
    "auroc": Metric(
        "AUROC",
        "how well the score ranks {positive} above {negative}; 0.5 is guessing, 1 is perfect",
        "how well the scores rank a class above the others; 0.5 is guessing, 1 is perfect",
        False,
    ),
    "average_precision": Metric(
        "Average precision",
        "precision averaged over all thresholds; 1 is perfect",
        "precision averaged over all thresholds and classes; 1 is perfect",
        False,
    ),
    "f1": Metric(
        "F1",
        "sensitivity and precision in one number; 1 is perfect",
        "sensitivity and precision in one number, mean over classes; 1 is perfect",
        False,
    ),
    "mcc": Metric(
        "Matthews correlation",
        "agreement of reading and truth; 0 is guessing, 1 is perfect",
        "agreement of reading and truth; 0 is guessing, 1 is perfect",
        False,
    ),
    "ece": Metric(
        "Calibration error (ECE)",
        "how far stated probabilities are from the truth; 0 is perfect",
        "how far stated probabilities are from the truth; 0 is perfect",
        False,
    ),
    "brier": Metric(
        "Brier score",
        "squared error of the stated probabilities; 0 is perfect",
        "squared error of the stated probabilities; 0 is perfect",
        False,
    ),
}
