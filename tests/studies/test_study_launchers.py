"""Launchers: all do the same cells, each once, and none leaves a process behind."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from medrobust.errors import UserError
from medrobust.study.cell import Cell
from medrobust.study.launchers import LAUNCHERS
from medrobust.study.launchers.how import How
from medrobust.study.launchers.processes import processes
from medrobust.study.launchers.ray import ray
from medrobust.study.launchers.threads import computing_with, threads_of, threads_of_children, workers_of
from medrobust.study.worker import folder_of, status_of
from studies.toys import at_once, cell, chain, counted, deadly, failing, nap, notes, told_threads, trivial


def alive(pid: int) -> bool:
    """Whether a process runs, and is no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def wait_until(what: str, seconds: float, ready: object) -> None:
    until = time.time() + seconds
    while not ready():  # type: ignore[operator]
        assert time.time() < until, what
        time.sleep(0.02)


@pytest.mark.parametrize("name", ["serial", "processes"])
def test_launchers_do_the_same(name: str, tmp_path: Path) -> None:
    todo, told = [*chain(), *trivial(6)], list[tuple[str, str]]()
    ended = LAUNCHERS[name](
        todo, tmp_path / "cells", lambda key, status: told.append((key, status)), How(2, None, failing)
    )
    assert [ended[one.key] for one in todo] == ["failed", "blocked", "blocked", *["done"] * 7]
    assert sorted(one["cell"] for one in notes(tmp_path)) == sorted(["bad", "alone", *(f"cell {i}" for i in range(6))])
    assert {pair for pair in told if pair[1] != "begun"} == set(ended.items())
    begun = [key for key, status in told if status == "begun"]
    assert len(begun) == len(set(begun)) == 8


def test_a_worker_that_dies_is_replaced_and_its_cell_given_up_in_the_end(tmp_path: Path) -> None:
    todo = [cell("bad"), *trivial(4)]
    ended = processes(todo, tmp_path / "cells", lambda key, status: None, How(1, None, deadly))
    assert list(ended.values()) == ["failed", *["done"] * 4]
    assert [one["cell"] for one in notes(tmp_path)].count("bad") == 2
    why = status_of(tmp_path / "cells", todo[0])[1]
    assert why == "2 workers died at it, the last by SIGKILL, maybe for lack of memory"


def test_workers_that_cannot_begin_are_one_error(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(UserError, match="all have died, the last with exit code 1"):
        processes(trivial(2), tmp_path, lambda key, status: None, How(2, None, Missing()))
    assert "Missing" in capfd.readouterr().err


class Missing:
    """What can be sent to a worker and not be made there."""

    def __call__(self, *given: object) -> dict[str, object]:
        return {}

    def __reduce__(self) -> tuple[object, ...]:
        return (_refuse, ())


def _refuse() -> None:
    raise RuntimeError("Missing")


RUNNER = """
import signal, sys
from pathlib import Path
from studies.toys import *
from medrobust.study.launchers.how import How
from medrobust.study.launchers.processes import processes
if __name__ == "__main__":
    folder = Path(sys.argv[1])
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell in the background hands on that it is ignored
    try:
        todo = [cell("slow 1"), cell("slow 2"), cell("last")]
        processes(todo, folder / "cells", lambda *said: None, How(2, None, slow_once))
    except KeyboardInterrupt:
        sys.exit(130)
"""


@pytest.mark.parametrize(("sent", "code"), [(signal.SIGINT, 130), (signal.SIGKILL, -signal.SIGKILL)])
def test_no_worker_is_left_when_the_runner_ends(tmp_path: Path, sent: signal.Signals, code: int) -> None:
    script = tmp_path / "runner.py"
    script.write_text(RUNNER)
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    runner = subprocess.Popen([sys.executable, str(script), str(tmp_path)], env=env)
    wait_until("both workers are busy", 60, lambda: len(notes(tmp_path, "began")) == 2)
    workers = {one["pid"] for one in notes(tmp_path, "began")}
    assert len(workers) == 2
    runner.send_signal(sent)
    assert runner.wait(30) == code
    wait_until("the workers are gone", 20, lambda: not any(alive(pid) for pid in workers))
    # What they did goes on in the next run, and is done once.
    assert subprocess.run([sys.executable, str(script), str(tmp_path)], env=env, timeout=60).returncode == 0
    assert sorted(one["cell"] for one in notes(tmp_path)) == ["last", "slow 1", "slow 2"]


def test_two_workers_are_nearly_twice_as_fast_as_one(tmp_path: Path) -> None:
    took = {}
    for num in (1, 2):
        processes(trivial(60), tmp_path / str(num) / "cells", lambda *said: None, How(num, None, nap))
        began = sorted(one["at"] for one in notes(tmp_path / str(num), "began"))
        ended = sorted(one["at"] for one in notes(tmp_path / str(num)))
        # From when all workers are there: starting Python is not what is divided.
        first = {one["pid"]: one["at"] for one in reversed(notes(tmp_path / str(num), "began"))}
        since = max(first.values())
        took[num] = (ended[-1] - since) / sum(at >= since for at in began)
    print(f"{took[1] / took[2]:.2f} times as fast")
    assert took[1] / took[2] > 1.5


def test_a_cell_has_the_same_threads_under_every_launcher(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    assert (threads_of(), threads_of(4)) == (1, 4)
    before = torch.get_num_threads()
    for name in ("serial", "processes"):
        for given, want in ((0, 1), (2, 2)):
            cells = tmp_path / f"{name}{given}"
            LAUNCHERS[name](trivial(1), cells, lambda key, status: None, How(1, None, told_threads, given))
            (found,) = cells.glob("*/result.json")
            assert json.loads(found.read_text())["threads"] == want, name
    assert torch.get_num_threads() == before
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    assert (threads_of(), threads_of(4)) == (3, 4)
    with threads_of_children(1):
        assert os.environ["OMP_NUM_THREADS"] == os.environ["MKL_NUM_THREADS"] == "1"
    assert os.environ["OMP_NUM_THREADS"] == "3"


def test_beside_a_card_serial_keeps_the_threads_that_it_has(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    cuda = Cell("train", {"kind": "train", "name": "card"}, {"device": "cuda"})
    for number, (one, given, want) in enumerate(((cuda, 0, 3), (cuda, 2, 2), (cell("cpu"), 0, 1))):
        with computing_with(3):
            how = How(1, None, told_threads, given)
            LAUNCHERS["serial"]([one], tmp_path / str(number), lambda key, status: None, how)
        (found,) = (tmp_path / str(number)).glob("*/result.json")
        assert json.loads(found.read_text())["threads"] == want


def test_workers_are_as_many_as_cores_and_memory_hold() -> None:
    much = 64 * 2**30
    assert [workers_of(0, threads, 8, much) for threads in (1, 2, 3, 8, 20)] == [8, 4, 2, 1, 1]
    assert [workers_of(0, 1, 8, gib * 2**30) for gib in (1, 4, 7)] == [1, 2, 3]
    assert workers_of(5, 4, 8, 0) == 5


def test_without_ray_one_line_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(UserError, match=r"Ray is not installed. pip install medrobust\[ray\]"):
        ray(trivial(1), tmp_path, lambda key, status: None, How(1, None, at_once))


def test_a_cluster_that_does_not_answer_is_one_line(tmp_path: Path) -> None:
    pytest.importorskip("ray")
    with pytest.raises(UserError, match="Ray at no-such-scheme://x: does not answer") as caught:
        ray(trivial(1), tmp_path, lambda key, status: None, How(1, "no-such-scheme://x", at_once))
    assert "\n" not in str(caught.value)


@pytest.mark.slow
def test_ray_does_the_same(tmp_path: Path) -> None:
    core = pytest.importorskip("ray")
    todo = [*chain(), cell("worse, bad"), *trivial(3)]
    ended = ray(todo, tmp_path / "cells", lambda key, status: None, How(2, None, failing))
    assert [ended[one.key] for one in todo] == ["failed", "blocked", "blocked", "done", "failed", *["done"] * 3]
    assert len(notes(tmp_path)) == 6
    assert not core.is_initialized()
    assert ray(todo[3:4], tmp_path / "cells", lambda key, status: None, How(2, None, counted)) == {todo[3].key: "done"}
    assert len(notes(tmp_path)) == 6
    dead = [cell("bad, deadly"), cell("needs it", cell("bad, deadly"))]
    ended = ray(dead, tmp_path / "cells", lambda key, status: None, How(2, None, deadly))
    assert list(ended.values()) == ["failed", "blocked"]
    assert "its workers died" in status_of(tmp_path / "cells", dead[0])[1]
    assert (folder_of(tmp_path / "cells", dead[0]) / "error.json").exists()
