"""Adversarial training (MIRST) in a loop of your own, and the same measurement before and after.

`python examples/train_in_a_plain_loop.py [FOLDER]`
"""

import sys
import tempfile
from pathlib import Path

import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.data import DataLoader

import medrobust as mr

out = Path(sys.argv[1] if len(sys.argv) > 1 else tempfile.mkdtemp())
torch.manual_seed(0)
images = mr.open_images("phantom:ct@32,count=80", split="all", view=mr.View(color="grey"))
loader = DataLoader(images.with_split("train"), batch_size=25, shuffle=True)  # an ImageSet yields (x, y, index)
layers = [nn.BatchNorm2d(1), nn.Conv2d(1, 8, 5, 2, 2), nn.ReLU(), nn.Conv2d(8, 16, 3, 2, 1), nn.ReLU()]
net = nn.Sequential(*layers, nn.AdaptiveMaxPool2d(2), nn.Flatten(), nn.Linear(64, 2))
optimizer = torch.optim.Adam(net.parameters(), lr=0.01)


def accuracies() -> str:
    """Clean accuracy, and robust accuracy at three budgets, on images that training never saw."""
    budgets = ["2/255", "4/255", "8/255"]
    records = mr.measure(net.eval(), images.with_split("test"), ["pgd"], linf=budgets)
    clean = (records.clean["prediction"] == records.clean["label"]).mean()
    robust = zip(budgets, records.worst_case("linf").estimates(), strict=True)
    return f"clean {clean:.2f}, " + ", ".join(f"{budget} {share.value:.2f}" for budget, share in robust)


for _ in range(20):
    for x, y, _index in loader:
        optimizer.zero_grad()
        F.cross_entropy(net.train()(x), y).backward()
        optimizer.step()
print(f"trained on clean images:  {accuracies()}")

objective = mr.objectives.mirst(mr.Threat("8/255"), alpha=2.0)
for _ in range(10):
    for x, y, index in loader:
        optimizer.zero_grad()
        objective(net.train(), mr.Batch(x, y, index)).total.backward()
        optimizer.step()
    objective.end_epoch()  # so that the next epoch draws other random numbers
print(f"and then with MIRST:      {accuracies()}")

out.mkdir(parents=True, exist_ok=True)
torch.save(net.state_dict(), out / "hardened.pt")
print(f"the weights: {out / 'hardened.pt'}")
