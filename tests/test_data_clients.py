"""awswrangler, SQLAlchemy and dbt use the embedded Athena and Glue with their default settings."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

import aws_tools
from lake import PATIENCE, Endpoint, Lake, environment, eventually

CLIENTS = Path(__file__).parent / "data_clients"


@pytest.fixture(scope="module")
def endpoint(tmp_path_factory) -> Iterator[Endpoint]:
    with Lake(tmp_path_factory.mktemp("clients") / "home").endpoint() as endpoint:
        yield endpoint


def settings(endpoint: Endpoint, folder: Path) -> dict[str, str]:
    return {**environment(folder), **endpoint.settings, "DBT_SEND_ANONYMOUS_USAGE_STATS": "false"}


def rows(endpoint: Endpoint, sql: str) -> list[list[str | None]]:
    """Returns the rows of a query of the database that dbt writes, as text."""
    athena = endpoint.client("athena")
    query = athena.start_query_execution(QueryString=sql, QueryExecutionContext={"Database": "models"})
    key = {"QueryExecutionId": query["QueryExecutionId"]}

    def finished() -> str | None:
        status = athena.get_query_execution(**key)["QueryExecution"]["Status"]
        return None if status["State"] in ("QUEUED", "RUNNING") else json.dumps(status, default=str)

    assert '"SUCCEEDED"' in eventually(sql, finished)
    found = athena.get_query_results(**key)["ResultSet"]["Rows"][1:]
    return [[cell.get("VarCharValue") for cell in row["Data"]] for row in found]


def found_by(script: str, endpoint: Endpoint, folder: Path) -> dict:
    """Runs a script of `data_clients/` with the Python that has these clients. Returns what it printed."""
    python = Path(aws_tools.find("dbt")).parent / "python"
    done = subprocess.run(
        [str(python), "-W", "ignore", str(CLIENTS / script)],
        env=settings(endpoint, folder),
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def test_awswrangler_writes_and_reads_frames(endpoint: Endpoint, tmp_path: Path) -> None:
    found = found_by("wrangler.py", endpoint, tmp_path)
    rows = [
        ["PETR4", 15.5, "2020-04-01T00:00:00.000", 2020],
        ["VALE3", 43.2, "2020-04-01T00:00:00.000", 2020],
        ["PETR4", None, "2021-04-02T00:00:00.000", 2021],
    ]
    for way in ("by default", "without CTAS", "by UNLOAD"):
        trimmed = [[*row[:2], row[2].rstrip("Z"), row[3]] for row in found[way]]
        assert trimmed == rows, way
    assert found["types"] == {"ticker": "string", "last": "double", "day": "timestamp", "year": "bigint"}
    assert found["appended"] == [[6]]
    assert found["one year replaced"] == [[2020, 4], [2021, 1]]
    assert found["partitions"] == [["2020"], ["2021"]]
    assert (found["copied"], found["deleted"]) == ([[5]], True)
    assert (found["tables"], found["there"]) == (["quotes"], [True, False])


def test_sqlalchemy_creates_and_inspects_tables(endpoint: Endpoint, tmp_path: Path) -> None:
    found = found_by("alchemy.py", endpoint, tmp_path)
    assert found == {"before": False, "after": True, "tables": ["prices"], "rows": [["PETR4", 15.5], ["VALE3", None]]}


def test_dbt_builds_tables_views_and_increments(endpoint: Endpoint, tmp_path: Path) -> None:
    project = tmp_path / "market"
    shutil.copytree(CLIENTS / "market", project)

    def dbt(command: str) -> str:
        done = subprocess.run(
            [aws_tools.find("dbt"), "--no-use-colors", command, "--profiles-dir", str(project)],
            cwd=project,
            env=settings(endpoint, tmp_path),
            capture_output=True,
            text=True,
            timeout=PATIENCE,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    for expected in ("2", "3"):
        assert "PASS=3 WARN=0 ERROR=0" in dbt("run")
        assert rows(endpoint, "SELECT count(*) FROM daily") == [[expected]]
    assert "PASS=3 WARN=0 ERROR=0" in dbt("test")
    highest = rows(endpoint, "SELECT ticker, last FROM highest ORDER BY 1")
    assert highest == [["PETR4", "15.5"], ["VALE3", "43.2"]]
