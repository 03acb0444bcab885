"""Everyday faults of images, at severities from 0 to 5: noise, blur, light, scanner, geometry."""

from .base import Corruption, draws_of
from .family import FAMILIES, Family
from .registry import CORRUPTIONS, MODALITIES, choose
from .visibility import linf_of, psnr, ssim

__all__ = [
    "CORRUPTIONS",
    "FAMILIES",
    "MODALITIES",
    "Corruption",
    "Family",
    "choose",
    "draws_of",
    "linf_of",
    "psnr",
    "ssim",
]
