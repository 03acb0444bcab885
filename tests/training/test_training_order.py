import torch

from medrobust.testing.image_sets import tiny_set
from medrobust.training.order import epoch_order, num_batches, training_batches


def test_an_epoch_is_a_permutation_that_changes_with_seed_and_epoch() -> None:
    labels = torch.zeros(50)
    orders = {tuple(epoch_order(labels, seed, epoch).tolist()) for seed in (0, 1) for epoch in (0, 1, 2)}
    assert len(orders) == 6
    assert all(sorted(order) == list(range(50)) for order in orders)
    assert torch.equal(epoch_order(labels, 0, 1), epoch_order(labels, 0, 1))


def test_balanced_epochs_show_classes_equally_and_use_every_image() -> None:
    labels = torch.tensor([0] * 40 + [1] * 5 + [2] * 15)
    order = epoch_order(labels, 0, 0, balance=True)
    assert len(order) == 60
    assert torch.bincount(labels[order]).tolist() == [20, 20, 20]
    counts = torch.bincount(order, minlength=60)
    assert set(counts[labels == 1].tolist()) == {4}
    assert set(counts[labels == 2].tolist()) <= {1, 2}


def test_batches_start_anywhere_and_carry_positions_of_the_whole_set() -> None:
    images = tiny_set(num_images=13)
    order = epoch_order(images.labels, 0, 0)
    whole = list(training_batches(images, order, 3))
    assert len(whole) == num_batches(13, 3) == 4
    assert torch.cat([b.index for b in whole]).tolist() == order[:12].tolist()
    for batch in whole:
        for x, y, i in zip(*batch, strict=True):
            assert torch.equal(x, images[int(i)][0])
            assert y == images.labels[i]
    rest = list(training_batches(images, order, 3, start=2))
    assert [b.index.tolist() for b in rest] == [b.index.tolist() for b in whole[2:]]
    assert not list(training_batches(images, order, 3, start=4))


def test_processes_deal_out_the_joint_batch() -> None:
    images = tiny_set(num_images=13)
    order = epoch_order(images.labels, 0, 0)
    joint = [sorted(b.index.tolist()) for b in training_batches(images, order, 6)]
    parts = [list(training_batches(images, order, 3, rank=r, world_size=2)) for r in (0, 1)]
    assert [sorted(a.index.tolist() + b.index.tolist()) for a, b in zip(*parts, strict=True)] == joint
