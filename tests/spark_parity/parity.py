"""The Spark job, run by a real `spark-sql`, writes the rows of the engine and of the oracle, bit for bit."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from datetime import date, timedelta
from pathlib import Path
from typing import NamedTuple

import pyarrow.parquet
import pyspark
import pytest

import bucket
import oracle
import rawfiles
from lake import LENIENT, ROOT, Lake, assert_same_rows, binary, environment, parquet_rows

JOB = ROOT / "crates" / "market" / "spark" / "etl.sql"
PROGRAM = JOB.with_name("run_sql.py")
PHYSICAL_TYPES = {"bigint": "INT64", "int": "INT32", "double": "DOUBLE", "string": "BYTE_ARRAY"}
FROM, TO, RUN = "2020-04-01", "2020-04-09", "2020-04-01_parity-1"


class Job(NamedTuple):
    """One run of the job."""

    raw: Path
    lake: Path
    done: subprocess.CompletedProcess

    def files(self, table: str) -> list[Path]:
        return sorted((self.lake / "runs" / f"run={RUN}" / table).rglob("*.parquet"))

    def rows(self, table: str) -> list[dict]:
        return [row for path in self.files(table) for row in parquet_rows(path)]


def every_day(first: str, last: str) -> str:
    """Returns the glob of all days of a range."""
    start, end = date.fromisoformat(first), date.fromisoformat(last)
    days = (start + timedelta(days=number) for number in range((end - start).days + 1))
    return "{" + ",".join(map(str, days)) + "}"


def spark_sql(
    folder: Path, *tracer: str, settings: tuple[str, ...] = (), **variables: object
) -> subprocess.CompletedProcess:
    """Runs `spark-sql -f etl.sql -d ...`, as an EMR step does. `tracer` is a command that runs it,
    `settings` are further settings of Spark.
    """
    definitions = (word for name, value in variables.items() for word in ("-d", f"{name}={value}"))
    return spark(folder, *tracer, program="spark-sql", settings=settings, arguments=["-f", str(JOB), *definitions])


def spark_submit(folder: Path, **variables: object) -> subprocess.CompletedProcess:
    """Runs `spark-submit run_sql.py etl.sql NAME=VALUE ...`, as EMR Serverless does."""
    definitions = (f"{name}={value}" for name, value in variables.items())
    return spark(folder, program="spark-submit", arguments=[str(PROGRAM), str(JOB), *definitions])


def spark(
    folder: Path, *tracer: str, program: str, arguments: list[str], settings: tuple[str, ...] = ()
) -> subprocess.CompletedProcess:
    command = [
        *tracer,
        str(Path(pyspark.__file__).parent / "bin" / program),
        "--master", "local[2]",
        "--conf", "spark.sql.catalogImplementation=in-memory",
        "--conf", f"spark.sql.warehouse.dir={folder}/warehouse",
        "--conf", "spark.ui.enabled=false",
        "--conf", "spark.sql.shuffle.partitions=4",
        *(word for setting in settings for word in ("--conf", setting)),
        *arguments,
    ]  # fmt: skip
    # A locale with ASCII as its encoding: the job must not depend on it.
    environment = {**os.environ, "LC_ALL": "C", "PYSPARK_PYTHON": sys.executable, "SPARK_LOCAL_IP": "127.0.0.1"}
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=600)


def run_job(folder: Path, raw: Path, lake: Path, *tracer: str, **changed: str) -> Job:
    variables = {"from": FROM, "to": TO, "run": RUN, "raw": raw, "lake": lake, **changed}
    variables = {"days": every_day(variables["from"], variables["to"]), **variables}
    done = spark_sql(folder, *tracer, **variables)
    assert done.returncode == 0, f"{done.stdout[-3000:]}\n{done.stderr[-6000:]}"
    return Job(raw, lake, done)


# A file of another run, one of this run for a day outside its range, and one in the layout of older versions.
OTHERS = (
    "runs/run=another/quotes/year=2020/month=4/day=1/part-0.parquet",
    f"runs/run={RUN}/quotes/year=2020/month=3/day=31/part-0.parquet",
    f"quotes/year=2020/month=4/day=1/run={RUN}/part-0.parquet",
)


@pytest.fixture(scope="session")
def job(tmp_path_factory: pytest.TempPathFactory) -> Job:
    folder = tmp_path_factory.mktemp("spark")
    raw, lake = folder / "raw", folder / "lake"
    bucket.fill(raw)
    # The job must neither change `OTHERS`, nor read a day after the range or files that are not snapshots.
    for other in OTHERS:
        (lake / other).parent.mkdir(parents=True)
        (lake / other).write_bytes(b"not this job's")
    bucket.put(raw, "202004101000_flashpanel.csv", b"this would be a reject\n")
    (raw / "quarantine").mkdir()
    (raw / "quarantine" / "202004011000_flashpanel.csv").write_bytes(b"this too\n")
    (raw / "quotes" / "date=2020-04-01" / "notes.txt").write_bytes(b"and this\n")
    done = run_job(folder, raw, lake)
    for other in OTHERS:
        assert (lake / other).read_bytes() == b"not this job's"
        (lake / other).unlink()
    return done


def snapshots(raw: Path) -> list[Path]:
    """Returns the files of the job's days."""
    return [path for feed in oracle.FEEDS for path in sorted((raw / feed).glob("date=2020-04-0*/*.csv*"))]


@pytest.fixture(scope="session")
def expected(job: Job) -> oracle.Expected:
    expected = oracle.Expected()
    for path in snapshots(job.raw):
        oracle.read_file(path.name, path.read_bytes(), expected)
    return expected


@pytest.mark.parametrize("table", oracle.TABLES)
def test_spark_agrees_with_the_oracle(job: Job, expected: oracle.Expected, table: str):
    assert len(expected.rows[table]) > 1000, "too few rows are expected to compare"
    assert_same_rows(table, job.rows(table), expected.rows[table])


@pytest.fixture(scope="session")
def engine(job: Job, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Runs the engine on the same days."""
    folder = tmp_path_factory.mktemp("engine")
    for path in snapshots(job.raw):
        bucket.put(folder / "raw", path.name, path.read_bytes())
    command = [str(binary()), "etl", "--raw", str(folder / "raw"), "--out", str(folder / "out")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr
    return folder / "out"


@pytest.mark.parametrize("table", oracle.TABLES)
def test_spark_agrees_with_the_engine(job: Job, engine: Path, table: str):
    rows = [row for path in sorted((engine / table).rglob("*.parquet")) for row in parquet_rows(path)]
    assert_same_rows(table, job.rows(table), rows)


@pytest.mark.parametrize("table", oracle.TABLES)
def test_the_files_have_the_columns_of_the_catalog(job: Job, table: str):
    for path in job.files(table):
        file = pyarrow.parquet.ParquetFile(path)
        columns = [file.schema.column(at) for at in range(len(file.schema.names))]
        assert [(c.name, c.physical_type) for c in columns] == [
            (column.name, PHYSICAL_TYPES[column.type]) for column in oracle.TABLES[table]
        ]
        texts = [c for c in columns if c.physical_type == "BYTE_ARRAY"]
        assert all(c.logical_type.type == "STRING" for c in texts)
        assert file.metadata.row_group(0).column(0).compression == "SNAPPY"
        rows = file.read(["ticker", "intdate"]).to_pylist()
        order = [(row["ticker"].encode(), row["intdate"]) for row in rows]
        assert order == sorted(order), path


def test_only_the_folders_of_the_run_are_written(job: Job, expected: oracle.Expected):
    paths = [path.relative_to(job.lake) for path in job.lake.rglob("*") if path.is_file() and path.suffix != ".crc"]
    assert paths and all(path.suffix == ".parquet" for path in paths), paths
    folders = {path.parts[:-1] for path in paths}
    assert folders == {
        ("runs", f"run={RUN}", table, f"year={row['year']}", f"month={row['month']}", f"day={row['day']}")
        for table, rows in expected.rows.items()
        for row in rows
    }
    assert len(paths) == len(folders), "a small day is one file"


def test_a_feed_may_have_no_files_and_a_second_attempt_overwrites_the_first(job: Job, tmp_path: Path):
    day = "20200407"
    raw = tmp_path / "raw"
    for path in (job.raw / "quotes" / "date=2020-04-07").iterdir():
        bucket.put(raw, path.name, path.read_bytes())
    before = {table: job.rows(table) for table in oracle.TABLES}
    # The same run again, with one more record than the first attempt, and no folder of options.
    bucket.put_lines(raw, "quotes", f"{day}1650", [rawfiles.join(rawfiles.quote("LATE3"), ",")])
    run_job(tmp_path, raw, job.lake, **{"from": "2020-04-07", "to": "2020-04-07"})
    now = {table: job.rows(table) for table in oracle.TABLES}
    assert_same_rows("options", now["options"], before["options"])
    late = [row for row in now["quotes"] if row["ticker"] == "LATE3"]
    assert len(late) == 1 and late[0]["intdate"] == int(f"{day}1650")
    assert_same_rows("quotes", [row for row in now["quotes"] if row["ticker"] != "LATE3"], before["quotes"])


def test_the_program_of_emr_serverless_writes_what_spark_sql_writes(job: Job, tmp_path: Path):
    first, last = "2020-04-02", "2020-04-03"
    lake = tmp_path / "lake"
    variables = {"from": first, "to": last, "days": every_day(first, last), "run": RUN, "raw": job.raw, "lake": lake}
    done = spark_submit(tmp_path, **variables)
    assert done.returncode == 0, f"{done.stdout[-3000:]}\n{done.stderr[-6000:]}"
    written = Job(job.raw, lake, done)
    for table in oracle.TABLES:
        expected = [row for row in job.rows(table) if 20200402 <= row["intdate"] // 10_000 <= 20200403]
        assert len(expected) > 100, table
        assert_same_rows(table, written.rows(table), expected)
    # A check of the job fails the program, and nothing is written.
    refused = spark_submit(tmp_path, **(variables | {"run": "a b", "lake": tmp_path / "other"}))
    assert refused.returncode != 0 and "run names no run" in refused.stderr, refused.stderr[-3000:]
    assert not (tmp_path / "other").exists()


def listed_folders(trace: Path, raw: Path) -> set[str]:
    """Returns the folders below `raw` that a process listed, from the calls that strace recorded."""
    listed = re.compile(rf'"{re.escape(str(raw))}/([^"]*)", [^)]*O_DIRECTORY')
    return {match[1] for line in trace.read_text().splitlines() if (match := listed.search(line))}


@pytest.mark.parametrize(
    ("range_", "days", "read", "above"),
    [
        (("2020-04-07", "2020-04-07"), "2020-04-07", ["2020-04-07"], False),
        (("2020-04-02", "2020-04-03"), "{2020-04-02,2020-04-03}", ["2020-04-02", "2020-04-03"], True),
        (
            ("2020-03-31", "2020-04-30"),
            "{2020-03-31,2020-04-*}",
            [f"2020-04-0{day}" for day in (1, 2, 3, 6, 7, 9)],
            True,
        ),
    ],
)
def test_only_the_folders_of_the_days_are_listed(
    job: Job,
    expected: oracle.Expected,
    tmp_path: Path,
    range_: tuple[str, str],
    days: str,
    read: list[str],
    above: bool,
):
    assert shutil.which("strace"), "strace is not installed: sudo apt-get install strace"
    raw, lake, trace = tmp_path / "raw", tmp_path / "lake", tmp_path / "trace"
    for path in snapshots(job.raw):
        bucket.put(raw, path.name, path.read_bytes())
    # A folder of each month of the years before, and of days around the range.
    others = [f"{year}-{month:02}-01" for year in (2018, 2019) for month in range(1, 13)]
    for other in [*others, "2020-03-30", "2020-05-01"]:
        bucket.put(raw, other.replace("-", "") + "1000_flashpanel.csv", b"this would be a reject\n")
    tracer = ["strace", "-f", "-s", "4096", "-e", "trace=open,openat", "-o", str(trace)]
    done = run_job(tmp_path, raw, lake, *tracer, **{"from": range_[0], "to": range_[1], "days": days})
    folders = {f"{feed}/date={day}" for feed in oracle.FEEDS for day in read}
    # Names of folders are listed once per feed, unless the glob is a single day.
    assert listed_folders(trace, raw) == folders | (set(oracle.FEEDS) if above else set())
    for table in oracle.TABLES:
        rows = [row for row in expected.rows[table] if f"{row['year']}-{row['month']:02}-{row['day']:02}" in read]
        assert_same_rows(table, done.rows(table), rows)


@pytest.mark.parametrize(
    "days", ["2020-04-02", "{2020-04-01,2020-04-03}", "2020-04-01,2020-04-02", "{2020-03-*,2021-*}", "", "*", "."]
)
def test_a_glob_that_misses_a_day_is_refused(tmp_path: Path, days: str):
    variables = {
        "from": "2020-04-01",
        "to": "2020-04-02",
        "run": RUN,
        "raw": tmp_path / "raw",
        "lake": tmp_path / "lake",
    }
    done = spark_sql(tmp_path, **variables, days=days)
    assert done.returncode != 0
    assert "days does not match each day of the range" in done.stdout + done.stderr


def test_a_file_that_several_tasks_read_has_one_header(tmp_path: Path):
    """The header is at the beginning of a file, and decides about the records that other tasks read."""
    raw, lake = tmp_path / "raw", tmp_path / "lake"
    rawfiles.write_drifted(tmp_path / "scratch", seed=8, days=["20200401"], snapshots=3, records=400)
    expected = oracle.read_folder(tmp_path / "scratch")
    for path in (tmp_path / "scratch").rglob("*.csv*"):
        bucket.put(raw, path.name, path.read_bytes())
    plain = [path for path in raw.rglob("*.csv") if path.stat().st_size > 4 * (16 << 10)]
    assert plain, "no file is larger than four pieces"
    day = {"from": "2020-04-01", "to": "2020-04-01"}
    settings = (f"spark.sql.files.maxPartitionBytes={16 << 10}",)
    done = spark_sql(tmp_path, settings=settings, days="2020-04-01", **day, run=RUN, raw=raw, lake=lake)
    assert done.returncode == 0, done.stderr[-6000:]
    job = Job(raw, lake, done)
    for table in oracle.TABLES:
        assert_same_rows(table, job.rows(table), expected.rows[table])


def test_a_missing_variable_is_refused(tmp_path: Path):
    days = every_day(FROM, TO)
    done = spark_sql(tmp_path, **{"from": FROM, "to": TO, "days": days, "run": RUN, "raw": tmp_path / "raw"})
    assert done.returncode != 0
    assert "lake is no folder" in done.stdout + done.stderr


def run_on_spark(lake: Lake, first: str, last: str, *options: str) -> None:
    """Publishes days by a real `spark-sql` in place of the embedded engine."""
    spark = {
        **environment(lake.home.parent),
        "SPARK_HOME": str(Path(pyspark.__file__).parent),
        "JAVA_HOME": os.environ["JAVA_HOME"],
    }
    command = lake.command(*options, "run", "--from", first, "--to", last, "--engine", "spark")
    done = subprocess.run(command, cwd=lake.home.parent, env=spark, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"


TEN_DAYS = ("2020-04-01", "2020-04-15")


def test_three_engines_publish_the_same_rows_of_ten_days(tmp_path: Path):
    days = [f"202004{day:02}" for day in (1, 2, 3, 6, 7, 8, 9, 13, 14, 15)]
    rawfiles.write_market(tmp_path / "market", seed=43, days=days, snapshots=4)
    rawfiles.write_adversarial(tmp_path / "adversarial", seed=44, days=days)
    for kind in ("market", "adversarial"):
        lake = Lake(tmp_path / f"home-{kind}")
        lake.upload(tmp_path / kind)
        expected = oracle.read_folder(tmp_path / kind)
        published = {}
        for engine in ("spark", "emr", "lambda"):
            if engine == "spark":
                run_on_spark(lake, *TEN_DAYS, *LENIENT)
                assert all(".snappy.parquet" in path.name for path in lake.parquet_files("quotes")), "Spark wrote them"
            else:
                first, last = TEN_DAYS
                lake.run(*LENIENT, "run", "--from", first, "--to", last, "--engine", engine)
            published[engine] = {table: lake.query(f"SELECT * FROM {table}") for table in oracle.TABLES}
        for table in oracle.TABLES:
            assert {row["day"] for row in expected.rows[table]} == {int(day[-2:]) for day in days}, table
            for rows in published.values():
                assert_same_rows(table, rows[table], expected.rows[table])


def test_a_run_on_spark_publishes_the_rows_of_the_oracle(tmp_path: Path):
    rawfiles.write_market(tmp_path / "raw", seed=41, days=["20200401", "20200402"], snapshots=6)
    # Nothing is rejected on this day, so Spark writes no folder for it.
    rawfiles.write(tmp_path / "raw", "quotes", "202004031000", [rawfiles.quote("PETR4")])
    expected = oracle.read_folder(tmp_path / "raw")
    lake = Lake(tmp_path / "home")
    lake.upload(tmp_path / "raw")
    run_on_spark(lake, "2020-04-01", "2020-04-03")
    assert all(".snappy.parquet" in path.name for path in lake.parquet_files("quotes")), "Spark has written them"
    for table in oracle.TABLES:
        assert_same_rows(table, lake.query(f"SELECT * FROM {table}"), expected.rows[table])
    partitions = lake.query("SHOW PARTITIONS rejects")
    assert len(partitions) == 3, partitions

    # The files of the first attempt for that day are removed, although nothing replaces them.
    run_on_spark(lake, "2020-04-01", "2020-04-03")
    lake.publish("2020-04-01", "2020-04-03")
    for table in oracle.TABLES:
        assert_same_rows(table, lake.query(f"SELECT * FROM {table}"), expected.rows[table])
