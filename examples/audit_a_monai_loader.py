"""Audit a network on what a MONAI loader yields: dicts of images in Hounsfield units, scaled by MONAI's transforms.

`python examples/audit_a_monai_loader.py [FOLDER]`
"""

import sys
import tempfile
from pathlib import Path

import torch
from monai.data import DataLoader, Dataset
from monai.transforms import Compose, EnsureChannelFirstd, ScaleIntensityRanged
from torch import nn
from torch.nn import functional as F

import medrobust as mr

out = Path(sys.argv[1] if len(sys.argv) > 1 else tempfile.mkdtemp())
torch.manual_seed(0)

# Your list of dicts: here arrays (h, w) in Hounsfield units; with files it would begin with LoadImaged.
phantom = mr.open_images("phantom:ct@32,count=80", split="all")
rows = [{"scan": phantom.decode(s).values[0], "finding": s.label, "patient": s.group_id} for s in phantom.samples]
transform = Compose(
    [
        EnsureChannelFirstd("scan", channel_dim="no_channel"),
        ScaleIntensityRanged("scan", a_min=-1000, a_max=400, b_min=0, b_max=1, clip=True),
    ]
)
train = DataLoader(Dataset(rows[:50], transform), batch_size=25, shuffle=True)
test = DataLoader(Dataset(rows[50:], transform), batch_size=10)

layers = [nn.BatchNorm2d(1), nn.Conv2d(1, 8, 5, 2, 2), nn.ReLU(), nn.Conv2d(8, 16, 3, 2, 1), nn.ReLU()]
net = nn.Sequential(*layers, nn.AdaptiveMaxPool2d(2), nn.Flatten(), nn.Linear(64, 2))
optimizer = torch.optim.Adam(net.parameters(), lr=0.01)
for _ in range(20):
    for batch in train:
        optimizer.zero_grad()
        F.cross_entropy(net(batch["scan"].as_tensor()), batch["finding"]).backward()
        optimizer.step()
net.eval()

patients = [row["patient"] for row in rows[50:]]  # images of one patient are not independent: intervals need to know
images = mr.ImageSet.of(test, keys=("scan", "finding"), classes=phantom.classes, groups=patients, name="my clinic")
run = mr.audit(net, images, ["pgd"], linf=["1/255", "4/255", "8/255"], out=out / "audit")

print(f"{images} of {len(set(patients))} patients")
for row in run.worst_case:
    print(f"  up to {255 * row['epsilon']:.0f}/255: {row['robust_accuracy']['value']:.2f} are right")
print(f"the page: {run.report}")
