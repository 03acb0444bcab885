"""A check of your own: a function (records, context) -> Finding, which stands in the report beside ours.

This one is an agreement with a clinic: so many cancers must be found, whatever happens within one grey level.

`python examples/own_check.py [FOLDER]`
"""

import sys
import tempfile
from pathlib import Path

import medrobust as mr

AGREED = 0.80  # share of the malignant images
BUDGET = 1 / 255


def finds_cancers_under_attack(records, context):
    """Robust sensitivity at the agreed budget, or at the largest one below it."""
    title = f"Are {AGREED:.0%} of the cancers found, whatever changes by one grey level?"
    curve = records.worst_case("linf")
    column = (curve.epsilons <= BUDGET).nonzero()[0]
    if not len(column):
        return mr.Finding("robust-sensitivity", "not_run", title, "no budget of one grey level or less was measured")
    ill = records.clean["label"] == context.images.positive_index
    found = curve.counted[ill, column[-1]]
    evidence = f"{found.sum()} of {len(found)}"
    if found.mean() >= AGREED:
        return mr.Finding("robust-sensitivity", "pass", title, evidence)
    advice = "Train with an objective of medrobust.objectives, or refer the images that the report calls fragile."
    return mr.Finding("robust-sensitivity", "fail", title, evidence, advice)


out = Path(sys.argv[1] if len(sys.argv) > 1 else tempfile.mkdtemp())
images = mr.open_images("phantom:ultrasound@64,count=80", split="test", view=mr.View(color="grey"))
model = mr.load_model(str(Path(mr.__file__).parent / "default"))  # the small classifier that comes with medrobust
budgets = ["0.5/255", "1/255", "2/255"]
run = mr.audit(model, images, ["pgd"], linf=budgets, checks=[finds_cancers_under_attack], out=out / "audit")
for finding in run.findings:
    if finding.severity in ("fail", "warn"):
        print(f"{finding.severity}: {finding.title} {finding.evidence}")
print(f"the page: {run.report}")
