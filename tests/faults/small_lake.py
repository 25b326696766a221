"""A small lake in three states: published, with newer raw files accepted, and with those published.

Two days of both feeds. The newer files are another form of a snapshot (.csv -> .csv.gz, with other numbers),
another version of a snapshot with the same name, new snapshots, and an unchanged one.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import queue
import shutil
import sqlite3
import subprocess
import threading
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

import oracle
import rawfiles
from lake import RAW, Lake, Result, assert_published, environment

DAYS = ["20200401", "20200402"]
TICKERS = ["ABEV3", "ITUB4", "PETR4"]
RUN = ["run", "--from", "2020-04-01", "--to", "2020-04-02"]
RUN_LAMBDA = [*RUN, "--engine", "lambda"]
TABLES = list(oracle.TABLES)
# The factor by which waits of workflows and retries are shortened.
SPEED = "speed=100"
# The time limit of a command, after which it counts as hung.
PATIENCE = 120
# The time without a call after which `watch` has nothing more to do. Longer than the delay before it repeats an upload.
QUIET = 1.5

# A table and a day, and the digest and number of its rows.
Content = dict[tuple[str, int], tuple[str, int]]


@dataclass(frozen=True)
class SmallLake:
    """The template homes of the cases, which tests copy and never change."""

    newer: Path  # the folder of raw files to upload
    published: Path  # a home with the older state published
    accepted: Path  # the same with the newer files uploaded and accepted
    before: Content
    after: Content
    # The digests of all raw files that were ever uploaded, and of those before the upload.
    uploaded_files: frozenset[str]
    uploaded_before: frozenset[str]


def make(folder: Path) -> SmallLake:
    """Creates the template homes below `folder`."""
    older, newer, winners = folder / "older", folder / "newer", folder / "winners"
    for day in DAYS:
        for time in (f"{day}1000", f"{day}1010"):
            rawfiles.write(older, "quotes", time, [rawfiles.quote(ticker) for ticker in TICKERS])
            rawfiles.write(older, "options", time, [rawfiles.option(f"{ticker[:4]}F152") for ticker in TICKERS])
    first, second = DAYS
    changed = [rawfiles.quote(ticker, Ult="15,50") for ticker in [*TICKERS, "VALE3"]]
    rawfiles.write(newer, "quotes", f"{first}1000", changed, rawfiles.Form(compressed=True))
    changed = [rawfiles.option(f"{ticker[:4]}F152", Du="49") for ticker in [*TICKERS, "VALE3"]]
    rawfiles.write(newer, "options", f"{first}1010", changed)
    rawfiles.write(newer, "quotes", f"{first}1020", [rawfiles.quote(ticker) for ticker in TICKERS])
    # One rejected cell, among so many that the audit accepts it.
    many = [rawfiles.quote(f"TICK{number}") for number in range(30)]
    rawfiles.write(newer, "quotes", f"{second}1020", [*many, rawfiles.quote("PETR4", QTot="1k2k")])
    rawfiles.write(newer, "options", f"{second}1020", [rawfiles.option(f"{ticker[:4]}F160") for ticker in TICKERS])
    for path in older.iterdir():
        if path.name == f"{second}1010_options.csv":
            shutil.copy(path, newer)
    for path in [*older.iterdir(), *newer.iterdir()]:
        winners.mkdir(exist_ok=True)
        (winners / path.name.removesuffix(".gz")).unlink(missing_ok=True)
        shutil.copy(path, winners)

    lake = Lake(folder / "published")
    succeed(lake, "upload", older)
    succeed(lake, *RUN)
    before = checked_content(lake, older)
    shutil.copytree(folder / "published", folder / "accepted")
    succeed(Lake(folder / "accepted"), "upload", newer)
    shutil.copytree(folder / "accepted", folder / "after")
    lake = Lake(folder / "after")
    succeed(lake, *RUN)
    after = checked_content(lake, winners)
    for key, (_, rows) in after.items():
        assert rows >= before[key][1], f"{key} shrinks in an undisturbed run"
    uploaded_before = digests(older)
    return SmallLake(
        newer,
        folder / "published",
        folder / "accepted",
        before,
        after,
        uploaded_before | digests(newer),
        uploaded_before,
    )


def succeed(lake: Lake, *arguments: object) -> None:
    result = command(lake, "", *arguments)
    assert result.code == 0, str(result)


def command(lake: Lake, plan: str, *arguments: object, log: str = "") -> Result:
    """Runs a command whose endpoint has the fault plan `plan`. A command that hangs is killed; its exit code is None."""
    line = lake.command(*arguments)
    env = environment(lake.home.parent)
    env["PREGAO_FAULTS"] = f"{SPEED},{plan}" if plan else SPEED
    if log:
        env["PREGAO_LOG"] = log
    process = subprocess.Popen(
        line, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=env, cwd=lake.home.parent
    )
    try:
        out, err = process.communicate(timeout=PATIENCE)
        code = process.returncode
    except subprocess.TimeoutExpired:
        process.kill()
        out, err = process.communicate()
        code = None
    return Result(line, code, out.decode(errors="replace"), err.decode(errors="replace"))


def watch(lake: Lake, plan: str, folder: Path) -> Result:
    """Runs `watch` on a folder until it makes no more calls, and interrupts it.

    The exit code is 1 if an execution that it started did not succeed, and None if it does not end.
    """
    line = lake.command("watch", "--settle", "0.1", folder)
    env = environment(lake.home.parent) | {
        "PREGAO_FAULTS": f"{SPEED},{plan}" if plan else SPEED,
        "PREGAO_LOG": "local_aws::faults=debug",
    }
    before = executions(lake)
    process = subprocess.Popen(
        line, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=env, cwd=lake.home.parent
    )
    out, lines, news = [], [], queue.SimpleQueue()

    def read(stream, kept: list[bytes]) -> None:
        for text in stream:
            kept.append(text)
            news.put(text)
        news.put(b"")

    readers = [threading.Thread(target=read, args=pair) for pair in [(process.stdout, out), (process.stderr, lines)]]
    for reader in readers:
        reader.start()
    # It reads the folder and delivers the files within this time too.
    with contextlib.suppress(queue.Empty):
        while process.poll() is None:
            news.get(timeout=QUIET)
    process.terminate()
    try:
        code: int | None = process.wait(PATIENCE)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        code = None
    for reader in readers:
        reader.join()
    err = b"".join(lines).decode(errors="replace")
    failed = {name: status for name, status in executions(lake).items() if name not in before and status != "SUCCEEDED"}
    if code == 0 and failed:
        code, err = 1, f"{err}executions did not succeed: {failed}\n"
    return Result(line, code, b"".join(out).decode(errors="replace"), err)


def executions(lake: Lake) -> dict[str, str]:
    """Returns the executions in a home that no process serves: the name of each, and its status, error and cause."""
    with contextlib.closing(sqlite3.connect(f"file:{lake.home / 'state.db'}?mode=ro", uri=True)) as state:
        return dict(
            state.execute("SELECT name, status || coalesce(': ' || error || ': ' || cause, '') FROM executions")
        )


# --- content ----------------------------------------------------------------------------------------


def _select() -> str:
    """Returns a statement that selects all rows of all tables, each cell as text."""
    width = max(len(columns) for columns in oracle.TABLES.values())
    selects = []
    for table, columns in oracle.TABLES.items():
        cells = [f"CAST({column.name} AS varchar)" for column in columns]
        cells += ["CAST(NULL AS varchar)"] * (width - len(cells))
        named = ", ".join(f"{cell} AS c{at}" for at, cell in enumerate(cells))
        selects.append(f"SELECT '{table}' AS t, year, month, day, {named} FROM {table}")
    return " UNION ALL ".join(selects)


SELECT = _select()


class Unreadable(Exception):
    """The tables could not be read."""


def content(lake: Lake, at_owner: bool = False) -> Content:
    """Returns a digest of the rows of each table and day. With `at_owner`, the process that serves the home runs the query."""
    if at_owner:
        result = lake.run("query", SELECT, "--format", "json", check=False)
    else:
        result = command(lake, "", "query", SELECT, "--format", "json")
    if result.code != 0:
        raise Unreadable(str(result))
    rows = defaultdict(list)
    for row in json.loads(result.out):
        rows[row["t"], row["day"]].append(json.dumps(row, sort_keys=True))
    days = [int(day[-2:]) for day in DAYS]
    content = {(table, day): rows.pop((table, day), []) for table in TABLES for day in days}
    if rows:
        raise Unreadable(f"rows of days that no run wrote: {sorted(rows)}")
    digest = lambda lines: hashlib.sha256("\n".join(sorted(lines)).encode()).hexdigest()  # noqa: E731
    return {key: (digest(lines), len(lines)) for key, lines in content.items()}


def checked_content(lake: Lake, raw: Path) -> Content:
    """Returns the content, which must have the rows that the oracle expects for the raw files."""
    assert_published(lake, raw)
    return content(lake)


def digests(folder: Path) -> frozenset[str]:
    files = (path for path in folder.rglob("*") if path.is_file() and not path.name.endswith(".reason.json"))
    return frozenset(hashlib.sha256(path.read_bytes()).hexdigest() for path in files)


def kept(lake: Lake) -> frozenset[str]:
    """Returns the digests of all files of the raw bucket: raw, quarantine and landing."""
    return digests(lake.home / "s3" / RAW)


def landed(lake: Lake) -> list[str]:
    folder = lake.home / "s3" / RAW / "landing"
    return sorted(path.name for path in folder.rglob("*") if path.is_file()) if folder.is_dir() else []


def copy(template: Path, home: Path) -> Lake:
    """Copies the files: changes to hard links would also change the template."""
    shutil.copytree(template, home)
    return Lake(home)
