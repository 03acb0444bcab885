"""Adversarial training (TRADES) in a module of PyTorch Lightning: the objective is one line of training_step.

`python examples/train_in_lightning.py [FOLDER]`
"""

import logging
import sys
import tempfile
from pathlib import Path

import pytorch_lightning as pl
import torch
from torch import nn
from torch.utils.data import DataLoader

import medrobust as mr


class Hardened(pl.LightningModule):
    """A small network and its objective, whose state is saved in the checkpoint with the weights."""

    def __init__(self) -> None:
        super().__init__()
        layers = [nn.BatchNorm2d(1), nn.Conv2d(1, 8, 5, 2, 2), nn.ReLU(), nn.Conv2d(8, 16, 3, 2, 1), nn.ReLU()]
        self.net = nn.Sequential(*layers, nn.AdaptiveMaxPool2d(2), nn.Flatten(), nn.Linear(64, 2))
        self.objective = mr.objectives.trades(mr.Threat("8/255"), beta=2.0)

    def training_step(self, batch, _):
        x, y, index = batch  # the index gives each image random numbers, and a budget, of its own
        loss = self.objective(self.net, mr.Batch(x, y, index))
        self.log_dict(loss.parts)
        return loss.total

    def on_train_epoch_end(self) -> None:
        self.objective.end_epoch()

    def configure_optimizers(self):
        return torch.optim.Adam(self.net.parameters(), lr=0.01)


out = Path(sys.argv[1] if len(sys.argv) > 1 else tempfile.mkdtemp())
logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)
pl.seed_everything(0, verbose=False)
images = mr.open_images("phantom:ct@32,count=80", split="all", view=mr.View(color="grey"))
loader = DataLoader(images.with_split("train"), batch_size=25, shuffle=True)  # an ImageSet yields (x, y, index)

module = Hardened()
quiet = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False, "enable_model_summary": False}
trainer = pl.Trainer(max_epochs=10, accelerator="cpu", log_every_n_steps=1, default_root_dir=out, **quiet)
trainer.fit(module, loader)
trainer.save_checkpoint(out / "hardened.ckpt")

print("the last batch:", {name: round(float(value), 3) for name, value in trainer.callback_metrics.items()})
records = mr.measure(module.net.eval(), images.with_split("test"), ["pgd"], linf=["4/255", "8/255"])
shares = [f"{share.value:.2f}" for share in records.worst_case("linf").estimates()]
print(f"right under attack up to 4/255 and 8/255: {' and '.join(shares)}")
print(f"the checkpoint: {out / 'hardened.ckpt'}")
