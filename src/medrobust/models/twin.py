"""A search copy that follows a model while it trains."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from .classifier import Classifier
from .search_copy import search_copy

FOLDS = ((nn.Conv1d, nn.BatchNorm1d), (nn.Conv2d, nn.BatchNorm2d), (nn.Conv3d, nn.BatchNorm3d))
WRAPPED = ".convolution"  # where search_copy keeps the first layer


class Twin:
    """The search copy of a classifier, made once; `refreshed` gives it the classifier's weights of now.

    Batch norm is folded anew into the convolutions each time, which costs one pass over the weights and no tracing.

    Example:
        >>> from .create import new_classifier
        >>> model = new_classifier("zoo:cbr_tiny(width=4)", classes=("a", "b"), data_channels=1).eval()
        >>> x = torch.rand(2, 1, 32, 32)
        >>> twin = Twin.of(model, x, "float32")
        >>> _ = torch.nn.init.ones_(model.network[0].conv.weight)
        >>> torch.allclose(twin.refreshed()(x), model(x), atol=1e-5)
        True
    """

    def __init__(self, model: Classifier, stand_in: Classifier) -> None:
        self.model, self.stand_in = model, stand_in
        self._folded = _folded_pairs(model.network)
        copied: nn.Module = stand_in.network.network  # type: ignore[assignment]
        self._targets = [*copied.named_parameters(), *copied.named_buffers()]

    @staticmethod
    def of(model: Classifier, example: Tensor, precision: str = "fast") -> Twin | None:
        """The twin of a model for images like example (n, c, *spatial); None where a copy is of no use."""
        training = model.training
        with model.frozen():
            stand_in, _ = search_copy(model, example, precision)
        model.train(training)
        return None if stand_in is model else Twin(model, stand_in)

    def refreshed(self) -> Classifier:
        """The stand-in with the model's weights and running statistics of now."""
        modules = dict(self.model.network.named_modules())
        with torch.no_grad():
            fused = {name: _fold(modules[name], modules[norm]) for name, norm in self._folded.items()}
            for name, target in self._targets:
                path, _, leaf = name.rpartition(".")
                path = path.removesuffix(WRAPPED)
                source = fused[path][leaf] if path in fused else getattr(modules[path], leaf)
                target.copy_(source)
        return self.stand_in


def _folded_pairs(network: nn.Module) -> dict[str, str]:
    """Name of a convolution -> name of the batch norm that search_copy.fold_batch_norm folds into it."""
    from torch.fx import symbolic_trace
    from torch.fx.experimental.optimization import matches_module_pattern

    modules = dict(network.named_modules())
    training = {module: module.training for module in modules.values()}
    pairs: dict[str, str] = {}
    try:
        graph = symbolic_trace(network.eval()).graph
    except Exception:  # as in fold_batch_norm: what cannot be traced was not folded
        return {}
    finally:
        for module, mode in training.items():
            module.training = mode
    for pattern in FOLDS:
        for node in graph.nodes:
            if matches_module_pattern(pattern, node, modules) and len(node.args[0].users) == 1:
                pairs[str(node.args[0].target)] = str(node.target)
    return pairs


def _fold(convolution: nn.Module, norm: nn.Module) -> dict[str, Tensor]:
    from torch.nn.utils.fusion import fuse_conv_bn_weights

    weight, bias = fuse_conv_bn_weights(
        convolution.weight,  # type: ignore[arg-type]
        convolution.bias,  # type: ignore[arg-type]
        norm.running_mean,  # type: ignore[arg-type]
        norm.running_var,  # type: ignore[arg-type]
        norm.eps,  # type: ignore[arg-type]
        norm.weight,  # type: ignore[arg-type]
        norm.bias,  # type: ignore[arg-type]
    )
    return {"weight": weight, "bias": bias}
