"""CBIS-DDSM mammography lesions: crops of ours, or the cropped images of the source."""

from __future__ import annotations

from pathlib import Path

from ...errors import UserError
from ..images.card import DatasetCard
from ..images.image_set import ImageSet
from ..images.sample import Sample
from ..images.tables import unique_samples
from .cbis_cases import Case, read_cases, resolve
from .folder import require_folder
from .lidc import open_crops

CARD = DatasetCard(
    name="cbis_ddsm",
    title="Mammography, lesion crops of 1,566 patients: benign (with and without callback) and malignant",
    paper="Lee et al. 2017, A curated mammography data set, doi:10.1038/sdata.2017.177",
    license="CC BY 3.0",
    classes=("benign", "malignant"),
    positive_class="malignant",
    group="patient_id",
    layout="{mass,calc}_case_description_{train,test}_set.csv and CBIS-DDSM/Mass-Training_P_00001_LEFT_CC_1/**/*.dcm; "
    "or lesions.csv and images/ of `medrobust data prepare cbis_ddsm`",
)


def open_cbis_ddsm(path: str, *, kind: str = "all") -> ImageSet:
    """Open prepared crops, or the cropped DICOM images of the download with their official train and test.

    Args:
        path: a prepared folder or the download.
        kind: "mass", "calc" or "all".

    Errors: UserError when there is neither lesions.csv nor a case table.
    """
    root = require_folder(path, CARD.name)
    if kind not in ("all", "mass", "calc"):
        raise UserError("data.options.kind", f"unknown kind {kind!r}", "valid: all, mass, calc")
    if (root / "lesions.csv").exists():
        images = open_crops(root, root / "lesions.csv", CARD)
        if kind == "all":
            return images
        return images.replace(samples=[s for s in images.samples if s.metadata.get("abnormality_type") == kind])
    cases = [case for case in read_cases(root) if kind in ("all", case.kind)]
    samples = [_sample(root, case) for case in cases]
    return ImageSet(CARD.name, CARD.classes, unique_samples(samples, str(root)), card=CARD)


def _sample(root: Path, case: Case) -> Sample:
    file = resolve(root, case, "crop")
    image_id = file.relative_to(root).as_posix() if file.is_relative_to(root) else file.name
    return Sample(image_id, file, CARD.classes.index(case.label), case.patient_id, case.split, dict(case.metadata))
