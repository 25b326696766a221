"""A lake under test: the binary in a home of its own, its endpoint, its files, and the comparison of two tables."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shlex
import signal
import struct
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple, TypeVar

import boto3
import botocore.config
import pyarrow.parquet

import oracle
from oracle import PARTITION, TABLES

ROOT = Path(__file__).resolve().parent.parent
RAW, LAKE, RESULTS = "pregao-raw", "pregao-lake", "pregao-results"
DATABASE = "pregao"
REGION, ACCOUNT = "us-east-1", "000000000000"
# Access key and secret of the tests. The services accept any.
KEY = "local"
# Disables the limits of the audit.
LENIENT = ["--set", "quality.max_reject_share=1", "--set", "quality.max_domain_share=1"]
# The time limit in seconds of every wait, far above the expected durations: a command that exceeds it hangs.
PATIENCE = 120

# The line of a state: result, name, duration.
# A polling loop is one line too, with the number of polls, which depends on the speed of the machine; so are the iterations
# of a Map state, with the number of days.
STATE = re.compile(r"  [✓✗] \S.* [0-9.]+s(  \d+ looks|  (\d+ of )?\d+ days?)?$")

Value = TypeVar("Value")


@lru_cache(maxsize=1)
def binary() -> Path:
    """Returns the path of the binary: that of PREGAO, or the one of `cargo build --release`."""
    if "PREGAO" in os.environ:
        path = Path(os.environ["PREGAO"])
    else:
        command = ["cargo", "metadata", "--format-version", "1", "--no-deps"]
        answer = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, check=True)
        path = Path(json.loads(answer.stdout)["target_directory"]) / "release" / "pregao"
    if not path.exists():
        raise FileNotFoundError(f"{path} is not built: run `python3 tests/run.py`, or `cargo build --release` first")
    return path


def environment(home: Path) -> dict[str, str]:
    """Returns an environment without the settings of the user: no profile, no keys, no proxy."""
    kept = {name: os.environ[name] for name in ("PATH", "TMPDIR", "LANG") if name in os.environ}
    return {
        **kept,
        "HOME": str(home),
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "AWS_EC2_METADATA_DISABLED": "true",
    }


class Result(NamedTuple):
    """The result of a command."""

    command: list[str]
    code: int
    out: str
    err: str

    def __str__(self) -> str:
        return f"$ {shlex.join(self.command)}\nexit code {self.code}\n{self.out}\n--- stderr\n{self.err}"

    @property
    def output(self) -> str:
        """Returns both output streams, for text that may be in either."""
        return self.out + self.err


class Lake:
    """One home and the commands that use it.

    `prefix` precedes every command, to run it inside something (a small disk).
    """

    def __init__(self, home: Path, prefix: Iterable[str] = ()):
        self.home = home
        self.prefix = list(prefix)
        # The path of the home as this process sees it, which differs from the path inside a small disk.
        self.files = home

    # --- commands ---

    def command(self, *arguments: object) -> list[str]:
        words = [*map(str, arguments)]
        if {"local", "explore"} & set(words) and not any("schedule.on_upload" in word for word in words):
            # Runs that start by themselves would change what other tests count.
            words = ["--set", "schedule.on_upload=never", *words]
        return [*self.prefix, str(binary()), "--home", str(self.home), *words]

    def run(self, *arguments: object, check: bool = True) -> Result:
        """Runs a command to its end. If it fails, the test fails with its output."""
        command = self.command(*arguments)
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=PATIENCE,
            env=environment(self.home.parent),
            cwd=self.home.parent,
        )
        result = Result(command, done.returncode, done.stdout.decode(), done.stderr.decode())
        assert not check or result.code == 0, str(result)
        return result

    def fails(self, *arguments: object) -> Result:
        """Runs a command that must fail, with an exit code, a message on stderr, and no panic."""
        result = self.run(*arguments, check=False)
        assert result.code > 0, f"this had to fail:\n{result}"
        assert result.err.strip(), f"it failed without a message on stderr:\n{result}"
        assert "panicked" not in result.err, str(result)
        return result

    @contextlib.contextmanager
    def started(self, *arguments: object) -> Iterator[Process]:
        """Starts a command, and kills it at the end if it still runs."""
        process = Process(self.command(*arguments), environment(self.home.parent), self.home.parent)
        try:
            yield process
        finally:
            process.kill()

    @contextlib.contextmanager
    def endpoint(self) -> Iterator[Endpoint]:
        """Starts `pregao local` on a free port, and waits until it is ready."""
        with self.started("local") as process:
            process.wait_for_line(lambda line: "http://" in line)
            yield Endpoint(self.url(), process, self.home.parent)

    def url(self) -> str:
        """Returns the address of the process that owns the home."""
        return json.loads((self.files / "endpoint.json").read_text())["url"]

    # --- the daily work ---

    def upload(self, folder: Path, *options: object) -> Result:
        return self.run(*options, "upload", folder)

    def publish(self, first: str, last: str | None = None, *options: object) -> Result:
        return self.run(*options, "run", "--from", first, "--to", last or first)

    def query(self, sql: str) -> list[dict]:
        """Returns one dict per row, with exact numbers."""
        return read_json(self.run("query", sql, "--format", "json").out)

    # --- files on the disk ---

    def objects(self, bucket: str, prefix: str = "") -> dict[str, bytes]:
        """Returns the objects of a bucket by key, read from the files of the home."""
        root = self.files / "s3" / bucket
        keys = (path for path in root.rglob("*") if path.is_file())
        named = {path.relative_to(root).as_posix(): path for path in keys}
        return {key: named[key].read_bytes() for key in sorted(named) if key.startswith(prefix)}

    def published_raw_files(self) -> int:
        """Returns the number of raw files of all published days, by their records."""
        records = [json.loads(text) for key, text in self.objects(LAKE, "published/").items() if key.count("/") == 3]
        return sum(len(record["published"]["raw_files"]) for record in records)

    def parquet_files(self, table: str) -> list[Path]:
        """Returns the Parquet files of a table of all runs, in either layout."""
        root = self.files / "s3" / LAKE
        return sorted([*root.glob(f"runs/run=*/{table}/**/*.parquet"), *root.glob(f"{table}/**/*.parquet")])

    def stored_rows(self, table: str) -> list[dict]:
        """Returns the rows in all Parquet files of a table, of all runs."""
        return [row for path in self.parquet_files(table) for row in parquet_rows(path)]

    def stored_runs(self) -> set[str]:
        """Returns the runs that have a Parquet file."""
        paths = [path for table in TABLES for path in self.parquet_files(table)]
        return {part[len("run=") :] for path in paths for part in path.parts if part.startswith("run=")}

    def quality_report(self, table: str) -> dict:
        """Returns the newest quality report of a table."""
        reports = (self.files / "s3" / LAKE / "quality").glob(f"run=*/{table}.json")
        return json.loads(max(reports, key=lambda path: path.stat().st_mtime_ns).read_text())


def parquet_rows(path: Path) -> list[dict]:
    """Returns the rows of a Parquet file, with the partition that its folders name."""
    keys = dict(part.split("=", 1) for part in path.parts if "=" in part)
    partition = {key: int(keys[key]) for key in PARTITION}
    # Opened as one file: from a path, pyarrow would add partition columns.
    return [{**row, **partition} for row in pyarrow.parquet.ParquetFile(path).read().to_pylist()]


def read_json(text: str) -> list[dict]:
    # "-0" is a double without its point; as an int it would lose its sign.
    return json.loads(text, parse_int=lambda digits: -0.0 if digits == "-0" else int(digits))


class Process:
    """A running command whose output is read line by line while it runs."""

    def __init__(self, command: list[str], env: dict[str, str], cwd: Path):
        self.command = command
        self.lines: list[str] = []
        self.ended = False
        self.changed = threading.Condition()
        # A session of its own, so that a kill ends a prefix such as nsenter and the binary.
        self.popen = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=env,
            cwd=cwd,
            start_new_session=True,
        )
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()

    def _read(self) -> None:
        for line in self.popen.stdout:
            with self.changed:
                self.lines.append(line.decode(errors="replace").rstrip("\n"))
                self.changed.notify_all()
        with self.changed:
            self.ended = True
            self.changed.notify_all()

    @property
    def pid(self) -> int:
        return self.popen.pid

    def wait_for_line(self, wanted: Callable[[str], bool]) -> str:
        """Returns the first matching line; fails if the command ends without it."""
        deadline = time.monotonic() + PATIENCE
        read = 0
        with self.changed:
            while True:
                for line in self.lines[read:]:
                    if wanted(line):
                        return line
                read = len(self.lines)
                assert not self.ended, f"it ended before the expected line:\n{self}"
                assert self.changed.wait(deadline - time.monotonic()), f"no such line in {PATIENCE} s:\n{self}"

    def lines_of_states(self) -> list[str]:
        """Returns the states that have ended, as `pregao run` and `pregao upload` print them."""
        return [line.strip() for line in self.lines if STATE.match(line)]

    def wait_for_state(self, number: int) -> None:
        """Waits until more than `number` states have ended; fails if the command ends before."""

        def reached() -> bool:
            return self.ended or len(self.lines_of_states()) > number

        with self.changed:
            assert self.changed.wait_for(reached, PATIENCE), f"no state {number} in {PATIENCE} s:\n{self}"
        assert len(self.lines_of_states()) > number, f"it ended before its state {number}:\n{self}"

    def wait_until(self, reached: Callable[[], bool]) -> None:
        """Waits until a condition holds that this process causes."""
        deadline = time.monotonic() + PATIENCE
        while not reached():
            assert time.monotonic() < deadline, f"waited {PATIENCE} s:\n{self}"
            time.sleep(0.001)

    def wait(self) -> int:
        """Waits for its end and reads all output. Returns the exit code."""
        self.reader.join(PATIENCE)
        assert not self.reader.is_alive(), f"it still runs after {PATIENCE} s:\n{self}"
        return self.popen.wait(PATIENCE)

    def kill(self) -> None:
        """Sends SIGKILL to it and all its children; has no effect if it has ended."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.popen.pid, signal.SIGKILL)
        self.wait()
        self.popen.stdout.close()

    def __str__(self) -> str:
        return f"$ {shlex.join(self.command)}\n" + "\n".join(self.lines)


def client(url: str, service: str):
    """Returns a boto3 client without retries, which would hide failures."""
    return boto3.client(
        service,
        endpoint_url=url,
        region_name=REGION,
        aws_access_key_id=KEY,
        aws_secret_access_key=KEY,
        config=botocore.config.Config(
            retries={"total_max_attempts": 1}, read_timeout=PATIENCE, s3={"addressing_style": "path"}
        ),
    )


class Endpoint:
    """A running embedded endpoint, and AWS clients that know only its address."""

    def __init__(self, url: str, process: Process, folder: Path):
        self.url = url
        self.process = process
        self.folder = folder
        self.settings = {
            "AWS_ENDPOINT_URL": url,
            "AWS_ACCESS_KEY_ID": KEY,
            "AWS_SECRET_ACCESS_KEY": KEY,
            "AWS_DEFAULT_REGION": REGION,
        }

    def client(self, service: str):
        return client(self.url, service)

    def aws(self, *arguments: str, check: bool = True) -> Result:
        """Runs the AWS command line of this Python environment."""
        command = [sys.executable, "-m", "awscli", *arguments]
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            env={**environment(self.folder), **self.settings, "AWS_PAGER": ""},
            cwd=self.folder,
            timeout=PATIENCE,
        )
        result = Result(["aws", *arguments], done.returncode, done.stdout.decode(), done.stderr.decode())
        assert not check or result.code == 0, str(result)
        return result

    def aws_json(self, *arguments: str) -> dict:
        return json.loads(self.aws(*arguments, "--output", "json").out)


def eventually(what: str, poll: Callable[[], Value | None]) -> Value:
    """Calls `poll` until it returns a value other than None. Returns that value."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        found = poll()
        if found is not None:
            return found
        time.sleep(0.02)
    raise AssertionError(f"waited {PATIENCE} s for {what}")


# --- comparing tables -------------------------------------------------------------------------------


def assert_same_rows(table: str, actual: Iterable[dict], expected: Iterable[dict]) -> None:
    """Asserts that two tables are equal as multisets of rows, with doubles compared by their bits."""
    names = [column.name for column in TABLES[table]] + PARTITION
    types = {column.name: column.type for column in TABLES[table]}

    def key(row: dict) -> tuple:
        assert set(row) == set(names), f"{table} has unexpected or missing columns: {sorted(set(row) ^ set(names))}"
        return tuple(_exact(row[name], types.get(name, "int")) for name in names)

    actual, expected = list(actual), list(expected)
    found, wanted = Counter(map(key, actual)), Counter(map(key, expected))
    if found == wanted:
        return
    missing, surplus = list((wanted - found).elements()), list((found - wanted).elements())
    head = (
        f"{table}: {len(actual)} rows, {len(expected)} were expected; "
        f"{len(missing)} are missing, {len(surplus)} should not be there"
    )
    report = [head, *(_difference(names, row, surplus) for row in missing[:5])]
    if not missing:
        report += [f"  should not be there: {_show(names, row)}" for row in surplus[:5]]
    raise AssertionError("\n".join(report))


def assert_published(lake: Lake, *folders: Path) -> None:
    """Asserts that the tables have exactly the rows that the oracle expects for the raw files in these folders."""
    expected = [oracle.read_folder(folder) for folder in folders]
    for table in TABLES:
        rows = [row for one in expected for row in one.rows[table]]
        assert_same_rows(table, lake.query(f"SELECT * FROM {table}"), rows)


def _exact(value: object, type: str) -> object:
    if value is None:
        return None
    if type == "double":
        assert isinstance(value, (int, float)), f"{value!r} is not a double"
        return struct.pack(">d", value)
    assert isinstance(value, str if type == "string" else int), f"{value!r} is not of type {type}"
    return value


def _difference(names: list[str], row: tuple, candidates: list[tuple]) -> str:
    """Describes a missing row and the most similar row with the same identity, if there is one."""
    identity = [at for at, name in enumerate(names) if name in ("intdate", "ticker", "column_name", "source_file")]
    near = [other for other in candidates if all(other[at] == row[at] for at in identity)]
    if not near:
        return "  is missing: " + _show(names, row)
    other = min(near, key=lambda other: sum(a != b for a, b in zip(row, other, strict=True)))
    cells = [
        f"{name}: expected {_readable(a)}, found {_readable(b)}"
        for name, a, b in zip(names, row, other, strict=True)
        if a != b
    ]
    which = ", ".join(f"{names[at]}={_readable(row[at])}" for at in identity)
    return f"  row {which}: " + "; ".join(cells)


def _show(names: list[str], row: tuple) -> str:
    return ", ".join(f"{name}={_readable(value)}" for name, value in zip(names, row, strict=True))


def _readable(value: object) -> str:
    if isinstance(value, bytes):
        return f"{struct.unpack('>d', value)[0]!r} (bits {value.hex()})"
    return repr(value)
