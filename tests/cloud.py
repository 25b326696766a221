"""An account on moto with the buckets of the stack and its functions, whose binaries run as they are deployed. It
provides the files of the Spark job and the rows that Athena returns for them, which moto does not emulate.
"""

from __future__ import annotations

import io
import json
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import pyarrow
import pyarrow.parquet
import pytest
from moto.emr.models import Cluster
from moto.emrserverless.models import Application, JobRun

import oracle
from lake import binary
from lambda_runtime import FunctionError, LambdaFunction
from moto_server import ACCOUNT, REGION, Moto, table_input
from sam_template import ACCOUNT as STACK_ACCOUNT
from sam_template import STACK, functions, resolve, resources_text

RUN = "nightly-7"
TABLES = list(oracle.TABLES)
ARROW = {"bigint": pyarrow.int64(), "int": pyarrow.int32(), "double": pyarrow.float64(), "string": pyarrow.string()}
STATISTICS = ["year", "month", "day", "row_count", "tickers", "first_intdate", "last_intdate"]
# The domain checks, which one statement evaluates.
CHECKED_TOGETHER = {
    "quotes": [["bid_ask", "last_in_range", "average_price"], ["totals_fall"]],
    "options": [["bid_ask"]],
}


class Cloud:
    """An account with the buckets and the functions of the stack."""

    def __init__(self, moto: Moto):
        self.moto = moto
        self.resources = resources_text()
        self.raw, self.lake, self.results = (self.resources["buckets"][name] for name in ("raw", "lake", "results"))
        self.s3 = moto.client("s3")
        for bucket in self.resources["buckets"].values():
            self.s3.create_bucket(Bucket=bucket)
        # Otherwise the functions query Athena for days that older versions published.
        self.s3.put_object(Bucket=self.lake, Key="published/_migrated.json", Body=b"{}")
        moto.client("athena").create_work_group(Name=self.resources["athena"]["workgroup"])
        self._create_application()
        self.functions: dict[tuple[str, str], LambdaFunction] = {}

    def _create_application(self) -> None:
        """Creates the application of EMR Serverless with the id of the stack's one, and its role in moto's account."""
        emr, backend = self.resources["emr"], self.moto.emr_serverless
        application = Application(STACK, "emr-7.13.0", "SPARK", "", ACCOUNT, REGION, "", "", {}, "", "", None)
        application.id = emr["application_id"]
        backend.applications[application.id], backend.job_runs[application.id] = application, []
        emr["job_role"] = emr["job_role"].replace(STACK_ACCOUNT, ACCOUNT)

    def job_runs(self) -> list[JobRun]:
        return self.moto.emr_serverless.job_runs.get(self.resources["emr"]["application_id"], [])

    def invoke(self, name: str, event: dict, config: dict | None = None) -> dict:
        """Returns the result of a function of the stack, deployed with a configuration."""
        text = json.dumps(config or {})
        if (name, text) not in self.functions:
            self.functions[name, text] = self.deploy(name, PREGAO_CONFIG=text)
        return self.functions[name, text].invoke(event)

    def metrics(self, name: str, *metrics: str) -> list[dict]:
        """Returns the log lines of a function in the embedded metric format that have these metrics, as CloudWatch extracts
        them.
        """
        return [line for line in self.logged(name) if "_aws" in line and set(metrics) <= set(line)]

    def logged(self, name: str) -> list[dict]:
        """Returns the JSON lines in the log of a function."""
        logs = (function.logs() for (other, _), function in self.functions.items() if other == name)
        return [json.loads(line) for log in logs for line in log.splitlines() if line.startswith("{")]

    def deploy(self, name: str, **environment: str) -> LambdaFunction:
        """Returns a function with the environment variables of the stack, and with additional ones."""
        program = binary().parent / name
        if not program.exists():
            raise FileNotFoundError(f"{program} is not built: run `cargo build --release --workspace`")
        deployed = {
            **resolve(functions()[name]["Environment"]["Variables"]),
            "PREGAO_RESOURCES": json.dumps(self.resources),
            "AWS_ENDPOINT_URL": self.moto.url,
            "AWS_ACCESS_KEY_ID": name,
            "AWS_SECRET_ACCESS_KEY": "secret",
            # No retries: tests make calls fail to observe the effect.
            "AWS_MAX_ATTEMPTS": "1",
        }
        return LambdaFunction(program, {**deployed, **environment})

    def fails(self, name: str, event: object, config: dict | None = None) -> FunctionError:
        with pytest.raises(FunctionError) as caught:
            self.invoke(name, event, config)
        return caught.value

    def close(self) -> None:
        for function in self.functions.values():
            function.close()

    # --- raw files ---

    def land(self, name: str, data: bytes) -> str:
        key = f"landing/{name}"
        self.s3.put_object(Bucket=self.raw, Key=key, Body=data)
        return key

    def land_folder(self, folder: Path) -> dict[str, bytes]:
        """Puts every file of a folder into landing. Returns their data by the keys that ingest moves them to."""
        files = {path.name: path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}
        for name, data in files.items():
            self.land(f"april/{name}", data)
        return {raw_key(name): data for name, data in files.items()}

    def objects(self, prefix: str = "") -> dict[str, bytes]:
        """Returns the objects of the raw bucket, by key."""
        return {key: data for key, data in self.moto.objects(self.raw).items() if key.startswith(prefix)}

    def reasons(self) -> dict[str, dict]:
        """Returns the reasons in quarantine, by file name."""
        suffix = ".reason.json"
        found = self.objects("quarantine/")
        return {key[11 : -len(suffix)]: json.loads(text) for key, text in found.items() if key.endswith(suffix)}

    # --- the catalog ---

    def put_partitions(
        self, table: str, locations: dict[tuple[int, int, int], str], columns: list[oracle.Column] | None = None
    ) -> None:
        """Adds partitions of a table, as another client would. A missing table is created, with the columns of the oracle."""
        glue, database = self.moto.glue, self.resources["athena"]["database"]
        if database not in glue.databases:
            glue.create_database(database, {"Name": database})
        if table not in glue.databases[database].tables:
            location = f"s3://{self.lake}/{table}/"
            of_table = ", ".join(f"`{column.name}` {column.type}" for column in columns or oracle.TABLES[table])
            glue.create_table(
                database, table, table_input(table, of_table, "`year` int, `month` int, `day` int", location)
            )
        found = glue.get_table(database, table)
        for day, location in locations.items():
            descriptor = {**found.as_dict()["StorageDescriptor"], "Location": location}
            found.create_partition({"Values": [str(part) for part in day], "StorageDescriptor": descriptor})

    def partitions(self, table: str, database: str | None = None) -> dict[tuple[int, ...], str]:
        """Returns the locations of a table's partitions in the catalog, by day."""
        found = self.moto.glue.get_table(database or self.resources["athena"]["database"], table)
        partitions = [partition.as_dict() for partition in found.partitions.values()]
        return {
            tuple(map(int, partition["Values"])): partition["StorageDescriptor"]["Location"] for partition in partitions
        }

    # --- clusters ---

    def clusters(self) -> list[Cluster]:
        return list(self.moto.emr.clusters.values())

    def start_cluster(self, name: str = "of-the-team", **tags: str) -> str:
        """Starts a cluster that keeps running, as another client would."""
        started = self.moto.client("emr").run_job_flow(
            Name=name,
            Instances={"MasterInstanceType": "m5.xlarge", "InstanceCount": 1, "KeepJobFlowAliveWhenNoSteps": True},
            Tags=[{"Key": key.replace("_", ":"), "Value": value} for key, value in tags.items()],
        )
        return started["JobFlowId"]


def raw_key(name: str) -> str:
    """Returns the key of an accepted raw file."""
    feed = "quotes" if "flashpanel" in name else "options"
    return f"{feed}/date={name[:4]}-{name[4:6]}-{name[6:8]}/{name}"


class Written(NamedTuple):
    """A run whose Spark step has ended, with its raw files, its Parquet files, and the rows that Athena returns."""

    cloud: Cloud
    expected: oracle.Expected
    run: str = RUN

    @property
    def days(self) -> list[tuple[int, int, int]]:
        return sorted(self.expected.days["quotes"])

    def folder(self, table: str, day: tuple[int, int, int]) -> str:
        year, month, number = day
        return f"runs/run={self.run}/{table}/year={year}/month={month}/day={number}/"

    def put(self, table: str, day: tuple[int, int, int], rows: list[dict]) -> None:
        """Writes the file of a partition as the Spark job does, with pyarrow instead of the product's Parquet writer."""
        columns = oracle.TABLES[table]
        schema = pyarrow.schema([(column.name, ARROW[column.type]) for column in columns])
        arrays = [
            pyarrow.array([row[column.name] for row in rows], schema.field(column.name).type) for column in columns
        ]
        file = io.BytesIO()
        pyarrow.parquet.write_table(pyarrow.Table.from_arrays(arrays, schema=schema), file)
        key = f"{self.folder(table, day)}part-0.parquet"
        self.cloud.s3.put_object(Bucket=self.cloud.lake, Key=key, Body=file.getvalue())

    def put_all(self) -> None:
        """Writes all files of the job, with the rows of the oracle."""
        for table in TABLES:
            for day in self.days:
                self.put(table, day, self.expected.day(table, *day))

    def plan(self, config: dict | None = None) -> dict:
        """Plans a run: writes the list of its raw files."""
        return self.cloud.invoke("validate-partitions", self.planning(), config)

    def planning(self) -> dict:
        """Returns the event that plans a run."""
        first, last = ("{:04}-{:02}-{:02}".format(*day) for day in (self.days[0], self.days[-1]))
        return {"stage": "raw", "run": self.run, "input": {"from": first, "to": last}}

    def outcome(self) -> dict:
        """Adds up the outcomes of the slices."""
        return self.cloud.invoke("validate-partitions", {"stage": "outcome", "run": self.run})

    def publish(self) -> dict:
        """Publishes the audited run for its days."""
        return self.cloud.invoke("create-athena-table", {"record": True, "run": self.run})

    def statistics(self, table: str, days: Iterable[tuple[int, int, int]]) -> list[list[object]]:
        """Returns the statistics of each day, as the query of the audit returns them."""
        days = ((day, self.expected.day(table, *day)) for day in days)
        return [
            [*day, len(rows), len({row["ticker"] for row in rows}), min(times(rows)), max(times(rows))]
            for day, rows in days
            if rows
        ]

    def answer(self, *days: tuple[int, int, int]) -> None:
        """Sets the rows that moto returns for Athena's queries of these days, or of all."""
        moto, name, days = self.cloud.moto, "[a-z0-9_]*", days or self.days
        for table in TABLES:
            rows = self.statistics(table, days)
            moto.answer(rf'AS tickers.*\sFROM "{table}{name}"', STATISTICS, rows)
            for checks in CHECKED_TOGETHER.get(table, []):
                counts = [[*day, *[len(self.expected.day(table, *day)), 0] * len(checks)] for day in days]
                moto.answer(rf'(?s)AS {checks[-1]}_failing\s+FROM.*"{table}_', checked(checks), counts)
        moto.answer("AS repeated_keys", ["repeated_keys", "repeated_rows"], [[0, 0]])
        counts = Counter(
            (*(row[part] for part in oracle.PARTITION), row["table_name"], row["column_name"], row["reason"])
            for row in self.expected.rows["rejects"]
            if tuple(row[part] for part in oracle.PARTITION) in days
        )
        columns = [*oracle.PARTITION, "table_name", "column_name", "reason", "rejects"]
        moto.answer("count.*AS rejects", columns, [[*key, count] for key, count in sorted(counts.items())])

    def report(self, table: str, slice: str = "") -> dict:
        return json.loads(self.cloud.moto.objects(self.cloud.lake)[f"quality/run={self.run}/{slice}{table}.json"])


def checked(checks: list[str]) -> list[str]:
    """Returns the result columns of the statement that evaluates these checks."""
    return [*oracle.PARTITION, *(f"{check}_{count}" for check in checks for count in ("checked", "failing"))]


def times(rows: list[dict]) -> list[int]:
    return [row["intdate"] for row in rows]


def status_change(run: str, status: str) -> dict:
    """Returns the event in the form of EventBridge."""
    machine = f"arn:aws:states:us-east-1:123456789012:stateMachine:{STACK}-create_datalake"
    return {
        "version": "0", "source": "aws.states", "detail-type": "Step Functions Execution Status Change",
        "detail": {
            "name": run, "status": status, "stateMachineArn": machine, "input": "{}", "output": None,
            "executionArn": f"{machine.replace(':stateMachine:', ':execution:')}:{run}",
        },
    }  # fmt: skip
