"""The page in a real browser: offline, silent, fitting a phone, its slider moving pictures and words, printing."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from medrobust.report import write_report
from medrobust.report.images import write_images
from report.browser import Page
from report.make_images import make_image_run
from report.make_run import SEVEN, make_run
from report.test_page import SHAPES

Shape = Callable[[str], Path]


@pytest.fixture(scope="session")
def written(tmp_path_factory: pytest.TempPathFactory) -> Shape:
    """The report of each shape of run, written once."""
    done: dict[str, Path] = {}

    def path(shape: str) -> Path:
        if shape not in done:
            done[shape] = write_report(make_run(tmp_path_factory.mktemp("run"), **SHAPES[shape]))
        return done[shape]

    return path


def outside(tab: Page) -> list[str]:
    """What the page asked for besides itself."""
    return [url for url in tab.requests[1:] if not url.startswith("data:")]


@pytest.mark.parametrize(
    ("shape", "width", "dark"),
    [
        ("default", 320, False),
        ("default", 700, True),
        ("default", 1280, False),
        ("seven-classes-30-budgets-two-norms", 360, True),
        ("hostile", 360, False),
        ("hostile", 1280, False),
        ("proven", 360, False),
        ("refused", 1280, True),
        ("bare", 360, True),
    ],
)
def test_page_is_silent_offline_and_fits(chromium: Page, written: Shape, shape: str, width: int, dark: bool) -> None:
    chromium.open(written(shape), width=width, dark=dark)
    assert chromium.evaluate("document.querySelectorAll('details').forEach(d => { d.open = true; }) ?? true")
    assert chromium.evaluate("document.documentElement.scrollWidth") <= width
    inside = "[...document.querySelectorAll('main *, header *')].filter(e => !e.closest('.scroll, .hidden, svg'))"
    beyond = (
        f"{inside}.filter(e => e.getBoundingClientRect().right > innerWidth + 1).map(e => e.outerHTML.slice(0, 99))"
    )
    assert chromium.evaluate(beyond) == []
    assert chromium.evaluate("[...document.images].every(i => i.complete && i.naturalWidth > 0)")
    assert outside(chromium) == []
    assert chromium.errors == []


def test_slider_by_keyboard_shows_every_picture_of_the_run(chromium: Page, written: Shape) -> None:
    path = written("default")
    gallery = json.loads((path.parent / "images" / "gallery.json").read_text())["images"]
    names = [path.parent / "images" / f["adversarial_png"] for f in gallery[0]["frames"]]
    chromium.open(path)
    chromium.evaluate("document.querySelector('#size').focus()")
    chromium.press("Home")
    seen = []
    for i, (name, frame) in enumerate(zip(names, gallery[0]["frames"], strict=True)):
        if i:
            chromium.press("ArrowRight")
        shown = chromium.evaluate(
            """(async () => {
                const c = document.querySelector('.case'), at = s => c.querySelector(s).textContent;
                const src = c.querySelector('.adversarial').src;
                const bytes = new Uint8Array([...atob(src.split(',')[1])].map(x => x.charCodeAt(0)));
                return {
                    picture: [...bytes].map(x => x.toString(16).padStart(2, '0')).join(''),
                    size: document.querySelector('#size-shown').textContent, frame: at('.frame-size'),
                    said: document.querySelector('#size').getAttribute('aria-valuetext'),
                    read: at('.after b'), wrong: c.querySelector('.after .reading').className,
                    bar: parseFloat(c.querySelectorAll('.now i')[1].style.width),
                };
            })()"""
        )
        assert bytes.fromhex(shown["picture"]) == name.read_bytes()
        assert shown["size"] == shown["said"] == f"at most {shown['frame']}"
        assert shown["read"] == ("benign", "malignant")[frame["prediction"]]
        assert shown["wrong"] == f"reading {'wrong' if frame['prediction'] else 'right'}"
        assert shown["bar"] == pytest.approx(80 * frame["probabilities"][1], abs=0.1)
        seen.append(shown["size"])
    assert len(set(seen)) == 10
    assert (seen[0], seen[-1]) == ("at most 0.1 grey levels", "at most 10 grey levels")


def test_slider_by_touch(chromium: Page, written: Shape) -> None:
    chromium.open(written("default"), width=360)
    chromium.evaluate("document.querySelector('#gallery').scrollIntoView()")
    before = chromium.evaluate("document.querySelector('.perturbation').src")
    box = chromium.evaluate("(({x, y, width, height}) => ({x, y, width, height}))(size.getBoundingClientRect())")
    assert box["height"] >= 24  # a finger can hit it
    chromium.touch(box["x"] + box["width"] - 4, box["y"] + box["height"] / 2)
    assert chromium.evaluate("size.value") == "9"
    assert chromium.evaluate("document.querySelector('.perturbation').src") != before


def test_focus_is_visible_and_reaches_the_slider(chromium: Page, written: Shape) -> None:
    chromium.open(written("default"))
    chromium.press("Tab")
    assert chromium.evaluate("document.activeElement.className") == "skip"
    assert chromium.evaluate("document.activeElement.getBoundingClientRect().top") >= 0
    for _ in range(80):  # links of the contents and of the sections before it
        chromium.press("Tab")
        style = "getComputedStyle(document.activeElement)"
        assert chromium.evaluate(f"{style}.outlineStyle != 'none' && parseFloat({style}.outlineWidth) >= 2")
        if chromium.evaluate("document.activeElement.id") == "size":
            return
    pytest.fail("the slider is out of reach of the keyboard")


def test_without_scripts_the_page_still_shows_the_verdict(chromium: Page, written: Shape) -> None:
    chromium.call("Emulation.setScriptExecutionDisabled", value=True)
    try:
        chromium.open(written("default"))
        assert chromium.evaluate("getComputedStyle(size).display") == "none"
        assert chromium.evaluate("document.querySelector('.adversarial').naturalWidth") > 0
    finally:
        chromium.call("Emulation.setScriptExecutionDisabled", value=False)


def test_policy_stops_a_script_that_slips_in(chromium: Page, written: Shape) -> None:
    chromium.open(written("default"))
    slip = "const s = document.createElement('script'); s.textContent = 'window.slipped = 1'; document.body.append(s);"
    chromium.evaluate(slip + "const i = new Image(); i.src = 'http://localhost:9/x.png'; document.body.append(i); 1")
    assert chromium.evaluate("window.slipped === undefined")
    assert any("Content Security Policy" in error for error in chromium.errors)


def test_print_is_light_whole_and_still(chromium: Page, written: Shape, tmp_path: Path) -> None:
    chromium.open(written("default"), width=700, dark=True)
    feature = {"name": "prefers-color-scheme", "value": "dark"}
    chromium.call("Emulation.setEmulatedMedia", media="print", features=[feature])
    try:
        assert chromium.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
        assert chromium.evaluate("getComputedStyle(document.body).color") == "rgb(0, 0, 0)"
        assert chromium.evaluate("getComputedStyle(size).display") == "none"
        assert chromium.evaluate("document.querySelector('#size-shown').getBoundingClientRect().height") > 0
        chromium.evaluate("dispatchEvent(new Event('beforeprint'))")
        assert chromium.evaluate("[...document.querySelectorAll('details')].every(d => d.open)")
        chromium.evaluate("dispatchEvent(new Event('afterprint'))")
        assert not chromium.evaluate("[...document.querySelectorAll('details')].every(d => d.open)")
    finally:
        chromium.call("Emulation.setEmulatedMedia", media="")
    chromium.pdf(tmp_path / "page.pdf")
    data = (tmp_path / "page.pdf").read_bytes()
    assert data.startswith(b"%PDF-")
    assert 5 <= data.count(b"/Type /Page\n") <= 20


def test_text_stands_out_from_its_background(chromium: Page, written: Shape, tmp_path: Path) -> None:
    """WCAG 2.2 AA: 4.5 to 1 for text, in light and dark."""
    script = """(() => {
        const light = c => { const [r, g, b] = c.match(/[\\d.]+/g).slice(0, 3).map(v => {
            v /= 255; return v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4; });
            return 0.2126 * r + 0.7152 * g + 0.0722 * b; };
        const opaque = c => !/rgba\\(.*, 0\\)|transparent/.test(c);
        const behind = e => { while (e && !opaque(getComputedStyle(e).backgroundColor)) e = e.parentElement;
            return getComputedStyle(e || document.body).backgroundColor; };
        const bad = [];
        for (const e of document.querySelectorAll('body *')) {
            const own = [...e.childNodes].some(n => n.nodeType == 3 && n.textContent.trim());
            if (!own || e.closest('script, style')) continue;
            const style = getComputedStyle(e), color = e.closest('svg') ? style.fill : style.color;
            const [a, b] = [light(color), light(behind(e))].sort((x, y) => y - x);
            if ((a + 0.05) / (b + 0.05) < 4.5) bad.push(e.outerHTML.slice(0, 80) + color + behind(e));
        }
        return bad;
    })()"""
    for shape in ("nine-attacks", "proven", "refused"):
        for dark in (False, True):
            chromium.open(written(shape), dark=dark)
            assert chromium.evaluate(script) == []
    for dark in (False, True):
        chromium.open(write_images(make_image_run(tmp_path, 12)), dark=dark)
        assert chromium.evaluate(script) == []


def test_first_line_answers_and_wide_tables_scroll_inside_themselves(chromium: Page, written: Shape) -> None:
    chromium.open(written("refused"), width=360)
    first = "document.body.innerText.trim().replace('Skip to the report', '').trim().split('\\n')[0]"
    assert chromium.evaluate(first).startswith("May this be quoted? No, because")
    for table in ("threats", "evidence", "planted"):
        inside = f"(t => t.scrollWidth > t.clientWidth)(document.querySelector('.{table}').closest('.scroll'))"
        assert chromium.evaluate(inside), table
    assert chromium.evaluate("[...document.querySelectorAll('.scroll')].every(e => e.tabIndex === 0)")


def test_thirty_budgets_of_seven_classes_stay_small(written: Shape) -> None:
    assert SHAPES["seven-classes-30-budgets-two-norms"]["classes"] == SEVEN
    assert written("seven-classes-30-budgets-two-norms").stat().st_size < 5_000_000
