"""Random numbers that belong to an image, not to a batch.

Each sample has a 64-bit key. A draw is a pure function of (key, labels, element), so it does not depend on batch size,
order, device, number of workers or a resume (counter-based generation; Salmon et al. 2011,
doi:10.1145/2063384.2063405). The mixing function is the finalizer of SplitMix64 (Steele et al. 2014,
doi:10.1145/2660193.2660195).
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor


def _signed(value: int) -> int:
    value &= (1 << 64) - 1
    return value - (1 << 64) if value >> 63 else value


_GOLDEN, _MIX_1, _MIX_2 = map(_signed, (0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB))


def _shift(z: Tensor, bits: int) -> Tensor:
    # Tensors have no unsigned shift: shift, then drop the copies of the sign bit.
    return (z >> bits) & ((1 << (64 - bits)) - 1)


def _mix(z: Tensor) -> Tensor:
    z = (z ^ _shift(z, 30)) * _MIX_1
    z = (z ^ _shift(z, 27)) * _MIX_2
    return z ^ _shift(z, 31)


def _hash(label: int | str) -> int:
    digest = hashlib.blake2b(repr(label).encode(), digest_size=8).digest()
    return _signed(int.from_bytes(digest, "little"))


@dataclass(frozen=True)
class Streams:
    """One random stream per sample.

    Args:
        keys: (n,) int64, the state of each stream.

    Example:
        >>> a = Streams.of(0, ["x.png", "y.png"])
        >>> b = Streams.of(0, ["y.png", "x.png"])
        >>> like = torch.zeros(2, 3)
        >>> bool((a.uniform(like) == b.uniform(like).flip(0)).all())
        True
    """

    keys: Tensor

    @staticmethod
    def of(seed: int, ids: Sequence[str | int], device: torch.device | str = "cpu") -> Streams:
        """Streams of the samples with these ids; the same id always gets the same stream."""
        keys = torch.tensor([_hash(f"{seed}/{name}") for name in ids], dtype=torch.int64, device=device)
        return Streams(keys)

    def child(self, *labels: int | str | Tensor) -> Streams:
        """Independent streams for a purpose, as child("restart", 3); a tensor (n,) gives each sample its own label."""
        keys = self.keys
        for label in labels:
            value = label.to(keys) * _GOLDEN if isinstance(label, Tensor) else _hash(label)
            keys = _mix(_mix(keys) ^ value)
        return Streams(keys)

    def __getitem__(self, index: Tensor | slice) -> Streams:
        return Streams(self.keys[index])

    def __len__(self) -> int:
        return len(self.keys)

    def _bits(self, like: Tensor) -> Tensor:
        num_elements = max(like.numel() // max(len(like), 1), 1)
        counter = torch.arange(1, num_elements + 1, device=self.keys.device) * _GOLDEN
        return _mix(self.keys[:, None] + counter).reshape(like.shape)

    def uniform(self, like: Tensor) -> Tensor:
        """Uniform on the open interval (0, 1), with the shape (n, ...) and dtype of like."""
        # As many bits as leave room for the half added below: it is exact, and neither 0 nor 1 comes out.
        bits = round(-math.log2(torch.finfo(like.dtype).eps))
        draws = _shift(self._bits(like), 64 - bits).to(torch.promote_types(like.dtype, torch.float32))
        return ((draws + 0.5) * 2.0**-bits).to(like.dtype)

    def normal(self, like: Tensor) -> Tensor:
        """Standard normal, with the shape (n, ...) and dtype of like."""
        wide = torch.empty_like(like, dtype=torch.promote_types(like.dtype, torch.float32))
        return (math.sqrt(2) * torch.erfinv(2 * self.uniform(wide) - 1)).to(like.dtype)

    def integers(self, high: int | Tensor) -> Tensor:
        """(n,) int64, uniform on 0 .. high - 1."""
        draw = self.uniform(torch.empty(len(self), dtype=torch.float64, device=self.keys.device))
        return (draw * high).long()


# What a caller may give as `generator`: streams, a generator that draws their keys, a seed, or None for seed 0.
Randomness = Streams | torch.Generator | int | None


def as_streams(generator: Randomness, n: int, device: torch.device | str = "cpu") -> Streams:
    """What a caller may give as `generator`, as one stream per sample.

    None means seed 0 and an int means that seed, with the position in the batch as id; a torch.Generator draws the
    keys.

    Errors: ValueError when a Streams has another length than the batch.
    """
    if isinstance(generator, Streams):
        if len(generator) != n:
            raise ValueError(f"{len(generator)} random streams for {n} samples")
        return generator
    if isinstance(generator, torch.Generator):
        bounds = torch.iinfo(torch.int64)
        keys = torch.randint(bounds.min, bounds.max, (n,), generator=generator, device=generator.device)
        return Streams(keys.to(device))
    return Streams.of(generator or 0, range(n), device)
