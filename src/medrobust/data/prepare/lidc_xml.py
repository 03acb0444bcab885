"""The radiologists' XML of LIDC-IDRI: outlines and ratings, and which of them mean one nodule."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from xml.etree import ElementTree

import numpy as np

from ...errors import UserError


@dataclass(frozen=True)
class Reading:
    """One radiologist's outline of one nodule of 3 mm or more.

    Args:
        reader: number of the reading session.
        malignancy: 1 (highly unlikely) to 5 (highly suspicious).
        outlines: SOP instance UID of a slice -> outlines (n, 2) in pixels (column, row), with True for what belongs to
            the nodule and False for what is cut out of it.
    """

    reader: int
    malignancy: int
    outlines: Mapping[str, tuple[tuple[np.ndarray, bool], ...]]


def read_annotations(path: Path) -> tuple[str, tuple[Reading, ...]] | None:
    """Series instance UID and readings of an XML file; None when it is not a CT annotation of LIDC.

    Marks of small nodules and of non-nodules carry no malignancy and are left out.

    Errors: UserError when the file is not XML or something else stands in the place of a number.
    """
    try:
        root = ElementTree.parse(path).getroot()
        for element in root.iter():
            element.tag = element.tag.rpartition("}")[2]  # releases differ in their namespace
        if root.tag != "LidcReadMessage":
            return None
        series = root.findtext(".//SeriesInstanceUid", "").strip()
        sessions = enumerate(root.iter("readingSession"))
        found = [_reading(number, item) for number, session in sessions for item in session.iter("unblindedReadNodule")]
    except (ElementTree.ParseError, ValueError, OSError) as error:
        raise UserError(str(path), f"cannot be read as annotations: {error}", "download it again") from error
    return series, tuple(reading for reading in found if reading)


def _reading(reader: int, nodule: ElementTree.Element) -> Reading | None:
    rating = nodule.findtext("characteristics/malignancy", "").strip()
    outlines: defaultdict[str, list[tuple[np.ndarray, bool]]] = defaultdict(list)
    for roi in nodule.iter("roi"):
        points = [(_number(edge, "xCoord"), _number(edge, "yCoord")) for edge in roi.iter("edgeMap")]
        if len(points) >= 3:
            inside = roi.findtext("inclusion", "TRUE").strip().upper() == "TRUE"
            outlines[roi.findtext("imageSOP_UID", "").strip()].append((np.array(points, dtype=float), inside))
    if not rating or not outlines:
        return None
    return Reading(reader, int(rating), {slice_: tuple(items) for slice_, items in outlines.items()})


def _number(element: ElementTree.Element, name: str) -> float:
    return float(element.findtext(name, ""))


@dataclass(frozen=True)
class Extent:
    """Center (x, y, z) and largest in-plane diameter of a reading, in mm."""

    center: tuple[float, float, float]
    diameter: float


def extent(reading: Reading, spacing: tuple[float, float], heights: Mapping[str, float]) -> Extent | None:
    """Where a reading is; None when none of its slices is known.

    Args:
        reading: outlines in pixels.
        spacing: (column, row) in mm.
        heights: SOP instance UID of a slice -> its z in mm.
    """
    places, diameter = [], 0.0
    for slice_, outlines in reading.outlines.items():
        if slice_ not in heights:
            continue
        for points, inside in outlines:
            if inside:
                plane = points * spacing
                places.append(np.column_stack([plane, np.full(len(plane), heights[slice_])]))
                gaps = plane[:, None] - plane[None]
                diameter = max(diameter, float(np.sqrt((gaps**2).sum(-1)).max()))
    if not places:
        return None
    x, y, z = np.concatenate(places).mean(axis=0).tolist()
    return Extent((x, y, z), diameter)


def same_nodule(readings: Sequence[Reading], extents: Sequence[Extent]) -> list[list[int]]:
    """Groups of readings that mean one nodule, at most one per reader, ordered by height, row and column.

    The nearest two centers are joined first, as long as they are closer than the larger of the two radii.
    """
    group_of = list(range(len(readings)))
    distance = {
        (a, b): float(np.linalg.norm(np.subtract(extents[a].center, extents[b].center)))
        for a, b in combinations(range(len(readings)), 2)
    }
    for (a, b), gap in sorted(distance.items(), key=lambda item: (item[1], item[0])):
        if gap > max(extents[a].diameter, extents[b].diameter) / 2 or group_of[a] == group_of[b]:
            continue
        joined = [i for i, group in enumerate(group_of) if group in (group_of[a], group_of[b])]
        if len({readings[i].reader for i in joined}) == len(joined):
            for i in joined:
                group_of[i] = group_of[a]
    groups: defaultdict[int, list[int]] = defaultdict(list)
    for i, group in enumerate(group_of):
        groups[group].append(i)
    return sorted(groups.values(), key=lambda members: tuple(reversed(extents[members[0]].center)))
