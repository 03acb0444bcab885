"""Training: the only loop, its recipe, its checkpoints."""

from ..recipes.train import TrainRecipe
from .checkpoint import load_checkpoint, save_checkpoint
from .fit import fit
from .run import train
from .settings import LoopSettings

__all__ = ["LoopSettings", "TrainRecipe", "fit", "load_checkpoint", "save_checkpoint", "train"]
