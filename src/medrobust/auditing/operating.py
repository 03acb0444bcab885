"""Where a classifier is used: the prevalence that a recipe states, and the operating point saved with a checkpoint."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from ..data.images.image_set import ImageSet
from ..errors import UserError, nearest
from ..files import read_json

POINTS = "referral.json"  # of a checkpoint


def prevalences(given: float | Mapping[str, float] | None, images: ImageSet) -> dict[int, float]:
    """Class -> its share where the classifier will be used; empty where nothing is given.

    Of two classes the other has the rest.

    Args:
        given: `data.prevalence`: the share of the positive class, or of each class that is named.
        images: that are audited.

    Errors: UserError for a number without a positive class, for a name that is no class, and for shares above 1.

    Example:
        >>> from medrobust.testing.image_sets import tiny_set
        >>> prevalences(0.25, tiny_set(4))
        {1: 0.25, 0: 0.75}
    """
    place, classes = "data.prevalence", images.classes
    if given is None:
        return {}
    if isinstance(given, Mapping):
        for name in given:
            if name not in classes:
                raise UserError(place, f"{name!r} is no class of the images", nearest(name, classes))
        found = {classes.index(name): float(share) for name, share in given.items()}
    elif images.positive_index is None:
        fix = f"name the classes: data.prevalence={{{classes[0]}: {given}}}"
        raise UserError(place, "the images have no positive class that a number could speak of", fix)
    else:
        found = {images.positive_index: float(given)}
    if sum(found.values()) > 1 + 1e-9:
        raise UserError(place, f"the shares add up to {sum(found.values()):g}", "they are shares of all patients")
    if len(classes) == 2 and len(found) == 1:
        ((k, share),) = found.items()
        found[1 - k] = 1 - share
    return found


def operating_point(folder: Path | str, weights: str, images: ImageSet) -> float | None:
    """The probability of the positive class from which a checkpoint of ours reads an image as it; None without one.

    `medrobust refer --operate` chooses it on validation images and saves it in referral.json beside the card.

    Args:
        folder: of the checkpoint; "" for other models.
        weights: their digest; a point that was chosen for others does not count.
        images: that are audited; a point of another class than their positive one does not speak of them.

    Example:
        >>> from medrobust.testing.image_sets import tiny_set
        >>> operating_point("", "", tiny_set(4)) is None
        True
    """
    path = Path(folder) / POINTS
    content = read_json(path) if folder and path.is_file() else None
    if not isinstance(content, Mapping) or content.get("model_sha256") != weights:
        return None
    found, positive = content.get("operating_point"), images.positive_index
    if not isinstance(found, Mapping) or positive is None or found.get("positive_class") != images.classes[positive]:
        return None
    threshold = found.get("threshold")
    known = isinstance(threshold, (int, float)) and not isinstance(threshold, bool) and 0 <= threshold <= 1
    return float(threshold) if known and threshold is not None else None
