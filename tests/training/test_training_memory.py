import ctypes
import subprocess
import sys

import pytest

from medrobust.training.memory import kept_memory

# A process of its own: in a heap that earlier tests have cut up, a freed block may lie where nothing can give it back.
SCRIPT = """
import resource
import torch
from medrobust.training.memory import kept_memory

torch.set_num_threads(1)

def new_pages(times=12):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(times):
        torch.ones(16 << 20)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

new_pages()
outside = new_pages()
with kept_memory():
    torch.ones(16 << 20)
    inside = new_pages()
print(resource.getpagesize(), outside, inside, new_pages())
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="glibc alone")
def test_freed_memory_is_used_again_inside_and_given_back_after() -> None:
    if not hasattr(ctypes.CDLL(None), "mallopt"):
        pytest.skip("not glibc")
    answer = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=True)
    page, outside, inside, after = map(int, answer.stdout.split())
    if outside < (64 << 20) // page:
        pytest.skip("large pages")
    assert inside < outside / 4  # once or twice, as the heap grows
    assert after > outside / 2


def test_an_error_inside_is_raised() -> None:
    with pytest.raises(ValueError, match="inside"), kept_memory():
        raise ValueError("inside")
