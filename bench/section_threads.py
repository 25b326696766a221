"""Measures the engine with one thread on one core, and with two threads on two cores."""

from __future__ import annotations

import shutil

import machine


def measure(bench) -> dict:
    out = bench.scratch / "threads"

    def with_threads(count: int):
        shutil.rmtree(out, ignore_errors=True)
        return machine.measure([bench.pregao, "etl", "--raw", bench.raw, "--out", out, "--threads", count], count)

    samples = machine.in_turn({"1": lambda: with_threads(1), "2": lambda: with_threads(2)}, bench.rounds, bench.say)
    shutil.rmtree(out)
    return {"samples": samples}
