"""An audit whose adversary may write only inside, or outside, the lesion says so wherever its numbers stand."""

import json

import pytest
import torch

from medrobust import ImageSet, audit
from medrobust.auditing.audit import identity
from medrobust.auditing.setup import resolve
from medrobust.errors import UserError
from medrobust.recipes.yaml import audit_recipe, read_recipe, train_recipe
from medrobust.records.records import Records


def images(empty: int = 2) -> ImageSet:
    g = torch.Generator().manual_seed(0)
    x = torch.rand(16, 1, 8, 8, generator=g)
    y = (x[:, :, :, :4].mean((1, 2, 3)) > x[:, :, :, 4:].mean((1, 2, 3))).long()
    masks = torch.zeros(16, 1, 8, 8)
    masks[empty:, :, 2:6, 2:6] = 1
    return ImageSet.of(x, y, classes=["benign", "malignant"], masks=masks)


def left_or_right() -> torch.nn.Module:
    net = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, 2))
    with torch.no_grad():
        side = torch.where(torch.arange(64) % 8 < 4, 1.0, -1.0)
        net[1].weight.copy_(torch.stack([-side, side]))
        net[1].bias.zero_()
    return net


def test_the_mask_is_said_in_records_audit_and_report(tmp_path):
    run = audit(left_or_right(), images(), ["pgd"], linf=["1/255", "1"], out=tmp_path / "run", mask="lesion")
    assert Records.read(tmp_path / "run" / "records.parquet").mask == "lesion"
    said = run.content["threat"]["mask"]
    assert (said["where"], said["median_share"], said["num_empty"]) == ("lesion", 0.25, 2)
    page = run.report.read_text()
    assert (
        "Only pixels inside the mask of each image may change, in half of the images 25% of all or less; in 2 images"
        in page
    )
    assert "any pixel inside the mask of its image by at most" in page
    assert "mask: lesion" in (tmp_path / "run" / "recipe.yaml").read_text()
    assert "masks" in json.loads((tmp_path / "run" / "run.json").read_text())["identity"]
    free = audit(left_or_right(), images(), ["pgd"], linf=["1/255", "1"], out=tmp_path / "free")
    assert "mask" not in free.content["threat"]
    assert "inside the mask" not in free.report.read_text()
    lost = [r.content["worst_case"][-1]["robust_accuracy"]["value"] for r in (run, free)]
    assert lost == [pytest.approx(2 / 16), 0]  # the two without a lesion stand


def test_a_recipe_knows_masks_and_training_refuses_them(tmp_path):
    base = ["data.name=phantom:ct@32,count=40", "attacks=fgsm", "threat.epsilons=1/255"]
    with pytest.raises(UserError, match=r"threat\.mask"):
        audit_recipe(read_recipe(None, [*base, "threat.mask=tumor"]))
    for key in ("threat.mask=lesion", "data.mask=here"):
        with pytest.raises(UserError, match="has no meaning in training"):
            train_recipe(read_recipe(None, [key]))
    setup = resolve(
        audit_recipe(read_recipe(None, ["data.name=phantom:ultrasound@64,count=40", *base[1:], "threat.mask=lesion"]))
    )
    other = resolve(audit_recipe(read_recipe(None, ["data.name=phantom:ultrasound@64,count=40", *base[1:]])))
    assert setup.plan.mask == "lesion"
    assert set(identity(setup)) - set(identity(other)) == {"masks"}
    with pytest.raises(UserError, match="no such folder"):
        resolve(audit_recipe(read_recipe(None, [*base[1:], "data.mask=nowhere", "threat.mask=lesion"])))
