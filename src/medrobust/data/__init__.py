"""Images with labels, groups and splits, from the layouts in which their sources distribute them."""

from .choose.split_rules import repeat_rules, repeat_splits
from .images.batch import Batch
from .images.card import DatasetCard
from .images.image_set import ImageSet
from .images.loading import batches
from .images.sample import Sample
from .images.splits import make_splits
from .images.view import View
from .open import DATASETS, list_images, open_images, set_options

__all__ = [
    "DATASETS", "Batch", "DatasetCard", "ImageSet", "Sample", "View", "batches", "list_images", "make_splits",
    "open_images", "repeat_rules", "repeat_splits", "set_options",
]  # fmt: skip
