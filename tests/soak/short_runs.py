"""Short runs one after another, each checked like a test, to find failures that occur once in a hundred runs.

A run fails if its exit code is not 0, if standard error reports a problem, if its execution is
not SUCCEEDED when the command has ended, if its history has an event twice or lacks one (read newest first while it
grows, as the explorer does), if its JSON document has other numbers of rows than the raw files, or if the tables have
other rows.

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
# This many runs are clients of one endpoint, and then as many start one of their own.
BLOCK = 20
# Every nth run follows a replacement of a raw file; every nth run writes JSON.
UPLOAD_EACH, JSON_EACH = 5, 3
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
    on_their_own: int = 0
    documents: int = 0

    def lines(self) -> Iterator[str]:
        failed = len({number for number, _, _ in self.failures})
        each = self.seconds / max(self.runs, 1)
        yield f"{self.runs} runs in {self.seconds:.0f} s ({each:.2f} s each): {failed} failed"
        yield f"{self.histories} histories were read while they grew"
        yield f"{self.uploads} uploads, {self.on_their_own} runs on an endpoint of their own, {self.documents} in JSON"
        for kind, count in Counter(kind for _, kind, _ in self.failures).most_common():
            number, complaint = next((number, complaint) for number, other, complaint in self.failures if other == kind)
            yield f"{count} of them by the {kind}, the first in run {number}:\n{complaint}"


def write_raw(folder: Path) -> oracle.Expected:
    """Two snapshots of each feed, and the expected rows."""
    for time_ in TIMES:
        rawfiles.write(folder, "quotes", time_, [rawfiles.quote(ticker) for ticker in TICKERS])
        rawfiles.write(folder, "options", time_, [rawfiles.option(f"{ticker[:4]}F152") for ticker in TICKERS])
    return oracle.read_folder(folder)


def write_changes(folder: Path, raw: Path) -> list[tuple[Path, oracle.Expected]]:
    """Folders of one file that replaces a raw file, with the expected rows: as .csv, and as .csv.gz."""
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
                if number % UPLOAD_EACH == 0:
                    change, expected = next(changes)
                    summary.uploads += 1
                    result = lake.run("upload", change, check=False)
                    wrong += [("upload", complaint) for complaint in complaints_of_command(result)]
                wrong += one_run(lake, client, number, expected, summary)
                summary.seconds += time.monotonic() - started
                summary.runs += 1
                for kind, complaint in wrong:
                    summary.failures.append((number, kind, complaint))
                    say(f"run {number}: {kind}: {complaint}")
                if number % 100 == 0:
                    say(f"{number} runs, {len(summary.failures)} failures")
    return summary


def one_run(
    lake: Lake, client: object | None, number: int, expected: oracle.Expected, summary: Summary
) -> list[tuple[str, str]]:
    """Returns the faults of a run, as a client of an endpoint or, without one, with its own."""
    is_json = number % JSON_EACH == 0
    arguments = ["run", "--from", DAY, *(["--format", "json"] if is_json else [])]
    wrong: list[tuple[str, str]] = []
    if client is None:
        summary.on_their_own += 1
        result = lake.run(*arguments, check=False)
        wrong += [("status", complaint) for complaint in other_statuses(lake)]
    else:
        with watched(client) as watcher:
            result = lake.run(*arguments, check=False)
        if watcher.status != "SUCCEEDED":
            wrong.append(("status", f"the execution is {watcher.status}\n{result}"))
        wrong += [("history", complaint) for complaint in watcher.wrong]
        summary.histories += watcher.read
    wrong += [("exit code or output", complaint) for complaint in complaints_of_command(result)]
    if is_json and result.code == 0:
        summary.documents += 1
        found = {table["table"]: table["rows"] for table in json.loads(result.out)["published"]}
        wanted = {table: len(rows) for table, rows in expected.rows.items()}
        if found != wanted:
            wrong.append(("document", f"it reports {found} instead of {wanted}\n{result}"))
    wrong += [("rows", complaint) for table in expected.rows if (complaint := difference(lake, table, expected))]
    return wrong


def complaints_of_command(result: Result) -> Iterator[str]:
    """Returns the faults of a command's output and exit code."""
    if (
        result.code != 0
        or not result.out.strip()
        or any(words in result.err for words in ("✗", "error:", "panicked", "failed attempt"))
    ):
        yield str(result)


def other_statuses(lake: Lake) -> Iterator[str]:
    """Returns executions that are not SUCCEEDED when their command has ended."""
    listed = json.loads(lake.run("runs", "--limit", "4", "--format", "json").out)["executions"]
    yield from (str(execution) for execution in listed if execution["status"] != "SUCCEEDED")


def difference(lake: Lake, table: str, expected: oracle.Expected) -> str | None:
    """Returns how a table differs from the expected rows."""
    try:
        assert_same_rows(table, lake.query(f"SELECT * FROM {table}"), expected.rows[table])
    except AssertionError as complaint:
        return str(complaint)


class Watcher:
    """Reads the history of the next execution, newest first and page by page, until it is stopped."""

    def __init__(self, client):
        self.client = client
        self.before = self._newest()
        # The status of the execution when its command had ended; None when there was no execution.
        self.status: str | None = None
        self.wrong: list[str] = []
        self.read = 0
        self.leave = threading.Event()
        self.thread = threading.Thread(target=self._watch, daemon=True)

    def _newest(self) -> dict | None:
        machine = f"arn:aws:states:{REGION}:{ACCOUNT}:stateMachine:create_datalake"
        listed = self.client.list_executions(stateMachineArn=machine, maxResults=1)["executions"]
        return listed[0] if listed else None

    def _watch(self) -> None:
        try:
            # At the rate of the explorer's page.
            while not self.leave.wait(0.05):
                self._look()
        except Exception as error:  # any exception is a fault of this run
            self.wrong.append(repr(error))

    def _look(self) -> str | None:
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
        """Reads the history the last time, directly after the end of the command."""
        try:
            self.status = self._look()
        except Exception as error:
            self.wrong.append(repr(error))
        self.leave.set()
        self.thread.join()


@contextlib.contextmanager
def watched(client) -> Iterator[Watcher]:
    watcher = Watcher(client)
    watcher.thread.start()
    try:
        yield watcher
    finally:
        watcher.end()
