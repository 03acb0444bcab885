"""Audit a network of timm: say what it takes (mean, std, classes), and read the worst case and the findings.

`python examples/audit_a_timm_model.py [FOLDER]`
"""

import sys
import tempfile
from pathlib import Path

import timm
import torch
from torch.nn import functional as F

import medrobust as mr
from medrobust.data import batches

out = Path(sys.argv[1] if len(sys.argv) > 1 else tempfile.mkdtemp())
torch.manual_seed(0)

images = mr.open_images("phantom:ct@32,count=80", split="all")
train, test = images.with_split("train"), images.with_split("test")

net = timm.create_model("test_efficientnet", pretrained=False, num_classes=len(images.classes))
usual = timm.data.resolve_model_data_config(net)  # the mean and std that timm publishes for this network
model = mr.Classifier(net, mean=usual["mean"], std=usual["std"], classes=images.classes)

optimizer = torch.optim.AdamW(net.parameters(), lr=0.01)
for epoch in range(10):
    for x, y, _ in batches(train, 25, shuffle_seed=epoch):
        optimizer.zero_grad()
        F.cross_entropy(model(x), y).backward()
        optimizer.step()
model.eval()

run = mr.audit(model, test, ["fgsm", "pgd"], linf=["1/255", "2/255", "4/255", "8/255"], out=out / "audit")

print(f"{len(test)} images, clean accuracy {run.clean['accuracy']['value']:.2f}")
for row in run.worst_case:
    share = row["robust_accuracy"]
    print(f"  up to {255 * row['epsilon']:.0f}/255: {share['value']:.2f} ({share['low']:.2f} to {share['high']:.2f})")
for finding in run.findings:
    if finding.severity in ("fail", "warn"):
        print(f"  {finding.severity}: {finding.title} {finding.evidence}")
print(f"the page: {run.report}")
