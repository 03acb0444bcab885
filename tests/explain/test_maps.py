"""Each map is that of captum or MONAI on the same network, and a closed form on a linear one."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from scipy.ndimage import gaussian_filter
from torch import Tensor, nn

from medrobust.errors import UserError
from medrobust.explain import MAPS, find_layer, gaussian, grad_cam, grad_cam_pp, saliency
from medrobust.explain.saliency import integrated_gradients, path_integral, smooth_grad
from medrobust.explain.score import score_of
from medrobust.models.classifier import Classifier
from medrobust.models.create import new_classifier
from medrobust.models.drop_max import DropMax
from medrobust.streams import Streams

from .explained_nets import ChannelsLast, Tokens3d, made, small_2d, small_3d

pytestmark = pytest.mark.filterwarnings("ignore:Input Tensor:UserWarning")  # captum says that it asks for gradients
NETS: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...]]] = {
    "2-D": (small_2d, (3, 16, 16)),
    "3-D": (small_3d, (1, 9, 9, 9)),
}


@pytest.fixture(params=NETS)
def case(request: pytest.FixtureRequest) -> tuple[nn.Module, Tensor]:
    build, shape = NETS[request.param]
    net = made(build())
    return net, torch.rand(3, *shape, generator=torch.Generator().manual_seed(1))


def margin_of(net: nn.Module, target: Tensor) -> Callable[[Tensor], Tensor]:
    """What captum explains when it is to explain the margin."""

    def forward(x: Tensor) -> Tensor:
        logits = net(x)
        repeated = target.repeat(len(x) // len(target))
        own = logits.gather(1, repeated[:, None])[:, 0]
        others = logits.masked_fill(torch.nn.functional.one_hot(repeated, logits.shape[1]).bool(), -1e9)
        return own - others.max(1).values

    return forward


def close(ours: Tensor, theirs: Tensor) -> bool:
    assert ours.abs().max() > 1e-4  # two maps of nothing would agree
    return bool((ours - theirs).abs().max() <= 1e-5 * theirs.abs().max().clamp_min(1.0))


@pytest.mark.parametrize("score", ["margin", "logit"])
def test_saliency_is_captums(case: tuple[nn.Module, Tensor], score: str) -> None:
    attr = pytest.importorskip("captum.attr")
    net, x = case
    target = net(x).argmax(1)
    if score == "margin":
        theirs = attr.Saliency(margin_of(net, target)).attribute(x.clone())
    else:
        theirs = attr.Saliency(net).attribute(x.clone(), target=target)
    assert close(saliency(net, x, score=score), theirs.amax(1))  # type: ignore[arg-type]


@pytest.mark.parametrize("score", ["margin", "logit"])
def test_integrated_gradients_are_captums_and_complete(case: tuple[nn.Module, Tensor], score: str) -> None:
    attr = pytest.importorskip("captum.attr")
    net, x = case
    target = net(x).argmax(1)
    if score == "margin":
        theirs = attr.IntegratedGradients(margin_of(net, target)).attribute(x, n_steps=24)
    else:
        theirs = attr.IntegratedGradients(net).attribute(x, target=target, n_steps=24)
    assert close(integrated_gradients(net, x, score=score, num_steps=24), theirs.abs().amax(1).float())  # type: ignore[arg-type]
    signed = path_integral(net, x, target, score, 0.0, 200)  # type: ignore[arg-type]
    with torch.no_grad():
        gained = score_of(net(x), target, score) - score_of(net(torch.zeros_like(x)), target, score)  # type: ignore[arg-type]
    assert torch.allclose(signed.flatten(1).sum(1), gained, atol=2e-2)


def test_smooth_grad_is_captums_with_the_same_noise(
    case: tuple[nn.Module, Tensor], monkeypatch: pytest.MonkeyPatch
) -> None:
    attr = pytest.importorskip("captum.attr")
    net, x = case
    x = x[:1]  # captum takes one spread for a whole batch
    noise = 0.2 * float(x.max() - x.min())
    streams = Streams.of(7, ["one"])
    draws = torch.cat([streams.child("smooth_grad", k).normal(x) for k in range(5)])
    monkeypatch.setattr(torch, "normal", lambda mean, std: draws * std)
    tunnel = attr.NoiseTunnel(attr.Saliency(net))
    target = net(x).argmax(1)
    theirs = tunnel.attribute(x, nt_type="smoothgrad", nt_samples=5, stdevs=noise, target=target, abs=False)
    ours = smooth_grad(net, x, score="logit", noise=0.2, num_samples=5, generator=streams)
    assert close(ours, theirs.abs().amax(1))


def test_noise_belongs_to_the_image_and_not_to_the_batch(case: tuple[nn.Module, Tensor]) -> None:
    net, x = case
    both = smooth_grad(net, x[:2], generator=Streams.of(0, ["a", "b"]))
    alone = smooth_grad(net, x[1:2], generator=Streams.of(0, ["b"]))
    assert torch.allclose(both[1:], alone, atol=1e-6)
    assert not torch.allclose(smooth_grad(net, x[1:2], generator=Streams.of(0, ["c"])), alone, atol=1e-4)


@pytest.mark.parametrize("name", ["grad_cam", "grad_cam_pp"])
def test_class_activation_maps_are_those_of_monai(case: tuple[nn.Module, Tensor], name: str) -> None:
    from monai.visualize import GradCAM, GradCAMpp

    net, x = case
    layer = find_layer(net, x)
    net, x = net.double(), x.double()  # where little speaks for a class, float32 rounds it in another order
    theirs_of = {"grad_cam": GradCAM, "grad_cam_pp": GradCAMpp}[name](net, layer.name)
    compared = 0
    for target in range(3):
        ours = MAPS[name](net, x, target, score="logit")
        for i in range(len(x)):  # one at a time: of a batch it explains all answers of the batch at once
            if ours[i].max() == 0:  # nothing speaks for this class
                assert theirs_of.compute_map(x[i : i + 1], class_idx=target).max() == 0
                continue
            small = theirs_of.compute_map(x[i : i + 1], class_idx=target).detach()
            if name == "grad_cam_pp":  # one factor for the whole image, which ours leaves out
                small /= net(x[i : i + 1])[0, target].exp().detach()
            theirs = theirs_of.upsampler(x.shape[2:])(small)[0, 0]
            assert (ours[i] - theirs).abs().max() <= 1e-5 * theirs.max()
            compared += 1
    assert compared >= len(x)


def test_monai_mixes_the_images_of_a_batch_and_ours_do_not() -> None:
    """Why these maps are not made by MONAI; see docs/decisions."""
    from monai.visualize import GradCAM

    net = made(small_2d(), seed=3)
    x = torch.rand(8, 3, 16, 16, generator=torch.Generator().manual_seed(3))
    with torch.no_grad():
        net[-1].bias -= net(x).mean(0)  # so that the answers differ
    assert len(net(x).argmax(1).unique()) > 1
    name = find_layer(net, x).name
    alone = torch.cat([GradCAM(net, name)(x[i : i + 1]) for i in range(len(x))])
    assert not torch.allclose(GradCAM(net, name)(x), alone, atol=1e-2)
    ours = torch.cat([grad_cam(net, x[i : i + 1]) for i in range(len(x))])
    assert torch.allclose(grad_cam(net, x), ours, atol=1e-6)


def test_closed_forms_of_a_linear_network() -> None:
    net = nn.Sequential(nn.Flatten(), nn.Linear(2 * 5 * 5, 3))
    x = torch.rand(4, 2, 5, 5)
    weight = net[1].weight.detach().reshape(3, 2, 5, 5)
    order = net(x).argsort(1, descending=True)
    slope = weight[order[:, 0]] - weight[order[:, 1]]
    assert torch.allclose(saliency(net, x), slope.abs().amax(1), atol=1e-6)
    assert torch.allclose(smooth_grad(net, x, noise=1e-4, num_samples=3), slope.abs().amax(1), atol=1e-6)
    logit = (x * weight[order[:, 0]]).abs().amax(1)
    assert torch.allclose(integrated_gradients(net, x, score="logit"), logit, atol=1e-6)
    assert torch.allclose(saliency(net, x, 2, score="logit"), weight[2].abs().amax(0).expand(4, 5, 5), atol=1e-6)
    with pytest.raises(UserError, match="no layer has places"):
        grad_cam(net, x)


def test_closed_form_of_grad_cam() -> None:
    """A 1 x 1 convolution, the mean, two outputs: weights are (w_target - w_other) / (h w)."""
    conv, head = nn.Conv2d(1, 3, 1, bias=False), nn.Linear(3, 2, bias=False)
    net = nn.Sequential(conv, nn.AdaptiveAvgPool2d(1), nn.Flatten(), head)
    x = torch.rand(2, 1, 4, 4)
    factor = (head.weight[1] - head.weight[0]) / 16 @ conv.weight[:, 0, 0, 0]
    expected = (factor.detach() * x[:, 0]).relu()
    assert torch.allclose(grad_cam(net, x, 1) + grad_cam(net, x, 0), x[:, 0] * factor.detach().abs(), atol=1e-6)
    assert torch.allclose(grad_cam(net, x, 1), expected, atol=1e-6)


def test_one_logit_has_a_map_for_both_answers() -> None:
    model = Classifier(made(small_2d(1, 1)), head="one_logit", classes=("benign", "malignant"), channels=1)
    x = torch.rand(2, 1, 16, 16)
    for name, make in MAPS.items():
        for target in (0, 1):
            assert make(model, x, target).shape == (2, 16, 16), name
            assert saliency(model, x, target).max() > 0
    assert torch.equal(saliency(model, x, 0), saliency(model, x, 1))  # the margins are z and -z
    assert saliency(model, x, 0, score="logit").max() == 0  # and this is why they are the default


def test_weights_keep_their_gradients_and_the_network_its_mode(case: tuple[nn.Module, Tensor]) -> None:
    net, x = case
    for make in MAPS.values():
        make(net, x)
    assert all(weight.grad is None for weight in net.parameters())
    assert not x.requires_grad
    assert not any(module._forward_hooks for module in net.modules())
    assert not net.training


@pytest.mark.parametrize("sigma", [0.7, 5.0])
@pytest.mark.parametrize("shape", [(2, 9, 30), (2, 6, 7, 8)])
def test_smoothing_is_that_of_scipy(sigma: float, shape: tuple[int, ...]) -> None:
    maps = torch.rand(shape)
    theirs = gaussian_filter(maps.double().numpy(), sigma, axes=tuple(range(1, len(shape))))
    assert torch.allclose(gaussian(maps, sigma), torch.from_numpy(theirs).float(), atol=1e-6)


LAYERS = {
    "zoo:cifar_resnet_8": ((3, 32, 32), "maps of 8 x 8"),
    "torchvision:resnet18": ((3, 64, 64), "layer4"),
    "torchvision:densenet121": ((3, 64, 64), "maps of 2 x 2"),
    "torchvision:vit_b_16": (
        (3, 224, 224),
        "layer_norm (module encoder.layers.encoder_layer_11.ln_1), tokens of a grid of 14 x 14",
    ),
    "timm:swin_tiny_patch4_window7_224": ((3, 224, 224), "(module norm), maps of 7 x 7"),
    "timm:vit_tiny_patch16_224": ((3, 224, 224), "layer_norm (module blocks.11.norm1), tokens of a grid of 14 x 14"),
}


@pytest.mark.parametrize("name", LAYERS)
def test_the_layer_of_known_networks(name: str) -> None:
    if name.startswith("timm:"):
        pytest.importorskip("timm")
    shape, words = LAYERS[name]
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = new_classifier(name, classes=("a", "b", "c"), image_size=shape[-1]).eval()
        for module in model.modules():  # some heads begin at zero, where no map has anything to say
            if isinstance(module, nn.Linear) and module.out_features == 3:
                nn.init.normal_(module.weight)
    x = torch.rand(1, *shape, generator=torch.Generator().manual_seed(0))
    assert words in find_layer(model, x).words
    found = grad_cam(model, x)
    assert found.shape == (1, *shape[1:])
    assert found.isfinite().all()


def test_maps_with_the_channels_last_and_a_grid_that_is_no_square() -> None:
    net = made(ChannelsLast())
    x = torch.rand(2, 3, 24, 16)
    layer = find_layer(net, x)
    assert (layer.kind, layer.shape, layer.name) == ("channels last", (6, 4), "norm")
    values = net.norm(net.conv(x).permute(0, 2, 3, 1)).detach()
    order = net(x).argsort(1, descending=True)
    weights = (net.head.weight[order[:, 0]] - net.head.weight[order[:, 1]]).detach() / 24
    small = torch.einsum("nhwc,nc->nhw", values, weights).relu()
    expected = torch.nn.functional.interpolate(small[:, None], size=(24, 16), mode="bilinear")[:, 0]
    assert torch.allclose(grad_cam(net, x), expected, atol=1e-6)


def test_tokens_of_a_volume_whose_patches_no_convolution_made() -> None:
    net = Tokens3d().eval()
    x = torch.rand(2, 1, 8, 8, 8)
    layer = find_layer(net, x)
    assert (layer.kind, layer.shape, layer.name) == ("tokens", (2, 2, 2), "block.norm1")
    assert grad_cam_pp(net, x).shape == (2, 8, 8, 8)


def test_a_layer_that_goes_through_images_part_by_part_does_not_move_the_layer_of_a_map(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("medrobust.models.drop_max.CHUNK", 200)  # one image of 8 x 8 x 4 at a time
    net = made(
        nn.Sequential(
            nn.Conv2d(1, 4, 3, padding=1), DropMax(2), nn.Conv2d(4, 4, 3), nn.ReLU(),
            nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 2),
        )
    )  # fmt: skip
    x = torch.rand(6, 1, 8, 8, generator=torch.Generator().manual_seed(2))
    layer = find_layer(net, x)
    together = grad_cam(net, x, layer=layer)
    assert together.abs().max() > 0
    torch.testing.assert_close(together, torch.cat([grad_cam(net, one[None], layer=layer) for one in x]))


def test_a_network_that_calls_other_layers_for_other_images_has_no_class_activation_map() -> None:
    class Fickle(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.head = nn.Conv2d(1, 4, 3), nn.Linear(4, 2)

        def forward(self, x: Tensor) -> Tensor:
            maps = self.first(x)
            maps = maps.relu() if len(x) > 1 else maps.sigmoid()
            return self.head(maps.mean((2, 3)))

    net = made(Fickle())
    layer = find_layer(net, torch.rand(3, 1, 8, 8))
    with pytest.raises(UserError, match="calls other layers for other images"):
        grad_cam(net, torch.rand(1, 1, 8, 8), layer=layer)
