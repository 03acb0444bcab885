"""The memory of a gradient: how much it takes, the batch that fits, and keeping it for the next one."""

from __future__ import annotations

import ctypes
import os
import platform
from pathlib import Path

import torch
from torch import Tensor

from .classifier import Classifier

# Larger batches are no faster: cores and graphics cards are busy before.
MOST = {"cpu": 32, "cuda": 512}
SPARE = 2.0  # search states, workspaces of the kernels, fragmentation
SHARE = 0.5  # of the free memory, where no limit is given

M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4  # of mallopt in malloc.h


def keep_freed_memory() -> bool:
    """Let this process keep the memory that it frees, where the C library is glibc; whether that was possible.

    By default every large tensor is given back to the kernel and comes back as pages to be cleared, which takes a tenth
    of the time of a gradient on a CPU. The process stays as large as it was at its peak. This is for processes that are
    ours, so the command line calls it and the library does not.

    Example:
        >>> _ = keep_freed_memory()
    """
    if platform.libc_ver()[0] != "glibc":
        return False
    mallopt = ctypes.CDLL(None).mallopt
    return bool(mallopt(M_MMAP_MAX, 0)) and bool(mallopt(M_TRIM_THRESHOLD, 2**31 - 1))


def gradient_bytes(model: Classifier, x: Tensor) -> int:
    """Bytes that one gradient with respect to images x (n, c, *spatial) keeps alive, without the parameters.

    Example:
        >>> model = Classifier(torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(4, 2)), channels=1)
        >>> gradient_bytes(model, torch.zeros(8, 1, 2, 2)) >= 8 * 4 * 4
        True
    """
    own = {tensor.untyped_storage().data_ptr() for tensor in model.parameters()}
    kept: dict[int, int] = {}

    def note(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in own:
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    leaf = x.detach().clone().requires_grad_()
    try:
        with torch.enable_grad(), torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
            # The graph holds what was noted, so no address is used twice.
            logits = model(leaf)
    except Exception:  # a network of somebody else may raise anything
        # A network without gradients keeps nothing; one that fails altogether says so here.
        with torch.no_grad():
            logits = model(x)
    return sum(kept.values()) + leaf.nbytes + logits.nbytes


def free_bytes(device: torch.device) -> int:
    """Bytes of memory that are free now on a device."""
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    meminfo = Path("/proc/meminfo")
    if meminfo.exists():
        for line in meminfo.read_text().splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2


def kept_bytes(model: Classifier, x: Tensor) -> float:
    """Bytes to reckon with for each image of a gradient: what it keeps alive, and what goes with that."""
    return SPARE * gradient_bytes(model, x) / len(x)


def fitting_batch(model: Classifier, example: Tensor, limit: int | None = None) -> int:
    """The largest power of two of images whose gradient stays below a limit, at least 1, at most MOST of the device.

    Args:
        model: on the device where it will run.
        example: (1, c, *spatial) one image, on that device.
        limit: bytes; by default half of what is free.
    """
    limit = int(free_bytes(example.device) * SHARE) if limit is None else limit
    with model.frozen():
        each = kept_bytes(model, example)
    most = MOST.get(example.device.type, MOST["cpu"])
    fits = int(min(most, max(1.0, limit / each)))
    return 1 << (fits.bit_length() - 1)
