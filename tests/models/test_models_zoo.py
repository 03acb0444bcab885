import pytest
import torch
from torch import nn

from medrobust.errors import UserError
from medrobust.models import MODELS, build_network
from medrobust.models.networks import cbr_large_t, cifar_resnet


def count(network: nn.Module) -> int:
    return sum(p.numel() for p in network.parameters())


@pytest.mark.parametrize("name", [n for n in MODELS if n.startswith("c") and n not in ("cbr_large_t", "cifar_resnet")])
@pytest.mark.parametrize("in_channels", [1, 3])
def test_every_network_of_ours_gives_logits(name: str, in_channels: int) -> None:
    network = build_network(f"zoo:{name}", num_classes=3, in_channels=in_channels, image_size=32).eval()
    assert network(torch.rand(2, in_channels, 32, 32)).shape == (2, 3)


def test_cifar_resnets_have_their_published_size() -> None:
    # Keras' ResNet50 v1 for CIFAR-10 (n = 8): 0.76 M
    assert 0.75e6 < count(cifar_resnet(50, 10)) < 0.77e6
    layers = [m for m in cifar_resnet(20).modules() if isinstance(m, (nn.Conv2d, nn.Linear))]
    assert len([m for m in layers if getattr(m, "kernel_size", 0) != (1, 1)]) == 20  # shortcuts do not count


def test_cifar_resnet_pools_over_8x8_cells_of_larger_images() -> None:
    network = cifar_resnet(8, image_size=224)
    assert network.fc.in_features == 64 * 7 * 7
    with pytest.raises(UserError, match="built for 224"):
        network(torch.rand(1, 3, 64, 64))
    assert cifar_resnet(8, pool=0)(torch.rand(1, 3, 40, 40)).shape == (1, 2)


def test_cifar_resnet_starts_at_he_initialization() -> None:
    torch.manual_seed(0)
    weight = cifar_resnet(8).blocks[2].conv2.weight
    assert weight.std().item() == pytest.approx((2 / (9 * 64)) ** 0.5, rel=0.05)


def test_cbr_large_t_fits_224_exactly() -> None:
    maps = []
    network = cbr_large_t().eval()
    network[-3].register_forward_hook(lambda _, args, __: maps.append(args[0].shape))
    with torch.no_grad():
        network(torch.rand(1, 3, 224, 224))
    assert maps == [(1, 512, 1, 1)]
    with pytest.raises(UserError, match="needs 217"):
        network(torch.rand(1, 3, 216, 216))


def test_cbr_large_t_with_same_padding_takes_small_images() -> None:
    network = build_network("zoo:cbr_large_t(padding=same)", num_classes=2, in_channels=1).eval()
    assert network(torch.rand(1, 1, 31, 31)).shape == (1, 2)
    with pytest.raises(UserError, match="needs 31"):
        network(torch.rand(1, 1, 30, 30))


@pytest.mark.parametrize("spec", ["torchvision:resnet18", "torchvision:squeezenet1_1", "timm:resnet10t"])
def test_borrowed_networks_take_grey_images(spec: str) -> None:
    pytest.importorskip(spec.partition(":")[0])
    network = build_network(spec, num_classes=3, in_channels=1, image_size=64).eval()
    assert network(torch.rand(2, 1, 64, 64)).shape == (2, 3)


def test_same_seed_same_network() -> None:
    drawn = []
    for _ in range(2):
        torch.manual_seed(3)
        drawn.append(build_network("zoo:cbr_tiny(width=4)", num_classes=2, in_channels=1))
    for a, b in zip(drawn[0].parameters(), drawn[1].parameters(), strict=True):
        assert torch.equal(a, b)


@pytest.mark.parametrize(
    ("spec", "says"),
    [
        ("zoo:cbr_tiny_", "did you mean 'cbr_tiny'"),
        ("torchvision:resnet19", "no classification network 'resnet19'"),
        ("keras:resnet", "valid: zoo:NAME"),
        ("zoo:cbr_tiny(widht=4)", "did you mean 'width'"),
        ("zoo:cbr_tiny(width", "cannot read"),
        ("zoo:cbr_large_t(padding=full)", "neither valid nor same"),
        ("zoo:cifar_resnet(depth=9)", "not 6n \\+ 2"),
        ("torchvision:resnet18(nonsense=1)", "nonsense"),
    ],
)
def test_bad_names_say_what_is_wrong(spec: str, says: str) -> None:
    with pytest.raises(UserError, match=f"(?i){says}"):
        build_network(spec, num_classes=2)


def test_vgg16_joel_has_its_published_size() -> None:
    pytest.importorskip("torchvision")
    with torch.device("meta"):
        network = build_network("zoo:vgg16_joel", num_classes=2, image_size=224)
    assert count(network) == 121_676_610


def test_vgg16_joel_takes_other_sizes_and_published_convolutions(monkeypatch: pytest.MonkeyPatch) -> None:
    vgg = pytest.importorskip("torchvision.models.vgg")
    from medrobust.models import new_classifier, pretrained

    features = {f"features.{k}": v for k, v in vgg.make_layers(vgg.cfgs["D"]).state_dict().items()}
    monkeypatch.setattr(pretrained, "_torchvision", lambda name: {**features, "classifier.0.weight": torch.zeros(1)})
    model = new_classifier("zoo:vgg16_joel", classes=("a", "b"), image_size=32, pretrained=True)
    assert model.network.head[2].in_features == 512
    assert torch.equal(model.network.features[0].weight, features["features.0.weight"])
    with torch.no_grad():
        assert model(torch.rand(1, 3, 32, 32)).shape == (1, 2)
    with pytest.raises(UserError, match="built for 32"):
        model(torch.rand(1, 3, 96, 96))


@pytest.mark.parametrize(
    ("spec", "shape"),
    [
        ("monai:resnet10(spatial_dims=3)", (1, 1, 16, 16, 16)),
        ("monai:DenseNet121(spatial_dims=2)", (2, 1, 32, 32)),
    ],
)
def test_monai_networks_for_volumes_and_images(spec: str, shape: tuple[int, ...]) -> None:
    pytest.importorskip("monai")
    network = build_network(spec, num_classes=3, in_channels=1).eval()
    with torch.no_grad():
        assert network(torch.rand(shape)).shape == (shape[0], 3)


def test_unknown_monai_network() -> None:
    pytest.importorskip("monai")
    with pytest.raises(UserError, match="no classification network 'UNet'"):
        build_network("monai:UNet", num_classes=2)


TORCHVISION = [
    "resnet50",
    "inception_v3",
    "densenet121",
    "mobilenet_v2",
    "shufflenet_v2_x1_0",
    "squeezenet1_1",
    "vgg16",
]


@pytest.mark.parametrize("name", TORCHVISION)
def test_networks_of_the_papers_are_there(name: str) -> None:
    """On the meta device: shapes without arithmetic."""
    pytest.importorskip("torchvision")
    with torch.device("meta"):
        network = build_network(f"torchvision:{name}", num_classes=3).eval()
        assert network(torch.rand(2, 3, 299, 299)).shape == (2, 3)
