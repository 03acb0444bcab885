"""Batch normalization folded into the convolution before it: exact in evaluation mode, and one pass less."""

from __future__ import annotations

import copy
import warnings
from collections import Counter
from itertools import chain

from torch import Tensor, fx, nn

from .drop_max import DropMax
from .freeze import frozen

KINDS = ((nn.Conv1d, nn.BatchNorm1d), (nn.Conv2d, nn.BatchNorm2d), (nn.Conv3d, nn.BatchNorm3d))


def fold_batch_norm(network: nn.Module) -> nn.Module:
    """A copy of the network, every batch normalization that belongs to one convolution alone folded into that.

    In evaluation mode, and exact there. The network itself where there is none, or fx cannot see.

    Example:
        >>> net = nn.Sequential(nn.Conv2d(1, 2, 1), nn.BatchNorm2d(2)).eval()
        >>> [type(module).__name__ for module in fold_batch_norm(net).children()]
        ['Conv2d']
    """
    graph = _traced(network)
    pairs = {} if graph is None else _pairs(network, graph)
    if graph is None or not pairs:
        return network
    whole = fx.GraphModule(copy.deepcopy(network).eval(), graph)
    for node in list(graph.nodes):
        if node.op == "call_module" and node.target in pairs.values():
            node.replace_all_uses_with(node.args[0])
            graph.erase_node(node)
    for name, norm in pairs.items():
        convolution = whole.get_submodule(name)
        folded = fold(convolution, whole.get_submodule(norm))
        convolution.weight, convolution.bias = (nn.Parameter(folded[n], False) for n in ("weight", "bias"))
    whole.delete_all_unused_submodules()
    whole.recompile()
    return whole


def folded_pairs(network: nn.Module) -> dict[str, str]:
    """Name of a convolution -> name of the batch norm that fold_batch_norm folds into it."""
    graph = _traced(network)
    return {} if graph is None else _pairs(network, graph)


def fold(convolution: nn.Module, norm: nn.Module) -> dict[str, Tensor]:
    """The weight and bias of a convolution that gives what both give."""
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


class _Tracer(fx.Tracer):
    """Takes DropMax as it takes the layers of torch: as one call, as fx cannot see into its gradient."""

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        return isinstance(m, DropMax) or super().is_leaf_module(m, module_qualified_name)


def _traced(network: nn.Module) -> fx.Graph | None:
    try:
        with warnings.catch_warnings(), frozen(network):
            warnings.simplefilter("ignore")
            return _Tracer().trace(network)
    except Exception:  # fx meets any Python code at all; a network that it cannot trace is searched as it is
        return None


def _pairs(network: nn.Module, graph: fx.Graph) -> dict[str, str]:
    """Convolutions and norms that are called once and together, and whose weights nothing else uses.

    A convolution that is called twice, before two norms or before one and none, has no one folded weight.
    """
    modules = dict(network.named_modules())
    calls = Counter(node.target for node in graph.nodes if node.op == "call_module")
    fetched = {str(node.target).rpartition(".")[0] for node in graph.nodes if node.op == "get_attr"}
    uses = Counter(
        tensor.untyped_storage().data_ptr()
        for module in modules.values()
        for tensor in chain(module._parameters.values(), module._buffers.values())
        if tensor is not None and tensor.numel()
    )

    def alone(name: str) -> bool:
        module = modules[name]
        tensors = [*module._parameters.values(), *module._buffers.values()]
        hooks = (module._forward_hooks, module._forward_pre_hooks, module._backward_hooks)
        return (
            calls[name] == 1
            and name not in fetched
            and not any(hooks)
            and all(uses[t.untyped_storage().data_ptr()] == 1 for t in tensors if t is not None and t.numel())
        )

    pairs: dict[str, str] = {}
    for node in graph.nodes:
        before = node.args[0] if node.op == "call_module" and node.args else None
        if not isinstance(before, fx.Node) or before.op != "call_module" or len(before.users) > 1:
            continue
        name, norm = str(before.target), str(node.target)
        kinds = (type(modules[name]), type(modules[norm]))
        if kinds in KINDS and getattr(modules[norm], "running_mean", None) is not None and alone(name) and alone(norm):
            pairs[name] = norm
    return pairs
