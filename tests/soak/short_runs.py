"""Short runs one after another, each looked at as closely as a test does: what fails one time in a hundred shows here.

A run fails when its exit code is not 0, when its execution is not SUCCEEDED as soon as the command has ended,
when its history has an event twice or not at all (read newest first while it grows, as the explorer does), or when the
tables have other rows than the raw files.
"""

from __future__ import annotations

import contextlib
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
# Events on a page: few, so that a history has many pages, and grows between them.
PAGE = 7


@dataclass
class Summary:
    """How the runs went."""

    runs: int = 0
    seconds: float = 0
    # What went wrong, each with the number of its run and what was said.
    failures: list[tuple[int, str, str]] = field(default_factory=list)
    # Histories whose reading began while their execution was RUNNING.
    histories: int = 0

    def lines(self) -> Iterator[str]:
        failed = len({number for number, _, _ in self.failures})
        each = self.seconds / max(self.runs, 1)
        yield f"{self.runs} runs in {self.seconds:.0f} s ({each:.2f} s each): {failed} failed"
        yield f"{self.histories} histories were read while they grew"
        for kind, count in Counter(kind for _, kind, _ in self.failures).most_common():
            number, said = next((number, said) for number, other, said in self.failures if other == kind)
            yield f"{count} of them by the {kind}, the first in run {number}:\n{said}"


def write_raw(folder: Path) -> oracle.Expected:
    """Two snapshots of each feed, and the rows that they have to become."""
    for time_ in TIMES:
        rawfiles.write(folder, "quotes", time_, [rawfiles.quote(ticker) for ticker in TICKERS])
        rawfiles.write(folder, "options", time_, [rawfiles.option(f"{ticker[:4]}F152") for ticker in TICKERS])
    return oracle.read_folder(folder)


def soak(folder: Path, runs: int, tell: Callable[[str], None] = lambda line: None) -> Summary:
    """Runs the same day `runs` times against one endpoint, in a lake below `folder`. `tell` gets a line for each failure."""
    expected = write_raw(folder / "raw")
    lake = Lake(folder / "home")
    summary = Summary()
    with lake.endpoint() as endpoint:
        lake.upload(folder / "raw")
        client = endpoint.client("stepfunctions")
        for number in range(1, runs + 1):
            started = time.monotonic()
            with watched(client) as watcher:
                result = lake.run("run", "--from", DAY, check=False)
            wrong = list(complaints(lake, result, watcher, expected))
            summary.seconds += time.monotonic() - started
            summary.runs += 1
            summary.histories += watcher.read
            for kind, said in wrong:
                summary.failures.append((number, kind, said))
                tell(f"run {number}: {kind}: {said}")
            if number % 100 == 0:
                tell(f"{number} runs, {len(summary.failures)} failures")
    return summary


def complaints(lake: Lake, result: Result, watcher: Watcher, expected: oracle.Expected) -> Iterator[tuple[str, str]]:
    """What is wrong with a run that has ended."""
    if result.code != 0:
        yield "exit code", str(result)
    if watcher.status != "SUCCEEDED":
        yield "status", f"the execution is {watcher.status}\n{result}"
    yield from (("history", said) for said in watcher.wrong)
    yield from (("rows", said) for table in expected.rows if (said := difference(lake, table, expected)))


def difference(lake: Lake, table: str, expected: oracle.Expected) -> str | None:
    """How a table differs from what it has to be."""
    try:
        assert_same_rows(table, lake.query(f"SELECT * FROM {table}"), expected.rows[table])
    except AssertionError as said:
        return str(said)


class Watcher:
    """Reads the history of the execution that comes next, newest first and page by page, until it is left alone."""

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
            # As the explorer's page does: not as often as possible.
            while not self.leave.wait(0.05):
                self._look()
        except Exception as error:  # whatever it is, it belongs to this run
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
        """The last look, directly after the end of the command."""
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
