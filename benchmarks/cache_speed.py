"""How much faster an epoch from the cache is than an epoch that decodes: one process, no workers, warm file system.

    python benchmarks/cache_speed.py ham10000:PATH --image-size 112

Prints CPU and wall seconds per epoch of batches, decoded and from the cache, and their ratios, and writes them to
results/NAME.md and results/NAME.json.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time

import torch
from common import write

from medrobust.data import ImageSet, View, batches, open_images
from medrobust.data.images.image_set import read_sample
from medrobust.data.images.store import Stored
from medrobust.data.images.view import apply_view


class DecodeEveryTime:
    """A store that keeps nothing."""

    def __init__(self, images: ImageSet) -> None:
        self._view = images.view

    def get(self, sample) -> Stored:
        return Stored(*apply_view(read_sample(sample), self._view))


def epoch(images: ImageSet) -> tuple[float, float, float]:
    """CPU seconds and wall seconds of one epoch, and a sum over every 16th pixel."""
    cpu, wall, total = time.process_time(), time.perf_counter(), 0.0
    for batch in batches(images, 32):
        total += float(batch.x[..., ::16, ::16].double().sum())
    return time.process_time() - cpu, time.perf_counter() - wall, total


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data")
    parser.add_argument("--image-size", type=int, default=224)
    parser.add_argument("--color", default="rgb")
    parser.add_argument("--limit", type=int, help="images")
    parser.add_argument("--repeats", type=int, default=3, help="epochs from the cache, of which the median counts")
    parser.add_argument("--name", default="cache_speed", help="of the result")
    arguments = parser.parse_args()
    arguments.threads, arguments.device = torch.get_num_threads(), "cpu"
    view = View(arguments.image_size, arguments.color)
    with tempfile.TemporaryDirectory() as folder:
        os.environ["MEDROBUST_CACHE"] = folder
        cached = open_images(arguments.data, view=view, split="all", limit=arguments.limit)
        decoded = cached.replace(store=DecodeEveryTime(cached))
        epoch(decoded.subset(range(min(64, len(decoded)))))
        slow = epoch(decoded)
        first, *later = [epoch(cached) for _ in range(1 + arguments.repeats)]
    sums = {run[2] for run in (slow, first, *later)}
    assert len(sums) == 1, "the cache changes pixels"
    second = sorted(later)[len(later) // 2]
    sides = {"decoded": slow, "cache, first epoch": first, "cache, later epochs": second}
    rows = [[name, cpu, slow[0] / cpu, wall, slow[1] / wall] for name, (cpu, wall, _) in sides.items()]
    setting = {
        "data": arguments.data.partition(":")[0],
        "images": len(cached),
        "shape": list(cached[0][0].shape),
        "batch_size": 32,
        "repeats": arguments.repeats,
    }
    header = ["epoch", "CPU s", "times faster", "wall s", "times faster (wall)"]
    write(arguments, "cache_speed", setting, header, rows)


if __name__ == "__main__":
    main()
