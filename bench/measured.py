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


def group_members(group: int) -> list:
    """The processes of a group that still run."""
    members = []
    for name in os.listdir("/proc"):
        try:
            with open(f"/proc/{int(name)}/stat") as file:
                # The name in parentheses may hold anything; behind it: state, parent, group.
                state, _, of = file.read().rpartition(")")[2].split()[:3]
        except (ValueError, OSError):
            continue
        if int(of) == group and state != "Z":
            members.append(int(name))
    return members


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
    # What goes on behind its back would be measured nowhere. Some programs end a moment before their helpers do.
    deadline = time.monotonic() + 3
    while (left := group_members(pid)) and time.monotonic() < deadline:
        time.sleep(0.05)
    for member in left:
        os.kill(member, signal.SIGKILL)
    peak = usage.ru_maxrss * 1024
    answer = {
        "code": os.waitstatus_to_exitcode(status),
        "left": bool(left),
        "wall": wall,
        "cpu": usage.ru_utime + usage.ru_stime,
        "peak": peak,
    }
    print(json.dumps(answer))


if __name__ == "__main__":
    main()
