"""Measures each stage of the engine alone on one core, and the whole engine, to compare it with the lower bound."""

from __future__ import annotations

import json
import shutil
import subprocess

import machine


def measure(bench) -> dict:
    folder = bench.scratch / "stages"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    measured, engine = [], []
    for number in range(bench.rounds):
        command = machine.pinned([bench.stages, bench.raw, folder], 1)
        done = subprocess.run(command, stdout=subprocess.PIPE, check=True)
        measured.append(json.loads(done.stdout))
        shutil.rmtree(folder / "out", ignore_errors=True)
        command = [bench.pregao, "etl", "--raw", bench.raw, "--out", folder / "out", "--threads", 1]
        engine.append(machine.measure(command, 1))
        bench.say(f"round {number + 1} of {bench.rounds}: {engine[-1].cpu:.2f} s CPU for the whole engine")
    return {"stages": measured, "engine": engine}
