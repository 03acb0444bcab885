"""Attack a batch of images: a network, images, labels and a budget in, changed images out.

The network is any torch.nn.Module and the images are any float tensor (n, channels, *spatial) in [0, 1].

`python examples/attack_a_tensor.py [FOLDER]`
"""

import sys
import tempfile
from pathlib import Path

import torch
from PIL import Image
from torch import nn
from torch.nn import functional as F

import medrobust as mr

out = Path(sys.argv[1] if len(sys.argv) > 1 else tempfile.mkdtemp())
torch.manual_seed(0)

images = mr.open_images("phantom:ct@32,count=80", split="all", view=mr.View(color="grey"))
x, y, _ = images.batch(range(len(images)))  # (80, 1, 32, 32) in [0, 1], and 0 for benign, 1 for malignant

layers = [nn.BatchNorm2d(1), nn.Conv2d(1, 8, 5, 2, 2), nn.ReLU(), nn.Conv2d(8, 16, 3, 2, 1), nn.ReLU()]
net = nn.Sequential(*layers, nn.AdaptiveMaxPool2d(2), nn.Flatten(), nn.Linear(64, 2))
optimizer = torch.optim.Adam(net.parameters(), lr=0.01)
for _ in range(40):
    optimizer.zero_grad()
    F.cross_entropy(net(x), y).backward()
    optimizer.step()
net.eval()

before = net(x).argmax(1)
print(f"untouched: {int((before == y).sum())} of {len(y)} are right")
for norm, epsilon in (("linf", "4/255"), ("l2", 0.5), ("l1", 8.0)):
    threat = mr.Threat(epsilon, norm)
    x_adv = mr.attacks.pgd(num_steps=20)(net, x, y, threat)
    after = net(x_adv).argmax(1)
    changed, right = int((after != before).sum()), int((after == y).sum())
    print(f"pgd, {norm} up to {epsilon}: {changed} answers changed, {right} of {len(y)} are right")

# A budget for each image: the malignant ones may be changed, the benign ones not at all.
x_adv = mr.attacks.pgd()(net, x, y, mr.Threat(y * 8 / 255))
print(f"only malignant images changed: {int((net(x_adv).argmax(1) != before)[y == 0].sum())} benign answers changed")

out.mkdir(parents=True, exist_ok=True)
rows = [torch.cat(list(some[y == 1][:6, 0]), 1) for some in (x, x_adv)]
Image.fromarray((255 * torch.cat(rows)).byte().numpy()).save(out / "before_and_after.png")
print(f"the images before and after: {out / 'before_and_after.png'}")
