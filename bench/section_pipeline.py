"""Compares `pregao run` (workflow, embedded services, both audits, publication) with the engine alone."""

from __future__ import annotations

import shutil

import data
import lake_home
import machine


def measure(bench) -> dict:
    folder = bench.scratch / "pipeline"
    shutil.rmtree(folder, ignore_errors=True)
    home = folder / "home"
    folder.mkdir(parents=True)
    machine.measure([bench.pregao, "--home", home, "upload", bench.raw], environment=lake_home.environment(home))
    first, last = data.day_range(bench.raw)

    def run():
        command = [bench.pregao, "--home", home, *lake_home.LENIENT, "run", "--from", first, "--to", last]
        return machine.measure(command, environment=lake_home.environment(home))

    def engine():
        shutil.rmtree(folder / "out", ignore_errors=True)
        return machine.measure([bench.pregao, "etl", "--raw", bench.raw, "--out", folder / "out", "--threads", 2])

    samples = machine.in_turn({"engine": engine, "run": run}, bench.rounds, bench.say)
    shutil.rmtree(folder)
    return {"samples": samples}
