import sys

import pytest
import torch

from medrobust.training.memory import kept_memory


def new_pages(times: int = 12) -> int:
    """Pages that the system hands out while a tensor of 64 MiB is made, filled and freed again and again."""
    import resource

    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(times):
        torch.ones(16 << 20)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="glibc alone")
def test_freed_memory_is_used_again_inside_and_given_back_after() -> None:
    import ctypes
    import resource

    if not hasattr(ctypes.CDLL(None), "mallopt"):
        pytest.skip("not glibc")
    page = resource.getpagesize()
    outside = new_pages()
    if outside < (64 << 20) // page:
        pytest.skip("large pages")
    with kept_memory():
        torch.ones(16 << 20)
        inside = new_pages()
    assert inside < outside / 4  # once or twice, as the heap grows
    assert new_pages() > outside / 2


def test_an_error_inside_is_raised() -> None:
    with pytest.raises(ValueError, match="inside"), kept_memory():
        raise ValueError("inside")
