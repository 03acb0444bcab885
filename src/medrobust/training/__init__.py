"""Training: the only loop, its recipe, its checkpoints."""

from .checkpoint import load_checkpoint, save_checkpoint
from .fit import Plan, fit
from .recipe import TrainRecipe
from .run import train

__all__ = ["Plan", "TrainRecipe", "fit", "load_checkpoint", "save_checkpoint", "train"]
