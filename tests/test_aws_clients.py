"""The embedded endpoint works with AWS clients: boto3, the AWS CLI and PyAthena."""

from __future__ import annotations

import functools
import hashlib
import json
import struct
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import NamedTuple
from zoneinfo import ZoneInfo

import botocore.exceptions
import pandas
import pyarrow.fs
import pyathena
import pytest
from pyathena.arrow.cursor import ArrowCursor
from pyathena.cursor import DictCursor
from pyathena.pandas.cursor import PandasCursor

import oracle
import rawfiles
from conftest import Published
from lake import (
    ACCOUNT,
    DATABASE,
    LAKE,
    RAW,
    REGION,
    RESULTS,
    Endpoint,
    Lake,
    assert_same_rows,
    environment,
    eventually,
)  # fmt: skip

STATE_MACHINES = {
    name: f"arn:aws:states:{REGION}:{ACCOUNT}:stateMachine:{name}"
    for name in ("upload_raw_data", "create_datalake", "backfill", "athena_update")
}


def error_code(call, **arguments) -> str:
    """Returns the error code of a call that fails."""
    with pytest.raises(botocore.exceptions.ClientError) as caught:
        call(**arguments)
    return caught.value.response["Error"]["Code"]


# --- S3 ---------------------------------------------------------------------------------------------


@pytest.fixture
def s3(endpoint: Endpoint):
    return endpoint.client("s3")


def test_s3_lists_buckets_and_pages_of_keys(s3, published: Published):
    assert {RAW, LAKE, RESULTS} <= {bucket["Name"] for bucket in s3.list_buckets()["Buckets"]}
    pages = list(s3.get_paginator("list_objects_v2").paginate(Bucket=LAKE, PaginationConfig={"PageSize": 3}))
    assert len(pages) > 2 and all(len(page["Contents"]) == 3 for page in pages[:-1])
    keys = [item["Key"] for page in pages for item in page["Contents"]]
    assert keys == sorted(published.lake.objects(LAKE))

    (run,) = published.lake.stored_runs()
    month = f"runs/run={run}/quotes/year=2020/month=4/"
    days = s3.list_objects_v2(Bucket=LAKE, Prefix=month, Delimiter="/")
    assert [prefix["Prefix"] for prefix in days["CommonPrefixes"]] == sorted(
        f"{month}day={day}/" for _, _, day in published.expected.days["quotes"]
    )
    assert days.get("Contents", []) == []


def test_s3_stores_objects_and_returns_ranges(s3):
    body = b"0123456789"
    tag = f'"{hashlib.md5(body).hexdigest()}"'
    put = s3.put_object(
        Bucket=RESULTS, Key="clients/a b+ç.txt", Body=body, ContentType="text/plain", Metadata={"who": "me"}
    )
    assert put["ETag"] == tag
    head = s3.head_object(Bucket=RESULTS, Key="clients/a b+ç.txt")
    assert (head["ContentLength"], head["ETag"], head["ContentType"], head["Metadata"]) == (
        10,
        tag,
        "text/plain",
        {"who": "me"},
    )
    assert s3.get_object(Bucket=RESULTS, Key="clients/a b+ç.txt")["Body"].read() == body

    part = s3.get_object(Bucket=RESULTS, Key="clients/a b+ç.txt", Range="bytes=2-4")
    assert (part["Body"].read(), part["ContentRange"]) == (b"234", "bytes 2-4/10")
    assert s3.get_object(Bucket=RESULTS, Key="clients/a b+ç.txt", Range="bytes=-3")["Body"].read() == b"789"
    assert error_code(s3.get_object, Bucket=RESULTS, Key="clients/a b+ç.txt", Range="bytes=10-") == "InvalidRange"


def test_s3_copies_and_deletes(s3):
    s3.put_object(Bucket=RESULTS, Key="clients/from", Body=b"copied")
    s3.copy_object(Bucket=LAKE, Key="quality/clients/to", CopySource={"Bucket": RESULTS, "Key": "clients/from"})
    assert s3.get_object(Bucket=LAKE, Key="quality/clients/to")["Body"].read() == b"copied"
    copy = dict(Bucket=LAKE, Key="quality/clients/to", CopySource={"Bucket": RESULTS, "Key": "clients/from"})
    assert error_code(s3.copy_object, **copy, IfNoneMatch="*") == "PreconditionFailed"
    s3.delete_object(Bucket=RESULTS, Key="clients/from")
    assert error_code(s3.get_object, Bucket=RESULTS, Key="clients/from") == "NoSuchKey"
    s3.delete_object(Bucket=RESULTS, Key="clients/from")  # deleting a missing object succeeds on S3

    done = s3.delete_objects(
        Bucket=LAKE, Delete={"Objects": [{"Key": "quality/clients/to"}, {"Key": "quality/clients/no"}]}
    )
    assert {item["Key"] for item in done["Deleted"]} == {"quality/clients/to", "quality/clients/no"}
    assert s3.list_objects_v2(Bucket=LAKE, Prefix="quality/clients/")["KeyCount"] == 0


def test_s3_writes_only_if_the_condition_holds(s3):
    key = dict(Bucket=RESULTS, Key="clients/conditional")
    first = s3.put_object(**key, Body=b"first", IfNoneMatch="*")
    assert error_code(s3.put_object, **key, Body=b"second", IfNoneMatch="*") == "PreconditionFailed"
    assert error_code(s3.put_object, **key, Body=b"second", IfMatch='"0123"') == "PreconditionFailed"
    assert s3.get_object(**key)["Body"].read() == b"first"
    s3.put_object(**key, Body=b"second", IfMatch=first["ETag"])
    assert s3.get_object(**key)["Body"].read() == b"second"
    assert error_code(s3.get_object, **key, IfMatch=first["ETag"]) == "PreconditionFailed"


def test_s3_multipart_uploads(s3):
    key = dict(Bucket=RESULTS, Key="clients/parts")
    bodies = [b"a" * 5 * 1024 * 1024, b"b" * 7]
    upload = s3.create_multipart_upload(**key)["UploadId"]
    assert error_code(s3.get_object, **key) == "NoSuchKey"
    parts = [
        {"PartNumber": number, "ETag": s3.upload_part(**key, UploadId=upload, PartNumber=number, Body=body)["ETag"]}
        for number, body in enumerate(bodies, start=1)
    ]
    done = s3.complete_multipart_upload(**key, UploadId=upload, MultipartUpload={"Parts": parts})
    digests = hashlib.md5(b"".join(hashlib.md5(body).digest() for body in bodies)).hexdigest()
    assert done["ETag"] == f'"{digests}-2"'
    assert s3.get_object(**key)["Body"].read() == b"".join(bodies)

    upload = s3.create_multipart_upload(**key)["UploadId"]
    s3.upload_part(**key, UploadId=upload, PartNumber=1, Body=b"never completed")
    s3.abort_multipart_upload(**key, UploadId=upload)
    assert error_code(s3.upload_part, **key, UploadId=upload, PartNumber=2, Body=b"x") == "NoSuchUpload"
    assert s3.head_object(**key)["ContentLength"] == sum(map(len, bodies))


def test_s3_keys_stay_inside_their_bucket(s3, published: Published):
    for key in ("../pregao-lake/escaped", "a/../../pregao-lake/escaped"):
        try:
            s3.put_object(Bucket=RESULTS, Key=key, Body=b"x")
        except botocore.exceptions.ClientError:
            continue  # refusing the key is also correct
        assert s3.get_object(Bucket=RESULTS, Key=key)["Body"].read() == b"x"
    assert "escaped" not in published.lake.objects(LAKE)


def test_s3_returns_errors_for_missing_and_unsupported_things(s3):
    assert error_code(s3.get_object, Bucket=RESULTS, Key="clients/none") == "NoSuchKey"
    assert error_code(s3.list_objects_v2, Bucket="no-such-bucket") == "NoSuchBucket"
    assert error_code(s3.head_object, Bucket=RESULTS, Key="clients/none") == "404"
    assert error_code(s3.get_bucket_website, Bucket=RESULTS) == "NotImplemented"


def test_every_response_has_a_request_id(endpoint: Endpoint, s3):
    answers = [
        s3.list_buckets(),
        s3.put_object(Bucket=RESULTS, Key="clients/id", Body=b"x"),
        s3.get_object(Bucket=RESULTS, Key="clients/id"),
        s3.delete_object(Bucket=RESULTS, Key="clients/id"),
        endpoint.client("stepfunctions").list_state_machines(),
        endpoint.client("athena").list_work_groups(),
        endpoint.client("emr").list_clusters(),
        endpoint.client("lambda").list_functions(),
    ]
    for service, call, arguments in [
        ("s3", "get_object", {"Bucket": RESULTS, "Key": "clients/none"}),
        ("stepfunctions", "describe_execution", {"executionArn": STATE_MACHINES["create_datalake"]}),
        ("athena", "get_query_execution", {"QueryExecutionId": "none"}),
        ("lambda", "get_function", {"FunctionName": "none"}),
    ]:
        with pytest.raises(botocore.exceptions.ClientError) as caught:
            getattr(endpoint.client(service), call)(**arguments)
        answers.append(caught.value.response)
    ids = [answer["ResponseMetadata"]["RequestId"] for answer in answers]
    assert all(ids) and len(set(ids)) == len(ids), ids
    assert all(answer["ResponseMetadata"]["HostId"] for answer in answers[:4])


def test_s3_through_the_aws_cli(endpoint: Endpoint, tmp_path):
    big = bytes(range(256)) * 40_000  # above the size from which the CLI uploads parts
    (tmp_path / "big").write_bytes(big)
    endpoint.aws("s3", "cp", str(tmp_path / "big"), f"s3://{RESULTS}/cli/big")
    endpoint.aws("s3", "cp", f"s3://{RESULTS}/cli/big", str(tmp_path / "back"))
    assert (tmp_path / "back").read_bytes() == big
    assert "big" in endpoint.aws("s3", "ls", f"s3://{RESULTS}/cli/").out
    endpoint.aws("s3", "mv", f"s3://{RESULTS}/cli/big", f"s3://{RESULTS}/cli/moved")
    assert [
        item["Key"]
        for item in endpoint.aws_json("s3api", "list-objects-v2", "--bucket", RESULTS, "--prefix", "cli/")["Contents"]
    ] == ["cli/moved"]
    endpoint.aws("s3", "rm", "--recursive", f"s3://{RESULTS}/cli/")
    assert endpoint.aws("s3", "ls", f"s3://{RESULTS}/cli/", check=False).out == ""


# --- Step Functions ---------------------------------------------------------------------------------


@pytest.fixture
def sfn(endpoint: Endpoint):
    return endpoint.client("stepfunctions")


def finished(sfn, arn: str) -> dict:
    def poll():
        execution = sfn.describe_execution(executionArn=arn)
        return None if execution["status"] == "RUNNING" else execution

    return eventually(f"the end of {arn}", poll)


def history(sfn, arn: str) -> list[dict]:
    pages = sfn.get_paginator("get_execution_history").paginate(executionArn=arn, PaginationConfig={"PageSize": 10})
    return [event for page in pages for event in page["events"]]


def the_run(sfn) -> dict:
    """Returns the execution that published the market."""
    executions = sfn.list_executions(stateMachineArn=STATE_MACHINES["create_datalake"], statusFilter="SUCCEEDED")
    (run,) = [
        e
        for e in executions["executions"]
        if "2020-04-09" in sfn.describe_execution(executionArn=e["executionArn"])["input"]
    ]
    return run


def test_step_functions_lists_the_three_workflows(sfn):
    listed = {machine["name"]: machine["stateMachineArn"] for machine in sfn.list_state_machines()["stateMachines"]}
    assert listed == STATE_MACHINES
    definition = json.loads(sfn.describe_state_machine(stateMachineArn=STATE_MACHINES["create_datalake"])["definition"])
    assert {"PlanRun", "LaunchEmrStep", "AuditSlices", "Publish"} <= set(definition["States"])


def test_step_functions_describes_the_run_and_its_history(sfn):
    run = sfn.describe_execution(executionArn=the_run(sfn)["executionArn"])
    assert run["status"] == "SUCCEEDED"
    assert run["startDate"] <= run["stopDate"]
    assert json.loads(run["input"]) and json.loads(run["output"])

    events = history(sfn, run["executionArn"])
    assert [event["id"] for event in events] == list(range(1, len(events) + 1))
    assert all(event["previousEventId"] < event["id"] for event in events)
    assert (events[0]["type"], events[-1]["type"]) == ("ExecutionStarted", "ExecutionSucceeded")
    entered = [event["stateEnteredEventDetails"]["name"] for event in events if "stateEnteredEventDetails" in event]
    order = ["PlanRun", "LaunchEmrStep", "PollStep", "ValidateStaged", "Publish"]
    assert [state for state in entered if state in order][: len(order)] != []
    assert sorted(order, key=entered.index) == order, entered


def test_step_functions_tests_a_state_with_a_mock(endpoint: Endpoint, monkeypatch):
    """The model puts `sync-` before the host. The variable keeps clients from doing so."""
    monkeypatch.setenv("AWS_DISABLE_HOST_PREFIX_INJECTION", "true")
    sfn = endpoint.client("stepfunctions")
    state = {
        "Type": "Task",
        "Resource": "arn:aws:states:::dynamodb:putItem",
        "Parameters": {"Item.$": "$item"},
        "Retry": [{"ErrorEquals": ["Throttled"], "IntervalSeconds": 3, "BackoffRate": 2}],
        "End": True,
    }
    given = {"definition": json.dumps(state), "variables": json.dumps({"item": 7}), "inspectionLevel": "DEBUG"}
    tested = sfn.test_state(**given, mock={"result": json.dumps({"ok": True})})
    assert (tested["status"], json.loads(tested["output"])) == ("SUCCEEDED", {"ok": True})
    assert json.loads(tested["inspectionData"]["afterParameters"]) == {"Item": 7}
    error = {"errorOutput": {"error": "Throttled", "cause": "too fast"}}
    tested = sfn.test_state(**given, mock=error, stateConfiguration={"retrierRetryCount": 1})
    assert (tested["status"], tested["error"]) == ("RETRIABLE", "Throttled")
    assert tested["inspectionData"]["errorDetails"] == {"retryIndex": 0, "retryBackoffIntervalSeconds": 6}


def test_step_functions_routes_executions_by_aliases(lake: Lake):
    with lake.endpoint() as endpoint:
        sfn = endpoint.client("stepfunctions")
        number = {"Type": "Pass", "Assign": {"n.$": "$.n"}, "Next": "Give"}
        give = {"Type": "Pass", "Parameters": {"twice.$": "States.MathAdd($n, $n)"}, "End": True}
        definition = json.dumps({"StartAt": "Keep", "States": {"Keep": number, "Give": give}})
        role = "arn:aws:iam::000000000000:role/x"
        created = sfn.create_state_machine(name="routed", definition=definition, roleArn=role, publish=True)
        version = created["stateMachineVersionArn"]
        routing = [{"stateMachineVersionArn": version, "weight": 100}]
        alias = sfn.create_state_machine_alias(name="PROD", routingConfiguration=routing)["stateMachineAliasArn"]
        started = sfn.start_execution(stateMachineArn=alias, input=json.dumps({"n": 21}))
        ended = finished(sfn, started["executionArn"])
        assert (ended["status"], json.loads(ended["output"])) == ("SUCCEEDED", {"twice": 42})
        assert (ended["stateMachineVersionArn"], ended["stateMachineAliasArn"]) == (version, alias)
        exits = [event.get("stateExitedEventDetails", {}) for event in history(sfn, started["executionArn"])]
        assert [exit["assignedVariables"] for exit in exits if "assignedVariables" in exit] == [{"n": "21"}]
        sfn.delete_state_machine(stateMachineArn=created["stateMachineArn"])


def test_step_functions_starts_a_run_for_the_day_before_with_an_empty_input(lake: Lake):
    """The day before has no raw files: `DataMissing` on a business day, `NothingToDo` on others."""
    with lake.endpoint() as endpoint:
        sfn = endpoint.client("stepfunctions")
        started = sfn.start_execution(stateMachineArn=STATE_MACHINES["create_datalake"], name="yesterday", input="{}")
        ended = finished(sfn, started["executionArn"])
    if ended["status"] == "FAILED":
        yesterday = (datetime.now(ZoneInfo("America/Sao_Paulo")) - timedelta(days=1)).date()
        assert ended["error"] == "DataMissing" and str(yesterday) in ended["cause"], ended
        assert yesterday.weekday() < 5
    else:
        assert ended["status"] == "SUCCEEDED" and json.loads(ended["output"])["missing"]["count"] == 0, ended


def test_step_functions_fails_a_schedule_whose_day_has_no_files(lake: Lake):
    """The first event is for a business day, the second for a Sunday."""
    with lake.endpoint() as endpoint:
        sfn = endpoint.client("stepfunctions")
        for time, name, status in (
            ("2020-04-02T10:00:00Z", "a-business-day", "FAILED"),
            ("2020-04-06T10:00:00Z", "a-sunday", "SUCCEEDED"),
        ):
            event = {"detail-type": "Scheduled Event", "source": "aws.scheduler", "time": time}
            started = sfn.start_execution(
                stateMachineArn=STATE_MACHINES["create_datalake"], name=name, input=json.dumps(event)
            )
            ended = finished(sfn, started["executionArn"])
            assert ended["status"] == status, ended
            if status == "FAILED":
                assert ended["error"] == "DataMissing" and "2020-04-01" in ended["cause"], ended


def test_step_functions_publishes_a_day_that_is_started_by_hand(lake: Lake, tmp_path):
    rawfiles.write_market(tmp_path / "raw", seed=8, days=["20200401"])
    lake.upload(tmp_path / "raw")
    with lake.endpoint() as endpoint:
        sfn = endpoint.client("stepfunctions")
        start = dict(stateMachineArn=STATE_MACHINES["create_datalake"], name="by-hand", input='{"date": "2020-04-01"}')
        started = sfn.start_execution(**start)
        assert started["executionArn"] == f"arn:aws:states:{REGION}:{ACCOUNT}:execution:create_datalake:by-hand"
        assert finished(sfn, started["executionArn"])["status"] == "SUCCEEDED"
        assert error_code(sfn.start_execution, **{**start, "input": "{}"}) == "ExecutionAlreadyExists"
        expected = len(oracle.read_folder(tmp_path / "raw").rows["quotes"])
        assert lake.query("SELECT count(*) AS n FROM quotes") == [{"n": expected}]


def test_step_functions_restores_the_catalog_from_the_record(lake: Lake, tmp_path):
    """`athena_update` by hand, after another client has changed a partition."""
    rawfiles.write(tmp_path / "one", "quotes", "202004011000", [rawfiles.quote("PETR4")])
    rawfiles.write(tmp_path / "more", "quotes", "202004011010", [rawfiles.quote("VALE3")])
    for folder in ("one", "more"):
        lake.upload(tmp_path / folder)
        lake.publish("2020-04-01")
    both = [{"ticker": "PETR4"}, {"ticker": "VALE3"}]
    tickers = "SELECT ticker FROM quotes ORDER BY ticker"
    paths = sorted({row["path"].rsplit("/", 1)[0] for row in lake.query('SELECT "$path" AS path FROM quotes')})
    with lake.endpoint() as endpoint:
        sfn = endpoint.client("stepfunctions")

        def update(**input) -> dict:
            started = sfn.start_execution(stateMachineArn=STATE_MACHINES["athena_update"], input=json.dumps(input))
            return finished(sfn, started["executionArn"])

        first = next(
            key
            for key in lake.objects(LAKE)
            if key.endswith(".parquet")
            and "/quotes/" in f"/{key}"
            and f"s3://{LAKE}/{key}".rsplit("/", 1)[0] not in paths
        )
        elsewhere = f"s3://{LAKE}/{first.rsplit('/', 1)[0]}/"
        lake.query(f"ALTER TABLE quotes PARTITION (year=2020, month=4, day=1) SET LOCATION '{elsewhere}'")
        assert lake.query(tickers) == both[:1]
        back = update(table="quotes", **{"from": "2020-04-01", "to": "2020-04-01"})
        assert back["status"] == "SUCCEEDED" and json.loads(back["output"])["rows"] == 2, back
        assert lake.query(tickers) == both
        for input in ({"date": "2020-04-01"}, {}):
            assert update(**input)["status"] == "SUCCEEDED"
        assert lake.query(tickers) == both
        by_run = update(table="quotes", run="x", **{"from": "2020-04-01", "to": "2020-04-01"})
        assert by_run["error"] == "InvalidInput" and "pregao rollback" in by_run["cause"], by_run


def test_step_functions_ingests_the_object_of_an_event(lake: Lake):
    """On AWS an upload causes this event; here the client sends it."""
    data = rawfiles.encode("quotes", "202004011320", [rawfiles.quote()])
    with lake.endpoint() as endpoint:
        sfn = endpoint.client("stepfunctions")
        for name, place in [
            ("202004011320_flashpanel.csv", "quotes/date=2020-04-01/202004011320_flashpanel.csv"),
            ("foo.csv", "quarantine/foo.csv"),
        ]:
            key = f"landing/by hand/{name}"
            endpoint.client("s3").put_object(Bucket=RAW, Key=key, Body=data)
            event = {
                "detail-type": "Object Created",
                "source": "aws.s3",
                "detail": {"bucket": {"name": RAW}, "object": {"key": key}},
            }
            for _ in range(2):  # events may come twice
                started = sfn.start_execution(
                    stateMachineArn=STATE_MACHINES["upload_raw_data"], input=json.dumps(event)
                )
                execution = finished(sfn, started["executionArn"])
                assert execution["status"] == "SUCCEEDED", execution
            assert lake.objects(RAW)[place] == data
        assert not [key for key in lake.objects(RAW) if key.startswith("landing/")]


@pytest.mark.parametrize("machine", ["athena_update", "backfill", "create_datalake", "upload_raw_data"])
@pytest.mark.parametrize(
    "nonsense, word",
    [
        ('{"date": "2020-13-01"}', "2020-13-01"),
        ('{"date": 7}', "a number"),
        ('{"from": "2020-04-09", "to": "2020-04-01"}', "2020-04-09"),
        ('{"from": "2020-04-09"}', "to"),
        ('{"dates": "2020-04-01"}', "dates"),
        ("[]", "date"),
        ('"2020-04-01"', "date"),
    ],
)
def test_step_functions_ends_invalid_input_in_a_fail_state_with_the_reason(sfn, machine, nonsense, word):
    started = sfn.start_execution(stateMachineArn=STATE_MACHINES[machine], input=nonsense)
    execution = finished(sfn, started["executionArn"])
    assert execution["status"] == "FAILED"
    assert word in execution["cause"], execution
    entered = [
        e["stateEnteredEventDetails"]["name"]
        for e in history(sfn, started["executionArn"])
        if e["type"] == "FailStateEntered"
    ]
    assert entered, "the execution has to end in a Fail state"


def test_step_functions_refuses_invalid_and_unsupported_calls(sfn):
    arn = STATE_MACHINES["create_datalake"]
    assert error_code(sfn.start_execution, stateMachineArn=arn, input="no json") == "InvalidExecutionInput"
    assert error_code(sfn.start_execution, stateMachineArn=arn + "x", input="{}") == "StateMachineDoesNotExist"
    missing = arn.replace("stateMachine", "execution") + ":none"
    assert error_code(sfn.describe_execution, executionArn=missing) == "ExecutionDoesNotExist"
    assert error_code(sfn.create_activity, name="anything")


def test_step_functions_through_the_aws_cli(endpoint: Endpoint, sfn):
    arn = the_run(sfn)["executionArn"]
    assert endpoint.aws_json("stepfunctions", "describe-execution", "--execution-arn", arn)["status"] == "SUCCEEDED"
    events = endpoint.aws_json(
        "stepfunctions", "get-execution-history", "--execution-arn", arn, "--reverse-order", "--max-items", "1"
    )
    assert events["events"][0]["type"] == "ExecutionSucceeded"


# --- EMR --------------------------------------------------------------------------------------------


def test_emr_shows_the_spark_step_of_the_run(endpoint: Endpoint, sfn):
    emr = endpoint.client("emr")
    run = the_run(sfn)["name"]
    [(cluster, step)] = [
        (cluster["Id"], step)
        for cluster in emr.list_clusters()["Clusters"]
        for step in emr.list_steps(ClusterId=cluster["Id"])["Steps"]
        if f"run={run}" in step["Config"]["Args"]
    ]
    assert step["Config"]["Jar"] == "command-runner.jar"
    assert step["Config"]["Args"][0] == "spark-sql"
    described = emr.describe_step(ClusterId=cluster, StepId=step["Id"])["Step"]
    assert described["Status"]["State"] == "COMPLETED"
    timeline = described["Status"]["Timeline"]
    assert timeline["CreationDateTime"] <= timeline["StartDateTime"] <= timeline["EndDateTime"]
    assert emr.describe_cluster(ClusterId=cluster)["Cluster"]["Id"] == cluster

    through_cli = endpoint.aws_json("emr", "describe-step", "--cluster-id", cluster, "--step-id", step["Id"])
    assert through_cli["Step"]["Status"]["State"] == "COMPLETED"
    listed = endpoint.aws_json("emr", "list-steps", "--cluster-id", cluster)
    assert step["Id"] in [item["Id"] for item in listed["Steps"]]

    assert error_code(emr.describe_step, ClusterId=cluster, StepId="s-NONE") == "InvalidRequestException"
    assert error_code(emr.describe_cluster, ClusterId="j-NONE") == "InvalidRequestException"
    assert error_code(emr.list_studios)


# --- Athena -----------------------------------------------------------------------------------------


def start_query(athena, sql: str) -> str:
    return athena.start_query_execution(
        QueryString=sql,
        QueryExecutionContext={"Database": DATABASE},
        ResultConfiguration={"OutputLocation": f"s3://{RESULTS}/athena/"},
    )["QueryExecutionId"]


def ended(athena, query: str) -> dict:
    def poll():
        execution = athena.get_query_execution(QueryExecutionId=query)["QueryExecution"]
        return None if execution["Status"]["State"] in ("QUEUED", "RUNNING") else execution

    return eventually(f"the end of query {query}", poll)


def test_athena_returns_pages(endpoint: Endpoint, published: Published):
    athena = endpoint.client("athena")
    query = start_query(
        athena, "SELECT ticker, count(*) AS n, max(max) AS top FROM quotes GROUP BY ticker ORDER BY ticker"
    )
    execution = ended(athena, query)
    assert execution["Status"]["State"] == "SUCCEEDED", execution["Status"]
    assert execution["Statistics"]["DataScannedInBytes"] > 0

    pages = list(
        athena.get_paginator("get_query_results").paginate(QueryExecutionId=query, PaginationConfig={"PageSize": 5})
    )
    assert len(pages) > 1
    columns = pages[0]["ResultSet"]["ResultSetMetadata"]["ColumnInfo"]
    assert [(column["Name"], column["Type"]) for column in columns] == [
        ("ticker", "varchar"),
        ("n", "bigint"),
        ("top", "double"),
    ]
    rows = [[cell.get("VarCharValue") for cell in row["Data"]] for page in pages for row in page["ResultSet"]["Rows"]]
    assert rows[0] == ["ticker", "n", "top"], "the first row of the first page is the header"
    quotes = published.expected.rows["quotes"]
    for ticker, count, top in rows[1:]:
        of_ticker = [row for row in quotes if row["ticker"] == ticker]
        assert int(count) == len(of_ticker)
        tops = [row["max"] for row in of_ticker if row["max"] is not None]
        assert (float(top) if top else None) == (max(tops) if tops else None)
    assert len(rows) - 1 == len({row["ticker"] for row in quotes})

    bucket, key = execution["ResultConfiguration"]["OutputLocation"].removeprefix("s3://").split("/", 1)
    text = endpoint.client("s3").get_object(Bucket=bucket, Key=key)["Body"].read().decode()
    assert text.splitlines()[0] == '"ticker","n","top"'
    assert len(text.splitlines()) == len(rows)


def test_athena_returns_the_reason_of_a_failed_query(endpoint: Endpoint):
    athena = endpoint.client("athena")
    for sql, word in [("SELECT nothing FROM quotes", "nothing"), ("SELECT * FROM no_such_table", "no_such_table")]:
        execution = ended(athena, start_query(athena, sql))
        assert execution["Status"]["State"] == "FAILED"
        assert word in execution["Status"]["StateChangeReason"]
    assert (
        error_code(athena.get_query_execution, QueryExecutionId="11111111-2222-3333-4444-555555555555")
        == "InvalidRequestException"
    )
    assert error_code(athena.list_notebook_metadata, WorkGroup="primary")


def test_athena_through_the_aws_cli(endpoint: Endpoint, published: Published):
    athena = endpoint.client("athena")
    query = endpoint.aws_json(
        "athena", "start-query-execution", "--query-string", "SELECT count(*) AS n FROM options",
        "--query-execution-context", f"Database={DATABASE}", "--result-configuration", f"OutputLocation=s3://{RESULTS}/athena/",
    )["QueryExecutionId"]  # fmt: skip
    ended(athena, query)
    results = endpoint.aws_json("athena", "get-query-results", "--query-execution-id", query)
    values = [row["Data"][0]["VarCharValue"] for row in results["ResultSet"]["Rows"]]
    assert values == ["n", str(len(published.expected.rows["options"]))]


# --- Athena, one result in every client -------------------------------------------------------------


class Columns(NamedTuple):
    """A result as a client returns it: the names of the columns, and the rows in order."""

    names: list[str]
    rows: list[list]


def through_the_cli(endpoint: Endpoint, sql: str) -> Columns:
    query = endpoint.aws_json(
        "athena", "start-query-execution", "--query-string", sql, "--work-group", "primary",
        "--query-execution-context", f"Database={DATABASE}",
    )["QueryExecutionId"]  # fmt: skip
    execution = ended(endpoint.client("athena"), query)
    assert execution["Status"]["State"] == "SUCCEEDED", execution["Status"]
    answer = endpoint.aws_json("athena", "get-query-results", "--query-execution-id", query)["ResultSet"]
    columns = answer["ResultSetMetadata"]["ColumnInfo"]
    read = {"bigint": int, "integer": int, "double": float, "varchar": str, "boolean": json.loads}
    kinds = [read[column["Type"]] for column in columns]

    def value(kind: Callable, text: str | None) -> object:
        return None if text is None else kind(text)

    header, *rows = [[cell.get("VarCharValue") for cell in row["Data"]] for row in answer["Rows"]]
    assert header == [column["Name"] for column in columns]
    return Columns(header, [list(map(value, kinds, row)) for row in rows])


def connect() -> pyathena.connection.Connection:
    """Connects as a notebook does, with the address from the environment."""
    return pyathena.connect(work_group="primary", schema_name=DATABASE, poll_interval=0.02)


def through_the_plain_cursor(_: Endpoint, sql: str) -> Columns:
    cursor = connect().cursor().execute(sql)
    return Columns([column[0] for column in cursor.description], [list(row) for row in cursor.fetchall()])


def through_the_dict_cursor(_: Endpoint, sql: str) -> Columns:
    cursor = connect().cursor(DictCursor).execute(sql)
    names = [column[0] for column in cursor.description]
    rows = cursor.fetchall()
    assert all(list(row) == names for row in rows)
    return Columns(names, [list(row.values()) for row in rows])


def through_pandas(_: Endpoint, sql: str) -> Columns:
    frame = connect().cursor(PandasCursor).execute(sql, float_precision="round_trip").as_pandas()
    rows = [[None if pandas.isna(value) else value for value in row] for row in frame.to_numpy(object).tolist()]
    return Columns(list(frame.columns), rows)


def through_arrow(_: Endpoint, sql: str) -> Columns:
    table = connect().cursor(ArrowCursor).execute(sql).as_arrow()
    return Columns(table.column_names, [list(row.values()) for row in table.to_pylist()])


def through_the_plain_object(endpoint: Endpoint, sql: str) -> Columns:
    """Uses `pregao query`, which reads the rows from the result object."""
    rows = Lake(endpoint.folder / "home").query(sql)
    return Columns(list(rows[0]), [list(row.values()) for row in rows])


READERS = {
    "aws athena": through_the_cli,
    "PyAthena Cursor": through_the_plain_cursor,
    "PyAthena DictCursor": through_the_dict_cursor,
    "PyAthena PandasCursor": through_pandas,
    "PyAthena ArrowCursor": through_arrow,
    "pregao query": through_the_plain_object,
}
# Two clients read the result object, in which NULL is empty and an empty text is "", and do not distinguish them. The value
# that each returns for both.
SAME_TEXT = {"PyAthena PandasCursor": None, "PyAthena ArrowCursor": ""}


def text_of_reader(reader: str, text: str | None) -> str | None:
    return SAME_TEXT[reader] if reader in SAME_TEXT and not text else text


@pytest.fixture(params=READERS)
def reader(request, endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch) -> str:
    for name, value in {**environment(endpoint.folder), **endpoint.settings}.items():
        monkeypatch.setenv(name, value)
    # The Arrow cursor creates a file system for AWS, and has no setting for its endpoint.
    local = functools.partial(pyarrow.fs.S3FileSystem, endpoint_override=endpoint.url)
    monkeypatch.setattr(pyarrow.fs, "S3FileSystem", local)
    return request.param


def bits(value: object) -> object:
    return ("double", struct.pack(">d", value)) if isinstance(value, float) else (type(value), value)


# Integers of 64 bits with a NULL in the same column, which some clients convert to doubles.
EXACT = [
    ("bigint", [9007199254740993, -9223372036854775808, 9223372036854775807, None]),
    ("integer", [2147483647, -2147483648, 0, None]),
    ("double", [0.1 + 0.2, -0.0, 5e-324, 1.7976931348623157e308]),
    ("double", [14.675582203389831, 2.2250738585072014e-308, 1 / 3, None]),
    ("double", [1e23, 123456789012345680.0, -1e-7, 1e7]),
    ("varchar", ['say "x"', "a,b;c", "two\nlines", " \t blank "]),
    ("varchar", ["ITAÚ UNIBANCO PN", "€ 🙂", "NULL", None]),
]


def literal(type: str, value: object) -> str:
    if value is None:
        return f"CAST(NULL AS {type})"
    # Passed as text, because Athena parses a numeric literal as a decimal. None contains a quote.
    text = str(value) if type in ("bigint", "integer") else f"'{value}'"
    return f"CAST({text} AS {type})"


def test_athena_returns_the_same_values_to_every_client(reader: str, endpoint: Endpoint):
    selects = []
    for place in range(4):
        cells = [f"{literal(type, values[place])} AS c{at}" for at, (type, values) in enumerate(EXACT)]
        selects.append(f"SELECT {place} AS place, {', '.join(cells)}")
    answer = READERS[reader](endpoint, " UNION ALL ".join(selects) + " ORDER BY place")
    assert answer.names == ["place", *(f"c{at}" for at in range(len(EXACT)))]
    for place, row in enumerate(answer.rows):
        wanted = [
            text_of_reader(reader, values[place]) if type == "varchar" else values[place] for type, values in EXACT
        ]
        assert list(map(bits, row)) == list(map(bits, [place, *wanted]))
    assert len(answer.rows) == 4


def test_athena_distinguishes_an_empty_text_from_null(reader: str, endpoint: Endpoint):
    sql = "SELECT 1 AS place, '' AS text UNION ALL SELECT 2, NULL UNION ALL SELECT 3, 'x' ORDER BY place"
    answer = READERS[reader](endpoint, sql)
    wanted = [[1, text_of_reader(reader, "")], [2, text_of_reader(reader, None)], [3, "x"]]
    assert answer == Columns(["place", "text"], wanted)


@pytest.mark.parametrize("table", oracle.TABLES)
def test_athena_returns_the_rows_of_a_day_to_every_client(
    reader: str, table: str, endpoint: Endpoint, published: Published
):
    answer = READERS[reader](endpoint, f"SELECT * FROM {table} WHERE year = 2020 AND month = 4 AND day = 9")
    expected = published.expected.day(table, 2020, 4, 9)
    assert len(expected) > (1000 if table == "options" else 0), "the result has more than one page"
    texts = {column.name for column in oracle.TABLES[table] if column.type == "string"}
    wanted = [
        {name: text_of_reader(reader, value) if name in texts else value for name, value in row.items()}
        for row in expected
    ]
    assert_same_rows(table, [dict(zip(answer.names, row, strict=True)) for row in answer.rows], wanted)


# --- Lambda -----------------------------------------------------------------------------------------


def test_lambda_invokes_a_function_and_reports_its_error(endpoint: Endpoint):
    functions = endpoint.client("lambda")
    done = functions.invoke(FunctionName="validate-partitions", Payload=b'{"stage": "sideways"}')
    assert done["FunctionError"]
    error = json.loads(done["Payload"].read())
    assert error["errorType"] and "sideways" in error["errorMessage"]
    assert error_code(functions.invoke, FunctionName="no-such-function", Payload=b"{}") == "ResourceNotFoundException"
    assert error_code(functions.list_layers)
