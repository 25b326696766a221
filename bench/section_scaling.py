"""Measures the engine on 1, 10 and 100 times the real size: time per row, and peak memory, which must stay constant."""

from __future__ import annotations

import shutil

import compare
import data
import machine


def measure(bench) -> dict:
    folder = bench.scratch / "scaling"
    shutil.rmtree(folder, ignore_errors=True)
    points = []
    for times in [1, 10] if bench.quick else [1, 10, 100]:
        raw = data.multiplied(bench.raw, folder / "raw", times)
        out = folder / "out"
        # The largest tables have four gigabytes, so those of the previous measurement are deleted first.
        samples = []
        for _ in range(1 if times == 100 else min(3, bench.rounds)):
            shutil.rmtree(out, ignore_errors=True)
            samples.append(machine.measure([bench.pregao, "etl", "--raw", raw, "--out", out, "--threads", 2]))
        rows = sum(compare.rows(out, table) for table in ("quotes", "options"))
        points.append(
            {"times": times, "bytes": data.size(raw), "files": len(data.files(raw)), "rows": rows, "samples": samples}
        )
        middle = machine.median(samples)
        bench.say(f"{times}x: {rows:,} rows, {middle.wall:.1f} s, {middle.peak / 2**20:.0f} MB")
    shutil.rmtree(folder)
    return {"points": points}
