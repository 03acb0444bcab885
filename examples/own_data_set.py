"""An image set of your own: files and a table on disk; each image has a label, a patient, a split and what is known.

`python examples/own_data_set.py [FOLDER]`
"""

import csv
import sys
import tempfile
from pathlib import Path

from PIL import Image

import medrobust as mr
from medrobust.data import DatasetCard, Sample

CARD = DatasetCard(
    name="clinic",
    title="Breast ultrasound of one clinic, made from a seed",
    classes=("benign", "malignant"),
    positive_class="malignant",
    group="patient, one or two images each",
)


def write_files(folder: Path) -> None:
    """What a clinic may have: a folder of PNG files and a table."""
    phantom = mr.open_images("phantom:ultrasound@64,count=80", split="all")
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "images.csv").open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["file", "finding", "patient", "split", "age", "site"])
        for number, s in enumerate(phantom.samples):
            Image.fromarray(phantom.decode(s).values[0]).save(folder / f"{number:03d}.png")
            known = [phantom.classes[s.label], s.group_id, s.split, s.metadata["age"], s.metadata["site"]]
            table.writerow([f"{number:03d}.png", *known])


def sample_of(row: dict[str, str], folder: Path) -> Sample:
    """One image, before it is read."""
    return Sample(
        image_id=row["file"],  # stable, whatever the folder is called
        path=folder / row["file"],
        label=CARD.classes.index(row["finding"]),
        group_id=row["patient"],  # the images of a patient are never in two splits, and count together in intervals
        split=row["split"],
        metadata={"age": float(row["age"]), "site": row["site"]},  # the groups of the report
    )


out = Path(sys.argv[1] if len(sys.argv) > 1 else tempfile.mkdtemp())
write_files(out / "clinic")
table = csv.DictReader((out / "clinic" / "images.csv").read_text().splitlines())
samples = [sample_of(row, out / "clinic") for row in table]
images = mr.ImageSet(CARD.name, CARD.classes, samples, view=mr.View(64, "grey"), card=CARD)

model = mr.load_model(str(Path(mr.__file__).parent / "default"))  # the small classifier that comes with medrobust
run = mr.audit(model, images.with_split("test"), ["pgd"], linf=["0.5/255", "1/255", "2/255"], out=out / "audit")
print(f"{images}, of which the test split was attacked: {run.report}")
