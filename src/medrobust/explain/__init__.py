"""What a classifier looks at, untouched and attacked: maps, how far they move, whether they meet the lesion."""

from .agreement import Agreement, agreement
from .boundary import boundary_map
from .boundary_map import BoundaryMap
from .cam import grad_cam, grad_cam_pp
from .layer import Layer, find_layer
from .lesion import hits, inside_lesions
from .registry import MAPS
from .saliency import integrated_gradients, saliency, smooth_grad, smoothed_saliency
from .sanity import Sanity, randomized, sanity
from .smooth import gaussian

__all__ = [
    "MAPS",
    "Agreement",
    "BoundaryMap",
    "Layer",
    "Sanity",
    "agreement",
    "boundary_map",
    "find_layer",
    "gaussian",
    "grad_cam",
    "grad_cam_pp",
    "hits",
    "inside_lesions",
    "integrated_gradients",
    "randomized",
    "saliency",
    "sanity",
    "smooth_grad",
    "smoothed_saliency",
]
