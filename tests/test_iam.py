"""Each function's role permits exactly the calls that the function makes.

`test_functions_on_moto.py` records the calls, `iam.py` derives the needed permissions, and infra/template.yaml has the
granted ones.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from iam import Grant, Need, grants, matches, needs
from moto_server import RECORDED, Call
from sam_template import FUNCTIONS, Statement, functions, role_of, statements

# Permissions that are granted although no recorded call needs them, with the reason.
NOT_CALLED = {
    "logs:CreateLogStream": "Lambda writes the function's logs in its name",
    "logs:PutLogEvents": "Lambda writes the function's logs in its name",
    "xray:PutTraceSegments": "Lambda traces invocations in the function's name",
    "xray:PutTelemetryRecords": "Lambda traces invocations in the function's name",
}
NOT_CALLED_BY = {
    ("stop-emr-step", "sqs:SendMessage"): "Lambda sends failed events to the queue in the function's name",
    ("vacuum", "sqs:SendMessage"): "Lambda sends failed events to the queue in the function's name",
    ("validate-partitions", "sqs:SendMessage"): "Lambda sends failed events to the queue in the function's name",
}


def policy(function: str) -> list[Statement]:
    """Returns the permissions of a function's role."""
    return statements(role_of(functions()[function]))


# Listed in a statement but never required by Glue: a database is created in the catalog, not in a table.
VOID = ("glue:CreateDatabase", ":table/")


@pytest.fixture(scope="module")
def calls(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[Call]]:
    """The recorded calls of each function."""
    made = request.config.stash.get(RECORDED, None) or record_calls(tmp_path_factory.mktemp("calls") / "calls.json")
    return {function: [call for call in made if call.caller == function] for function in FUNCTIONS}


def record_calls(path: Path) -> list[Call]:
    """Runs the tests of the functions. Returns the recorded calls."""
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_functions_on_moto.py"]
    environment = {**os.environ, "PREGAO_TEST_CALLS": str(path), "PYTEST_ADDOPTS": ""}
    done = subprocess.run(command, cwd=Path(__file__).parent, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, f"the calls come from tests that fail:\n{done.stdout[-5000:]}"
    return [Call(**call) for call in json.loads(path.read_text())]


@pytest.fixture(scope="module")
def needed(calls: dict[str, list[Call]]) -> dict[str, set[Need]]:
    """Returns the needed permissions of each function, without repetition."""
    return {function: {need for call in made for need in needs(call)} for function, made in calls.items()}


def refused(granted: list[Grant], needed: set[Need]) -> list[Need]:
    """Returns the permissions that are needed and not granted."""
    return sorted(need for need in needed if not any(grant.covers(need) for grant in granted))


def surplus(function: str, granted: list[Grant], needed: set[Need]) -> list[Grant]:
    """Returns the permissions that are granted and not needed."""

    def is_expected(grant: Grant) -> bool:
        action, resource = VOID
        is_void = grant.action == action and resource in grant.resource
        return is_void or grant.action in NOT_CALLED or (function, grant.action) in NOT_CALLED_BY

    unused = [grant for grant in granted if not any(grant.covers(need) for need in needed)]
    return [grant for grant in unused if not is_expected(grant)]


@pytest.mark.parametrize("function", FUNCTIONS)
def test_every_call_is_allowed(function: str, needed: dict[str, set[Need]]):
    assert needed[function], "no call was recorded"
    missing = refused(grants(policy(function)), needed[function])
    assert not missing, f"the role of {function} does not allow:\n" + "\n".join(map(str, missing))


@pytest.mark.parametrize("function", FUNCTIONS)
def test_nothing_is_allowed_that_is_not_needed(function: str, needed: dict[str, set[Need]]):
    more = surplus(function, grants(policy(function)), needed[function])
    assert not more, f"the role of {function} allows what no call needs:\n" + "\n".join(map(str, more))


def test_the_exceptions_are_granted():
    granted = {(function, grant.action) for function in FUNCTIONS for grant in grants(policy(function))}
    assert set(NOT_CALLED) <= {action for _, action in granted} and set(NOT_CALLED_BY) <= granted


# --- the check itself detects faults ----------------------------------------------------------------


def widened(granted: list[Grant]) -> list[Grant]:
    return [*granted, Grant("More", "s3:DeleteBucket", "*", {})]


def without_a_key_prefix(granted: list[Grant]) -> list[Grant]:
    return [grant for grant in granted if (grant.action, grant.resource[-9:]) != ("s3:PutObject", "/quotes/*")]


def only_by_prefix(granted: list[Grant]) -> list[Grant]:
    """Allows ListBucket only with a prefix, which a HEAD request of a missing object does not have."""
    condition = {"StringLike": {"s3:prefix": "*"}}
    return [grant._replace(condition=condition) if grant.action == "s3:ListBucket" else grant for grant in granted]


@pytest.mark.parametrize(
    "mutate, expected",
    [
        (widened, "s3:DeleteBucket on *"),
        (without_a_key_prefix, "s3:PutObject on "),
        (only_by_prefix, "s3:ListBucket on "),
    ],
)
def test_a_wrong_policy_is_reported(
    mutate: Callable[[list[Grant]], list[Grant]], expected: str, needed: dict[str, set[Need]]
):
    granted = mutate(grants(policy("ingest")))
    findings = [*refused(granted, needed["ingest"]), *surplus("ingest", granted, needed["ingest"])]
    assert any(str(one).startswith(expected) for one in findings), findings


def test_wildcards_and_conditions_are_read_as_iam_does():
    assert matches("arn:aws:s3:::b/*", "arn:aws:s3:::b/x/y") and not matches("arn:aws:s3:::b/*", "arn:aws:s3:::b")
    assert matches("s?", "s3") and not matches("s3.", "s3x")
    tagged = Statement("Role", "S", "Allow", ["x:Do"], ["*"], {}, None)
    need = Need("X:do", "anything", frozenset({("x:tag", "a")}))
    for condition, expected in [
        ({}, True),
        ({"StringEquals": {"x:tag": ["a", "b"]}}, True),
        ({"StringEquals": {"x:tag": "b"}}, False),
        ({"StringEquals": {"x:other": "a"}}, False),
        ({"StringEqualsIfExists": {"x:tag": "b"}}, False),
        ({"StringEqualsIfExists": {"x:tag": "a", "x:other": "a"}}, True),
        ({"StringLike": {"x:tag": "?"}}, True),
        ({"Null": {"x:tag": "false"}}, True),
        ({"Null": {"x:tag": "true"}}, False),
        ({"Null": {"x:other": "true"}}, True),
        ({"StringEquals": {"x:tag": "a"}, "Null": {"x:tag": "true"}}, False),
    ]:
        (grant,) = grants([tagged._replace(condition=condition)])
        assert grant.covers(need) == expected, condition
    (grant,) = grants([tagged._replace(condition={"DateGreaterThan": {"x:time": "2020"}})])
    with pytest.raises(NotImplementedError):
        grant.covers(need)
    with pytest.raises(AssertionError):
        grants([tagged._replace(effect="Deny")])
