"""One run of the benchmark: the state that its sections share, and their order."""

from __future__ import annotations

import argparse
import datetime
import functools
import importlib
import json
import subprocess
import time
from pathlib import Path

import arguments
import data
import machine
import report
import run


class Bench:
    """The environment of a section: options, binaries, and a folder for files."""

    def __init__(self, options: argparse.Namespace, target: Path):
        self.options = options
        self.target = target
        # One disk for all engines, with enough space for data of the real size.
        self.scratch = target / "bench"
        self.scratch.mkdir(parents=True, exist_ok=True)

    @property
    def rounds(self) -> int:
        return self.options.rounds

    @property
    def quick(self) -> bool:
        return self.options.quick

    def say(self, line: str) -> None:
        print(f"bench: {line}", flush=True)

    @functools.cached_property
    def pregao(self) -> Path:
        return self.options.pregao or self._build("pregao", ["-p", "pregao"], Path("pregao"))

    @functools.cached_property
    def stages(self) -> Path:
        # With the features of the whole workspace, so that nothing is compiled twice.
        return self.options.stages or self._build(
            "stages", ["--workspace", "--bins", "--example", "stages"], Path("examples/stages")
        )

    def _build(self, name: str, selection: list[str], path: Path) -> Path:
        run.step(name, ["cargo", "build", "--release", "--locked", *selection])
        return self.target / "release" / path

    @functools.cached_property
    def raw(self) -> Path:
        """Returns raw files of the requested size, after reading them into the page cache."""
        raw = data.sample(self.pregao, self.scratch, self.options.days)
        data.warm(raw)
        return raw


def main(target: Path) -> int:
    options = arguments.parse()
    bench = Bench(options, target)
    options.results.mkdir(parents=True, exist_ok=True)
    try:
        busy = machine.busy()
        if busy > machine.IDLE:
            bench.say(f"WARNING: other processes use {busy:.1f} cores; the measurement is not valid")
        for name in options.sections:
            started = time.monotonic()
            bench.say(f"{name}: started")
            busy = machine.busy()
            result = importlib.import_module(f"section_{name}").measure(bench)
            result["about"] = about(bench, busy)
            (options.results / f"{name}.json").write_text(json.dumps(result, indent=1) + "\n")
            bench.say(f"{name}: done in {time.monotonic() - started:.0f} s")
        report.write(options.results)
    except (machine.Failed, run.Failure, subprocess.CalledProcessError) as failure:
        bench.say(f"FAILED: {failure}")
        return 1
    bench.say(f"the table is {options.results / 'README.md'}")
    return 0


def about(bench: Bench, busy: float) -> dict:
    """Returns the conditions of a measurement."""
    commit = subprocess.run(["git", "describe", "--always", "--dirty"], cwd=run.ROOT, stdout=subprocess.PIPE, text=True)
    return {
        "day": datetime.date.today().isoformat(),
        "commit": commit.stdout.strip(),
        "machine": machine.description(),
        "rounds": bench.rounds,
        "days": bench.options.days,
        "quick": bench.quick,
        "busy": round(busy, 2),
    }
