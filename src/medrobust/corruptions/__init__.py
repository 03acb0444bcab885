"""Everyday faults of images, at severities from 0 to 5: noise, blur, light, scanner, geometry."""

from .base import Corruption
from .registry import CORRUPTIONS, MODALITIES, choose
from .visibility import linf_of, psnr, ssim

__all__ = ["CORRUPTIONS", "MODALITIES", "Corruption", "choose", "linf_of", "psnr", "ssim"]
