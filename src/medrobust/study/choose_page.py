"""The page for the person who must choose a network: Markdown and HTML of one Choice."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from ..records.intervals import Estimate
from ..report.page import TEMPLATES, environment
from ..report.words import Budget
from ..svg import Axis, document, path, spread, tag, text
from ..version import __version__

if TYPE_CHECKING:
    from .choice import Candidate, Choice

TEMPLATE = Path(__file__).with_name("choose.html.j2")
POLICY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"
SIGNS = {"best": "pass", "yes": "pass", "no": "fail", "not shown": "warn"}
EQUIVALENT = {"best": "the best", "yes": "yes", "no": "no", "not shown": "not shown"}
LEAST, MOST = 5.0, 15.0  # radii of circles
GAP = 15  # between labels


class Form(NamedTuple):
    """Sizes of one form of the figure."""

    name: str
    width: float
    height: float
    left: float
    right: float
    ticks: int


FORMS = (Form("wide", 720, 360, 52, 170, 7), Form("narrow", 344, 320, 48, 24, 4))
TOP, BOTTOM = 40.0, 52.0


def share(found: Estimate) -> str:
    """An accuracy in percent with its interval.

    Example:
        >>> share(Estimate(0.915, 0.868, 0.946))
        '91.5 % [86.8, 94.6]'
    """
    if math.isnan(found.value):
        return "not known"
    return f"{100 * found.value:.1f} % [{100 * found.low:.1f}, {100 * found.high:.1f}]"


def budget_words(choice: Choice) -> str:
    """The attack in words: how much each image may change."""
    attack, norm, epsilon = choice.key
    size = Budget(norm, epsilon).words if norm else f"{epsilon:.4g}"
    return (
        f"the worst of all attacks that change an image by up to {size}" if attack == "worst" else f"{attack}, {size}"
    )


def parameters(one: Candidate) -> str:
    """A number of parameters as people say it.

    Example:
        >>> from medrobust.records.intervals import UNDEFINED
        >>> from medrobust.study.choice import Candidate
        >>> [parameters(Candidate("a", n, UNDEFINED, UNDEFINED)) for n in (9_870, 77_300, 12_340_000, None)]
        ['9,870', '77,300', '12.3 million', 'not known']
    """
    n = one.num_parameters
    return "not known" if n is None else f"{n / 1e6:.1f} million" if n >= 1_000_000 else f"{n:,}"


def measured(choice: Choice) -> str:
    """What the candidates were measured on."""
    images = (
        f"{choice.num_images:,} images" if choice.num_networks == 1 else f"{choice.num_images:,} readings of images"
    )
    trained = "trained once each" if choice.num_networks == 1 else f"{choice.num_networks} trainings each"
    return f"{images} of {choice.num_groups:,} groups (patients, lesions), {trained}"


def steps(choice: Choice) -> list[str]:
    """How it was decided, step by step."""
    best = next(one for one in choice.candidates if one.equivalent == "best")
    good = [one for one in choice.candidates if one.good_enough]
    margin = f"{100 * choice.margin:.3g} points"
    return [
        f"On unchanged images {best.name} is the best. Another is good enough if two one-sided tests, paired by image, "
        f"show that it is within {margin} of it. That a difference was not found is not enough. {len(good)} of "
        f"{len(choice.candidates)} are good enough.",
        "Of these, the most robust is the one that reads most images correctly in the worst case of each image over "
        "all attacks. Another is as robust, as far as these images tell, if the paired interval of the difference "
        "holds 0.",
        "Of those as robust, the one with the fewest parameters is taken.",
    ]


def markdown(choice: Choice) -> str:
    """The page as Markdown."""
    rows = [
        f"| {number} | {one.name} | {parameters(one)} | {share(one.clean)} | {EQUIVALENT[one.equivalent]} | "
        f"{share(one.robust)} | {'**taken**' if one.chosen else one.why} |"
        for number, one in enumerate(choice.candidates, 1)
    ]
    parts = [
        f"# {choice.headline}",
        f"{choice.title}. {_where(choice)}".strip(),
        choice.why,
        "\n".join(
            [
                f"| | {choice.axis} | parameters | right on unchanged images | as good as the best "
                "| right under attack | |",
                "|---|---|---|---|---|---|---|",
                *rows,
            ]
        ),
        f"Right: the share of images read correctly, with a 95 % interval. Under attack: {budget_words(choice)}. "
        f"{measured(choice)}.",
        "## Before you act on it\n\n" + "\n".join(f"- {one}" for one in choice.cautions) if choice.cautions else "",
        "## How it was decided\n\n" + "\n".join(f"{n}. {one}" for n, one in enumerate(steps(choice), 1)),
        choice.power_words,
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def html(choice: Choice) -> str:
    """The page as HTML."""
    from markupsafe import Markup

    made = environment()
    made.globals |= {
        "share": share,
        "parameters": parameters,
        "sign": SIGNS.__getitem__,
        "as_good": EQUIVALENT.__getitem__,
    }
    return str(
        made.from_string(TEMPLATE.read_text(encoding="utf-8")).render(
            choice=choice,
            figures=[Markup(figure(choice, form)) for form in FORMS],
            where=_where(choice),
            budget=budget_words(choice),
            measured=measured(choice),
            steps=steps(choice),
            style=Markup((TEMPLATES / "style.css").read_text(encoding="utf-8").strip()),
            policy=POLICY,
            version=__version__,
        )
    )


def _where(choice: Choice) -> str:
    said = ", ".join(f"{axis} {_listed(value)}" for axis, value in choice.where.items())
    return f"Compared for {said}." if said else ""


def _listed(value: object) -> str:
    return ", ".join(str(one) for one in value) if isinstance(value, (list, tuple)) else str(value)


def figure(choice: Choice, form: Form) -> str:
    """Robust against clean accuracy with intervals; the larger a circle, the more parameters."""
    floor = form.height - BOTTOM
    x = _axis([one.clean for one in choice.candidates], form.left, form.width - form.right)
    y = _axis([one.robust for one in choice.candidates], floor, TOP)
    parts = [tag("text", text("right under attack"), x=0, y=14, class_="axis-title")]
    for value in y.ticks(6):
        parts.append(tag("line", x1=form.left, x2=form.width - form.right, y1=y(value), y2=y(value), class_="grid"))
        parts.append(tag("text", text(f"{100 * value:.3g}%"), x=form.left - 8, y=y(value) + 4, class_="tick end"))
    for value in x.ticks(form.ticks):
        parts.append(tag("line", x1=x(value), x2=x(value), y1=floor, y2=floor + 5, class_="axis"))
        parts.append(tag("text", text(f"{100 * value:.3g}%"), x=x(value), y=floor + 20, class_="tick middle"))
    middle = (form.left + form.width - form.right) / 2
    parts.append(tag("text", text("right on unchanged images"), x=middle, y=floor + 44, class_="axis-title middle"))
    largest = max([one.num_parameters or 0 for one in choice.candidates]) or 1
    drawn = sorted(enumerate(choice.candidates, 1), key=lambda pair: -(pair[1].num_parameters or 0))
    for _, one in drawn:
        kind = _kind(one)
        at = x(one.clean.value), y(one.robust.value)
        parts.append(path([(x(one.clean.low), at[1]), (x(one.clean.high), at[1])], class_=f"reach {kind}"))
        parts.append(path([(at[0], y(one.robust.low)), (at[0], y(one.robust.high))], class_=f"reach {kind}"))
    parts += _labels(choice, form, x, y, largest, floor)
    for _, one in drawn:
        radius = LEAST + (MOST - LEAST) * math.sqrt((one.num_parameters or 0) / largest)
        parts.append(
            tag("circle", cx=x(one.clean.value), cy=y(one.robust.value), r=radius, class_=f"network {_kind(one)}")
        )
    said = "; ".join(
        f"{one.name}: {share(one.clean)} unchanged, {share(one.robust)} under attack" for one in choice.candidates
    )
    return document(
        form.width, form.height, *parts, label=f"Robust against clean accuracy. {said}", class_=f"plot {form.name}"
    )


def _labels(choice: Choice, form: Form, x: Axis, y: Axis, largest: int, floor: float) -> list[str]:
    """At the right the number of each candidate, where there is room its name, and a line to its circle."""
    heights = spread([y(one.robust.value) for one in choice.candidates], GAP, TOP, floor)
    at = form.width - form.right + 8
    parts = []
    for number, (one, height) in enumerate(zip(choice.candidates, heights, strict=True), 1):
        radius = LEAST + (MOST - LEAST) * math.sqrt((one.num_parameters or 0) / largest)
        words = f"{number} {one.name}" if form.name == "wide" else str(number)
        start = max(x(one.clean.value) + radius, x(one.clean.high)) + 3
        parts.append(path([(start, y(one.robust.value)), (at - 3, height)], class_="lead"))
        parts.append(tag("text", text(words), x=at, y=height + 4, class_=f"name {_kind(one)}"))
    return parts


def _kind(one: Candidate) -> str:
    return "taken" if one.chosen else "good" if one.good_enough else "out"


def _axis(found: list[Estimate], start: float, stop: float) -> Axis:
    """From the lowest to the highest end, with a little room."""
    low, high = min(one.low for one in found), max(one.high for one in found)
    room = max((high - low) * 0.06, 0.01)
    return Axis(max(0.0, low - room), min(1.0, high + room), start, stop)
