"""The check of a set of images before anything is trained or measured on it."""

from .part import check_part
from .report import as_json, as_text
from .whole import check_images

__all__ = ["as_json", "as_text", "check_images", "check_part"]
