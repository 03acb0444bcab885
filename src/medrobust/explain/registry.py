"""The maps by name: functions (model, x, target=None, *, score) -> (n, *spatial), larger where more decides."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

from .cam import grad_cam, grad_cam_pp
from .saliency import integrated_gradients, saliency, smooth_grad, smoothed_saliency

MAPS: dict[str, Callable[..., Tensor]] = {
    "saliency": saliency,
    "smoothed_saliency": smoothed_saliency,
    "smooth_grad": smooth_grad,
    "integrated_gradients": integrated_gradients,
    "grad_cam": grad_cam,
    "grad_cam_pp": grad_cam_pp,
}
TITLES = {
    "saliency": "Saliency",
    "smoothed_saliency": "Saliency, smoothed",
    "smooth_grad": "SmoothGrad",
    "integrated_gradients": "Integrated gradients",
    "grad_cam": "Grad-CAM",
    "grad_cam_pp": "Grad-CAM++",
}
