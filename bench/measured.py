"""Runs a command and prints its cost as JSON: `python -I -S measured.py LOG COMMAND...`.

It is a separate process because the peak of a child includes the memory of the process that forks it: this one has a few
megabytes, the benchmark hundreds.

CPU time is that of all processes of the group that were waited for. Peak memory is that of its largest process
(for Spark the JVM, which replaces the script that starts it).
"""

import json
import os
import signal
import sys
import time


def group_members(group: int) -> list:
    """Returns the running processes of a group."""
    members = []
    for name in os.listdir("/proc"):
        try:
            with open(f"/proc/{int(name)}/stat") as file:
                # The name in parentheses may contain anything; after it: state, parent, group.
                state, _, process_group = file.read().rpartition(")")[2].split()[:3]
        except (ValueError, OSError):
            continue
        if int(process_group) == group and state != "Z":
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
    # Remaining processes would not be measured. Some programs end shortly before their helpers.
    deadline = time.monotonic() + 3
    while (left := group_members(pid)) and time.monotonic() < deadline:
        time.sleep(0.05)
    for member in left:
        os.kill(member, signal.SIGKILL)
    peak = usage.ru_maxrss * 1024
    result = {
        "code": os.waitstatus_to_exitcode(status),
        "left": bool(left),
        "wall": wall,
        "cpu": usage.ru_utime + usage.ru_stime,
        "peak": peak,
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
