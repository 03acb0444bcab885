"""The metrics of unchanged images: all that `clean_metrics` gives, and what each says, in plain words."""

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
    "precision": Metric(
        "Precision",
        "of the images read as {positive}, the share that are",
        "of the images read as a class, the share that are; mean over classes",
    ),
    "auroc": Metric(
        "AUROC",
        "how well the score ranks {positive} above {negative}; 0.5 is guessing, 1 is perfect",
        "how well the scores rank a class above the others; 0.5 is guessing, 1 is perfect",
        False,
    ),
    "f1": Metric(
        "F1",
        "sensitivity and precision in one number; 1 is perfect",
        "sensitivity and precision in one number, mean over classes; 1 is perfect",
        False,
    ),
    "macro_sensitivity": Metric(
        "Sensitivity, mean over classes",
        "",
        "of the images of a class, the share read as it; mean over classes",
    ),
    "macro_f1": Metric(
        "F1, mean over classes",
        "",
        "sensitivity and precision in one number, mean over classes; 1 is perfect",
        False,
    ),
    "average_precision": Metric(
        "Average precision",
        "how pure the {positive} images come first when ranked by score; guessing gives their share of the images",
        "",
        False,
    ),
    "mean_average_precision": Metric(
        "Mean average precision",
        "average precision, mean over both classes (mAP)",
        "how pure the images of a class come first when ranked by its score; mean over classes (mAP)",
        False,
    ),
    "ppv": Metric("Positive predictive value", "of the images read as {positive}, the share that are", ""),
    "npv": Metric("Negative predictive value", "of the images read as {negative}, the share that are", ""),
}
