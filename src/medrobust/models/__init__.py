"""Classifiers: the input contract, networks by name, and loading from files."""

from .checkpoint import load_checkpoint, save_checkpoint
from .classifier import Classifier
from .create import new_classifier
from .load import load_model
from .networks import MODELS
from .zoo import build_network

__all__ = [
    "MODELS",
    "Classifier",
    "build_network",
    "load_checkpoint",
    "load_model",
    "new_classifier",
    "save_checkpoint",
]
