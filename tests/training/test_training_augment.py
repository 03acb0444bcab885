import pytest
import torch

from medrobust.recipes.train import AugmentSpec
from medrobust.streams import Streams
from medrobust.training.augment import augment

EVERYTHING = AugmentSpec(flip=True, vertical_flip=True, shift=0.2, rotation=30)


def test_the_change_belongs_to_the_image_not_to_the_batch() -> None:
    x, streams = torch.rand(6, 2, 9, 7), Streams.of(0, range(6))
    together = augment(x, EVERYTHING, streams)
    for i in range(6):
        torch.testing.assert_close(augment(x[i : i + 1], EVERYTHING, streams[i : i + 1])[0], together[i])
    assert not torch.allclose(together, augment(x, EVERYTHING, Streams.of(1, range(6))))


def test_mirroring_is_exact_and_half_of_the_time() -> None:
    x = torch.rand(400, 1, 3, 5)
    out = augment(x, AugmentSpec(flip=True), Streams.of(0, range(400)))
    flipped = (out == x.flip(-1)).flatten(1).all(1)
    kept = (out == x).flatten(1).all(1)
    assert bool((flipped ^ kept).all())
    assert 150 < int(flipped.sum()) < 250


def test_values_stay_in_range() -> None:
    x = torch.rand(20, 1, 8, 8)
    out = augment(x, EVERYTHING, Streams.of(0, range(20)))
    assert x.min() <= out.min()
    assert out.max() <= x.max()


@pytest.mark.parametrize("shape", [(16, 16), (16, 40)])
def test_a_quarter_turn_at_most_keeps_a_disc(shape: tuple[int, int]) -> None:
    """A radial image does not change under rotation about its center, in pixels and not in relative coordinates."""
    h, w = shape
    rows, columns = torch.meshgrid(torch.arange(h) - (h - 1) / 2, torch.arange(w) - (w - 1) / 2, indexing="ij")
    disc = torch.exp(-(rows**2 + columns**2) / 8)[None, None].expand(10, -1, -1, -1)
    turned = augment(disc, AugmentSpec(flip=False, rotation=90), Streams.of(0, range(10)))
    assert (turned - disc).abs().amax() < 0.08


def test_shift_moves_by_a_share_of_the_side() -> None:
    x = torch.zeros(300, 1, 20, 20)
    x[:, :, 10, 10] = 1
    out = augment(x, AugmentSpec(flip=False, shift=0.2), Streams.of(0, range(300)))
    rows = torch.arange(20.0)
    center = (out.sum((1, 3)) * rows).sum(1) / out.sum((1, 2, 3))
    assert 3.5 < float(center.max() - 10) < 4.01
    assert 3.5 < float(10 - center.min()) < 4.01


def test_volumes_are_mirrored() -> None:
    x = torch.rand(4, 1, 3, 4, 5)
    assert augment(x, EVERYTHING, Streams.of(0, range(4))).shape == x.shape
