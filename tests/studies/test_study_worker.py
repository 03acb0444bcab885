"""Workers: no cell twice, none forgotten, whatever fails or dies."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from medrobust.errors import UserError
from medrobust.study.claim import BEAT, CLAIM, STALE, claim, held
from medrobust.study.read import ERROR, RESULT
from medrobust.study.worker import folder_of, give_up, retry, status_of, work
from studies.toys import at_once, cell, chain, counted, failing, notes, trivial


def written(folder: Path, said: dict[str, object], age: float = 0.0) -> Path:
    """The claim of some process, so many seconds after its last heartbeat."""
    folder.mkdir(parents=True)
    (folder / CLAIM).write_text(json.dumps({"token": "x", **said}))
    then = time.time() - age
    os.utime(folder / CLAIM, (then, then))
    return folder


def test_a_claim_is_held_once(tmp_path: Path) -> None:
    with claim(tmp_path) as first, claim(tmp_path) as second:
        assert (first, second) == (True, False)
        assert held(tmp_path)
    assert not held(tmp_path)
    with claim(tmp_path) as again:
        assert again


def test_a_claim_of_a_dead_process_is_taken_over(tmp_path: Path) -> None:
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    folder = written(tmp_path / "a", {"host": socket.gethostname(), "pid": gone.pid, "born": "1"})
    assert not held(folder)
    with claim(folder) as mine:
        assert mine
    # The number was given to another process since: this one lives, but was born later.
    assert not held(written(tmp_path / "b", {"host": socket.gethostname(), "pid": os.getpid(), "born": "1"}))
    assert held(written(tmp_path / "c", {"host": socket.gethostname(), "pid": os.getpid(), "born": None}))


def test_a_claim_of_another_machine_is_stale_without_heartbeats(tmp_path: Path) -> None:
    said: dict[str, object] = {"host": "another", "pid": 1, "born": "1"}
    assert held(written(tmp_path / "a", said, STALE - 20))
    assert not held(written(tmp_path / "b", said, STALE + 20))
    with claim(tmp_path / "b") as mine:
        assert mine
    assert STALE > 5 * BEAT  # a worker may be late a few times


def test_a_claim_that_is_half_written_is_held(tmp_path: Path) -> None:
    (tmp_path / CLAIM).write_text('{"tok')
    assert held(tmp_path)


def test_a_heart_beats_while_a_cell_is_done(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("medrobust.study.claim.BEAT", 0.01)
    with claim(tmp_path):
        os.utime(tmp_path / CLAIM, (0, 0))
        until = time.time() + 10
        while (tmp_path / CLAIM).stat().st_mtime == 0:
            assert time.time() < until
            time.sleep(0.01)


def test_two_workers_at_once_never_do_the_same_cell(tmp_path: Path) -> None:
    todo = trivial(40)
    code = (
        "import sys; from pathlib import Path; from studies.toys import *; from medrobust.study.worker import work;"
        f"work(trivial(40), Path({str(tmp_path / 'cells')!r}), do=counted)"
    )
    paths = os.pathsep.join(path for path in sys.path if path)
    env = {**os.environ, "PYTHONPATH": paths}
    others = [subprocess.Popen([sys.executable, "-c", code], env=env) for _ in range(2)]
    ended = work(todo, tmp_path / "cells", do=counted)
    assert [other.wait(60) for other in others] == [0, 0]
    assert set(ended.values()) == {"done"}
    did = [one["cell"] for one in notes(tmp_path)]
    assert sorted(did) == sorted(one.title for one in todo)


def test_threads_of_one_process_never_do_the_same_cell(tmp_path: Path) -> None:
    todo = trivial(30)
    threads = [threading.Thread(target=work, args=(todo, tmp_path / "cells", None, counted)) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(notes(tmp_path)) == len(todo)


def test_a_failing_cell_stops_only_what_needs_it(tmp_path: Path) -> None:
    todo, told = chain(), list[tuple[str, str]]()
    ended = work(todo, tmp_path / "cells", lambda key, status: told.append((key, status)), failing)
    statuses = ["failed", "blocked", "blocked", "done"]
    assert [ended[one.key] for one in todo] == statuses
    assert [pair for pair in told if pair[1] != "begun"] == [
        (one.key, status) for one, status in zip(todo, statuses, strict=True)
    ]
    assert status_of(tmp_path / "cells", todo[0]) == ("failed", "ValueError: as it was told to")
    log = (folder_of(tmp_path / "cells", todo[0]) / "log.txt").read_text()
    assert "Traceback" in log
    # It is not done again, but for who asks.
    assert work(todo, tmp_path / "cells", do=failing) == ended
    assert len(notes(tmp_path)) == 2
    (tmp_path / "well").touch()
    retry(tmp_path / "cells", todo[0])
    assert set(work(todo, tmp_path / "cells", do=failing).values()) == {"done"}
    assert [one["cell"] for one in notes(tmp_path)] == ["bad", "alone", "bad", "after", "last"]
    assert not (folder_of(tmp_path / "cells", todo[0]) / ERROR).exists()


@pytest.mark.parametrize("found", [{"value": float("nan")}, {"value": object()}])
def test_a_result_that_is_no_json_is_a_failure_of_its_cell(tmp_path: Path, found: dict[str, object]) -> None:
    todo = trivial(2)
    ended = work(todo, tmp_path, do=lambda one, *more: found if one is todo[0] else at_once(one, *more))
    assert list(ended.values()) == ["failed", "done"]
    assert not (folder_of(tmp_path, todo[0]) / RESULT).exists()


def test_an_error_of_the_user_is_said_in_its_words(tmp_path: Path) -> None:
    def refuse(*given: object) -> dict[str, object]:
        raise UserError("data.name", "is not there", "look again")

    (one,) = trivial(1)
    work([one], tmp_path, do=refuse)
    assert status_of(tmp_path, one)[1] == str(UserError("data.name", "is not there", "look again"))


def test_what_needs_a_cell_that_nobody_does_is_blocked(tmp_path: Path) -> None:
    late = cell("late", cell("nobody does it"))
    assert work([late], tmp_path, do=at_once) == {late.key: "blocked"}


def test_giving_up_leaves_what_is_done_or_in_other_hands(tmp_path: Path) -> None:
    done, busy, dead = trivial(3)
    work([done], tmp_path, do=at_once)
    assert give_up(tmp_path, done, "died") == "done"
    with claim(folder_of(tmp_path, busy)):
        assert give_up(tmp_path, busy, "died") == "running"
    assert status_of(tmp_path, busy)[0] == "missing"
    assert give_up(tmp_path, dead, "died") == "failed"
    assert status_of(tmp_path, dead) == ("failed", "died")


def test_an_interrupt_frees_the_cell(tmp_path: Path) -> None:
    def interrupted(*given: object) -> dict[str, object]:
        raise KeyboardInterrupt

    (one,) = trivial(1)
    with pytest.raises(KeyboardInterrupt):
        work([one], tmp_path, do=interrupted)
    assert status_of(tmp_path, one)[0] == "missing"


def test_the_overhead_of_a_cell_is_small(tmp_path: Path) -> None:
    todo = trivial(200)
    began = time.perf_counter()
    work(todo, tmp_path, do=at_once)
    each = (time.perf_counter() - began) / len(todo)
    print(f"{1000 * each:.1f} ms a cell")
    assert each < 0.15


def test_who_gives_up_waits_for_a_worker_that_is_dying(tmp_path: Path) -> None:
    one = cell("dying")
    with claim(folder_of(tmp_path, one)):
        found: list[str] = []
        giving = threading.Thread(target=lambda: found.append(give_up(tmp_path, one, "died", 60.0)))
        giving.start()
        time.sleep(0.5)
        assert found == []
    giving.join(30)
    assert found == ["failed"]
    with claim(folder_of(tmp_path, cell("busy"))):
        assert give_up(tmp_path, cell("busy"), "died", 0.3) == "running"
