"""Converts the same raw files to the same tables with the engine, Polars, DuckDB and Spark SQL."""

from __future__ import annotations

import importlib.util
import os
import shutil
import sys
from importlib.metadata import version
from pathlib import Path

import compare
import data
import machine
import run
from machine import Failed, Sample

HERE = Path(__file__).resolve().parent
# The name of the run of the Spark job.
RUN = "bench"
JOB = run.ROOT / "crates" / "market" / "spark" / "etl.sql"
THREADS = 2


class Engines:
    def __init__(self, bench):
        self.bench = bench
        self.folder = bench.scratch / "engines"
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True)
        self.contestants = {"pregao": self.pregao, "polars": self.polars, "duckdb": self.duckdb, "spark": self.spark}
        for name in bench.options.without:
            if self.contestants.pop(name, None) is None or name == "pregao":
                raise Failed(f"--without {name}: choose from polars, duckdb and spark")

    def out(self, name: str) -> Path:
        """Returns an empty output folder; old files are deleted before the measurement."""
        folder = self.folder / name
        shutil.rmtree(folder, ignore_errors=True)
        return folder

    def pregao(self) -> Sample:
        return machine.measure(
            [self.bench.pregao, "etl", "--raw", self.bench.raw, "--out", self.out("pregao"), "--threads", THREADS]
        )

    def polars(self) -> Sample:
        return self.peer("polars")

    def duckdb(self) -> Sample:
        return self.peer("duckdb")

    def tables(self, name: str) -> Path:
        """Returns the folder with the tables of a contestant. The Spark job writes to that of its run."""
        folder = self.folder / name
        return folder / "runs" / f"run={RUN}" if name == "spark" else folder

    def peer(self, name: str) -> Sample:
        script = HERE / "peers" / f"{name}_etl.py"
        return machine.measure([sys.executable, script, self.bench.raw, self.out(name), THREADS])

    def spark(self) -> Sample:
        import pyspark

        home = Path(pyspark.__file__).parent
        first, last = data.day_range(self.bench.raw)
        bucket = data.as_bucket(self.bench.raw, self.folder / "spark-raw")
        variables = {"from": first, "to": last, "days": data.days_glob(first, last)}
        command = [
            home / "bin" / "spark-sql",
            "--master", f"local[{THREADS}]",
            "--driver-memory", "2g",
            "--conf", "spark.sql.catalogImplementation=in-memory",
            "--conf", f"spark.sql.warehouse.dir={self.folder}/spark-warehouse",
            "--conf", "spark.ui.enabled=false",
            "--conf", f"spark.sql.shuffle.partitions={2 * THREADS}",
            # For more than 32 paths Spark would start a job to list them.
            "--conf", "spark.sql.sources.parallelPartitionDiscovery.threshold=100000",
            "-f", JOB,
        ]  # fmt: skip
        for key, value in {**variables, "run": RUN, "raw": bucket, "lake": self.out("spark")}.items():
            command += ["-d", f"{key}={value}"]
        environment = {**os.environ, "JAVA_HOME": str(java()), "SPARK_HOME": str(home), "SPARK_LOCAL_IP": "127.0.0.1"}
        return machine.measure(command, environment=environment)


def java() -> Path:
    """Returns the home of the Java version of Spark 3.5, with the function of the parity tests."""
    spec = importlib.util.spec_from_file_location("spark_parity", run.ROOT / "tests" / "spark_parity" / "__main__.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.find_java()


def measure(bench) -> dict:
    engines = Engines(bench)
    # The first run is not measured: it checks the result, and warms the page cache.
    wrong: dict[str, str] = {}
    for name, contestant in engines.contestants.items():
        try:
            contestant()
            problem = compare.difference(engines.folder / "pregao", engines.tables(name)) if name != "pregao" else None
        except Failed as failure:
            problem = str(failure)
        if problem:
            bench.say(f"{name} is excluded: {problem}")
            wrong[name] = problem
    if "pregao" in wrong:
        raise Failed(wrong["pregao"])
    valid = {name: contestant for name, contestant in engines.contestants.items() if name not in wrong}
    samples = machine.in_turn(valid, bench.rounds, bench.say)
    for name in valid:
        # The output of the last round must be correct too.
        if problem := compare.difference(engines.folder / "pregao", engines.tables(name)):
            wrong[name] = problem
            del samples[name]
    counted = {table: compare.rows(engines.folder / "pregao", table) for table in ("quotes", "options", "rejects")}
    return {
        "rows": counted,
        "bytes": data.size(bench.raw),
        "versions": {"polars": version("polars"), "duckdb": version("duckdb"), "spark": version("pyspark")},
        "wrong": wrong,
        "written": {name: compare.size(engines.folder / name) for name in samples},
        "samples": samples,
    }
