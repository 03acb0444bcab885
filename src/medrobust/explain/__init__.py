"""What a classifier looks at, untouched and attacked: maps, how far they move, whether they meet the lesion."""

from .cam import grad_cam, grad_cam_pp
from .layer import Layer, find_layer
from .registry import MAPS
from .saliency import integrated_gradients, saliency, smooth_grad
from .smooth import gaussian

__all__ = [
    "MAPS",
    "Layer",
    "find_layer",
    "gaussian",
    "grad_cam",
    "grad_cam_pp",
    "integrated_gradients",
    "saliency",
    "smooth_grad",
]
