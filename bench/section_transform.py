"""Measures the function `transform` under hard memory limits: the largest day, and the cost of a day of real size.

The unmodified binary runs on the Lambda Runtime API, on one core, against the embedded endpoint. The limit is that of the
address space (`ulimit -v`), which counts reserved memory too: a process that exceeds it fails at its next allocation. So it is
stricter than the limit of Lambda, which counts resident memory.
"""

from __future__ import annotations

import os
import re
import shutil
import time
from pathlib import Path

import data
import lake_home
import machine
import run
import section_functions
from lambda_runtime import FunctionError, LambdaFunction

LIMITS = [512, 1024, 1769]
# The size of a day, relative to a real one.
TIMES = [1, 10, 150]
DAY = str(data.FIRST)
# The timeout of the function in infra/template.yaml, in seconds.
TIMEOUT = 900


def measure(bench) -> dict:
    functions = bench.options.functions or section_functions.build(bench)
    folder = bench.scratch / "transform"
    points = []
    for times in TIMES[:2] if bench.quick else TIMES:
        shutil.rmtree(folder, ignore_errors=True)
        raw = data.enlarged(data.sample(bench.pregao, bench.scratch, 1), folder / "raw", times)
        point = {"times": times, "bytes": data.size(raw), "limits": []}
        points.append(point)
        home = folder / "home"
        command = [bench.pregao, "--home", home, "upload", raw]
        machine.measure(command, environment=lake_home.environment(home))
        with lake_home.endpoint(bench.pregao, home) as url:
            environment = {**lake_home.client(url), "PREGAO_CONFIG": f"[transform]\nmax_day_bytes = {1 << 50}\n"}
            with LambdaFunction(functions / "validate-partitions" / "bootstrap", environment, TIMEOUT) as plan:
                event = {"stage": "raw", "run": "bench", "input": {"date": DAY, "engine": "lambda"}}
                if plan.invoke(event)["transform"] != [DAY]:
                    raise machine.Failed("the plan has no day for transform")
            for limit in LIMITS:
                binary = limited(functions / "transform" / "bootstrap", folder / str(limit), limit)
                rounds = 1 + bench.rounds if times == 1 else 1
                one = {"limit": limit, **invoke(binary, environment, rounds)}
                point["limits"].append(one)
                bench.say(f"{times}x, {limit} MB: {one.get('failed') or summary(one)}")
    shutil.rmtree(folder)
    return {"points": points, "prices": prices()}


def limited(binary: Path, folder: Path, megabytes: int) -> Path:
    """Writes a script that runs `binary` on the first core with a limit of its address space."""
    folder.mkdir(parents=True)
    script = folder / "transform"
    script.write_text(f"#!/bin/sh\nulimit -v {megabytes * 1024}\nexec taskset -c {machine.cores(1)[0]} {binary}\n")
    script.chmod(0o755)
    return script


def invoke(binary: Path, environment: dict[str, str], count: int) -> dict:
    """Invokes the function `count` times in one process. Returns seconds of wall time and of CPU time, and peak memory."""
    path = {"PATH": os.environ["PATH"], "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": binary.parent.name}
    with LambdaFunction(binary, {**environment, **path}, TIMEOUT) as function:
        walls, processors = [], []
        for _ in range(count):
            before = processor_seconds(function.process_id)
            started = time.perf_counter()
            try:
                function.invoke({"run": "bench", "day": DAY})
            except FunctionError as error:
                return {"failed": " ".join(str(error).split())[:300]}
            walls.append(time.perf_counter() - started)
            processors.append(processor_seconds(function.process_id) - before)
        return {"walls": walls, "processors": processors, "peak": section_functions.peak_memory(function.process_id)}


def processor_seconds(pid: int | None) -> float:
    """Returns the CPU time of a process in seconds, and 0 if there is none yet."""
    if pid is None:
        return 0.0
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def summary(one: dict) -> str:
    return f"{one['walls'][-1]:.2f} s, {one['processors'][-1]:.2f} s CPU, {one['peak'] / 1e6:.0f} MB"


def prices() -> dict[str, float]:
    """Returns the prices that `pregao run --plan` uses: USD per GB-second, and of a transient cluster for a day."""
    files = [run.ROOT / "crates" / crate / "src" / "price.rs" for crate in ("lake", "pregao")]
    text = "".join(file.read_text(encoding="utf-8") for file in files)

    def number(pattern: str) -> list[float]:
        found = re.search(pattern, text)
        if not found:
            raise machine.Failed(f"no price.rs has {pattern}")
        return [float(group.replace("_", "")) for group in found.groups()]

    ec2, fee = number(r'node_of\("m5\.xlarge", ([0-9.]+), ([0-9.]+),')
    (minutes,) = number(r"MINUTES_OF_A_DAY: f64 = ([0-9._]+);")
    (gb_second,) = number(r"GB_SECOND: f64 = ([0-9._]+);")
    gigabytes, gb_month, hours = number(r"DISKS: f64 = ([0-9.]+) \* ([0-9.]+) / ([0-9.]+);")
    (address,) = number(r"ADDRESS: f64 = ([0-9.]+);")
    node = ec2 + fee + gigabytes * gb_month / hours + address
    return {"gb_second": gb_second, "cluster": 2 * minutes / 60 * node}
