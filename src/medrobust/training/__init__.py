"""Training: the only loop, its recipe, its checkpoints."""

from ..recipes.train import TrainRecipe
from .checkpoint import load_checkpoint, save_checkpoint
from .fit import fit
from .plan import Plan
from .run import train

__all__ = ["Plan", "TrainRecipe", "fit", "load_checkpoint", "save_checkpoint", "train"]
