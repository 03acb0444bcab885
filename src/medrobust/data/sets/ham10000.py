"""HAM10000, dermoscopy of pigmented skin lesions."""

from __future__ import annotations

from ...errors import UserError
from ..images.card import DatasetCard
from ..images.image_set import ImageSet
from ..images.sample import Sample
from ..images.tables import metadata, read_table, unique_samples
from .folder import require_folder, visible_files
from .image_index import index_images, locate
from .mask_files import MaskFiles

CARD = DatasetCard(
    name="ham10000",
    title="Dermoscopy, 10,015 images of 7,470 lesions in 7 classes; melanoma against the rest: classes=rest,mel",
    paper="Tschandl et al. 2018, The HAM10000 dataset, doi:10.1038/sdata.2018.161",
    license="CC BY-NC 4.0",
    classes=("akiec", "bcc", "bkl", "df", "mel", "nv", "vasc"),
    positive_class="mel",
    group="lesion_id",
    layout="HAM10000_metadata.csv, HAM10000_images_part_1/ISIC_*.jpg, HAM10000_images_part_2/ISIC_*.jpg",
)


def open_ham10000(path: str) -> ImageSet:
    """Open HAM10000; images may also lie in one folder. Segmentations are masks, not images.

    Errors: UserError for a missing folder, table, column or all images, an unknown diagnosis, a repeated image.
    """
    root = require_folder(path, CARD.name)
    table = root / "HAM10000_metadata.csv"
    if not table.exists() and (root / "HAM10000_metadata").exists():
        table = root / "HAM10000_metadata"  # the name in the Dataverse
    rows = read_table(table, ("image_id", "lesion_id", "dx"))
    images = index_images(root, keep=lambda file: "segmentation" not in file.as_posix().removeprefix(root.as_posix()))
    paths = locate((row["image_id"] for row in rows), images, root, table)
    samples = []
    for row in rows:
        if row["dx"] not in CARD.classes:
            place = f"{table} line {row['']}"
            raise UserError(place, f"unknown diagnosis {row['dx']!r}", f"valid: {', '.join(CARD.classes)}")
        file = paths[row["image_id"]]
        extra = metadata(row, ("image_id", "lesion_id", "dx"))
        label = CARD.classes.index(row["dx"])
        samples.append(Sample(file.relative_to(root).as_posix(), file, label, row["lesion_id"], "", extra))
    kept = tuple(unique_samples(samples, str(table)))
    return ImageSet(CARD.name, CARD.classes, kept, card=CARD, masks=MaskFiles.beside(root, kept, visible_files))
