"""Ray: a worker and a machine are lost in the middle; what they did is done elsewhere, once."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from medrobust.study.launchers.how import How
from medrobust.study.launchers.ray import ray
from studies.toys import cell, notes, slow_once, trivial

pytestmark = pytest.mark.slow
MOST = 200  # seconds


@pytest.fixture
def nodes(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A cluster of two machines, both on this one, each with one processor."""
    pytest.importorskip("ray")
    from ray.cluster_utils import Cluster

    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(str(Path(path).absolute()) for path in sys.path if path))
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    yield cluster
    cluster.shutdown()


def raylet_of(node: Any) -> int:
    return int(node.all_processes["raylet"][0].process.pid)


def parent(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


def test_a_worker_and_a_machine_are_lost(nodes: Any, tmp_path: Path) -> None:
    second = nodes.add_node(num_cpus=1)
    raylets = {raylet_of(nodes.head_node): "first", raylet_of(second): "second"}
    lost = dict[str, str]()

    def lose() -> None:
        until = time.time() + MOST
        while len(notes(tmp_path, "began")) < 2 and time.time() < until:
            time.sleep(0.05)
        for one in notes(tmp_path, "began"):
            lost[one["cell"]] = raylets[parent(one["pid"])]
        here = next(one["pid"] for one in notes(tmp_path, "began") if lost[one["cell"]] == "first")
        nodes.remove_node(second, allow_graceful=False)
        os.kill(here, signal.SIGKILL)

    killer = threading.Thread(target=lose)
    killer.start()
    todo = [cell("slow 1"), cell("slow 2"), *trivial(3)]
    ended = ray(todo, tmp_path / "cells", lambda key, status: None, How(2, nodes.address, slow_once))
    killer.join()
    assert sorted(lost.values()) == ["first", "second"]
    assert set(ended.values()) == {"done"}
    began = [one["cell"] for one in notes(tmp_path, "began")]
    assert {name: began.count(name) for name in began} == {one.title: 1 + ("slow" in one.title) for one in todo}
    assert sorted(one["cell"] for one in notes(tmp_path)) == sorted(one.title for one in todo)
