"""Published ImageNet weights: downloaded when asked for, cached and checksummed by their publisher's own client."""

from __future__ import annotations

from torch import Tensor

from ..errors import UserError
from .weights import first_line
from .zoo import parse_spec


def published_weights(spec: str) -> dict[str, Tensor]:
    """The state dict of torchvision's or timm's default weights for a network.

    Errors: UserError when there are none, or they cannot be fetched.
    """
    source, name, _ = parse_spec(spec)
    if spec.partition("(")[0] == "zoo:vgg16_joel":
        return {n: v for n, v in published_weights("torchvision:vgg16").items() if n.startswith("features.")}
    if source not in ("torchvision", "timm"):
        raise UserError(
            "model.pretrained", f"{spec} has no published weights", "use model.init=FOLDER, or a torchvision network"
        )
    try:
        return _torchvision(name) if source == "torchvision" else _timm(name)
    except UserError:
        raise
    except Exception as error:
        raise UserError(
            "model.pretrained",
            f"the weights of {spec} could not be fetched: {first_line(error)}",
            "get them on a machine with network and give model.init=FILE",
        ) from error


def _torchvision(name: str) -> dict[str, Tensor]:
    import torchvision

    weights = torchvision.models.get_model_weights(name)
    if not len(weights):
        raise UserError("model.pretrained", f"torchvision publishes no weights for {name}")
    state: dict[str, Tensor] = weights.DEFAULT.get_state_dict(progress=False, check_hash=True)
    return state


def _timm(name: str) -> dict[str, Tensor]:
    import timm

    if not timm.is_model_pretrained(name.split(".")[0]):
        raise UserError("model.pretrained", f"timm publishes no weights for {name}")
    state: dict[str, Tensor] = timm.create_model(name, pretrained=True).state_dict()
    return state
