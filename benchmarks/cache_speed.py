"""How much faster an epoch from the cache is than an epoch that decodes: one process, no workers, warm file system.

    python benchmarks/cache_speed.py ham10000:PATH --image-size 112

Prints CPU and wall seconds an epoch of batches, decoded and from the cache, and their ratios.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time

from medrobust.data import ImageSet, View, batches, list_images, open_images
from medrobust.data.image_set import read_sample
from medrobust.data.store import Stored
from medrobust.data.views import apply_view


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
    arguments = parser.parse_args()
    view = View(arguments.image_size, arguments.color)
    with tempfile.TemporaryDirectory() as folder:
        os.environ["MEDROBUST_CACHE"] = folder
        listed = list_images(arguments.data).replace(view=view)
        decoded = listed.replace(store=DecodeEveryTime(listed))
        epoch(decoded.subset(range(64)))
        slow = epoch(decoded)
        cached = open_images(arguments.data, view=view, split="all")
        first, second = epoch(cached), epoch(cached)
    assert slow[2] == first[2] == second[2], "the cache changes pixels"
    print(f"{arguments.data.split(':')[0]} {len(listed)} images at {arguments.image_size} px {arguments.color}")
    for name, (cpu, wall, _) in (("decoded", slow), ("cache, first epoch", first), ("cache, second epoch", second)):
        print(f"  {name:20} CPU {cpu:7.2f} s ({slow[0] / cpu:5.1f}x)  wall {wall:7.2f} s ({slow[1] / wall:5.1f}x)")


if __name__ == "__main__":
    main()
