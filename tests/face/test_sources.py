"""Whatever images come in, the rows are the same."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, IterableDataset, TensorDataset

import medrobust as mr
from face.toys import network, pictures


class Pairs(Dataset):
    """A map-style data set that has nothing but __getitem__ and __len__."""

    def __init__(self, x: Tensor, y: Tensor) -> None:
        self.x, self.y = x, y

    def __len__(self) -> int:
        return len(self.x)

    def __getitem__(self, i: int) -> tuple[Tensor, int]:
        return self.x[i], int(self.y[i])


class Streamed(IterableDataset):
    """A data set that can only be gone through."""

    def __init__(self, x: Tensor, y: Tensor) -> None:
        self.x, self.y = x, y

    def __iter__(self):
        return iter(zip(self.x, self.y, strict=True))


def of_dicts(x: Tensor, y: Tensor) -> Dataset:
    from monai.data import Dataset as Dicts
    from monai.data import MetaTensor

    return Dicts([{"image": MetaTensor(a), "label": int(b), "name": "scan"} for a, b in zip(x, y, strict=True)])


SOURCES = {
    "arrays": lambda x, y: mr.ImageSet.of(x.numpy(), y.numpy()),
    "labels in words": lambda x, y: mr.ImageSet.of(x, [str(int(label)) for label in y]),
    "a torch data set": Pairs,
    "a data set of tensors": TensorDataset,
    "a streamed data set": Streamed,
    "a loader": lambda x, y: DataLoader(TensorDataset(x, y), batch_size=5),
    "a loader without batches": lambda x, y: DataLoader(TensorDataset(x, y), batch_size=None),
    "a list of pairs": lambda x, y: list(zip(x, y.tolist(), strict=True)),
    "a MONAI data set of dicts": of_dicts,
    "a loader of a MONAI data set": lambda x, y: DataLoader(of_dicts(x, y), batch_size=4),
}


@pytest.mark.parametrize("source", SOURCES)
def test_the_same_rows_from_every_kind_of_source(source: str) -> None:
    net, (x, y) = network(), pictures(12)
    expected = mr.measure(net, mr.ImageSet.of(x, y), ["fgsm"], linf=["4/255", "30/255"])
    found = mr.measure(net, SOURCES[source](x, y), ["fgsm"], linf=["4/255", "30/255"])
    for name, column in expected.columns.items():
        assert found[name].tolist() == column.tolist(), name


def test_keys_of_dicts_can_be_named() -> None:
    x, y = pictures(4)
    rows = [{"scan": a, "finding": int(b)} for a, b in zip(x, y, strict=True)]
    images = mr.ImageSet.of(rows, keys=("scan", "finding"), groups=["p", "p", "q", "q"])
    assert torch.equal(images[3][0], x[3])
    assert images.labels.tolist() == y.tolist()
    assert images.groups == ("p", "p", "q", "q")


def test_metadata_become_groups_of_the_report(tmp_path) -> None:
    x, y = pictures(12)
    known = {"sex": ["f", "m"] * 6, "age": torch.arange(12) + 40, "site": [None] + ["A"] * 11}
    run = mr.audit(network(), mr.ImageSet.of(x, y, metadata=known), ["fgsm"], linf="4/255", out=tmp_path / "a")
    columns = {group["column"]: group["value"] for group in run.content["groups"]}
    assert set(columns) == {"class", "sex", "age", "site"}
    values = {group["value"] for group in run.content["groups"] if group["column"] == "site"}
    assert values == {"A", "unknown"}
