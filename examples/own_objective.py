"""A training objective of your own, checked as ours are, and used by mr.train.

A missed cancer costs more than a false alarm: adversarial training in which the errors of a class have a price.

`python examples/own_objective.py [FOLDER]`
"""

import sys
import tempfile
from pathlib import Path

import torch
from torch import nn
from torch.nn import functional as F

import medrobust as mr


class Priced(mr.objectives.AgainstAttack):
    """Cross-entropy of adversarial images, each class at its price; the search for the images is inherited."""

    def __init__(self, threat, prices, **more):
        super().__init__(threat, **more)  # attack, epsilon, seed: see AgainstAttack
        self.register_buffer("prices", torch.tensor(prices))  # a buffer: saved, resumed and moved with the run

    def loss(self, model, batch, found):
        logits = model(found)
        total = F.cross_entropy(logits, batch.y, weight=self.prices)
        robust = (logits.detach().argmax(1) == batch.y).float().mean()
        return mr.objectives.TrainingLoss(total, {"robust_accuracy": robust})


out = Path(sys.argv[1] if len(sys.argv) > 1 else tempfile.mkdtemp())
images = mr.open_images("phantom:ct@32,count=80", split="all", view=mr.View(color="grey"))
threat = mr.Threat("8/255")
for prices in ([1.0, 1.0], [1.0, 4.0]):
    torch.manual_seed(0)
    layers = [nn.BatchNorm2d(1), nn.Conv2d(1, 8, 5, 2, 2), nn.ReLU(), nn.Conv2d(8, 16, 3, 2, 1), nn.ReLU()]
    net = nn.Sequential(*layers, nn.AdaptiveMaxPool2d(2), nn.Flatten(), nn.Linear(64, 2))
    classifier = mr.Classifier(net, channels=1, classes=images.classes)
    mr.testing.check_objective(Priced(threat, prices), classifier, images.batch(range(6)))

    name = f"price_{prices[1]:.0f}"
    mr.train(classifier, Priced(threat, prices), images, epochs=10, batch_size=25, lr=0.01, out=out / name)
    records = mr.measure(classifier, images.with_split("test"), ["pgd"], linf="8/255")
    right, ill = records.worst_case("linf").correct[:, 0], records.clean["label"] == 1
    print(f"{name}: under attack {right[ill].mean():.0%} of malignant and {right[~ill].mean():.0%} of benign are right")
print(f"the networks: {out}")
