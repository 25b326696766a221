"""The machine of the benchmark. Commands are measured one at a time, pinned to cores."""

from __future__ import annotations

import contextlib
import json
import os
import platform
import shlex
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

HERE = Path(__file__).resolve().parent
# The load of other processes, in cores, below which a measurement is valid.
IDLE = 0.1


class Failed(Exception):
    """A measured command failed."""


class Sample(NamedTuple):
    """The cost of one run: wall time and CPU time in seconds, peak memory in bytes."""

    wall: float
    cpu: float
    peak: int


def cores(count: int = 2) -> list[int]:
    """Returns the cores for all commands: the first that this process may use."""
    usable = sorted(os.sched_getaffinity(0))
    if len(usable) < count:
        raise Failed(f"{count} cores are needed, this process may use {len(usable)}")
    return usable[:count]


@contextlib.contextmanager
def own_cores() -> Iterator[None]:
    """Restores the CPU affinity of this process afterwards."""
    usable = os.sched_getaffinity(0)
    try:
        yield
    finally:
        os.sched_setaffinity(0, usable)


def pinned(command: Sequence[object], count: int = 2) -> list[str]:
    if not shutil.which("taskset"):
        raise Failed("taskset is needed; on Debian or Ubuntu: sudo apt-get install util-linux")
    return ["taskset", "--cpu-list", ",".join(map(str, cores(count))), *map(str, command)]


def measure(command: Sequence[object], count: int = 2, environment: dict[str, str] | None = None) -> Sample:
    """Runs a command on the first `count` cores to its end."""
    # Writes back dirty pages of earlier commands now, and not during the measurement.
    os.sync()
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "output"
        wrapped = [sys.executable, "-I", "-S", str(HERE / "measured.py"), str(log), *pinned(command, count)]
        done = subprocess.run(wrapped, stdout=subprocess.PIPE, check=True, env=environment, stdin=subprocess.DEVNULL)
        result = json.loads(done.stdout)
        if result["code"] != 0:
            output = log.read_text(errors="replace")[-4000:]
            raise Failed(f"$ {shlex.join(map(str, command))}\nexit code {result['code']}\n{output}")
        if result["left"]:
            raise Failed(f"$ {shlex.join(map(str, command))}\nleft processes running, which are not measured")
    return Sample(result["wall"], result["cpu"], result["peak"])


def in_turn(
    contestants: dict[str, Callable[[], Sample]], rounds: int, say: Callable[[str], None]
) -> dict[str, list[Sample]]:
    """Runs each command once per round, in a rotating order, so that none always follows the same one."""
    samples: dict[str, list[Sample]] = {name: [] for name in contestants}
    names = list(contestants)
    for number in range(rounds):
        for name in names[number % len(names) :] + names[: number % len(names)]:
            sample = contestants[name]()
            samples[name].append(sample)
            took = f"{sample.wall:.2f} s, {sample.cpu:.2f} s CPU, {sample.peak / 2**20:.0f} MB"
            say(f"round {number + 1} of {rounds}, {name}: {took}")
    return samples


def median(samples: Iterable[Sample]) -> Sample:
    return Sample(*(statistics.median(values) for values in zip(*samples, strict=True)))


def busy() -> float:
    """Measures for half a second how many cores other processes use."""

    def spent() -> float:
        # user, nice, system, idle, iowait, irq, softirq, steal
        times = [int(word) for word in Path("/proc/stat").read_text().splitlines()[0].split()[1:9]]
        return (sum(times) - times[3] - times[4]) / os.sysconf("SC_CLK_TCK")

    before, started = spent(), time.monotonic()
    time.sleep(0.5)
    return (spent() - before) / (time.monotonic() - started)


def description() -> str:
    """Describes the machine in one line."""
    model = next(
        (
            line.split(":", 1)[1].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if line.startswith("model name")
        ),
        platform.machine(),
    )
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30
    return (
        f"{model}, {len(cores())} of {os.cpu_count()} cores, {memory:.0f} GB, Linux {platform.release().split('-')[0]}"
    )
