"""Asks the embedded Athena and DuckDB the same generated queries."""

from __future__ import annotations

import http.client
import json
import time
from typing import NamedTuple
from urllib.parse import urlsplit

import duckdb
import hypothesis
import hypothesis.errors

from lake import LAKE, RESULTS, Endpoint
from query_fuzz import tables
from query_fuzz.compare import difference, parsed
from query_fuzz.grammar import MACROS, Query, queries

# The pause between two looks at a query that is running, in seconds.
PAUSE = 0.001
DATABASE = "fuzz"


class Failed(NamedTuple):
    """A query that was refused or ended with an error."""

    message: str


class Athena:
    """The embedded Athena over one connection. boto3 takes several times as long as the query."""

    def __init__(self, endpoint: Endpoint):
        address = urlsplit(endpoint.url)
        self._connection = http.client.HTTPConnection(address.hostname, address.port)
        s3 = endpoint.client("s3")
        self._call("StartQueryExecution", QueryString=f"CREATE DATABASE {DATABASE}", **self._results())
        for table in tables.ROWS:
            s3.put_object(Bucket=LAKE, Key=f"fuzz/{table}/rows.parquet", Body=tables.parquet(table))
            created = self.ask(tables.ddl(table, f"s3://{LAKE}/fuzz/{table}/"))
            assert not isinstance(created, Failed), created

    def _results(self) -> dict:
        return {"ResultConfiguration": {"OutputLocation": f"s3://{RESULTS}/fuzz/"}}

    def _call(self, operation: str, **request: object) -> dict:
        scope = "Credential=fuzz/20200101/us-east-1/athena/aws4_request, SignedHeaders=host, Signature=0"
        headers = {
            "Content-Type": "application/x-amz-json-1.1",
            "X-Amz-Target": f"AmazonAthena.{operation}",
            "Authorization": f"AWS4-HMAC-SHA256 {scope}",
        }
        self._connection.request("POST", "/", json.dumps(request), headers)
        return json.loads(self._connection.getresponse().read())

    def ask(self, sql: str) -> list[tuple] | Failed:
        started = self._call(
            "StartQueryExecution", QueryString=sql, QueryExecutionContext={"Database": DATABASE}, **self._results()
        )
        if "QueryExecutionId" not in started:
            return Failed(started.get("Message") or started.get("message") or str(started))
        name = {"QueryExecutionId": started["QueryExecutionId"]}
        while True:
            status = self._call("GetQueryExecution", **name)["QueryExecution"]["Status"]
            if status["State"] not in ("QUEUED", "RUNNING"):
                break
            time.sleep(PAUSE)
        if status["State"] != "SUCCEEDED":
            return Failed(status["StateChangeReason"])
        rows, page = [], {}
        while True:
            page = self._call("GetQueryResults", **name, **page)
            result = page["ResultSet"]
            types = [parsed(column["Type"]) for column in result["ResultSetMetadata"]["ColumnInfo"]]
            rows += [[cell.get("VarCharValue") for cell in row["Data"]] for row in result["Rows"]]
            if "NextToken" not in page:
                # The first row has the names of the columns.
                return [
                    tuple(None if text is None else read(text) for text, read in zip(row, types, strict=True))
                    for row in rows[1:]
                ]
            page = {"NextToken": page["NextToken"]}


class DuckDb:
    def __init__(self) -> None:
        self._connection = duckdb.connect(config={"threads": 1})
        self._connection.execute("SET enable_progress_bar = false")
        for macro in MACROS:
            self._connection.execute(macro)
        for table in tables.ROWS:
            rows = tables.arrow(table)
            self._connection.register("rows", rows)
            self._connection.execute(f"CREATE TABLE {table} AS SELECT * FROM rows")
            self._connection.unregister("rows")

    def ask(self, sql: str) -> list[tuple] | Failed:
        try:
            return self._connection.execute(sql).fetchall()
        except duckdb.Error as error:
            return Failed(str(error))


class Different(AssertionError):
    """The two answers differ."""


class Search:
    def __init__(self, endpoint: Endpoint):
        self._athena = Athena(endpoint)
        self._duckdb = DuckDb()
        self.asked = 0
        # Number of queries that had rows.
        self.answered = 0
        # Queries that both ended with an error.
        self.failed = 0
        # Queries that the embedded Athena refuses as not supported, and DuckDB answers. A refusal does not mislead.
        self.refused = 0

    def check(self, query: Query) -> None:
        """Raises `Different` if the two answer differently."""
        self.asked += 1
        ours, theirs = self._athena.ask(query.athena), self._duckdb.ask(query.duckdb)
        if isinstance(ours, Failed) and isinstance(theirs, Failed):
            self.failed += 1
            return
        if isinstance(ours, Failed) and ours.message.startswith("NOT_SUPPORTED"):
            self.refused += 1
            return
        if isinstance(ours, Failed) or isinstance(theirs, Failed):
            raise Different(
                self._told(
                    query,
                    f"refused: {ours.message}" if isinstance(ours, Failed) else f"DuckDB refuses: {theirs.message}",
                )
            )
        self.answered += bool(ours)
        found = difference(query, ours, theirs)
        if found is not None:
            raise Different(self._told(query, found))

    @staticmethod
    def _told(query: Query, what: str) -> str:
        return f"{what}\n  Athena: {query.athena}\n  DuckDB: {query.duckdb}"

    def run(self, seed: int, queries_: int) -> str | None:
        """Asks a number of queries. Returns the smallest one found that is answered differently."""

        @hypothesis.seed(seed)
        @hypothesis.settings(
            max_examples=queries_,
            database=None,
            deadline=None,
            report_multiple_bugs=False,
            phases=(hypothesis.Phase.generate, hypothesis.Phase.shrink),
            suppress_health_check=list(hypothesis.HealthCheck),
            verbosity=hypothesis.Verbosity.quiet,
        )
        @hypothesis.given(queries())
        def same(query: Query) -> None:
            self.check(query)

        try:
            same()
        except Different as difference:
            return str(difference)
        except hypothesis.errors.Flaky as flaky:
            # Answered differently, and not each time.
            return str(flaky)
        return None
