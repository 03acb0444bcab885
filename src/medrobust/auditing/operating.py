"""Where a classifier is used: the prevalence that a recipe states, and the operating point that a checkpoint holds."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..data.images.image_set import ImageSet
from ..errors import UserError, nearest


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


def operating_point(card: Mapping[str, Any], images: ImageSet) -> float | None:
    """The probability of the positive class from which a checkpoint of ours reads an image as it; None without one.

    Args:
        card: of the checkpoint; its `operating_point` is a number, or a mapping with `threshold` and perhaps `class`.
        images: that are audited; where `class` is not their positive class the point does not speak of it.

    Example:
        >>> from medrobust.testing.image_sets import tiny_set
        >>> operating_point({"operating_point": {"threshold": 0.3}}, tiny_set(4)), operating_point({}, tiny_set(4))
        (0.3, None)
    """
    found = card.get("operating_point")
    if isinstance(found, Mapping):
        positive = images.positive_index
        if "class" in found and (positive is None or found["class"] != images.classes[positive]):
            return None
        found = found.get("threshold")
    known = isinstance(found, (int, float)) and not isinstance(found, bool) and 0 <= found <= 1
    return float(found) if known and isinstance(found, (int, float)) else None
