"""One sentence on accuracy for the instructions for use: metric, value, interval, data, date."""

from __future__ import annotations

from .measured import Estimate, Json, clean_accuracy, focus, mapping, name_of
from .words import counted, percent


def _with_interval(found: Estimate) -> str:
    return f"{percent(found.value, 1)}{f' (95% interval {found.range})' if found.range else ''}"


def _place(audit: Json) -> str:
    """Where pixels were allowed to change, where not all were."""
    where = mapping(mapping(audit.get("threat")).get("mask")).get("where")
    return {"lesion": " inside the mask of each image", "background": " outside the mask of each image"}.get(
        str(where), ""
    )


def for_use(audit: Json) -> str:
    """The sentence; nothing where accuracy or an attack is missing.

    Accuracy unchanged, and the worst case of the attacks at the budget that the report dwells on.
    """
    clean, point = clean_accuracy(audit), focus(audit)
    if clean.value is None or point is None:
        return ""
    data, made = mapping(audit["data"]), mapping(audit.get("provenance"))
    count = f"{counted(int(data['num_images']), 'image')} of " if data.get("num_images") else ""
    split = f", split {data['split']}" if data.get("split") else ""
    when = f", measured {str(made['finished'])[:10]}" if made.get("finished") else ""
    by = f" with medrobust {made['medrobust']}" if made.get("medrobust") and when else ""
    return (
        f"Accuracy of {name_of(audit['model'])} on {count}{name_of(audit['data']) if data else 'the images'}{split}: "
        f"{_with_interval(clean)} unchanged, and {_with_interval(point.accuracy)} under the worst change found "
        f"of up to {point.budget.words}{_place(audit)}{when}{by}."
    )
