"""Runs scripts as __main__, each in a process forked from one that has imported what takes seconds to import.

In, lines of JSON: [script, argument, file for its output, seconds]. Out, for each its exit code, or minus the signal
that ended it: -14 is an alarm, it took too long.
"""

import json
import os
import runpy
import signal
import sys
import traceback
from importlib import import_module


def run(script: str, argument: str, log: str, seconds: int) -> int:
    """What the forked process does, up to its exit code."""
    signal.alarm(seconds)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), 1)
    os.dup2(1, 2)
    sys.argv, sys.path[0] = [script, argument], os.path.dirname(script)
    try:
        runpy.run_path(script, run_name="__main__")
    except BaseException:
        traceback.print_exc()
        return 1
    finally:
        sys.stdout.flush()
    return 0


if __name__ == "__main__":
    for slow in ("torch._dynamo", "sklearn.metrics", "medrobust.face"):  # an optimizer loads the first, an audit all
        import_module(slow)
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            os._exit(run(*json.loads(line)))
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
