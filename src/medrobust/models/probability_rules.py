"""What a call of torch makes of probabilities whose logarithms are known; see `behind`."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from .known import SMALL, Call, Known, Lazy, input_of, number_of, then

Rule = Callable[[Call], "Known | None"]


def sigmoid(call: Call) -> Known:
    z = input_of(call)
    return Known(lambda: F.logsigmoid(z()), lambda: F.logsigmoid(-z()), logits=z)


def softmax(call: Call) -> Known | None:
    z, ndim, dim = input_of(call), call.args[0].ndim, call.argument(1, "dim")
    if dim is None:
        dim = 0 if ndim in (0, 1, 3) else 1  # as torch.nn.functional.softmax has it
    if not isinstance(dim, int) or ndim == 0:
        return None
    known = Known(lambda: F.log_softmax(z(), dim), lambda: _log_of_others(z(), dim), rowwise=True)
    return known._replace(logits=z) if dim % ndim == 1 else known


def _log_of_others(z: Tensor, dim: int) -> Tensor:
    """log of 1 - softmax(z), from the others of each value."""
    if z.shape[dim] == 2:
        return F.log_softmax(z, dim).flip(dim)
    z = z.movedim(dim, -1)
    own = torch.eye(z.shape[-1], dtype=torch.bool, device=z.device)
    others = z.unsqueeze(-2).expand(*z.shape, z.shape[-1]).masked_fill(own, -torch.inf).logsumexp(-1)
    return (others - z.logsumexp(-1, keepdim=True)).movedim(-1, dim)


def exp(call: Call) -> Known:
    known = call.of(call.args[0])
    return known._replace(is_log=False) if known is not None and known.is_log else Known(input_of(call))


def log(call: Call) -> Known | None:
    known = call.of(call.args[0])
    return None if known is None or known.is_log else known._replace(is_log=True, rounded=True)


def log_of(rule: Rule) -> Rule:
    """The rule of log(v) in one call, from the rule of v."""

    def both(call: Call) -> Known | None:
        known = rule(call)
        return None if known is None else known._replace(is_log=True)

    return both


def same(call: Call) -> Known | None:
    return call.of(call.args[0])


def clamp(call: Call) -> Known | None:
    """The same for bounds against 0 and 1 themselves; others change what is said."""
    known = call.of(call.args[0])
    if known is None:
        return None
    least, most = number_of(call.argument(1, "min")), number_of(call.argument(2, "max"))
    if "max" in getattr(call.func, "__name__", ""):  # clamp_max
        least, most = None, least
    lowest, highest = SMALL * known.mass, (1 - SMALL) * known.mass
    if known.is_log:
        lowest, highest = math.log(lowest), math.log(highest)
    return known if (least is None or least <= lowest) and (most is None or most >= highest) else None


def moves(*, keeps_rows: bool) -> Rule:
    """A view, or a choice of values."""

    def rule(call: Call) -> Known | None:
        known = call.of(call.args[0])
        if known is None or call.in_place:
            return None
        rest = {name: value for name, value in call.kwargs.items() if name != "input"}
        return known.through(lambda t: call.func(t, *call.args[1:], **rest), keeps_rows=keeps_rows)

    return rule


def joins(call: Call) -> Known | None:
    """cat and stack."""
    parts = [call.of(part) for part in call.args[0]] if isinstance(call.args[0], (tuple, list)) else []
    known = [part for part in parts if part is not None]
    if not known or len(known) < len(parts) or len({(part.mass, part.is_log) for part in known}) > 1:
        return None
    rest = {name: value for name, value in call.kwargs.items() if name != "tensors"}

    def joined(lazies: list[Lazy | None]) -> Lazy | None:
        some = [lazy for lazy in lazies if lazy is not None]
        if len(some) < len(lazies):
            return None
        return lambda: call.func([lazy() for lazy in some], *call.args[1:], **rest)

    together = joined([part.log for part in known])
    other = joined([part.other for part in known])
    below = call.func is not torch.stack and call.argument(1, "dim", "axis") in (None, 0)  # rows below rows stay rows
    logits = joined([part.logits if below or not part.rowwise else None for part in known])
    rowwise = any(part.rowwise for part in known)
    return together and Known(
        together, other, known[0].mass, logits, rowwise, known[0].is_log, any(part.rounded for part in known)
    )


def narrow(call: Call) -> Known | None:
    return moves(keeps_rows=call.argument(1, "dim") == 0)(call)


def add(call: Call) -> Known | None:
    known, second, number = call.two()
    if known is None:
        return None
    if number is None:
        return None if second is None else _added(known, second)
    if 0 <= number <= SMALL * known.mass:
        return known
    if number < 0:
        return None
    own, shift = known.log, math.log(number)

    def plus() -> Tensor:
        value = own()
        return torch.logaddexp(value, torch.full_like(value, shift))

    return Known(plus, above=own if number == 1 else None)


def _added(a: Known, b: Known) -> Known:
    other: Lazy | None = None
    if a.other is not None and b.other is not None:
        left, right = a.other, b.other
        other = lambda: torch.logaddexp(left(), right())  # noqa: E731
    return Known(lambda: torch.logaddexp(a.log(), b.log()), other, a.mass + b.mass)


def complement(call: Call) -> Known | None:
    """rsub: 1 - p."""
    known, _, number = call.two()
    if known is None or known.other is None or not math.isclose(number or 0, known.mass):
        return None
    return Known(known.other, known.log, known.mass)


def times(call: Call) -> Known | None:
    known, _, number = call.two()
    return known.scaled(number) if known is not None and number is not None and number > 0 else None


def over(call: Call) -> Known | None:
    """v / number and v / w: a softmax by hand."""
    known, second, number = call.two()
    if known is None:
        return None
    if number is not None:
        return known.scaled(1 / number) if number > 0 else None
    below = None if second is None else second.log
    return None if below is None else Known(lambda: known.log() - below())


def under(call: Call) -> Known | None:
    """number / v: a sigmoid by hand, 1 / (1 + exp(-z))."""
    number = number_of(call.argument(1, "other")) if len(call.args) > 1 else 1.0
    known = call.of(call.args[0])
    if known is None or known.is_log or number is None or number <= 0:
        return None
    below, above = known.log, known.above
    other: Lazy | None = None
    if above is not None:
        rest = above
        other = lambda: rest() - below()  # noqa: E731
    return Known(lambda: -below(), other).scaled(number)


def reduces(*, mean: bool) -> Rule:
    """The sum or mean of several, as of an ensemble."""

    def rule(call: Call) -> Known | None:
        known, dim = call.of(call.args[0]), call.argument(1, "dim", "axis")
        keep = bool(call.argument(2, "keepdim"))
        if known is None or known.is_log or dim is None:
            return None
        dims = [dim] if isinstance(dim, int) else list(dim)
        count = math.prod(call.args[0].shape[d] for d in dims)
        own = known.log
        other = then(known.other, lambda t: t.logsumexp(dims, keep))
        total = Known(lambda: own().logsumexp(dims, keep), other, known.mass * count)
        return total.scaled(1 / count) if mean else total

    return rule


KEEPING = ("view", "reshape", "unsafe_view", "squeeze", "unsqueeze", "flatten", "unflatten", "detach", "expand")
CHOOSING = (
    *("getitem", "select", "slice", "index_select", "index", "gather", "transpose", "permute", "movedim"),
    *("t", "flip", "roll", "repeat", "chunk", "split", "unbind"),
)
SAME = ("to", "float", "double", "half", "bfloat16", "type", "contiguous", "clone", "cpu", "cuda", "to_copy", "alias")

RULES: dict[str, Rule] = {
    **dict.fromkeys(("sigmoid", "expit"), sigmoid),
    **dict.fromkeys(("logsigmoid", "log_sigmoid"), log_of(sigmoid)),
    "softmax": softmax,
    "log_softmax": log_of(softmax),
    "exp": exp,
    "log": log,
    **dict.fromkeys((*SAME, "nan_to_num"), same),
    **dict.fromkeys(("clamp", "clip", "clamp_min", "clamp_max"), clamp),
    **dict.fromkeys(KEEPING, moves(keeps_rows=True)),
    "narrow": narrow,
    **dict.fromkeys(CHOOSING, moves(keeps_rows=False)),
    **dict.fromkeys(("cat", "concat", "concatenate", "stack"), joins),
    **dict.fromkeys(("add", "radd"), add),
    "rsub": complement,
    **dict.fromkeys(("mul", "rmul", "multiply"), times),
    **dict.fromkeys(("div", "truediv", "divide"), over),
    **dict.fromkeys(("reciprocal", "rdiv", "rtruediv"), under),
    "sum": reduces(mean=False),
    "mean": reduces(mean=True),
}
