"""Audit every planted defect and every sound classifier of tests/planted with all checks, and write the page of it.

    python scripts/planted_table.py [--out docs/explanation/planted-defects.md]

Ten minutes on one core. The tests ask each defect only for the checks that it is meant for; here all checks are made.
"""

from __future__ import annotations

import argparse
import sys
import warnings
from collections.abc import Iterable
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "src"), str(ROOT / "tests")]

from medrobust.findings import Finding  # noqa: E402
from medrobust.quotable import quotable  # noqa: E402
from planted.case import Case, audited  # noqa: E402
from planted.defects import DEFECTS  # noqa: E402
from planted.sound import SOUND  # noqa: E402
from planted.test_planted import OF_THE_SETTING  # noqa: E402

OPENING = """# Planted defects

Written by `python scripts/planted_table.py`: classifiers and set-ups that are broken on purpose, and sound ones of many
kinds, all on the phantom, each audited with every check ([what the checks ask](checks.md)). In a list of checks,
**fails** come before warnings; checks of the data and of the choice of budgets are left out unless the defect is one of
theirs. `tests/planted` holds each of these to what it says here.

"""


def _ids(found: Iterable[Finding], case: Case) -> str:
    shown = [
        one
        for one in found
        if one.severity in ("fail", "warn")
        and (one.id in case.caught or not (one.id in OF_THE_SETTING or one.id.startswith("data-")))
    ]
    fails = [f"**{one.id}**" for one in shown if one.severity == "fail"]
    return ", ".join([*fails, *(one.id for one in shown if one.severity == "warn")]) or "none"


def _line(*cells: str) -> str:
    return "| " + " | ".join(cells) + " |\n"


def main() -> int:
    options = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    options.add_argument("--out", type=Path, default=ROOT / "docs" / "explanation" / "planted-defects.md")
    arguments = options.parse_args()
    warnings.simplefilter("ignore")
    defects, sound, caught, accused = "", "", 0, 0
    for case in DEFECTS:
        found = audited(case.make())
        bad = {one.id for one in found if one.severity in ("fail", "warn")}
        caught += set(case.caught) <= bad
        defects += _line(case.name, case.words, ", ".join(case.caught), _ids(found, case), quotable(found).value)
        print(case.name, sorted(bad), file=sys.stderr, flush=True)
    for case in SOUND:
        found = audited(case.make())
        ids = _ids(found, case)
        accused += bool({one.strip("*") for one in ids.split(", ")} - {"none", *case.known})
        sound += _line(case.name, case.words, ids)
        print(case.name, ids, file=sys.stderr, flush=True)
    page = OPENING
    page += f"Caught by every check that it is meant for: {caught} of {len(DEFECTS)} defects. "
    page += f"Sound and accused: {accused} of {len(SOUND)}.\n\n"
    page += "## Defects\n\n" + _line("defect", "what is wrong", "meant for", "what fails and warns", "quotable")
    page += _line(*["---"] * 5) + defects
    page += "\n## Sound\n\n" + _line("set-up", "what it is", "checks of classifier and attacks that fail or warn")
    page += _line(*["---"] * 3) + sound
    arguments.out.write_text(page)
    return 0


if __name__ == "__main__":
    sys.exit(main())
