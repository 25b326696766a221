"""Short runs one after another, each checked like a test, to find failures that occur once in a hundred runs.

A run fails if its exit code is not 0, if standard error reports a problem, if its execution is
not SUCCEEDED when the command has ended, if its history repeats or lacks an event (read newest first while it grows, as
the explorer does), if its JSON document has wrong numbers of rows, or if the tables have wrong rows.

Half of the runs are clients of an endpoint, the others start one of their own. Every fifth run follows an upload that
replaces a raw file, every second time in its other form. Every third run writes JSON.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import shutil
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import oracle
import rawfiles
from lake import ACCOUNT, REGION, Lake, Result, assert_same_rows

DAY = "2020-04-01"
TIMES = ["202004011000", "202004011010"]
TICKERS = ["ABEV3", "ITUB4", "PETR4", "VALE3"]
# The number of consecutive runs that are clients of one endpoint, or that each start their own.
BLOCK = 20
# One in this many runs follows the replacement of a raw file, and one in this many writes JSON.
UPLOAD_EVERY, JSON_EVERY = 5, 3
# Events on a page: few, so that a history has many pages, and grows between them.
PAGE = 7


@dataclass
class Summary:
    """The outcome of the runs."""

    runs: int = 0
    seconds: float = 0
    # The failures, each with the number of its run and the output.
    failures: list[tuple[int, str, str]] = field(default_factory=list)
    # Histories whose reading began while their execution was RUNNING.
    histories: int = 0
    uploads: int = 0
    # Runs that opened an endpoint of their own, and runs that wrote JSON.
    with_own_endpoint: int = 0
    documents: int = 0

    def lines(self) -> Iterator[str]:
        failed = len({number for number, _, _ in self.failures})
        each = self.seconds / max(self.runs, 1)
        yield f"{self.runs} runs in {self.seconds:.0f} s ({each:.2f} s each): {failed} failed"
        yield f"{self.histories} histories were read while they grew"
        yield f"{self.uploads} uploads, {self.with_own_endpoint} runs on an endpoint of their own, {self.documents} in JSON"
        for kind, count in Counter(kind for _, kind, _ in self.failures).most_common():
            number, problem = next((number, problem) for number, other, problem in self.failures if other == kind)
            yield f"{count} of them by the {kind}, the first in run {number}:\n{problem}"


def write_raw(folder: Path) -> oracle.Expected:
    """Writes two snapshots of each feed. Returns the expected rows."""
    for time_ in TIMES:
        rawfiles.write(folder, "quotes", time_, [rawfiles.quote(ticker) for ticker in TICKERS])
        rawfiles.write(folder, "options", time_, [rawfiles.option(f"{ticker[:4]}F152") for ticker in TICKERS])
    return oracle.read_folder(folder)


def write_changes(folder: Path, raw: Path) -> list[tuple[Path, oracle.Expected]]:
    """Writes folders with one file that replaces a raw file, as .csv and as .csv.gz. Returns each with the expected rows."""
    changes = []
    for at, compressed in enumerate([False, True]):
        rows = [rawfiles.quote(ticker, Ult=f"15,{30 + at}") for ticker in TICKERS]
        whole = folder / f"whole-{at}"
        shutil.copytree(raw, whole)
        (whole / rawfiles.file_name("quotes", TIMES[0])).unlink()
        form = rawfiles.Form(compressed=compressed)
        rawfiles.write(whole, "quotes", TIMES[0], rows, form)
        rawfiles.write(folder / f"change-{at}", "quotes", TIMES[0], rows, form)
        changes.append((folder / f"change-{at}", oracle.read_folder(whole)))
    return changes


def soak(folder: Path, runs: int, say: Callable[[str], None] = lambda line: None) -> Summary:
    """Runs the same day `runs` times in a lake below `folder`. Calls `say` with a line for each failure."""
    expected = write_raw(folder / "raw")
    changes = itertools.cycle(write_changes(folder / "changes", folder / "raw"))
    lake = Lake(folder / "home")
    summary = Summary()
    lake.upload(folder / "raw")
    for first in range(1, runs + 1, BLOCK):
        is_served = (first // BLOCK) % 2 == 0
        with lake.endpoint() if is_served else contextlib.nullcontext() as endpoint:
            client = endpoint.client("stepfunctions") if endpoint else None
            for number in range(first, min(first + BLOCK, runs + 1)):
                started = time.monotonic()
                wrong = []
                if number % UPLOAD_EVERY == 0:
                    change, expected = next(changes)
                    summary.uploads += 1
                    result = lake.run("upload", change, check=False)
                    wrong += [("upload", problem) for problem in problems_of_command(result)]
                wrong += run_once(lake, client, number, expected, summary)
                summary.seconds += time.monotonic() - started
                summary.runs += 1
                for kind, problem in wrong:
                    summary.failures.append((number, kind, problem))
                    say(f"run {number}: {kind}: {problem}")
                if number % 100 == 0:
                    say(f"{number} runs, {len(summary.failures)} failures")
    return summary


def run_once(
    lake: Lake, client: object | None, number: int, expected: oracle.Expected, summary: Summary
) -> list[tuple[str, str]]:
    """Makes a run as a client of an endpoint or, without `client`, with its own. Returns the failures."""
    is_json = number % JSON_EVERY == 0
    arguments = ["run", "--from", DAY, *(["--format", "json"] if is_json else [])]
    wrong: list[tuple[str, str]] = []
    if client is None:
        summary.with_own_endpoint += 1
        result = lake.run(*arguments, check=False)
        wrong += [("status", problem) for problem in unfinished_executions(lake)]
    else:
        with watching(client) as watcher:
            result = lake.run(*arguments, check=False)
        if watcher.status != "SUCCEEDED":
            wrong.append(("status", f"the execution is {watcher.status}\n{result}"))
        wrong += [("history", problem) for problem in watcher.wrong]
        summary.histories += watcher.read
    wrong += [("exit code or output", problem) for problem in problems_of_command(result)]
    if is_json and result.code == 0:
        summary.documents += 1
        found = {table["table"]: table["rows"] for table in json.loads(result.out)["published"]}
        wanted = {table: len(rows) for table, rows in expected.rows.items()}
        if found != wanted:
            wrong.append(("document", f"it reports {found} instead of {wanted}\n{result}"))
    wrong += [("rows", problem) for table in expected.rows if (problem := difference(lake, table, expected))]
    return wrong


def problems_of_command(result: Result) -> Iterator[str]:
    """Returns the output of a command that failed or printed a problem."""
    if (
        result.code != 0
        or not result.out.strip()
        or any(words in result.err for words in ("✗", "error:", "panicked", "failed attempt"))
    ):
        yield str(result)


def unfinished_executions(lake: Lake) -> Iterator[str]:
    """Returns recent executions that are not SUCCEEDED although their command has ended."""
    listed = json.loads(lake.run("runs", "--limit", "4", "--format", "json").out)["executions"]
    yield from (str(execution) for execution in listed if execution["status"] != "SUCCEEDED")


def difference(lake: Lake, table: str, expected: oracle.Expected) -> str | None:
    """Describes the difference of a table from the expected rows; None if there is none."""
    try:
        assert_same_rows(table, lake.query(f"SELECT * FROM {table}"), expected.rows[table])
    except AssertionError as problem:
        return str(problem)


class Watcher:
    """Reads the history of the next execution, newest first and page by page, until it is stopped."""

    def __init__(self, client):
        self.client = client
        self.before = self._newest()
        # The status of the execution at the end of its command; None if there is no execution.
        self.status: str | None = None
        self.wrong: list[str] = []
        self.read = 0
        self.stop = threading.Event()
        self.thread = threading.Thread(target=self._watch, daemon=True)

    def _newest(self) -> dict | None:
        machine = f"arn:aws:states:{REGION}:{ACCOUNT}:stateMachine:create_datalake"
        listed = self.client.list_executions(stateMachineArn=machine, maxResults=1)["executions"]
        return listed[0] if listed else None

    def _watch(self) -> None:
        try:
            # The polling interval of the explorer's page.
            while not self.stop.wait(0.05):
                self._poll()
        except Exception as error:  # any exception is a failure of this run
            self.wrong.append(repr(error))

    def _poll(self) -> str | None:
        newest = self._newest()
        if newest is None or (self.before and newest["executionArn"] == self.before["executionArn"]):
            return None
        pages = self.client.get_paginator("get_execution_history").paginate(
            executionArn=newest["executionArn"], reverseOrder=True, PaginationConfig={"PageSize": PAGE}
        )
        ids = [event["id"] for page in pages for event in page["events"]]
        self.read += newest["status"] == "RUNNING"
        if ids != list(range(len(ids), 0, -1)):
            self.wrong.append(f"the history of {newest['executionArn']} has the events {ids}")
        return newest["status"]

    def end(self) -> None:
        """Reads the history a last time, directly after the end of the command."""
        try:
            self.status = self._poll()
        except Exception as error:
            self.wrong.append(repr(error))
        self.stop.set()
        self.thread.join()


@contextlib.contextmanager
def watching(client) -> Iterator[Watcher]:
    watcher = Watcher(client)
    watcher.thread.start()
    try:
        yield watcher
    finally:
        watcher.end()
