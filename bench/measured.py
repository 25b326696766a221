"""Runs a command and prints as JSON what it took: `python -I -S measured.py LOG COMMAND...`.

A process of its own, because a child begins its life with the memory of the process that forks it, and that counts in
its peak: this one has a few megabytes, the benchmark itself hundreds.

CPU is that of the whole process group, of all that ended and was waited for. Peak memory is that of its largest process
(for Spark the JVM, which takes the place of the script that starts it).
"""

import json
import os
import signal
import sys
import time


def main() -> None:
    output = os.open(sys.argv[1], os.O_RDWR | os.O_CREAT | os.O_TRUNC)
    started = time.perf_counter()
    pid = os.fork()
    if pid == 0:
        os.setsid()
        os.dup2(output, 1)
        os.dup2(output, 2)
        os.execvp(sys.argv[2], sys.argv[2:])
    _, status, usage = os.wait4(pid, 0)
    wall = time.perf_counter() - started
    try:
        # What goes on behind its back would be measured nowhere.
        os.killpg(pid, signal.SIGKILL)
        left = True
    except ProcessLookupError:
        left = False
    peak = usage.ru_maxrss * 1024
    answer = {
        "code": os.waitstatus_to_exitcode(status),
        "left": left,
        "wall": wall,
        "cpu": usage.ru_utime + usage.ru_stime,
        "peak": peak,
    }
    print(json.dumps(answer))


if __name__ == "__main__":
    main()
