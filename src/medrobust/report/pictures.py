"""The gallery: pictures as data URIs, few enough to keep the report small, and what the slider shows at each size."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .measured import Json, attack_name, class_name
from .words import Budget, number, percent

PICTURE_CHARACTERS = 7_000_000  # of base64 in one report: most runs need less, none gives a file too large to mail
NUM_BARS = 5  # classes shown as bars; the others are summed
LEAST_BAR = 0.05  # a class never above this probability is among the others

PNG = b"\x89PNG\r\n\x1a\n"


@dataclass
class Album:
    """Pictures by file name, read once; uris are those in use, equal ones stored once; missing could not be read."""

    folder: Path
    uris: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    _read: dict[str, str] = field(default_factory=dict)

    def read(self, name: Any) -> str:
        """A picture as data URI; nothing when there is no such PNG in the folder."""
        if not isinstance(name, str):
            return ""
        if name not in self._read:
            path = self.folder / name
            inside = Path(name).name == name  # a gallery file may not reach out of its folder
            data = path.read_bytes() if inside and path.is_file() else b""
            self._read[name] = "data:image/png;base64," + base64.b64encode(data).decode() if data[:8] == PNG else ""
            if not self._read[name]:
                self.missing.append(name)
        return self._read[name]

    def use(self, name: Any) -> int | None:
        """The place of a picture in uris, or None."""
        uri = self.read(name)
        if uri and uri not in self.uris:
            self.uris.append(uri)
        return self.uris.index(uri) if uri else None

    def size(self, names: Iterable[Any]) -> int:
        """Characters that these pictures would take."""
        return sum(map(len, {self.read(name) for name in names}))


@dataclass(frozen=True)
class Bar:
    """One class before and after, as shares."""

    name: str
    before: float
    after: float
    state: str  # right: the true class; wrong: the class misread as; other


@dataclass(frozen=True)
class Frame:
    """One image changed within one budget: the texts and pictures that the slider swaps in."""

    budget: Budget
    size: str
    attack: str
    amplified: str
    read: str
    probability: str
    wrong: bool
    adversarial: int | None
    perturbation: int | None
    bars: tuple[Bar, ...]


@dataclass(frozen=True)
class Case:
    """One image of the gallery; frames are in the order of their budgets."""

    image_id: str
    anchor: str
    truth: str
    group: str
    why: str
    read: str
    probability: str
    wrong: bool
    clean: int | None
    frames: tuple[Frame, ...]

    def shown(self, budget: Budget) -> int:
        """The frame for a slider position: its own, else the nearest smaller, else the first."""
        fitting = [
            i
            for i, f in enumerate(self.frames)
            if f.budget.norm == budget.norm and f.budget.epsilon <= budget.epsilon * (1 + 1e-6)
        ]
        return fitting[-1] if fitting else 0


@dataclass(frozen=True)
class Gallery:
    """Cases, the budgets of the slider, the pictures, where the slider starts; dropped says what was left out."""

    cases: tuple[Case, ...]
    budgets: tuple[Budget, ...]
    uris: tuple[str, ...]
    start: int
    dropped: tuple[str, ...]


def _bars(
    audit: Json, entry: Json, before: Sequence[float], after: Sequence[float], prediction: int
) -> tuple[Bar, ...]:
    count = min(len(before), len(after))
    highest = [max(before[i], *(f["probabilities"][i] for f in entry["frames"])) for i in range(count)]
    read = {entry["label"], entry["clean_prediction"], *(f["prediction"] for f in entry["frames"])}
    ranked = sorted(range(count), key=lambda i: (i not in read, -highest[i]))
    top = [i for i in ranked if i in read or highest[i] >= LEAST_BAR][:NUM_BARS]
    top = ranked if count - len(top) == 1 else top
    states = {prediction: "wrong", entry["label"]: "right"}
    bars = [Bar(class_name(audit, i), before[i], after[i], states.get(i, "other")) for i in sorted(top)]
    rest = [i for i in range(count) if i not in top]
    if rest:
        bars.append(Bar(f"{len(rest)} others", sum(before[i] for i in rest), sum(after[i] for i in rest), "other"))
    return tuple(bars)


def _probability(probabilities: Sequence[float], index: int) -> str:
    return percent(probabilities[index], 0) if 0 <= index < len(probabilities) else ""


def _kept(entry: Json, kept: Sequence[Budget], norm: str) -> list[Json]:
    """The frames of an image at these budgets, in their order."""
    frames = entry["frames"]
    return [f for b in kept for f in frames if b.same(f.get("norm", norm), f["epsilon"])]


def _size(raw: Json, within: Budget) -> str:
    """The change that is shown, which may be smaller than the budget; the budget where its size is not known."""
    if "size" not in raw:
        return within.short
    return Budget(within.norm, float(raw["size"])).short if raw["size"] > 0 else "nothing"


def _case(audit: Json, entry: Mapping[str, Any], kept: Sequence[Budget], norm: str, album: Album, place: int) -> Case:
    label, clean = entry["label"], entry["clean_probabilities"]
    frames = []
    for raw in _kept(entry, kept, norm):
        within = Budget(raw.get("norm", norm), float(raw["epsilon"]))
        frames.append(
            Frame(
                within,
                _size(raw, within),
                attack_name(audit, str(raw["attack"])) if raw.get("attack") else "No attack changed the answer.",
                number(raw.get("amplification"), 3),
                class_name(audit, raw["prediction"]),
                _probability(raw["probabilities"], raw["prediction"]),
                raw["prediction"] != label,
                album.use(raw.get("adversarial_png")),
                album.use(raw.get("perturbation_png")),
                _bars(audit, entry, clean, raw["probabilities"], raw["prediction"]),
            )
        )
    predicted = entry["clean_prediction"]
    return Case(
        str(entry["image_id"]),
        f"image-{place}",
        class_name(audit, label),
        str(entry.get("group_id") or ""),
        str(entry.get("why") or ""),
        class_name(audit, predicted),
        _probability(clean, predicted),
        predicted != label,
        album.use(entry.get("clean_png")),
        tuple(frames),
    )


def _by_importance(budgets: Sequence[Budget], wanted: Budget | None) -> list[Budget]:
    """The wanted budget (or the nearest), both ends, then ever finer halves."""
    if not budgets:
        return []
    near = [b for b in budgets if wanted is None or b.norm == wanted.norm] or list(budgets)
    first = near[len(near) // 2] if wanted is None else min(near, key=wanted.far)
    order = [first, budgets[0], budgets[-1]]
    step = len(budgets)
    while step > 1:
        step = (step + 1) // 2
        order += budgets[::step]
    return list(dict.fromkeys([*order, *budgets]))


def gallery(
    audit: Json, entries: Sequence[Json], folder: Path, wanted: Budget | None, limit: int = PICTURE_CHARACTERS
) -> Gallery | None:
    """Read the gallery and thin it to the limit: fewer budgets first, then fewer images; None when it is empty."""
    usable = [entry for entry in entries if entry.get("frames")]
    norm = wanted.norm if wanted else "linf"
    found = {
        (f.get("norm", norm), float(f["epsilon"])) for entry in usable for f in entry["frames"] if f["epsilon"] > 0
    }
    budgets = [Budget(*pair) for pair in sorted(found, key=lambda pair: (pair[0] != norm, pair))]

    album = Album(folder)

    def fits(cases: Sequence[Json], kept: Sequence[Budget]) -> bool:
        names = [entry.get("clean_png") for entry in cases]
        for entry in cases:
            for frame in _kept(entry, kept, norm):
                names += [frame.get("adversarial_png"), frame.get("perturbation_png")]
        return album.size(names) <= limit

    order = _by_importance(budgets, wanted)
    chosen = list(usable)
    while len(chosen) > 1 and not fits(chosen, order[:1]):
        chosen.pop()
    kept = order[:1]
    for budget in order[1:]:
        if fits(chosen, [*kept, budget]):
            kept.append(budget)
    shown = tuple(b for b in budgets if b in kept)
    built = [_case(audit, entry, shown, norm, album, i) for i, entry in enumerate(chosen, 1)]
    cases = tuple(case for case in built if case.frames and case.clean is not None)
    if not cases or not shown:
        return None
    dropped = []
    for what, few, many in (("sizes", len(shown), len(budgets)), ("images", len(chosen), len(usable))):
        if few < many:
            dropped.append(f"To keep this file small it shows {few} of {many} {what}; all are in the folder images/.")
    if album.missing:
        dropped.append(f"{len(album.missing)} of the pictures could not be read, the first of them {album.missing[0]}.")
    return Gallery(cases, shown, tuple(album.uris), shown.index(order[0]), tuple(dropped))


def example(pictures: Gallery, wanted: Budget | None) -> tuple[Case, Frame] | None:
    """The pair that opens the report: right untouched, wrong at the budget of the verdict, the surest of such images.

    Where none is wrong there, the one that turns at the nearest budget.
    """
    found: list[tuple[tuple[bool, float], Case, Frame]] = []
    for case in pictures.cases:
        wrong = [f for f in case.frames if f.wrong and f.adversarial is not None]
        if wrong and not case.wrong:
            there = case.frames[case.shown(wanted)] if wanted else wrong[0]
            frame = there if there in wrong else wrong[0]
            sure = max(bar.before for bar in frame.bars)
            far = wanted.far(frame.budget) if wanted else 0.0
            found.append(((frame is not there, far if frame is not there else -sure), case, frame))
    return min(found, key=lambda item: item[0])[1:] if found else None


def slider_data(pictures: Gallery) -> dict[str, Any]:
    """What the inline script needs, as JSON: per case the frame of each position, and the texts of each frame.

    Pictures that stand in the page already are None; the script takes them from there.
    """
    standing: set[int | None] = set()
    for case in pictures.cases:
        frame = case.frames[case.shown(pictures.budgets[pictures.start])]
        standing |= {case.clean, frame.adversarial, frame.perturbation}
    return {
        "sizes": [{"label": b.short, "fraction": b.fraction} for b in pictures.budgets],
        "pictures": [None if i in standing else uri for i, uri in enumerate(pictures.uris)],
        "cases": [
            {
                "positions": [case.shown(budget) for budget in pictures.budgets],
                "frames": [
                    {
                        "adversarial": frame.adversarial,
                        "perturbation": frame.perturbation,
                        "size": frame.size,
                        "attack": frame.attack,
                        "amplified": frame.amplified,
                        "read": frame.read,
                        "probability": frame.probability,
                        "wrong": frame.wrong,
                        "bars": [[round(bar.after, 4), percent(bar.after, 0), bar.state] for bar in frame.bars],
                    }
                    for frame in case.frames
                ],
            }
            for case in pictures.cases
        ],
    }
