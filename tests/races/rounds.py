"""One round: concurrent runs of a day on an endpoint with delays, while raw files arrive and a reader polls all tables.

Each version of a raw file has its number in its cells. The rows of a query thus identify the raw files: they are the
view. A round may also have service faults, and the process may be killed and restarted. The invariants:

- no poll returns an older version of a snapshot than an earlier poll, mixes two versions of it, or lacks a snapshot that an
  earlier poll returned;
- the records are a chain: numbers without gaps, increasing times, no view older than the previous one;
- once a run has succeeded that was planned after the last file arrived, the record names the newest view;
- each run that succeeded was published, or the published view is not older than its own;
- undisturbed runs fail with documented errors only, and none reports wrong data;
- after one more run, record, catalog and rows are those of the newest raw files.
"""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import json
import random
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import boto3
import botocore.config
import botocore.exceptions

import rawfiles
from lake import (
    ACCOUNT,
    DATABASE,
    KEY,
    LAKE,
    LENIENT,
    PATIENCE,
    RAW,
    REGION,
    RESULTS,
    Endpoint,
    Lake,
    Process,
    environment,
)

DAY, DIGITS = "2020-04-01", "20200401"
PARTITION = "year=2020/month=4/day=1"
TABLES = ("quotes", "options", "rejects")
SETTINGS = [*LENIENT, "--set", "quality.min_snapshots=1"]
# The factor by which waits of workflows and retries are shortened. A lease of a killed holder lasts for 30 seconds
# of real time, which must fit into the (shortened) 15 minutes of a function.
SPEED = "speed=20"
# Delays of some calls of each kind vary the order of the steps of several runs.
DELAYS = ",".join(
    [
        # The delay is as long as a run, so that another run can publish between reading a record and replacing it.
        f"op=PutObject&key=*/published/{PARTITION}.json:delay=1500ms@0.3",
        "op=PutObject&key=*/published/*/history/*:delay=200ms@0.3",
        "op=PutObject&key=*/runs/*:delay=40ms@0.1",
        "op=GetObject&key=*/published/*:delay=60ms@0.2",
        "op=*&key=*/catalog/*:delay=40ms@0.2",
        "op=ListObjectsV2:delay=50ms@0.3",
        "op=Invoke:delay=150ms@0.3",
        "op=RunStep:delay=200ms@0.4",
        "service=athena:delay=30ms@0.1",
    ]
)
# Calls that fail, or whose responses are lost.
FAULTS = "*:throttle@0.01,*:reset@0.01,*:lost@0.01,*:late=3@0.01,op=PutObject&key=*/published/*:lost@0.1"
# The errors of runs that are disturbed only by other runs and uploads.
DOCUMENTED = {"RawFilesChanged", "UploadPending"}

# The version of each snapshot; a snapshot is a feed and a time.
View = dict[tuple[str, str], int]


@dataclass
class Outcome:
    """The outcome of a round."""

    name: str
    runs: int
    violations: list[str] = field(default_factory=list)
    # The executions, by status and error.
    ends: Counter[str] = field(default_factory=Counter)
    arrivals: int = 0
    kills: int = 0
    polls: int = 0
    records: int = 0
    attempts: int = 0
    superseded: int = 0


def snapshot(feed: str, time_: str, version: int) -> bytes:
    """Returns a raw file with its version number in each record. Later versions have more records."""
    tickers = [f"TICK{number}" for number in range(2 + version)]
    if feed == "options":
        return rawfiles.encode(feed, time_, [rawfiles.option(ticker, Du=str(version)) for ticker in tickers])
    # One rejected cell, so that the third table has the version too.
    rows = [rawfiles.quote(ticker, NNeg=f"{version}.0") for ticker in tickers]
    return rawfiles.encode(feed, time_, [*rows, rawfiles.quote("REJECTED", NNeg=f"{version}.0", QOfc=f"x{version}")])


# For each snapshot of each table: the least and the greatest version, and the rows.
SELECT = """
SELECT 'quotes' AS t, intdate, min(CAST(num_trades AS bigint)) AS low, max(CAST(num_trades AS bigint)) AS high,
  count(*) AS n FROM quotes WHERE year = 2020 AND month = 4 AND day = 1 GROUP BY intdate
UNION ALL
SELECT 'options' AS t, intdate, min(CAST(optn_expn_days AS bigint)) AS low, max(CAST(optn_expn_days AS bigint)) AS high,
  count(*) AS n FROM options WHERE year = 2020 AND month = 4 AND day = 1 GROUP BY intdate
UNION ALL
SELECT 'rejects' AS t, intdate, min(CAST(substr(text, 2) AS bigint)) AS low, max(CAST(substr(text, 2) AS bigint)) AS high,
  count(*) AS n FROM rejects WHERE year = 2020 AND month = 4 AND day = 1 GROUP BY intdate
"""


def rows_of(table: str, version: int) -> int:
    return {"quotes": 3 + version, "options": 2 + version, "rejects": 1}[table]


def is_older(one: View, other: View) -> bool:
    """Returns whether a view lacks a snapshot of another view, or has an older version of it."""
    return any(one.get(key, 0) < version for key, version in other.items())


class Round:
    """The lake of a round, the process that serves it, and the events so far."""

    def __init__(self, folder: Path, seed: int):
        self.random = random.Random(seed)
        self.seed = seed
        self.lake = Lake(folder / "home")
        self.runs = self.random.choice([2, 2, 3, 3, 8])
        self.has_faults = self.random.random() < 0.3
        self.kills = self.random.choice([0, 0, 0, 1, 1, 2])
        plan = f"{SPEED},{FAULTS},{DELAYS}" if self.has_faults else f"{SPEED},{DELAYS}"
        self.plan = plan
        name = f"round {seed} ({self.runs} runs, {self.kills} kills{', faults' if self.has_faults else ''})"
        self.outcome = Outcome(name, self.runs)
        self.process: Process | None = None
        self.endpoint: Endpoint | None = None
        # By address and service. They are reused, because creating a client takes longer than a call.
        self.clients: dict[tuple[str, str], object] = {}
        # The uploaded versions, by the ETag of their bytes, and the newest version of each snapshot.
        self.etags: dict[str, tuple[tuple[str, str], int]] = {}
        self.newest: View = {}
        self.over = threading.Event()
        self.lock = threading.Lock()

    @property
    def undisturbed(self) -> bool:
        return not (self.has_faults or self.kills)

    def violate(self, violation: str) -> None:
        with self.lock:
            if violation not in self.outcome.violations:
                self.outcome.violations.append(violation)

    # --- the process ---

    def start(self, plan: str) -> None:
        self.outcome.kills += self.process is not None
        seed = self.random.randrange(1 << 31)
        command = self.lake.command(*SETTINGS, "local", "--faults", plan, "--seed", seed)
        process = Process(command, environment(self.lake.home.parent), self.lake.home.parent)
        process.wait_for_line(lambda line: "http://" in line)
        with self.lock:
            self.process = process
            self.endpoint = Endpoint(self.lake.url(), process, self.lake.home.parent)

    def client(self, service: str):
        """Returns a client that retries, because calls fail by plan. All calls are idempotent."""
        with self.lock:
            url = self.endpoint.url
            if (url, service) not in self.clients:
                config = botocore.config.Config(
                    retries={"total_max_attempts": 8, "mode": "standard"},
                    read_timeout=PATIENCE,
                    s3={"addressing_style": "path"},
                )
                keys = {"aws_access_key_id": KEY, "aws_secret_access_key": KEY, "region_name": REGION}
                self.clients[url, service] = boto3.client(service, endpoint_url=url, config=config, **keys)
            return self.clients[url, service]

    # --- events ---

    def put(self, feed: str, time_: str, through_landing: bool = False) -> None:
        """Uploads the next version of a snapshot, to its final key or to `landing/`."""
        version = self.newest.get((feed, time_), 0) + 1
        body = snapshot(feed, time_, version)
        name = rawfiles.file_name(feed, time_)
        key = f"landing/{name}" if through_landing else f"{feed}/date={DAY}/{name}"
        self.etags[hashlib.md5(body).hexdigest()] = ((feed, time_), version)
        # Set before the upload, because a run may publish the file immediately.
        self.newest[feed, time_] = version
        self.client("s3").put_object(Bucket=RAW, Key=key, Body=body)
        self.outcome.arrivals += 1
        if through_landing:
            self.execute("upload_raw_data", {"date": DAY}, f"upload-{self.outcome.arrivals}")

    def execute(self, machine: str, input_: dict, name: str) -> str:
        arn = f"arn:aws:states:{REGION}:{ACCOUNT}:stateMachine:{machine}"
        # A retry may find an execution that the lost request started and a kill has ended.
        with contextlib.suppress(self.client("stepfunctions").exceptions.ExecutionAlreadyExists):
            self.client("stepfunctions").start_execution(stateMachineArn=arn, name=name, input=json.dumps(input_))
        return f"arn:aws:states:{REGION}:{ACCOUNT}:execution:{machine}:{name}"

    def create_datalake(self, name: str) -> str:
        return self.execute("create_datalake", {"date": DAY}, name)

    def events(self) -> list[tuple[float, str, tuple]]:
        """Returns the events of the round, in order of time."""
        span = self.random.uniform(0.3, 2.5)
        moment = lambda: self.random.uniform(0, span)  # noqa: E731
        events = [(moment(), "run", (f"run-{number}",)) for number in range(self.runs)]
        for number in range(self.random.randrange(1, 5)):
            kind = self.random.choice(["late", "replaced", "replaced", "landing"])
            feed = self.random.choice(["quotes", "options"])
            time_ = f"{DIGITS}1000" if kind == "replaced" else f"{DIGITS}11{number}0"
            events.append((moment(), "put", (feed, time_, kind == "landing")))
        events += [(self.random.uniform(0.1, span + 1), "kill", ()) for _ in range(self.kills)]
        return sorted(events)

    def go(self) -> None:
        """Performs all events of the round, and waits for the end of all executions."""
        self.start(self.plan)
        self.put("quotes", f"{DIGITS}1000")
        self.put("options", f"{DIGITS}1000")
        self.put("quotes", f"{DIGITS}1010")
        reader = threading.Thread(target=self.read)
        reader.start()
        try:
            begun = time.monotonic()
            for moment, kind, arguments in self.events():
                time.sleep(max(0.0, begun + moment - time.monotonic()))
                if kind == "kill":
                    self.process.kill()
                    self.start(self.plan)
                else:
                    {"run": self.create_datalake, "put": self.put}[kind](*arguments)
            self.wait()
        finally:
            self.over.set()
            reader.join()
            self.process.kill()

    def executions(self, machine: str = "create_datalake") -> list[dict]:
        arn = f"arn:aws:states:{REGION}:{ACCOUNT}:stateMachine:{machine}"
        pages = self.client("stepfunctions").get_paginator("list_executions").paginate(stateMachineArn=arn)
        return [execution for page in pages for execution in page["executions"]]

    def wait(self) -> None:
        deadline = time.monotonic() + PATIENCE
        for machine in ("create_datalake", "upload_raw_data"):
            while any(execution["status"] == "RUNNING" for execution in self.executions(machine)):
                assert time.monotonic() < deadline, f"{self.outcome.name}: executions still run after {PATIENCE} s"
                time.sleep(0.02)

    # --- the reader ---

    def read(self) -> None:
        """Polls all three tables until the round is over. No poll may return an older view than the previous one."""
        latest: dict[str, View] = {table: {} for table in TABLES}
        while not self.over.is_set():
            try:
                views = self.poll()
            except (botocore.exceptions.BotoCoreError, botocore.exceptions.ClientError):
                # A call failed by plan, or the process was killed.
                continue
            if views is None:
                time.sleep(0.01)
                continue
            self.outcome.polls += 1
            for table, view in views.items():
                if is_older(view, latest[table]):
                    self.violate(f"a reader read an older {table}: from {latest[table]} to {view}")
                latest[table] = view

    def poll(self) -> dict[str, View] | None:
        """Returns the view of each table, or None if the tables do not exist yet or the process has ended."""
        athena = self.client("athena")
        query = athena.start_query_execution(
            QueryString=SELECT,
            QueryExecutionContext={"Database": DATABASE},
            ResultConfiguration={"OutputLocation": f"s3://{RESULTS}/athena/"},
        )["QueryExecutionId"]
        while True:
            status = athena.get_query_execution(QueryExecutionId=query)["QueryExecution"]["Status"]
            if status["State"] in ("SUCCEEDED", "FAILED", "CANCELLED"):
                break
            time.sleep(0.005)
        if status["State"] != "SUCCEEDED":
            why = status.get("StateChangeReason", "")
            if any(
                words in why for words in ("TABLE_NOT_FOUND", "SCHEMA_NOT_FOUND", "does not exist", "process ended")
            ):
                return None
            self.violate(f"a query failed: {why}")
            return None
        pages = athena.get_paginator("get_query_results").paginate(QueryExecutionId=query)
        rows = [
            [cell.get("VarCharValue") for cell in row["Data"]] for page in pages for row in page["ResultSet"]["Rows"]
        ]
        return self.views(rows[1:])

    def views(self, rows: list[list]) -> dict[str, View]:
        views: dict[str, View] = {table: {} for table in TABLES}
        for table, intdate, low, high, count in rows:
            version = int(high)
            if low != high or int(count) != rows_of(table, version):
                self.violate(f"{table} has {count} rows of {intdate}, of versions {low} to {high}")
            views[table]["options" if table == "options" else "quotes", intdate] = version
        return views

    # --- the state afterwards ---

    def document(self, key: str) -> dict | None:
        path = self.lake.home / "s3" / LAKE / key
        return json.loads(path.read_text()) if path.is_file() else None

    def view_of(self, raw_files: list[dict]) -> View:
        view: View = {}
        for file in raw_files:
            if file["etag"] not in self.etags:
                self.violate(f"a list of raw files names {file}, which was never uploaded")
                continue
            key, version = self.etags[file["etag"]]
            view[key] = version
        return view

    def records(self) -> list[dict]:
        """Checks and returns the chain of the day's records."""
        current = self.document(f"published/{PARTITION}.json")
        if current is None:
            return []
        chain = [
            self.document(f"published/{PARTITION}/history/{number}.json") for number in range(1, current["number"])
        ]
        if None in chain:
            self.violate(f"the history has gaps: {[record and record['number'] for record in chain]}")
        chain = [record for record in [*chain, current] if record]
        if [record["number"] for record in chain] != list(range(1, len(chain) + 1)):
            self.violate(f"the records have the numbers {[record['number'] for record in chain]}")
        for before, after in itertools.pairwise(chain):
            # Times of one form and zone sort as text, if their fractions are padded.
            if padded(before["written_at"]) >= padded(after["written_at"]):
                self.violate(
                    f"record {after['number']} was written at {after['written_at']}, not after {before['written_at']}"
                )
            ours, theirs = (self.view_of(record["published"]["raw_files"]) for record in (after, before))
            if is_older(ours, theirs):
                self.violate(f"record {after['number']} ({ours}) is older than the one before it ({theirs})")
        return chain

    def check_runs(self) -> None:
        """Checks the reported results of the executions, before the recovery."""
        executions = self.executions()
        chain = self.records()
        published = self.view_of(chain[-1]["published"]["raw_files"]) if chain else {}
        by_run = {record["published"]["run"] for record in chain}
        newest = self.present_view()
        for execution in executions:
            described = self.client("stepfunctions").describe_execution(executionArn=execution["executionArn"])
            status, error = described["status"], described.get("error")
            self.outcome.ends[f"{status} {error}" if error else status] += 1
            if status != "SUCCEEDED":
                # Faults and kills must not cause reports of wrong data.
                if error == "QualityError" or (self.undisturbed and error not in DOCUMENTED):
                    self.violate(f"{execution['name']} ended with {error}: {described.get('cause')}")
                continue
            output = json.loads(described["output"])
            run, outcome = output["run"], output["outcome"]
            plan = self.document(f"runs/run={run}/plan.json")
            view = self.view_of(plan["days"][0]["raw_files"])
            if outcome["published"] and run not in by_run:
                self.violate(f"{run} reports that it published, and no record names it")
            if not outcome["published"]:
                self.outcome.superseded += 1
                if outcome["superseded"]["count"] != 1:
                    self.violate(f"{run} neither published nor was superseded: {outcome}")
            if is_older(published, view):
                self.violate(f"{run} succeeded with {view}, and {published} is published")
            if view == newest and published != newest:
                self.violate(f"{run} succeeded with the newest raw files {newest}, and {published} is published")
        if self.undisturbed and any(execution["status"] == "SUCCEEDED" for execution in executions):
            self.check_catalog(chain[-1])
        self.outcome.attempts = len(list((self.lake.home / "s3" / LAKE / "runs").glob("run=*.[2-9]")))

    def present_view(self) -> View:
        """Returns the view of the raw files that are present now."""
        found = (self.lake.home / "s3" / RAW).glob(f"*/date={DAY}/*.csv")
        return dict(self.etags[hashlib.md5(path.read_bytes()).hexdigest()] for path in found)

    def check_catalog(self, record: dict) -> None:
        """Checks that catalog and rows are those of the record."""
        glue = {}
        for table in TABLES:
            answer = self.lake.run("query", f'SELECT DISTINCT "$path" AS p FROM {table}', "--format", "json")
            glue[table] = {row["p"].rsplit("/", 1)[0] + "/" for row in json.loads(answer.out)}
        named = {table: {record["published"]["tables"][table]["location"]} for table in TABLES}
        if glue != named:
            self.violate(f"the catalog points at {glue}, and the record at {named}")
        view = self.view_of(record["published"]["raw_files"])
        of_feed = lambda feed: {key: version for key, version in view.items() if key[0] == feed}  # noqa: E731
        expected = {"quotes": of_feed("quotes"), "options": of_feed("options"), "rejects": of_feed("quotes")}
        if (found := self.poll()) != expected:
            self.violate(f"the tables have {found}, and the record has {expected}")

    def recover(self) -> None:
        """Recovers as an operator does: ingests waiting files, and starts one more run."""
        self.start(SPEED)
        self.outcome.kills -= 1
        try:
            self.check_runs()
            self.execute("upload_raw_data", {"date": DAY}, "upload-last")
            self.wait()
            last = self.create_datalake("run-last")
            self.wait()
            described = self.client("stepfunctions").describe_execution(executionArn=last)
            if described["status"] != "SUCCEEDED":
                self.violate(f"the last run ended with {described.get('error')}: {described.get('cause')}")
            if self.present_view() != self.newest:
                self.violate(f"the raw files are {self.present_view()}, and {self.newest} were uploaded")
            chain = self.records()
            self.outcome.records = len(chain)
            published = self.view_of(chain[-1]["published"]["raw_files"]) if chain else {}
            if published != self.newest:
                self.violate(f"{published} is published in the end, and the raw files are {self.newest}")
            if chain:
                self.check_catalog(chain[-1])
        finally:
            self.process.kill()


def padded(time_: str) -> str:
    whole, _, fraction = time_.removesuffix("Z").partition(".")
    return f"{whole}.{fraction:0<9}"


@contextlib.contextmanager
def exception_recorded(outcome: Outcome) -> Iterator[None]:
    """Records an exception that ends a round as a violation."""
    try:
        yield
    except Exception as error:
        outcome.violations.append(f"{type(error).__name__}: {error}")


def one_round(folder: Path, seed: int) -> Outcome:
    """Runs a round in its own lake."""
    folder.mkdir(parents=True)
    round_ = Round(folder, seed)
    with exception_recorded(round_.outcome):
        round_.go()
        round_.recover()
    return round_.outcome
