"""A real grid, killed in the middle in four ways: nothing is lost, nothing is done twice, the rows are equal."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from medrobust.study.claim import CLAIM
from medrobust.study.read import RESULT
from medrobust.study.worker import LOG

pytestmark = pytest.mark.slow

RUNNER = """
import sys
from pathlib import Path
from studies.toys import mini
from medrobust.study.grid import make_grid
from medrobust.study.run import run_study
if __name__ == "__main__":
    out, launcher, address = sys.argv[1:]
    grid = make_grid(mini(), "smoke")
    ran = run_study(grid, Path(out), launcher=launcher, workers=2, address=address or None)
    sys.exit(ran.counts != {"done": len(grid.cells)})
"""
MOST = 400  # seconds, on a machine that does other things


def start(out: Path, launcher: str, address: str = "") -> subprocess.Popen[bytes]:
    """A runner in a process of its own; each cell has one thread, whatever the launcher."""
    script = out.parent / f"{out.name}.py"
    script.write_text(RUNNER)
    paths = os.pathsep.join(str(Path(path).absolute()) for path in sys.path if path)
    env = {**os.environ, "PYTHONPATH": paths}
    for name in ("RAY_ADDRESS", "OMP_NUM_THREADS"):
        env.pop(name, None)
    return subprocess.Popen([sys.executable, str(script), str(out), launcher, address], env=env)


def workers(out: Path) -> dict[str, int]:
    """Name of a cell that is being done -> the process that does it."""
    found = {}
    for path in out.glob(f"cells/*/{CLAIM}"):
        try:
            found[path.parent.name] = int(json.loads(path.read_text())["pid"])
        except (OSError, ValueError, KeyError):
            continue
    return found


def done(out: Path) -> set[str]:
    return {path.parent.name for path in out.glob(f"cells/*/{RESULT}")}


def wait_for(runner: subprocess.Popen[bytes], ready: Callable[[], Any]) -> Any:
    """What `ready` gives, once it gives something, while the runner runs."""
    until = time.time() + MOST
    while not (found := ready()):
        assert runner.poll() is None, "the runner ended too early"
        assert time.time() < until
        time.sleep(0.01)
    return found


def in_the_middle(out: Path) -> dict[str, int]:
    """The workers, when some cells are done and some are not."""
    return workers(out) if done(out) else {}


def results(out: Path) -> dict[str, Any]:
    """Every result, without what tells the time."""
    found = {}
    for path in sorted(out.glob(f"cells/*/{RESULT}")):
        content = json.loads(path.read_text())
        for name in ("seconds", "finished", "commit"):
            content.pop(name)
        content["cost"] = {name: value for name, value in content.get("cost", {}).items() if "second" not in name}
        content["cost"].get("search", {}).pop("gradients_per_second", None)
        found[path.parent.name] = content
    return found


def starts(out: Path) -> dict[str, int]:
    """How often each cell was begun or went on."""
    logs = {path.parent.name: path.read_text() for path in out.glob(f"cells/*/{LOG}")}
    return {
        name: sum(line.endswith((" begins", " goes on")) for line in text.splitlines()) for name, text in logs.items()
    }


def check(out: Path, killed: set[str], before: set[str], reference: dict[str, Any]) -> None:
    """All is as it is without a kill; only what was being done was begun twice."""
    assert results(out) == reference
    twice = {name for name, num in starts(out).items() if num > 1}
    assert twice <= killed - before
    assert max(starts(out).values()) <= 2
    assert not workers(out)


@pytest.fixture(scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The results of a run that nothing disturbs, one cell after the other."""
    out = tmp_path_factory.mktemp("reference") / "out"
    assert start(out, "serial").wait(MOST) == 0
    found = results(out)
    assert len(found) == 6
    assert set(starts(out).values()) == {1}
    return found


@pytest.mark.parametrize("launcher", ["serial", "processes"])
def test_a_runner_that_is_killed(launcher: str, tmp_path: Path, reference: dict[str, Any]) -> None:
    out = tmp_path / "out"
    runner = start(out, launcher)
    killed = set(wait_for(runner, lambda: in_the_middle(out)))
    runner.kill()
    assert runner.wait() == -signal.SIGKILL
    before = {path: path.stat().st_mtime_ns for path in out.glob(f"cells/*/{RESULT}")}
    assert 0 < len(before) < len(reference)
    assert start(out, launcher).wait(MOST) == 0
    assert {path: path.stat().st_mtime_ns for path in before} == before
    # A worker that the kill did not reach at once may have begun a cell since we looked.
    check(out, killed | (set(reference) - {path.parent.name for path in before}), set(), reference)


@pytest.mark.parametrize("launcher", ["processes", "ray"])
def test_a_worker_that_is_killed(launcher: str, tmp_path: Path, reference: dict[str, Any]) -> None:
    if launcher == "ray":
        pytest.importorskip("ray")
    out = tmp_path / "out"
    runner = start(out, launcher)
    name, pid = next(iter(wait_for(runner, lambda: in_the_middle(out)).items()))
    os.kill(pid, signal.SIGKILL)
    before = done(out)
    assert runner.wait(MOST) == 0
    check(out, {name}, before, reference)


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


def parent(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


def test_a_machine_that_is_lost(nodes: Any, tmp_path: Path, reference: dict[str, Any]) -> None:
    out = tmp_path / "out"
    second = nodes.add_node(num_cpus=1)
    raylet = second.all_processes["raylet"][0].process.pid
    runner = start(out, "ray", nodes.address)

    def there() -> dict[str, int]:
        try:
            return {name: pid for name, pid in workers(out).items() if parent(pid) == raylet}
        except OSError:
            return {}

    killed = wait_for(runner, there)
    nodes.remove_node(second, allow_graceful=False)
    before = done(out)
    assert runner.wait(MOST) == 0
    check(out, set(killed), before, reference)
