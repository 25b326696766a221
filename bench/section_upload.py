"""Compares `pregao upload` with `aws s3 sync` to the same endpoint, with an empty lake each time."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import data
import lake_home
import machine


def measure(bench) -> dict:
    folder = bench.scratch / "upload"
    aws = Path(sys.executable).parent / "aws"
    names = {path.name for path in data.files(bench.raw)}

    def with_endpoint(command):
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        home = folder / "home"
        with lake_home.endpoint(bench.pregao, home) as url:
            environment = lake_home.environment(home, **lake_home.client(url))
            sample = machine.measure(command(home), environment=environment)
        arrived = {path.name for path in (home / "s3" / lake_home.RAW).rglob("*") if path.is_file()}
        if missing := names - arrived:
            raise machine.Failed(f"{len(missing)} of {len(names)} files did not arrive, {min(missing)} among them")
        return sample

    # `pregao upload` also checks each file and moves it to its place (`upload_raw_data`); `aws s3 sync` only copies.
    target = f"s3://{lake_home.RAW}/landing/"
    contestants = {
        "pregao upload": lambda: with_endpoint(lambda home: [bench.pregao, "--home", home, "upload", bench.raw]),
        "aws s3 sync": lambda: with_endpoint(lambda _: [sys.executable, aws, "s3", "sync", "--only-show-errors", bench.raw, target]),
    }  # fmt: skip
    samples = machine.in_turn(contestants, bench.rounds, bench.say)
    shutil.rmtree(folder)
    return {"files": len(names), "bytes": data.size(bench.raw), "samples": samples}
