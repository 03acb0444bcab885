import pytest
import torch
import torch.nn.functional as F
from torch import nn

from medrobust.errors import UserError
from medrobust.models import build_network
from medrobust.models.drop_max import DropMax, drop_first_max


def slow(x: torch.Tensor, k: int, stride: int, padding: int) -> torch.Tensor:
    """By the definition: sort the pixels of the image in every window; the only one is the answer."""
    height, width = x.shape[2:]
    rows = []
    for i in range((height + 2 * padding - k) // stride + 1):
        top, left = i * stride - padding, [j * stride - padding for j in range((width + 2 * padding - k) // stride + 1)]
        parts = [x[:, :, max(top, 0) : top + k, max(at, 0) : at + k].flatten(2).sort(2).values for at in left]
        rows.append(torch.stack([part[..., -min(2, part.shape[2])] for part in parts], 2))
    return torch.stack(rows, 2)


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


def test_a_window_with_one_pixel_of_the_image_gives_that_pixel() -> None:
    x = torch.tensor([[[[1.0, 2.0], [3.0, 4.0]]]], requires_grad=True)
    out = DropMax(2, 2, 1)(x)
    assert torch.equal(out, x)
    (out * torch.tensor([[1.0, 2.0], [3.0, 4.0]])).sum().backward()
    assert x.grad.flatten().tolist() == [1, 2, 3, 4]
    row = torch.arange(5.0).reshape(1, 1, 1, 5)
    assert DropMax(2, 2, 1)(row).flatten().tolist() == [0, 1, 3]  # 0 alone, 1 and 2, 3 and 4


@pytest.mark.parametrize(("k", "stride", "padding"), [(2, 1, 1), (2, 2, 1), (3, 2, 1), (4, 2, 2)])
def test_gradients_are_finite_differences(k: int, stride: int, padding: int) -> None:
    x = torch.randn(1, 2, 5, 6, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(DropMax(k, stride, padding), x)
    assert torch.autograd.gradgradcheck(lambda t: DropMax(k, stride, padding)(t) ** 2, x)


def test_pixels_of_minus_infinity_are_pixels() -> None:
    """A masked pixel is a value: the second largest of (5, -inf) is -inf, and its gradient stays in the image."""
    x = torch.full((1, 1, 3, 3), -torch.inf)
    x[0, 0, 0, 0] = 5
    x.requires_grad_()
    out = DropMax(2, 1, 1)(x)
    assert torch.equal(out, slow(x, 2, 1, 1))
    assert out[0, 0, 0, 0] == 5
    assert out[0, 0, 0, 1] == -torch.inf
    out.backward(torch.ones_like(out))
    assert x.grad.sum() == 16


def test_equal_values_are_that_value() -> None:
    x = torch.full((2, 3, 7, 5), 0.25, requires_grad=True)
    out = DropMax(3, 2, 1)(x)
    assert bool((out == 0.25).all())
    out.sum().backward()
    assert x.grad.sum() == out.numel()


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
    with pytest.raises(UserError, match="2-D"):
        drop_first_max(nn.Sequential(nn.Conv3d(1, 1, 3), nn.MaxPool3d(2)))
    with pytest.raises(ValueError, match="kernel_size"):
        DropMax(1)


def places(x: torch.Tensor, k: int, stride: int, padding: int) -> torch.Tensor:
    """Of each window, the number of the first pixel in reading order that has the answer."""
    out, (height, width) = slow(x, k, stride, padding), x.shape[2:]
    found = torch.full(out.shape, -1)
    for row in range(out.shape[2]):
        for column in range(out.shape[3]):
            for i, j in [(i, j) for i in reversed(range(k)) for j in reversed(range(k))]:
                line, pixel = row * stride - padding + i, column * stride - padding + j
                if 0 <= line < height and 0 <= pixel < width:
                    same = x[:, :, line, pixel] == out[:, :, row, column]
                    found[:, :, row, column][same] = line * width + pixel
    return found


@pytest.mark.parametrize(("k", "stride", "padding"), [(3, 2, 1), (2, 2, 0), (2, 1, 1), (3, 1, 1), (4, 3, 2), (2, 3, 1)])
@pytest.mark.parametrize("chunk", [1, 200, 1 << 19])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_gradients_go_to_the_first_in_reading_order(
    k: int, stride: int, padding: int, chunk: int, dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Few different values, so that most windows have ties; whatever the parts that the work is done in."""
    monkeypatch.setattr("medrobust.models.drop_max.CHUNK", chunk)
    for order in (torch.contiguous_format, torch.channels_last):
        x = torch.randint(0, 4, (5, 3, 9, 12)).to(dtype).contiguous(memory_format=order).requires_grad_()
        out = DropMax(k, stride, padding)(x)
        assert torch.equal(out, slow(x.detach(), k, stride, padding))
        weights = torch.randint(1, 9, out.shape).to(dtype)
        (mine,) = torch.autograd.grad(out, x, weights)
        expected = torch.zeros(5, 3, 9 * 12, dtype=dtype)
        expected.scatter_add_(2, places(x.detach(), k, stride, padding).flatten(2), weights.flatten(2))
        assert torch.equal(mine.flatten(2), expected)


def test_what_is_not_a_number_stays_so() -> None:
    x = torch.rand(1, 1, 6, 6)
    x[0, 0, 2, 2] = torch.nan
    x.requires_grad_()
    out = DropMax(3, 2, 1)(x)
    assert out.isnan().nonzero().tolist() == [[0, 0, 1, 1]]
    out[~out.isnan()].sum().backward()
    assert x.grad.sum() == 8
