import pytest
import torch
import torch.nn.functional as F
from torch import nn

from medrobust.errors import UserError
from medrobust.models import build_network
from medrobust.models.drop_max import DropMax, drop_first_max


def slow(x: torch.Tensor, k: int, stride: int, padding: int) -> torch.Tensor:
    """By the definition: sort every window."""
    padded = F.pad(x, (padding,) * 4, value=-torch.inf)
    windows = padded.unfold(2, k, stride).unfold(3, k, stride)
    return windows.flatten(4).sort(4).values[..., -2]


@pytest.mark.parametrize(("k", "stride", "padding"), [(3, 2, 1), (2, 2, 0), (2, 1, 1), (3, 1, 0), (4, 3, 2)])
@pytest.mark.parametrize("channels_last", [False, True])
def test_second_largest_and_its_gradient(k: int, stride: int, padding: int, channels_last: bool) -> None:
    x = torch.randn(2, 21, 11, 9, dtype=torch.float64)
    if channels_last:
        x = x.contiguous(memory_format=torch.channels_last)
    x.requires_grad_()
    out = DropMax(k, stride, padding)(x)
    expected = slow(x, k, stride, padding)
    assert out.shape == F.max_pool2d(x, k, stride, padding).shape
    assert torch.equal(out, expected)
    weights = torch.randn_like(out)
    (mine,) = torch.autograd.grad((out * weights).sum(), x)
    (theirs,) = torch.autograd.grad((expected * weights).sum(), x)
    torch.testing.assert_close(mine, theirs)


def test_duplicates_share_the_value_and_the_gradient_goes_to_one() -> None:
    x = torch.tensor([[[[5.0, 1.0], [5.0, 2.0]]]], requires_grad=True)
    out = DropMax(2)(x)
    assert out.item() == 5
    out.sum().backward()
    assert x.grad.flatten().tolist() == [1, 0, 0, 0]
    zeros = torch.zeros(1, 1, 8, 8, requires_grad=True)
    DropMax(3, 2, 1)(zeros).sum().backward()
    assert zeros.grad.sum() == 16


def test_padding_is_never_the_answer() -> None:
    assert bool((DropMax(3, 2, 1)(-torch.ones(1, 1, 4, 4)) == -1).all())


def test_gradients_of_gradients() -> None:
    x = torch.randn(1, 1, 4, 4, dtype=torch.float64, requires_grad=True)
    pool = DropMax(3, 2, 1)
    assert torch.autograd.gradcheck(pool, x)
    assert torch.autograd.gradgradcheck(lambda t: pool(t) ** 2, x)


def test_low_precision() -> None:
    x = torch.randn(2, 4, 8, 8).bfloat16()
    assert torch.equal(DropMax(3, 2, 1)(x), slow(x, 3, 2, 1))


def test_it_takes_the_place_of_the_first_max_pooling() -> None:
    pytest.importorskip("torchvision")
    network = build_network("torchvision:resnet18(drop_max=true)", num_classes=2)
    assert isinstance(network.maxpool, DropMax)
    assert (network.maxpool.kernel_size, network.maxpool.stride, network.maxpool.padding) == (3, 2, 1)
    ours = build_network("zoo:cbr_tiny(width=4, drop_max=true)", num_classes=2)
    assert [type(m).__name__ for m in ours].count("DropMax") == 1
    assert isinstance(ours[1], DropMax)
    with pytest.raises(UserError, match="no max-pooling"):
        build_network("zoo:cifar_resnet_8(drop_max=true)", num_classes=2)
    with pytest.raises(UserError, match="cannot take the place"):
        drop_first_max(nn.Sequential(nn.MaxPool2d(3, ceil_mode=True)))
    with pytest.raises(ValueError, match="kernel_size"):
        DropMax(1)
