"""A section of your own in the report: a function that says what a template shows, and the template beside it.

`python examples/own_report_section.py [FOLDER]`
"""

import sys
import tempfile
from pathlib import Path

import medrobust as mr
from medrobust.report.sections import Section, Seen

AGREED = {0.5 / 255: 0.90, 1 / 255: 0.80, 2 / 255: 0.60}  # budget -> share of the images that must stay right


def build(seen: Seen) -> dict[str, object]:
    """What own_report_section.html.j2 shows, from audit.json of the run."""
    measured = {round(255 * row["epsilon"], 6): row["robust_accuracy"] for row in seen.audit["worst_case"]}
    rows = []
    for epsilon, least in AGREED.items():
        grey = round(255 * epsilon, 6)
        share = measured.get(grey)
        if share is not None:
            rows.append({"grey": grey, "least": least, "share": share["value"], "kept": share["value"] >= least})
    return {"rows": rows, "who": "the radiology department", "kept": all(row["kept"] for row in rows)}


AGREEMENT = Section(
    id="agreement",
    title="What was agreed",
    link="Agreement",
    template=Path(__file__).with_suffix(".html.j2"),
    build=build,
)

out = Path(sys.argv[1] if len(sys.argv) > 1 else tempfile.mkdtemp())
images = mr.open_images("phantom:ultrasound@64,count=80", split="test", view=mr.View(color="grey"))
model = mr.load_model(str(Path(mr.__file__).parent / "default"))  # the small classifier that comes with medrobust
run = mr.audit(model, images, ["pgd"], linf=list(AGREED), sections=[AGREEMENT], out=out / "audit")
print(f"the section is at the end of the page: {run.report}#{AGREEMENT.id}")
