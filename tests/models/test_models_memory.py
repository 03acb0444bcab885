"""The batch that fits."""

import platform
import subprocess
import sys

import pytest
import torch

from medrobust.models import Classifier, new_classifier
from medrobust.models.memory import MOST, fitting_batch, gradient_bytes


def model(width: int = 8) -> Classifier:
    return new_classifier(f"zoo:cbr_tiny(width={width})", classes=("a", "b"), data_channels=1).eval()


def test_bytes_grow_with_images_and_width_and_leave_out_the_weights() -> None:
    one, four = (gradient_bytes(model(), torch.rand(n, 1, 32, 32)) for n in (1, 4))
    assert 3.5 * one < four < 4.1 * one
    assert gradient_bytes(model(16), torch.rand(1, 1, 32, 32)) > 1.5 * one
    flat = Classifier(torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(1024, 2)), channels=1)
    assert gradient_bytes(flat, torch.rand(1, 1, 32, 32)) < 4 * 1024 * 4


def test_the_batch_stays_below_the_limit_and_is_never_empty() -> None:
    net, x = model(), torch.rand(1, 1, 32, 32)
    each = gradient_bytes(net, x)
    assert fitting_batch(net, x, limit=20 * each) == 8
    assert fitting_batch(net, x, limit=1) == 1
    assert fitting_batch(net, x, limit=10**15) == MOST["cpu"]
    assert fitting_batch(net, x) >= 1
    assert all(parameter.requires_grad for parameter in net.parameters())


FAULTS = """
import resource, sys, torch
from medrobust.models.memory import keep_freed_memory
if sys.argv[1] == "kept":
    assert keep_freed_memory()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(20):
    torch.ones(1 << 24)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc can be told")
def test_freed_memory_is_kept_for_the_next_tensor() -> None:
    def faults(how: str) -> int:
        done = subprocess.run([sys.executable, "-c", FAULTS, how], capture_output=True, text=True, check=True)
        return int(done.stdout)

    # Not a fifth: some kernels take pages that lie idle on their own.
    assert faults("kept") < 0.5 * faults("given back")
