"""torch.compile of a network, where there is a compiler."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from ..models.classifier import Classifier
from ..objectives.awp import kept_buffers


class Compiled:
    """Compiles the network of a classifier in place; where that does not work, says so once and leaves it as it is.

    Weights keep their names, and copies of the network are not compiled.

    Args:
        example: images (n, c, *spatial) for a first forward and backward pass.
        say: called with one line when the network cannot be compiled.
    """

    def __init__(self, model: Classifier, example: Tensor, say: Callable[[str], None]) -> None:
        self.network, self.say = model.network, say
        self.call = None
        self.network.compile()
        try:
            with kept_buffers(model), torch.random.fork_rng([example.device] if example.is_cuda else []):
                torch.autograd.grad(model(example).sum(), [p for p in model.parameters() if p.requires_grad][:1])
            self.call = self.network._compiled_call_impl
        except Exception as error:  # compilers fail in as many ways as there are systems
            reason = " ".join(str(error).split())[:100] or type(error).__name__
            say(f"compile: not possible here ({reason}); training goes on without")
        self.network._compiled_call_impl = None

    def use(self, wanted: bool) -> None:
        """Call the compiled network from now on, or the plain one: a compiled one has no second derivatives."""
        if self.call is not None and not wanted:
            self.say("compile: this objective needs second derivatives, which a compiled network does not have")
        self.network._compiled_call_impl = self.call if wanted else None
