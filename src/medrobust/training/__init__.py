"""Training: the only loop, its recipe, its checkpoints."""

from .checkpoint import load_checkpoint, save_checkpoint
from .fit import fit
from .plan import Plan
from .recipe import TrainRecipe
from .run import train

__all__ = ["Plan", "TrainRecipe", "fit", "load_checkpoint", "save_checkpoint", "train"]
