"""The deployed function binaries against an independent implementation of AWS: moto's S3, EMR and Athena.

Each runs with the environment of infra/template.yaml. The tests assert the state of moto afterwards: the bytes of objects,
all properties of a cluster, the text of each statement.
"""

from __future__ import annotations

import contextlib
import datetime
import gzip
import io
import json
import os
import random
import re
import ssl
import time
from collections.abc import Iterator
from pathlib import Path

import botocore.exceptions
import pyarrow.parquet
import pytest
import trustme
from moto.athena.models import Execution
from moto.emr.models import Cluster, Step

import oracle
import rawfiles
from cloud import CHECKED_TOGETHER, RUN, STATISTICS, TABLES, Cloud, Written, checked, raw_key, status_change
from lake import KEY, ROOT, assert_same_rows
from lambda_runtime import FunctionError
from moto_server import ACCOUNT, RECORDED, REGION, Call, Moto, table_input
from rawfiles import Form, quote
from sam_template import FUNCTIONS, STACK, resolve

DAYS = {"from": "2020-04-01", "to": "2020-04-02"}
GLOB = "{2020-04-01,2020-04-02}"
OF_RUN = {"run": RUN, **DAYS}


@pytest.fixture(scope="module")
def recorded(request: pytest.FixtureRequest) -> Iterator[list[Call]]:
    """Stores all calls of all functions, for the test of their roles."""
    calls: list[Call] = []
    yield calls
    if is_whole(request):
        request.config.stash[RECORDED] = calls
    if "PREGAO_TEST_CALLS" in os.environ:
        Path(os.environ["PREGAO_TEST_CALLS"]).write_text(json.dumps([call._asdict() for call in calls]))


def is_whole(request: pytest.FixtureRequest) -> bool:
    """Returns whether all tests of this file ran and passed."""
    option = request.config.option
    selects = (
        option.keyword
        or option.markexpr
        or getattr(option, "lf", False)
        or any("::" in argument for argument in request.config.args)
    )
    return not selects and not request.session.testsfailed


@pytest.fixture(scope="module")
def moto() -> Iterator[Moto]:
    server = Moto()
    yield server
    server.close()


@pytest.fixture
def cloud(moto: Moto, recorded: list[Call]) -> Iterator[Cloud]:
    moto.reset()
    cloud = Cloud(moto)
    yield cloud
    cloud.close()
    recorded.extend(call for call in moto.calls if call.caller != KEY)


# --- ingest -----------------------------------------------------------------------------------------


def test_landed_files_are_moved_byte_for_byte(cloud: Cloud, tmp_path: Path):
    rawfiles.write_market(tmp_path, seed=5, days=["20200401", "20200402"], snapshots=2)
    places = cloud.land_folder(tmp_path)
    later = cloud.land("202004031000_options.csv", rawfiles.encode("options", "202004031000", [rawfiles.option()]))

    report = cloud.invoke("ingest", DAYS)
    assert (report["files"], report["accepted"], report["bytes"]) == (8, 8, sum(map(len, places.values())))
    assert not cloud.metrics("ingest", "Quarantined"), "no metric counts a quarantined file"
    assert not cloud.metrics("ingest", "FilesWithAddedColumns")
    accepted = cloud.metrics("ingest", "AcceptedFiles", "AcceptedBytes")
    totals = [sum(line[name] for line in accepted) for name in ("AcceptedFiles", "AcceptedBytes")]
    assert totals == [report["accepted"], report["bytes"]]
    assert report["quarantined"]["count"] == 0 and (report["from"], report["to"]) == ("2020-04-01", "2020-04-02")
    assert cloud.objects() == {**places, later: cloud.objects()[later]}, "and a file of another day stays"

    before = cloud.objects()
    again = cloud.invoke("ingest", DAYS)
    assert (again["files"], again["accepted"]) == (0, 0) and again["missing_snapshots"] == report["missing_snapshots"]
    assert cloud.objects() == before


def test_an_invalid_file_is_quarantined_with_the_reason(cloud: Cloud):
    good = rawfiles.encode("quotes", "202004011000", [quote()])
    bad = {
        "holiday.txt": (b"Tiradentes", "not_a_snapshot_name"),
        "202004011010_flashpanel.csv": (b"", "empty"),
        "202004011020_flashpanel.csv": (rawfiles.encode("options", "202004011020", []), "wrong_header"),
        "202004011030_flashpanel.csv": (gzip.compress(good), "gzip_without_gz"),
        "202004011040_flashpanel.csv.gz": (good, "not_gzip"),
        "202004011050_flashpanel.csv.gz": (gzip.compress(good)[:-9], "broken_gzip"),
        "202004011060_flashpanel.csv": (good, "not_a_snapshot_name"),
        "202004011100_options.csv": (rawfiles.encode("options", "202004011100", []) + b"\x00\x01\n", "not_text"),
        "çã o+%.csv": (b"x", "not_a_snapshot_name"),
    }
    landed = {name: cloud.land(f"a/{name}", data) for name, (data, _) in bad.items()}
    cloud.land("202004011000_flashpanel.csv", good)

    report = cloud.invoke("ingest", {"date": "2020-04-01"})
    assert (report["files"], report["accepted"], report["quarantined"]["count"]) == (10, 1, 9)
    assert cloud.objects("landing/") == {}
    assert cloud.objects("quotes/") == {raw_key("202004011000_flashpanel.csv"): good}
    reasons = cloud.reasons()
    assert set(reasons) == set(bad)
    for name, (data, code) in bad.items():
        assert cloud.objects()[f"quarantine/{name}"] == data, name
        assert (reasons[name]["reason"], reasons[name]["bytes"]) == (code, len(data)), name
        assert reasons[name]["source"] == f"s3://{cloud.raw}/{landed[name]}"
        assert reasons[name]["message"], name

    counted = cloud.metrics("ingest", "Quarantined")
    assert [line["Quarantined"] for line in counted] == [1] * len(bad), "and each is counted once"
    for line in counted:
        directive = {
            "Namespace": "pregao",
            "Dimensions": [["Lake"]],
            "Metrics": [{"Name": "Quarantined", "Unit": "Count"}],
        }
        assert line["Lake"] == cloud.lake and line["_aws"]["CloudWatchMetrics"] == [directive]
        assert abs(line["_aws"]["Timestamp"] / 1000 - time.time()) < 3600, "the timestamp must be the present time"


def test_a_file_with_added_columns_is_accepted_and_counted(cloud: Cloud):
    added = ["Vwap", "Preço"]
    drifted = rawfiles.encode("quotes", "202004011000", [[*quote(), "1", "2"]], added=added)
    cloud.land("202004011000_flashpanel.csv", drifted)
    cloud.land("202004011010_flashpanel.csv", rawfiles.encode("quotes", "202004011010", [quote()]))
    report = cloud.invoke("ingest", {"date": "2020-04-01"})
    named = {"name": "202004011000_flashpanel.csv", "columns": {"count": 2, "first": added}}
    assert report["added_columns"] == {"count": 1, "first": [named]} and report["accepted"] == 2
    assert cloud.objects("quotes/")[raw_key("202004011000_flashpanel.csv")] == drifted
    assert [line["FilesWithAddedColumns"] for line in cloud.metrics("ingest", "FilesWithAddedColumns")] == [1]
    (warned,) = (line for line in cloud.logged("ingest") if line.get("level") == "WARN")
    assert "Vwap" in json.dumps(warned) and warned["spans"][-1]["name"] == "file"


def test_files_in_landing_are_counted_by_age(cloud: Cloud):
    nothing = {"objects": 0, "late": {"count": 0, "first": []}, "oldest_seconds": 0}
    assert cloud.invoke("validate-partitions", {"stage": "landing"}) == nothing
    for number in range(30):
        key = cloud.land(f"april/{number:02}.csv", b"x")
        cloud.moto.age(cloud.raw, key, datetime.timedelta(minutes=2 * number + 10))
    cloud.land("april/", b"")
    cloud.moto.age(cloud.raw, "landing/april/", datetime.timedelta(days=9))

    waiting = cloud.invoke("validate-partitions", {"stage": "landing"})
    assert waiting["objects"] == 30 and 68 * 60 <= waiting["oldest_seconds"] < 69 * 60 + 30
    late = [f"landing/april/{number:02}.csv" for number in range(30) if 2 * number + 10 >= 60]
    assert waiting["late"] == {"count": len(late), "first": late}
    empty, metrics = cloud.metrics("validate-partitions", "LandingObjects")
    assert (empty["LandingObjects"], empty["LandingOldestSeconds"]) == (0, 0), "an alarm ends when nothing waits"
    assert (metrics["LandingObjects"], metrics["LandingOldestSeconds"]) == (len(late), waiting["oldest_seconds"])
    units = {metric["Name"]: metric["Unit"] for metric in metrics["_aws"]["CloudWatchMetrics"][0]["Metrics"]}
    assert units == {"LandingObjects": "Count", "LandingOldestSeconds": "Seconds"} and metrics["Lake"] == cloud.lake
    (warned,) = (line for line in cloud.logged("validate-partitions") if line.get("level") == "WARN")
    assert late[0] in json.dumps(warned) and "start upload_raw_data" in json.dumps(warned)


def test_an_s3_event_ingests_one_object(cloud: Cloud):
    data = rawfiles.encode("quotes", "202004011000", [quote()])
    key = cloud.land("202004011000_flashpanel.csv", data)
    other = cloud.land("202004011010_flashpanel.csv", data)

    report = cloud.invoke("ingest", created(cloud.raw, key))
    assert (report["files"], report["accepted"], report["from"]) == (1, 1, "2020-04-01")
    assert set(cloud.objects()) == {raw_key("202004011000_flashpanel.csv"), other}
    assert cloud.invoke("ingest", created(cloud.raw, key))["files"] == 0, "the object is no longer in landing"

    invalid = cloud.invoke("ingest", created(cloud.raw, cloud.land("readme.md", b"# hello")))
    assert invalid["quarantined"]["count"] == 1 and "from" not in invalid
    assert cloud.fails("ingest", created("another-bucket", key)).error_type == "InvalidInput"


def test_the_days_of_an_upload_are_processed_as_configured(cloud: Cloud):
    """All of them, unless they are many: those are history."""
    keys = [cloud.land(f"2020{month:02}011000_flashpanel.csv", b"x") for month in range(1, 12)]
    batch = [{"bucket": cloud.raw, "key": key} for key in [*keys[:10], cloud.land("readme.md", b"x")]]
    days = [f"2020-{month:02}-01" for month in range(1, 11)]
    for schedule, engine, processed in [
        ({}, "emr", []),
        ({}, "auto", days),
        ({"on_upload": "always"}, "emr", days),
        ({"on_upload": "never"}, "lambda", []),
    ]:
        config = {"schedule": schedule, "transform": {"engine": engine}}
        # Also by an invocation that is repeated and finds nothing to move.
        assert cloud.invoke("ingest", batch, config)["process"] == processed, config
    more = [*batch, {"bucket": cloud.raw, "key": keys[10]}]
    assert cloud.invoke("ingest", more, config := {"schedule": {"on_upload": "always"}})["process"] == []
    # Of a range, the days that have raw files.
    cloud.land("202004011010_flashpanel.csv", rawfiles.encode("quotes", "202004011010", [quote()]))
    assert cloud.invoke("ingest", {"from": "2020-03-30", "to": "2020-04-03"}, config)["process"] == ["2020-04-01"]


def test_a_batch_of_objects_is_ingested_at_once(cloud: Cloud):
    names = [f"2020040{day}1000_flashpanel.csv" for day in (1, 2, 6)]
    data = {name: rawfiles.encode("quotes", name[:12], [quote()]) for name in names}
    landed = [cloud.land(name, body) for name, body in data.items()]
    invalid, elsewhere = cloud.land("readme.md", b"# hello"), cloud.land("202004071000_flashpanel.csv", b"x")
    keys = [*landed, invalid, landed[0], "landing/202004081000_flashpanel.csv"]

    report = cloud.invoke("ingest", [{"bucket": cloud.raw, "key": key} for key in keys])
    assert (report["files"], report["accepted"], report["quarantined"]["count"]) == (4, 3, 1)
    # From the first to the last day of the batch, of objects that are gone too.
    assert (report["from"], report["to"]) == ("2020-04-01", "2020-04-08")
    assert cloud.objects("quotes/") == {raw_key(name): body for name, body in data.items()}
    assert set(cloud.objects("landing/")) == {elsewhere}
    # The next state lists the raw files, once for the batch.
    assert "gaps" not in report and "missing_snapshots" not in report

    batch = [{"bucket": cloud.raw, "key": elsewhere}, {"bucket": "another-bucket", "key": elsewhere}]
    assert cloud.fails("ingest", batch).error_type == "InvalidInput"
    assert set(cloud.objects("landing/")) == {elsewhere}, "nothing was moved"


def created(bucket: str, key: str) -> dict:
    detail = {"bucket": {"name": bucket}, "object": {"key": key}}
    return {"source": "aws.s3", "detail-type": "Object Created", "detail": detail}


def test_a_newer_file_replaces_the_older_one_which_is_quarantined(cloud: Cloud):
    name, form = "202004011000_flashpanel.csv", Form(compressed=True)
    first, second = (rawfiles.encode("quotes", "202004011000", [quote(ticker)]) for ticker in ("PETR4", "VALE3"))
    packed = rawfiles.encode("quotes", "202004011000", [quote("ITUB4")], form)
    for data in (first, first, second):
        cloud.land(name, data)
        report = cloud.invoke("ingest", {"date": "2020-04-01"})
    assert (report["accepted"], report["superseded"]) == (1, 1)
    assert cloud.objects("quotes/") == {raw_key(name): second}

    cloud.land(name + ".gz", packed)
    assert cloud.invoke("ingest", {"date": "2020-04-01"})["superseded"] == 1
    assert cloud.objects("quotes/") == {raw_key(name) + ".gz": packed}, "a snapshot has one file, plain or compressed"
    kept = {key: data for key, data in cloud.objects("quarantine/").items() if not key.endswith(".json")}
    assert sorted(kept.values()) == sorted([first, second])
    assert {reason["reason"] for reason in cloud.reasons().values()} == {"superseded"}


@pytest.mark.parametrize("feed", ["quotes", "options"])
def test_the_tags_of_a_file_are_copied(cloud: Cloud, feed: str):
    name, first, second = (
        rawfiles.file_name(feed, "202004011000"),
        rawfiles.encode(feed, "202004011000", []),
        rawfiles.encode(feed, "202004011000", [], Form(newline="\r\n")),
    )
    for data, tag in [(first, "first"), (second, "second")]:
        cloud.s3.put_object(Bucket=cloud.raw, Key=f"landing/{name}", Body=data, Tagging=f"source={tag}")
        cloud.invoke("ingest", {"date": "2020-04-01"})
    (kept,) = (key for key in cloud.objects("quarantine/") if not key.endswith(".json"))
    for key, tag in [(raw_key(name), "second"), (kept, "first")]:
        tags = cloud.s3.get_object_tagging(Bucket=cloud.raw, Key=key)["TagSet"]
        assert tags == [{"Key": "source", "Value": tag}], key

    packed = rawfiles.encode(feed, "202004011000", [], Form(compressed=True))
    cloud.land(f"{name}.gz", packed)
    cloud.invoke("ingest", {"date": "2020-04-01"})
    assert cloud.objects(f"{feed}/") == {raw_key(name) + ".gz": packed}


def test_files_of_one_name_do_not_overwrite_each_other_in_quarantine(cloud: Cloud):
    for data in (b"one", b"two", b"one"):
        cloud.land("holiday.txt", data)
        cloud.invoke("ingest", {"date": "2020-04-01"})
    kept = {key: data for key, data in cloud.objects("quarantine/").items() if not key.endswith(".json")}
    assert sorted(kept.values()) == [b"one", b"two"] and kept["quarantine/holiday.txt"] == b"one"
    assert len(cloud.reasons()) == 2


def test_copies_have_their_conditions_evaluated(cloud: Cloud):
    """moto ignores the conditions; the application in front of it evaluates them."""
    for key in ("a", "b"):
        cloud.s3.put_object(Bucket=cloud.raw, Key=key, Body=key.encode())
    tag = {key: cloud.s3.head_object(Bucket=cloud.raw, Key=key)["ETag"] for key in ("a", "b")}

    def copy(**conditions: str) -> int:
        try:
            response = cloud.s3.copy_object(Bucket=cloud.raw, Key="b", CopySource=f"{cloud.raw}/a", **conditions)
        except botocore.exceptions.ClientError as error:
            response = error.response
        return response["ResponseMetadata"]["HTTPStatusCode"]

    assert copy(IfNoneMatch="*") == copy(IfMatch=tag["a"]) == copy(CopySourceIfMatch=tag["b"]) == 412
    assert cloud.objects() == {"a": b"a", "b": b"b"}
    assert copy(IfMatch=tag["b"], CopySourceIfMatch=tag["a"]) == 200 and cloud.objects()["b"] == b"a"


def test_only_the_version_that_was_read_is_deleted_or_replaced(cloud: Cloud):
    cloud.land("202004011000_flashpanel.csv", rawfiles.encode("quotes", "202004011000", [quote()]))
    cloud.invoke("ingest", {"date": "2020-04-01"})
    deletions, copies = cloud.moto.made("DeleteObject"), cloud.moto.made("CopyObject")
    assert deletions and all(call.parameters.get("if-match") for call in deletions)
    assert copies and all(call.parameters.get("x-amz-copy-source-if-match") for call in copies)
    assert all(call.parameters.keys() & {"if-match", "if-none-match"} for call in copies)


@pytest.mark.parametrize(
    "event",
    [{"day": "2020-04-01"}, {"date": "yesterday"}, {"from": "2020-04-02", "to": "2020-04-01"}, [], "2020-04-01",
     {"source": "aws.s3", "detail-type": "Object Deleted", "detail": {}}],
)  # fmt: skip
def test_an_invalid_event_is_refused(cloud: Cloud, event: object):
    error = cloud.fails("ingest", event)
    assert error.error_type == "InvalidInput" and '{"date": "2020-04-01"}' in error.message
    assert not [call for call in cloud.moto.calls if call.caller == "ingest"], "no service was called"


def test_errors_of_s3_keep_their_names(cloud: Cloud):
    for status, code, expected in [
        (403, "AccessDenied", "AccessDenied"),
        (503, "SlowDown", "ServiceUnavailable"),
        (500, "InternalError", "ServiceUnavailable"),
    ]:
        with cloud.moto.failing("ListObjectsV2", status, code):
            for function, event in [("ingest", DAYS), ("validate-partitions", {"stage": "raw", **DAYS})]:
                error = cloud.fails(function, event)
                assert error.error_type == expected and f"s3://{cloud.raw}/" in error.message
    for function, event in [("ingest", DAYS), ("validate-partitions", {"stage": "raw", **DAYS})]:
        cloud.invoke(function, event)

    cloud.s3.delete_object(Bucket=cloud.lake, Key="published/_migrated.json")
    for bucket in cloud.resources["buckets"].values():
        cloud.s3.delete_bucket(Bucket=bucket)
    for function, event in [
        ("ingest", DAYS),
        ("validate-partitions", {"stage": "raw", **DAYS}),
        ("validate-partitions", {"stage": "published", "table": "quotes", **OF_RUN}),
        ("launch-emr-step", OF_RUN),
        ("create-athena-table", {"record": True, "run": RUN}),
    ]:
        assert cloud.fails(function, event).error_type == "NoSuchBucket", function


# --- launch-emr-step --------------------------------------------------------------------------------

EMR = {
    "release": "emr-7.13.0",
    "instance_types": ["r5.2xlarge", "r6i.2xlarge"],
    "core_instances": 7,
    "spot": True,
    "subnet_ids": ["subnet-1a", "subnet-1b"],
    "idle_minutes": 20,
}


def job(cloud: Cloud) -> str:
    """Returns the URI of the only Spark job."""
    (key,) = (key for key in cloud.moto.objects(cloud.results) if key.startswith("jobs/"))
    return f"s3://{cloud.results}/{key}"


def arguments(cloud: Cloud, run: str = RUN) -> list[str]:
    variables = {**DAYS, "days": GLOB, "run": run, "raw": f"s3://{cloud.raw}", "lake": f"s3://{cloud.lake}"}
    settings = [
        "spark.sql.catalogImplementation=in-memory",
        # Otherwise the job aborts the uploads of others to the same folder when it ends.
        "spark.hadoop.fs.s3a.committer.abort.pending.uploads=false",
    ]
    command = ["spark-sql", *(part for setting in settings for part in ("--conf", setting)), "-f", job(cloud)]
    return command + [part for name, value in variables.items() for part in ("-d", f"{name}={value}")]


def test_a_run_gets_a_cluster_with_everything_that_was_configured(cloud: Cloud):
    launched = cloud.invoke("launch-emr-step", OF_RUN, {"emr": EMR})
    (cluster,) = cloud.clusters()
    (step,) = cluster.steps
    assert (launched["cluster_id"], launched["step_id"]) == (cluster.id, step.id)
    assert next_poll(launched) < time.time() + 1, "the first poll is soon"

    assert (cluster.name, cluster.release_label) == (f"pregao-{RUN}", "emr-7.13.0")
    assert [application.name for application in cluster.applications] == ["Spark"]
    assert cluster.log_uri == f"s3://{cloud.results}/logs/"
    assert cluster.service_role == cloud.resources["emr"]["service_role"]
    assert cluster.role == cloud.resources["emr"]["instance_profile"]
    assert not cluster.keep_job_flow_alive_when_no_steps and not cluster.termination_protected
    tags = {tag["Key"]: tag["Value"] for tag in cluster.tags}
    of_emr = {"for-use-with-amazon-emr-managed-policies": "true"}
    of_cost = {"project": "pregao", "stack": STACK}
    assert tags == {"pregao:run": RUN, "pregao:lake": cloud.lake, **of_emr, **of_cost}

    assert (step.name, step.action_on_failure) == (f"pregao-{RUN}", "TERMINATE_CLUSTER")
    assert step.jar == "command-runner.jar" and step.args == arguments(cloud)

    # moto received these settings of a cluster but does not store them.
    (call,) = cloud.moto.made("RunJobFlow")
    parameters = call.parameters
    assert parameters["AutoTerminationPolicy"] == {"IdleTimeout": 20 * 60}
    assert parameters["Instances"]["Ec2SubnetIds"] == ["subnet-1a", "subnet-1b"]
    fleets = {fleet["InstanceFleetType"]: fleet for fleet in parameters["Instances"]["InstanceFleets"]}
    assert set(fleets) == {"MASTER", "CORE"}
    for fleet in fleets.values():
        types = {one["InstanceType"]: one["WeightedCapacity"] for one in fleet["InstanceTypeConfigs"]}
        assert types == {"r5.2xlarge": 1, "r6i.2xlarge": 1}
    assert fleets["MASTER"]["TargetOnDemandCapacity"] == 1 and "TargetSpotCapacity" not in fleets["MASTER"]
    assert fleets["CORE"]["TargetSpotCapacity"] == 7 and "TargetOnDemandCapacity" not in fleets["CORE"]
    spot = fleets["CORE"]["LaunchSpecifications"]["SpotSpecification"]
    assert spot["TimeoutAction"] == "SWITCH_TO_ON_DEMAND" and 5 <= spot["TimeoutDurationMinutes"] <= 1440


def test_the_job_is_the_reviewed_one(cloud: Cloud):
    cloud.invoke("launch-emr-step", OF_RUN)
    key = job(cloud)[len(f"s3://{cloud.results}/") :]
    sql = (ROOT / "crates" / "market" / "spark" / "etl.sql").read_bytes()
    assert cloud.moto.objects(cloud.results) == {key: sql}
    assert f"{key}".startswith("jobs/etl-") and key.endswith(".sql")


def step_of(launched: dict) -> dict:
    """Returns the result of a launch without the time of the next poll, which differs each time."""
    return {name: launched[name] for name in ("cluster_id", "step_id")}


def test_a_run_that_is_launched_again_starts_one_cluster(cloud: Cloud):
    first = step_of(cloud.invoke("launch-emr-step", OF_RUN))
    for state in ("RUNNING", "TERMINATED"):
        cloud.clusters()[0].state = state
        assert step_of(cloud.invoke("launch-emr-step", OF_RUN)) == first
    assert len(cloud.clusters()) == 1 and len(cloud.clusters()[0].steps) == 1

    other = cloud.invoke("launch-emr-step", {**OF_RUN, "run": "nightly-77"})
    assert other["cluster_id"] != first["cluster_id"] and len(cloud.clusters()) == 2
    assert len(cloud.moto.objects(cloud.results)) == 1, "there is one copy of the job"


def test_a_run_of_the_same_name_in_another_lake_has_a_cluster_of_its_own(cloud: Cloud):
    others = [cloud.start_cluster(f"pregao-{RUN}", pregao_lake="another-lake"), cloud.start_cluster(f"pregao-{RUN}")]
    own = step_of(cloud.invoke("launch-emr-step", OF_RUN))
    assert own["cluster_id"] not in others and len(cloud.clusters()) == 3
    assert step_of(cloud.invoke("launch-emr-step", OF_RUN)) == own and len(cloud.clusters()) == 3


def test_a_configured_cluster_takes_the_steps_of_runs(cloud: Cloud):
    config = {"emr": {"cluster_id": cloud.start_cluster(pregao_lake=cloud.lake)}}
    first = step_of(cloud.invoke("launch-emr-step", OF_RUN, config))
    assert step_of(cloud.invoke("launch-emr-step", OF_RUN, config)) == first
    other = cloud.invoke("launch-emr-step", {**OF_RUN, "run": "nightly-8"}, config)
    (cluster,) = cloud.clusters()
    steps = {step.name: step for step in cluster.steps}
    assert {name: step.id for name, step in steps.items()} == {
        "pregao-nightly-7": first["step_id"],
        "pregao-nightly-8": other["step_id"],
    }
    for run in ("nightly-7", "nightly-8"):
        step = steps[f"pregao-{run}"]
        assert (step.jar, step.args, step.action_on_failure) == (
            "command-runner.jar",
            arguments(cloud, run),
            "CONTINUE",
        )


def test_a_failed_step_is_restarted_only_by_a_redrive(cloud: Cloud):
    first = cloud.invoke("launch-emr-step", OF_RUN)
    failed = {**OF_RUN, "failed": {**first, "state": "FAILED", "reason": "the Spark step is FAILED: no memory"}}
    error = cloud.fails("launch-emr-step", {**failed, "execution": {"RedriveCount": 0}})
    assert error.payload == {"errorType": "EmrError", "errorMessage": "the Spark step is FAILED: no memory"}
    assert len(cloud.clusters()) == 1

    redriven = {**failed, "execution": {"RedriveCount": 1}}
    second = step_of(cloud.invoke("launch-emr-step", redriven))
    assert second["step_id"] != first["step_id"] and len(cloud.clusters()) == 2
    assert step_of(cloud.invoke("launch-emr-step", redriven)) == second and len(cloud.clusters()) == 2


def test_errors_of_emr_keep_their_names(cloud: Cloud):
    for status, code, expected in [
        (400, "ValidationException", "ValidationException"),
        (400, "ThrottlingException", "ServiceUnavailable"),
        (500, "InternalServerException", "ServiceUnavailable"),
    ]:
        with cloud.moto.failing("RunJobFlow", status, code, "InstanceProfile is required"):
            error = cloud.fails("launch-emr-step", OF_RUN)
            assert error.error_type == expected and "InstanceProfile is required" in error.message
    assert cloud.clusters() == []
    for event in ({}, {"run": "a/b", **DAYS}, {**OF_RUN, "from": "2020-04-03"}):
        assert cloud.fails("launch-emr-step", event).error_type == "InvalidInput"


# --- poll-step --------------------------------------------------------------------------------------


def launched(cloud: Cloud) -> tuple[Cluster, Step, dict]:
    """Launches a step. Returns its cluster, the step, and the event that names them."""
    event = cloud.invoke("launch-emr-step", OF_RUN)
    (cluster,) = cloud.clusters()
    return cluster, cluster.steps[0], {name: event[name] for name in ("cluster_id", "step_id")}


@pytest.mark.parametrize("state", ["PENDING", "RUNNING", "CANCEL_PENDING", "COMPLETED"])
def test_the_state_of_a_step_is_returned(cloud: Cloud, state: str):
    cluster, step, event = launched(cloud)
    step.state = state
    polled = cloud.invoke("poll-step", event)
    assert (polled["state"], polled["reason"]) == (state, "")
    assert polled["log"] == f"s3://{cloud.results}/logs/{cluster.id}/steps/{step.id}/"
    assert {name: polled[name] for name in event} == event


def test_the_end_of_a_step_is_measured(cloud: Cloud):
    _, step, event = launched(cloud)
    step.state = "RUNNING"
    cloud.invoke("poll-step", event)
    assert not cloud.metrics("poll-step", "StepSeconds")
    step.state = "COMPLETED"
    step.end_date_time = step.creation_date_time + datetime.timedelta(hours=1)
    cloud.invoke("poll-step", event)
    (line,) = cloud.metrics("poll-step", "StepSeconds")
    assert line["StepSeconds"] == 3600
    # A primary node On-Demand and two core nodes of Spot, of the dearest of the default types, for an hour.
    assert 0.3 < line["Cost"] < 1


def next_poll(result: dict) -> float:
    """Returns the time of the next poll in a result, in seconds since 1970."""
    return datetime.datetime.strptime(result["look_at"], "%Y-%m-%dT%H:%M:%S.%f%z").timestamp()


@pytest.mark.parametrize("began", [False, True])
def test_the_poll_interval_grows(cloud: Cloud, began: bool):
    _, step, event = launched(cloud)
    # A running step may end soon; a step that waits for its machines does not.
    shortest, longest = 0.05 if began else 1, 45

    def pause(passed: float) -> float:
        return min(max(passed / 8, shortest), longest)

    for minutes in (0, 1, 5, 60):
        since = datetime.datetime.now(datetime.timezone.utc) - datetime.timedelta(minutes=minutes)
        if began:
            step.state, step.start_date_time = "RUNNING", since
        else:
            step.state, step.start_date_time, step.creation_date_time = "PENDING", None, since
        before = time.time()
        moment = next_poll(cloud.invoke("poll-step", event, {"emr": {"poll_seconds": longest}}))
        after = time.time()
        # The poll was between the two times, which EMR and the result have in milliseconds.
        earliest, latest = before + pause(before - since.timestamp()), after + pause(after - since.timestamp())
        assert earliest - 0.002 <= moment <= latest + 0.002, f"{minutes} minutes: {earliest} to {latest}"


@pytest.mark.parametrize("state", ["FAILED", "CANCELLED", "INTERRUPTED"])
def test_a_failed_step_has_a_reason(cloud: Cloud, state: str, monkeypatch: pytest.MonkeyPatch):
    _, step, event = launched(cloud)
    step.state = state
    step.last_state_change_reason = "Shut down by the user"
    polled = cloud.invoke("poll-step", event)
    assert polled["state"] == state
    assert polled["reason"] == f"the Spark step is {state}: Shut down by the user. Its log: {polled['log']}"

    # moto cannot store the failure details that EMR reads from the log of a step.
    failure = {"Reason": "Unknown Error.", "Message": "Path does not exist", "LogFile": "s3://logs/stderr.gz"}
    status = Step.status.fget(step)
    monkeypatch.setattr(Step, "status", property(lambda self: {**status, "FailureDetails": failure}))
    polled = cloud.invoke("poll-step", event)
    assert "Unknown Error." in polled["reason"] and "Path does not exist" in polled["reason"]
    assert polled["log"] == "s3://logs/stderr.gz" and polled["reason"].endswith("Its log: s3://logs/stderr.gz")


@pytest.mark.parametrize(
    "code, message, advice",
    [
        ("INSTANCE_FAILURE", "Spot instances were lost in the fleet core", "set emr.spot = false"),
        ("VALIDATION_ERROR", "The release emr-9.9.9 is not supported", "the emr section of the configuration"),
        ("INSTANCE_FLEET_TIMEOUT", "Provisioning timed out", "name more emr.instance_types"),
        ("USER_REQUEST", "Terminated by user request", "somebody ended it"),
    ],
)
def test_a_step_on_a_terminated_cluster_has_failed_with_the_reason(
    cloud: Cloud, monkeypatch: pytest.MonkeyPatch, code: str, message: str, advice: str
):
    cluster, step, event = launched(cloud)
    step.state, cluster.state, cluster.last_state_change_reason = "PENDING", "TERMINATED_WITH_ERRORS", message
    # moto returns the reason without its code.
    status = Cluster.status.fget(cluster)
    reason = {"StateChangeReason": {"Code": code, "Message": message}}
    monkeypatch.setattr(Cluster, "status", property(lambda self: {**status, **reason}))
    polled = cloud.invoke("poll-step", event)
    assert polled["state"] == "FAILED"
    for words in ("PENDING", "TERMINATED_WITH_ERRORS", message, advice, polled["log"]):
        assert words in polled["reason"], polled["reason"]


def test_an_unknown_step_is_an_error(cloud: Cloud):
    cluster, step, event = launched(cloud)
    error = cloud.fails("poll-step", {**event, "step_id": "s-UNKNOWN"})
    assert error.error_type == "EmrError" and "s-UNKNOWN" in error.message and cluster.id in error.message
    for event in ({}, {"cluster_id": cluster.id}, {"cluster_id": 1, "step_id": step.id}):
        assert cloud.fails("poll-step", event).error_type == "InvalidInput"
    with cloud.moto.failing("DescribeStep", 400, "InvalidRequestException", "Cluster id 'j-X' is not valid."):
        error = cloud.fails("poll-step", {"cluster_id": "j-X", "step_id": "s-X"})
        assert error.error_type == "InvalidRequestException" and "Cluster id 'j-X' is not valid." in error.message


# --- stop-emr-step ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "event", [*(status_change(RUN, status) for status in ("FAILED", "TIMED_OUT", "ABORTED")), {"run": RUN}]
)
def test_the_cluster_of_a_run_that_ended_is_terminated(cloud: Cloud, event: dict):
    own = cloud.invoke("launch-emr-step", OF_RUN)["cluster_id"]
    other = cloud.invoke("launch-emr-step", {**OF_RUN, "run": f"{RUN}7"})["cluster_id"]
    stopped = cloud.invoke("stop-emr-step", event)
    assert (stopped["run"], stopped["clusters"], stopped["steps"]) == (RUN, [own], [])
    states = {cluster.id: cluster.state for cluster in cloud.clusters()}
    assert states == {own: "TERMINATED", other: "WAITING"}
    again = cloud.invoke("stop-emr-step", event)
    assert (again["clusters"], again["steps"]) == ([], []), "the second time finds nothing"
    assert len(cloud.moto.made("TerminateJobFlows")) == 1


def test_the_cluster_of_a_run_of_the_same_name_in_another_lake_continues(cloud: Cloud):
    others = [cloud.start_cluster(f"pregao-{RUN}", pregao_lake="another-lake"), cloud.start_cluster(f"pregao-{RUN}")]
    own = cloud.invoke("launch-emr-step", OF_RUN)["cluster_id"]
    assert cloud.invoke("stop-emr-step", {"run": RUN})["clusters"] == [own]
    states = {cluster.id: cluster.state for cluster in cloud.clusters()}
    assert states[own] == "TERMINATED" and "TERMINATED" not in [states[other] for other in others]


def test_redriven_runs_leave_no_cluster_either(cloud: Cloud):
    first = cloud.invoke("launch-emr-step", OF_RUN)
    failed = {**OF_RUN, "failed": {**first, "reason": "lost"}, "execution": {"RedriveCount": 1}}
    second = cloud.invoke("launch-emr-step", failed)
    stopped = cloud.invoke("stop-emr-step", {"run": RUN})
    assert set(stopped["clusters"]) == {first["cluster_id"], second["cluster_id"]}
    assert {cluster.state for cluster in cloud.clusters()} == {"TERMINATED"}


def test_on_a_configured_cluster_only_the_step_of_the_run_is_cancelled(cloud: Cloud):
    cluster_id = cloud.start_cluster(pregao_lake=cloud.lake)
    config = {"emr": {"cluster_id": cluster_id}}
    own = cloud.invoke("launch-emr-step", OF_RUN, config)["step_id"]
    cloud.invoke("launch-emr-step", {**OF_RUN, "run": "nightly-8"}, config)
    stopped = cloud.invoke("stop-emr-step", status_change(RUN, "ABORTED"), config)
    assert (stopped["clusters"], stopped["steps"]) == ([], [own])
    (cluster,) = cloud.clusters()
    assert cluster.state == "RUNNING", "the cluster continues for others"
    states = {step.name: step.state for step in cluster.steps}
    assert states.pop(f"pregao-{RUN}") == "CANCELLED" and set(states.values()) <= {"PENDING", "RUNNING"}
    assert cloud.invoke("stop-emr-step", {"run": RUN}, config)["steps"] == []
    assert len(cloud.moto.made("CancelSteps")) == 1


def test_a_late_event_stops_nothing_of_an_execution_that_was_redriven(cloud: Cloud):
    own = cloud.invoke("launch-emr-step", OF_RUN)["cluster_id"]
    event = status_change(RUN, "FAILED")
    states = cloud.moto.client("stepfunctions")
    # moto has no redrive. A redriven execution is in the state RUNNING, as this one.
    definition = json.dumps({"StartAt": "Wait", "States": {"Wait": {"Type": "Wait", "Seconds": 60, "End": True}}})
    states.create_state_machine(name=MACHINE_NAME, definition=definition, roleArn=f"arn:aws:iam::{ACCOUNT}:role/any")
    execution = states.start_execution(stateMachineArn=MACHINE, name=RUN)["executionArn"]
    assert execution == event["detail"]["executionArn"]
    assert cloud.invoke("stop-emr-step", event) == {"run": RUN, "clusters": [], "steps": [], "job_runs": []}
    states.stop_execution(executionArn=execution)
    assert cloud.invoke("stop-emr-step", event)["clusters"] == [own]
    with cloud.moto.failing("DescribeExecution", 403, "AccessDeniedException"):
        assert cloud.fails("stop-emr-step", event).error_type == "AccessDeniedException"


def test_an_event_without_a_run_stops_nothing(cloud: Cloud):
    cloud.invoke("launch-emr-step", OF_RUN)
    for event in ({}, {"run": "a/b"}, {"detail": {}}, {"detail": {"name": "*"}}, {"detail": {"name": RUN}}):
        assert cloud.fails("stop-emr-step", event).error_type == "InvalidInput"
    with cloud.moto.failing("TerminateJobFlows", 403, "AccessDeniedException"):
        assert cloud.fails("stop-emr-step", {"run": RUN}).error_type == "AccessDeniedException"
    assert cloud.clusters()[0].state == "WAITING"


# --- the same three functions on EMR Serverless -----------------------------------------------------

SERVERLESS = {"emr": {"kind": "serverless", "core_instances": 3}}


def test_a_run_gets_a_job_run_with_everything_that_was_configured(cloud: Cloud):
    launched = cloud.invoke("launch-emr-step", OF_RUN, SERVERLESS)
    (job_run,) = cloud.job_runs()
    assert (launched["cluster_id"], launched["step_id"]) == (job_run.application_id, job_run.id)
    assert next_poll(launched) < time.time() + 1, "the first poll is soon"
    assert job_run.name == f"pregao-{RUN}" and job_run.execution_timeout_minutes == 720
    assert job_run.execution_role_arn == cloud.resources["emr"]["job_role"]
    assert job_run.tags == {"project": "pregao", "stack": STACK}
    logs = job_run.configuration_overrides["monitoringConfiguration"]["s3MonitoringConfiguration"]
    assert logs == {"logUri": f"s3://{cloud.results}/logs/"}
    submit = job_run.job_driver["sparkSubmit"]
    jobs = {key: text for key, text in cloud.moto.objects(cloud.results).items() if key.startswith("jobs/")}
    files = {f"s3://{cloud.results}/{key}": text for key, text in jobs.items()}
    spark = ROOT / "crates" / "market" / "spark"
    assert files.pop(submit["entryPoint"]) == (spark / "run_sql.py").read_bytes()
    (sql,) = files
    assert files[sql] == (spark / "etl.sql").read_bytes()
    variables = {**DAYS, "days": GLOB, "run": RUN, "raw": f"s3://{cloud.raw}", "lake": f"s3://{cloud.lake}"}
    assert submit["entryPointArguments"] == [sql, *(f"{name}={value}" for name, value in variables.items())]
    settings = submit["sparkSubmitParameters"]
    for setting in (
        "spark.sql.catalogImplementation=in-memory",
        "spark.hadoop.fs.s3a.committer.abort.pending.uploads=false",
        "spark.dynamicAllocation.maxExecutors=3",
    ):
        assert f"--conf {setting}" in settings
    assert not cloud.clusters()


def test_a_run_that_is_launched_again_starts_one_job_run(cloud: Cloud):
    first = step_of(cloud.invoke("launch-emr-step", OF_RUN, SERVERLESS))
    for state in ("RUNNING", "SUCCESS", "FAILED"):
        cloud.job_runs()[0].state = state
        assert step_of(cloud.invoke("launch-emr-step", OF_RUN, SERVERLESS)) == first
    other = cloud.invoke("launch-emr-step", {**OF_RUN, "run": "nightly-77"}, SERVERLESS)
    assert other["step_id"] != first["step_id"] and len(cloud.job_runs()) == 2
    tokens = [call.parameters["clientToken"] for call in cloud.moto.made("StartJobRun")]
    assert len(set(tokens)) == 2 and all(len(token) == 64 for token in tokens), (
        "a retry has the token of the first call"
    )


def test_a_failed_job_run_is_restarted_only_by_a_redrive(cloud: Cloud):
    first = cloud.invoke("launch-emr-step", OF_RUN, SERVERLESS)
    failed = {**OF_RUN, "failed": {**first, "reason": "the Spark job is FAILED: lost"}}
    error = cloud.fails("launch-emr-step", {**failed, "execution": {"RedriveCount": 0}}, SERVERLESS)
    assert (error.error_type, error.message) == ("EmrError", "the Spark job is FAILED: lost")
    redriven = {**failed, "execution": {"RedriveCount": 1}}
    second = step_of(cloud.invoke("launch-emr-step", redriven, SERVERLESS))
    assert second["step_id"] != first["step_id"]
    assert step_of(cloud.invoke("launch-emr-step", redriven, SERVERLESS)) == second and len(cloud.job_runs()) == 2


@pytest.mark.parametrize(
    ("state", "expected"),
    [
        ("SUBMITTED", "PENDING"),
        ("QUEUED", "PENDING"),
        ("SCHEDULED", "PENDING"),
        ("RUNNING", "RUNNING"),
        ("SUCCESS", "COMPLETED"),
        ("FAILED", "FAILED"),
        ("CANCELLING", "CANCEL_PENDING"),
        ("CANCELLED", "CANCELLED"),
    ],
)
def test_the_state_of_a_job_run_is_that_of_a_step(cloud: Cloud, state: str, expected: str):
    event = step_of(cloud.invoke("launch-emr-step", OF_RUN, SERVERLESS))
    (job_run,) = cloud.job_runs()
    job_run.state, job_run.state_details = state, "Job failed. Please check complete logs."
    # Whatever the configuration says now: the ids name the service.
    polled = cloud.invoke("poll-step", event)
    assert (polled["cluster_id"], polled["step_id"], polled["state"]) == (*event.values(), expected)
    log = f"s3://{cloud.results}/logs/applications/{event['cluster_id']}/jobs/{job_run.id}/SPARK_DRIVER/stderr.gz"
    assert polled["log"] == log
    if state in ("FAILED", "CANCELLED"):
        assert polled["reason"] == f"the Spark job is {state}: Job failed. Please check complete logs. Its log: {log}"
    else:
        assert polled["reason"] == ""


def test_the_job_run_of_a_run_that_ended_is_cancelled(cloud: Cloud):
    own = cloud.invoke("launch-emr-step", OF_RUN, SERVERLESS)["step_id"]
    cloud.invoke("launch-emr-step", {**OF_RUN, "run": f"{RUN}7"}, SERVERLESS)
    for job_run in cloud.job_runs():
        job_run.state = "RUNNING"
    stopped = cloud.invoke("stop-emr-step", status_change(RUN, "ABORTED"), SERVERLESS)
    assert (stopped["clusters"], stopped["steps"], stopped["job_runs"]) == ([], [], [own])
    states = {job_run.name: job_run.state for job_run in cloud.job_runs()}
    assert states == {f"pregao-{RUN}": "CANCELLED", f"pregao-{RUN}7": "RUNNING"}
    assert cloud.invoke("stop-emr-step", {"run": RUN}, SERVERLESS)["job_runs"] == []
    assert len(cloud.moto.made("CancelJobRun")) == 1


def test_errors_of_emr_serverless_keep_their_names(cloud: Cloud):
    for code, status in (("ValidationException", 400), ("ConflictException", 409), ("AccessDeniedException", 403)):
        with cloud.moto.failing("StartJobRun", status, code):
            assert cloud.fails("launch-emr-step", OF_RUN, SERVERLESS).error_type == code
    with cloud.moto.failing("StartJobRun", 503, "ServiceUnavailable"):
        assert cloud.fails("launch-emr-step", OF_RUN, SERVERLESS).error_type == "ServiceUnavailable"
    unknown = {"cluster_id": cloud.resources["emr"]["application_id"], "step_id": "00unknown"}
    assert cloud.fails("poll-step", unknown).error_type == "ResourceNotFoundException"


# --- transform --------------------------------------------------------------------------------------


def put_raw(cloud: Cloud, feed: str, time: str, body: bytes) -> str:
    """Puts a raw file of 2020-04-01 to its place. Returns its key."""
    stem = {"quotes": "flashpanel", "options": "options"}[feed]
    key = f"{feed}/date=2020-04-01/20200401{time}_{stem}.csv"
    cloud.s3.put_object(Bucket=cloud.raw, Key=key, Body=body)
    return key


def plan_by_lambda(cloud: Cloud, run: str) -> dict:
    event = {"stage": "raw", "run": run, "input": {"date": "2020-04-01", "engine": "lambda"}}
    return cloud.invoke("validate-partitions", event)


def many_options(time: str, count: int) -> bytes:
    """Options whose prices are random: 100,000 records are more than one part of an object."""
    rng = random.Random(time)
    prices = ("bid_opton", "ask_opton", "bs_bid", "bs_ask", "my_bid", "my_ask", "bid_undly", "ask_undly", "ExrcPric")
    rows = [
        rawfiles.option(
            f"T{at:06}", **{name: str(rng.random()) for name in (*prices, "bs_delta", "bid_vol_imp", "ask_vol_imp")}
        )
        for at in range(count)
    ]
    return rawfiles.encode("options", f"20200401{time}", rows)


def test_a_day_is_converted_to_the_files_of_its_run(cloud: Cloud, tmp_path: Path):
    rawfiles.write_market(tmp_path, seed=17, days=["20200401"], snapshots=3)
    for key, data in cloud.land_folder(tmp_path).items():
        cloud.s3.put_object(Bucket=cloud.raw, Key=key, Body=data)
    expected = oracle.read_folder(tmp_path)
    planned = plan_by_lambda(cloud, "small")
    assert (planned["engine"], planned["transform"]) == ("lambda", ["2020-04-01"])
    done = cloud.invoke("transform", {"run": "small", "day": "2020-04-01"})
    assert done["rows"] == {table: len(expected.rows[table]) for table in TABLES}
    stored = cloud.moto.objects(cloud.lake)
    for table in TABLES:
        prefix = f"runs/run=small/{table}/{FIRST_DAY}/"
        files = [pyarrow.parquet.read_table(io.BytesIO(stored[key])) for key in stored if key.startswith(prefix)]
        day = dict(zip(oracle.PARTITION, (2020, 4, 1), strict=True))
        rows = [{**row, **day} for file in files for row in file.to_pylist()]
        assert_same_rows(table, rows, expected.rows[table])
    assert cloud.invoke("transform", {"run": "small", "day": "2020-04-01"}) == done
    seconds = [line["TransformSeconds"] for line in cloud.metrics("transform", "TransformSeconds")]
    assert len(seconds) == 2 and min(seconds) > 0
    cost = [line["Cost"] for line in cloud.metrics("transform", "Cost")]
    assert len(cost) == 2 and 0 < min(cost) <= max(cost) < 0.01, "two invocations of some milliseconds"


def test_a_large_object_is_written_in_parts_and_discarded_on_failure(cloud: Cloud):
    put_raw(cloud, "options", "1000", many_options("1000", 100_000))
    plan_by_lambda(cloud, "large")
    assert cloud.invoke("transform", {"run": "large", "day": "2020-04-01"})["rows"]["options"] == 100_000
    key = f"runs/run=large/options/{FIRST_DAY}/part-options-00000.parquet"
    assert cloud.s3.head_object(Bucket=cloud.lake, Key=key)["ETag"].endswith('-2"')
    plan_by_lambda(cloud, "denied")
    for operation in ("UploadPart", "CompleteMultipartUpload"):
        with cloud.moto.failing(operation, 403, "AccessDenied"):
            error = cloud.fails("transform", {"run": "denied", "day": "2020-04-01"})
        assert error.error_type == "AccessDenied" and "part-options-00000.parquet" in error.message
    put_raw(cloud, "options", "1010", b"what is this")
    plan_by_lambda(cloud, "broken")
    error = cloud.fails("transform", {"run": "broken", "day": "2020-04-01"})
    assert error.error_type == "QualityError" and "202004011010_options.csv" in error.message
    assert "Uploads" not in cloud.s3.list_multipart_uploads(Bucket=cloud.lake)
    discarded = ("runs/run=denied/options", "runs/run=broken/options")
    assert not any(key.startswith(discarded) for key in cloud.moto.objects(cloud.lake))


def test_only_the_planned_versions_are_converted(cloud: Cloud):
    body = rawfiles.encode("quotes", "202004011000", [rawfiles.quote()])
    key = put_raw(cloud, "quotes", "1000", body)
    for run, change in [("replaced", lambda: put_raw(cloud, "quotes", "1000", body + body)), ("removed", None)]:
        plan_by_lambda(cloud, run)
        if change:
            change()
        else:
            cloud.s3.delete_object(Bucket=cloud.raw, Key=key)
        error = cloud.fails("transform", {"run": run, "day": "2020-04-01"})
        assert error.error_type == "RawFilesChanged" and key in error.message
    assert cloud.fails("transform", {"run": "unplanned", "day": "2020-04-01"}).error_type == "QualityError"
    assert cloud.fails("transform", {"run": "removed", "day": "2020-04-02"}).error_type == "InvalidInput"
    with cloud.moto.failing("GetObject", 403, "AccessDenied"):
        assert cloud.fails("transform", {"run": "removed", "day": "2020-04-01"}).error_type == "AccessDenied"


# --- validate-partitions and create-athena-table ----------------------------------------------------


@pytest.fixture
def written(cloud: Cloud, tmp_path: Path) -> Written:
    rawfiles.write_market(tmp_path, seed=7, days=["20200401", "20200402"], snapshots=3)
    for key, data in cloud.land_folder(tmp_path).items():
        cloud.s3.put_object(Bucket=cloud.raw, Key=key, Body=data)
    run = Written(cloud, oracle.read_folder(tmp_path))
    run.plan()
    run.put_all()
    run.answer()
    return run


def test_raw_files_are_counted_for_a_run(written: Written):
    plan = written.plan()
    places = [key for key in written.cloud.objects() if not key.startswith("landing/")]
    assert (plan["run"], plan["from"], plan["to"], plan["files"]) == (RUN, *DAYS.values(), len(places))
    assert plan["bytes"] == sum(len(written.cloud.objects()[key]) for key in places)
    missing = written.cloud.metrics("validate-partitions", "MissingSnapshots")
    assert plan["missing_count"] > 0
    assert {line["MissingSnapshots"] for line in missing} == {plan["missing_count"]}
    nothing = written.cloud.invoke("validate-partitions", {"stage": "raw", "input": {"date": "2020-05-04"}})
    assert (nothing["files"], nothing["gaps"]["first"]) == (0, ["2020-05-04"])
    assert written.cloud.fails("validate-partitions", {"stage": "raw", "input": {"x": 1}}).error_type == "InvalidInput"
    assert written.cloud.fails("validate-partitions", {"stage": "cooked"}).error_type == "InvalidInput"


def test_a_run_is_audited_in_a_database_of_its_own(written: Written):
    cloud = written.cloud
    passed = cloud.invoke("validate-partitions", {"stage": "staged", **OF_RUN})
    rows = {table["table"]: table["rows"] for table in passed["tables"]}
    assert rows == {table: len(written.expected.rows[table]) for table in TABLES}
    for table in TABLES:
        report = written.report(table)
        assert report["passed"] and report["rows"] == rows[table], report["checks"]
    records = written.report("quotes")["records"]
    for outcome in ("records", "published", "blank_ticker", "header_repeat", "ragged"):
        assert records[outcome] == written.expected.total("quotes", outcome), outcome

    started = cloud.moto.made("StartQueryExecution")
    for call in started:
        statement, database = call.parameters["QueryString"], call.parameters.get("QueryExecutionContext", {})
        created_database = statement.startswith("CREATE DATABASE IF NOT EXISTS `pregao_staged`")
        assert created_database or database == {"Database": "pregao_staged"}, statement
        assert call.parameters["WorkGroup"] == cloud.resources["athena"]["workgroup"]
        assert call.parameters["ResultConfiguration"] == {"OutputLocation": f"s3://{cloud.results}/athena/"}
    text = "\n".join(cloud.moto.statements)
    added = cloud.moto.made("BatchCreatePartition")
    for table in TABLES:
        name = f"{table}_nightly_m7"
        assert f"CREATE EXTERNAL TABLE IF NOT EXISTS `pregao_staged`.`{name}`" in text
        assert cloud.moto.statements.count(f"DROP TABLE IF EXISTS `{name}`") == 2, "before and after the audit"
        (call,) = (call for call in added if call.parameters["TableName"] == name)
        assert call.parameters["DatabaseName"] == "pregao_staged"
        assert {
            tuple(map(int, partition["Values"])): partition["StorageDescriptor"]["Location"]
            for partition in call.parameters["PartitionInputList"]
        } == {day: f"s3://{cloud.lake}/{written.folder(table, day)}" for day in written.days}

    again = cloud.invoke("validate-partitions", {"stage": "staged", **OF_RUN})
    assert again == passed


def published_days(cloud: Cloud) -> list[str]:
    keys = cloud.moto.objects(cloud.lake)
    return sorted(key for key in keys if re.fullmatch(r"published/year=\d+/month=\d+/day=\d+\.json", key))


def lose_a_row(written: Written, day: tuple[int, int, int]) -> None:
    written.put("quotes", day, written.expected.day("quotes", *day)[1:])


def test_a_day_that_lost_rows_is_not_published_and_the_other_one_is(written: Written):
    lose_a_row(written, written.days[0])
    audited = written.cloud.invoke("validate-partitions", {"stage": "staged", **OF_RUN})
    assert audited["failed"] == {"count": 1, "first": ["2020-04-01"]}
    assert [table["partitions"] for table in audited["tables"]] == [1, 1, 1]
    assert written.report("quotes")["failed_days"] == ["2020-04-01"] and "failed_days" not in written.report("options")
    assert written.publish()["published"] == 1
    assert published_days(written.cloud) == ["published/year=2020/month=4/day=2.json"]
    outcome = written.outcome()
    assert (outcome["published"], outcome["failed"]) == (1, audited["failed"])
    for words in ("the audit of 2020-04-01 failed", "the other day passed", "quotes: row_counts"):
        assert words in outcome["verdict"]
    assert f"s3://{written.cloud.lake}/quality/run={RUN}/quotes.json" in outcome["verdict"]


def test_a_day_with_a_foreign_file_is_not_queried_and_the_other_one_is_published(written: Written):
    cloud = written.cloud
    cloud.s3.put_object(Bucket=cloud.lake, Key=f"{written.folder('options', written.days[1])}x.csv", Body=b"a,b")
    audited = cloud.invoke("validate-partitions", {"stage": "staged", **OF_RUN})
    assert audited["failed"] == {"count": 1, "first": ["2020-04-02"]}
    staged = cloud.moto.made("BatchCreatePartition")
    values = [partition["Values"] for call in staged for partition in call.parameters["PartitionInputList"]]
    assert values == [["2020", "4", "1"]] * 3
    assert written.publish()["published"] == 1
    assert published_days(cloud) == ["published/year=2020/month=4/day=1.json"]
    verdict = written.outcome()["verdict"]
    assert "options: schema: " in verdict and "x.csv" in verdict
    assert "quotes: content: 1 of 2 days fail" in verdict


def test_a_run_that_lost_rows_of_every_day_is_a_quality_error_with_a_report(written: Written):
    lose_a_row(written, written.days[0])
    # The second audit finds more than the first one, whose result must not be used.
    written.cloud.invoke("validate-partitions", {"stage": "staged", **OF_RUN})
    lose_a_row(written, written.days[1])
    audited = written.cloud.invoke("validate-partitions", {"stage": "staged", **OF_RUN})
    assert audited["failed"]["count"] == 2
    before = written.cloud.moto.statements
    assert written.publish()["published"] == 0
    assert written.cloud.moto.statements == before, "no statement was sent to Athena"
    error = written.cloud.fails("validate-partitions", {"stage": "outcome", "run": RUN})
    assert error.error_type == "QualityError" and "quotes: row_counts" in error.message
    assert "nothing was published" in error.message
    assert f"s3://{written.cloud.lake}/quality/run={RUN}/quotes.json" in error.message
    assert not written.report("quotes")["passed"] and written.report("options")["passed"]
    assert published_days(written.cloud) == []
    failed = json.loads(written.cloud.moto.objects(written.cloud.lake)["published/year=2020/month=4/day=1/failed.json"])
    assert failed["run"] == RUN and "row_counts" in failed["failures"][0]


def test_a_run_after_an_upload_waits_for_older_runs_of_its_day(written: Written):
    cloud = written.cloud
    states = cloud.moto.client("stepfunctions")
    definition = json.dumps({"StartAt": "Wait", "States": {"Wait": {"Type": "Wait", "Seconds": 9, "End": True}}})
    states.create_state_machine(name=MACHINE_NAME, definition=definition, roleArn=f"arn:aws:iam::{ACCOUNT}:role/any")
    start = lambda name: states.start_execution(stateMachineArn=MACHINE, name=name)["executionArn"]  # noqa: E731
    first, second = DAYS.values()

    def plan(execution: str, day: str) -> dict:
        input = {"from": day, "to": day, "which": "uploaded"}
        run = execution.rsplit(":", 1)[1]
        return {"stage": "raw", "run": run, "execution_arn": execution, "input": input}

    older, younger, last = start("older"), start("younger"), start("last")
    assert cloud.invoke("validate-partitions", plan(older, first))["to_publish"] == 1, "there is no older one"
    error = cloud.fails("validate-partitions", plan(younger, first))
    assert (error.error_type, "the run older" in str(error.payload)) == ("RunInProgress", True), error
    planned = cloud.invoke("validate-partitions", plan(younger, second))
    assert (planned["to_publish"], planned["engine"]) == (1, "lambda"), "the older one has another day"
    for day in (first, second):
        assert cloud.fails("validate-partitions", plan(last, day)).error_type == "RunInProgress"
    for execution in (older, younger):
        states.stop_execution(executionArn=execution)
    # A day that is too large for the engine lambda is left to the schedule.
    small = {"transform": {"max_day_bytes": 1}}
    assert cloud.invoke("validate-partitions", plan(last, first), small)["to_publish"] == 0


def test_a_run_is_audited_and_published_in_slices(written: Written):
    cloud = written.cloud
    sizes = dict.fromkeys(DAYS.values(), 0)
    for key, data in cloud.objects().items():
        if key.startswith(("quotes/date=", "options/date=")):
            sizes[key.split("date=")[1][:10]] += len(data)
    limit = {"quality": {"max_audit_bytes": max(sizes.values())}}
    sliced = written._replace(run="sliced")
    slices = sliced.plan(limit)["slices"]
    assert slices == [{"number": at, "from": day, "to": day} for at, day in enumerate(sizes)]
    sliced.put_all()
    lose_a_row(sliced, sliced.days[1])
    before = len(cloud.moto.statements)
    for number, day in enumerate(sizes):
        sliced.answer(sliced.days[number])
        audited = cloud.invoke("validate-partitions", {"stage": "staged", "run": "sliced", "slice": number})
        assert (audited["from"], audited["to"], audited["failed"]["count"]) == (day, day, number)
        recorded = cloud.invoke("create-athena-table", {"record": True, "run": "sliced", "slice": number})
        assert (recorded["slice"], recorded["published"]) == (number, 1 - number)
    created = {
        name for text in cloud.moto.statements[before:] for name in re.findall(r"EXTERNAL TABLE .*`(\w+)`\s*\(", text)
    }
    assert created == {f"{table}_sliced{slice_}" for table in TABLES for slice_ in ("", "_s1")}
    assert [report["from"] for report in (sliced.report("quotes"), sliced.report("quotes", "slice=1/"))] == list(sizes)
    outcome = sliced.outcome()
    assert (outcome["published"], outcome["failed"]) == (1, {"count": 1, "first": ["2020-04-02"]})
    assert "quality/run=sliced/slice=1/quotes.json" in outcome["verdict"]
    # The record names the report of the slice, with which Athena is compared.
    updated = cloud.invoke("create-athena-table", {"table": "quotes", **DAYS})
    assert updated["partitions"] == 1
    first = {"from": DAYS["from"], "to": DAYS["from"]}
    sliced.answer(sliced.days[0])
    assert cloud.invoke("validate-partitions", {"stage": "published", "table": "quotes", **first})["partitions"] == 1
    no_slice = cloud.fails("validate-partitions", {"stage": "staged", "run": "sliced", "slice": 2})
    assert no_slice.error_type == "InvalidInput" and "it has 2" in no_slice.message

    # A day that is too large is refused before anything is started.
    one_less = {"quality": {"max_audit_bytes": max(sizes.values()) - 1}}
    refused = cloud.fails("validate-partitions", written._replace(run="refused").planning(), one_less)
    assert refused.error_type == "InvalidInput"
    assert f"have {max(sizes.values())} bytes, and one audit takes {max(sizes.values()) - 1}" in refused.message


def test_a_backfill_is_planned_and_its_chunks_are_counted(written: Written):
    """The plan has the days that are not current, and the outcome of a chunk follows from what its run wrote."""
    event = {"stage": "backfill", "backfill": "years", "input": {**DAYS, "engine": "lambda", "parallel": 2}}
    config = {"backfill": {"chunk_days": 1}}
    planned = written.cloud.invoke("validate-partitions", event, config)
    assert [(chunk["run"], chunk["from"], chunk["days"]) for chunk in planned["chunks"]] == [
        ("years_001", "2020-04-01", 1),
        ("years_002", "2020-04-02", 1),
    ]
    assert (planned["which"], planned["engine"], planned["parallel"], planned["current"]) == (
        "not_current", "lambda", 2, 0,
    )  # fmt: skip
    lose_a_row(written, written.days[0])
    written.cloud.invoke("validate-partitions", {"stage": "staged", "run": RUN})
    written.publish()
    # As if the run was that of one chunk of both days.
    chunk = {**planned["chunks"][0], **DAYS, "run": RUN, "days": 2, "which": "not_current", "engine": "lambda"}
    description = {"Status": "FAILED", "Error": "QualityError", "Cause": json.dumps({"errorMessage": "3 of 4 rows"})}
    failure = {"Error": "States.TaskFailed", "Cause": json.dumps(description)}
    event = {"stage": "backfill_chunk", "chunk": {**chunk, "failure": failure}}
    ended = written.cloud.invoke("validate-partitions", event)
    assert ended == {
        "number": 1, **DAYS, "days": 2, "published": 1, "superseded": 0, "held": 0, "failed_days": 1,
        "first_failed": ["2020-04-01"], "failure": {"error": "QualityError", "cause": "3 of 4 rows"},
    }  # fmt: skip
    # One that ended before it had a plan.
    never = {"stage": "backfill_chunk", "chunk": {**chunk, "run": "never"}}
    assert written.cloud.invoke("validate-partitions", never)["published"] == 0
    event = {"stage": "backfill_outcome", "input": {**DAYS, "engine": "lambda"}, "chunks": [ended]}
    outcome = written.cloud.invoke("validate-partitions", event)
    assert (outcome["published"], outcome["failed"]["count"]) == (1, 1)
    assert "pregao backfill --from 2020-04-01 --to 2020-04-02 --engine lambda" in outcome["verdict"]
    again = {"stage": "backfill", "backfill": "again", "input": DAYS}
    planned = written.cloud.invoke("validate-partitions", again)
    assert [chunk["from"] for chunk in planned["chunks"]] == ["2020-04-01"] and planned["current"] == 1
    # The other day has a record, and no partitions yet.
    second = {"from": "2020-04-02", "to": "2020-04-02"}
    assert (planned["behind"], planned["catalog"]) == (1, [second])
    # A run of stale days finds the same.
    stale = {"stage": "raw", "run": "stale", "input": {**DAYS, "stale": True}}
    found = written.cloud.invoke("validate-partitions", stale)
    assert (found["to_publish"], found["behind"], found["catalog"]) == (0, 1, [second])
    for table in TABLES:
        written.cloud.put_partitions(
            table, {written.days[1]: f"s3://{written.cloud.lake}/{written.folder(table, written.days[1])}"}
        )
    assert written.cloud.invoke("validate-partitions", again)["behind"] == 0
    assert written.cloud.invoke("validate-partitions", {**stale, "run": "again"})["behind"] == 0
    # Other runs publish their days, and the catalog follows.
    everything = {"stage": "raw", "run": "all", "input": DAYS}
    assert written.cloud.invoke("validate-partitions", everything)["behind"] == 0
    for input in ({}, {"from": "2020-04-02", "to": "2020-04-01"}, {**DAYS, "parallel": 99}):
        error = written.cloud.fails("validate-partitions", {"stage": "backfill", "backfill": "b", "input": input})
        assert error.error_type == "InvalidInput", error


def test_rows_that_fail_a_check_are_a_quality_error(written: Written):
    checks = CHECKED_TOGETHER["quotes"][0]
    counts = [[2020, 4, 1, 72, 20, 72, 0, 72, 0]]
    written.cloud.moto.answer(r'(?s)bid > ask.*FROM "quotes_', checked(checks), counts)
    written.cloud.moto.answer(
        "SELECT intdate, ticker, bid, ask", ["intdate", "ticker", "bid", "ask"], [[202004011000, "PETR4", 15.4, 15.3]]
    )
    audited = written.cloud.invoke("validate-partitions", {"stage": "staged", **OF_RUN})
    assert audited["failed"] == {"count": 1, "first": ["2020-04-01"]}
    written.publish()
    assert "quotes: bid_ask: 20 of 72 rows fail" in written.outcome()["verdict"]
    check = next(check for check in written.report("quotes")["checks"] if check["name"] == "bid_ask")
    assert not check["passed"] and check["examples"][0]["ticker"] == "PETR4"
    lenient = {"quality": {"max_domain_share": 1}}
    assert written.cloud.invoke("validate-partitions", {"stage": "staged", **OF_RUN}, lenient)["run"] == RUN


@pytest.mark.parametrize("table", TABLES)
def test_audited_partitions_are_published_and_confirmed(written: Written, table: str):
    cloud = written.cloud
    cloud.invoke("validate-partitions", {"stage": "staged", **OF_RUN})
    recorded = written.publish()
    assert (recorded["published"], recorded["superseded"]["count"], recorded["held"]["count"]) == (2, 0, 0)
    assert written.publish() == recorded, "a second time changes nothing"
    # One of the days is in the catalog already, from an earlier run.
    first, second = written.days
    cloud.put_partitions(table, {first: "s3://earlier/", (2020, 3, 31): "s3://other-day/"})
    before, calls = len(cloud.moto.statements), len(cloud.moto.calls)

    # As the workflow that the run starts.
    started_by = {"AWS_STEP_FUNCTIONS_STARTED_BY_EXECUTION_ID": f"{MACHINE.replace('stateMachine', 'execution')}:{RUN}"}
    event = {"table": table, **DAYS, **started_by}
    published = cloud.invoke("create-athena-table", event)
    rows = len(written.expected.rows[table])
    assert published == {"table": table, **DAYS, "run": RUN, "partitions": 2, "rows": rows, "records": 2}
    database, ddl, *of_days = cloud.moto.statements[before:]
    # The table of the published days is kept with the first one.
    assert len(of_days) == (table == "quotes")
    for statement in of_days:
        assert statement.startswith("CREATE EXTERNAL TABLE IF NOT EXISTS `pregao`.`published`"), statement
        assert "'org.openx.data.jsonserde.JsonSerDe'" in statement
        assert f"LOCATION 's3://{cloud.lake}/catalog/published/'" in statement
    assert database == "CREATE DATABASE IF NOT EXISTS `pregao`"
    assert ddl.startswith(f"CREATE EXTERNAL TABLE IF NOT EXISTS `pregao`.`{table}`") and "STORED AS PARQUET" in ddl
    assert f"LOCATION 's3://{cloud.lake}/{table}/'" in ddl
    for column in oracle.TABLES[table]:
        assert f"`{column.name}` {column.type}" in ddl, column
    for call in cloud.moto.made("StartQueryExecution")[before:]:
        context = None if "DATABASE" in call.parameters["QueryString"] else {"Database": "pregao"}
        assert call.parameters.get("QueryExecutionContext") == context

    name = "PublishedRejects" if table == "rejects" else "PublishedRows"
    (measured,) = cloud.metrics("create-athena-table", name)
    stored = cloud.moto.objects(cloud.lake)
    size = sum(len(stored[f"{written.folder(table, day)}part-0.parquet"]) for day in written.days)
    assert (measured[name], measured["PublishedBytes"]) == (rows, size)
    location = {day: f"s3://{cloud.lake}/{written.folder(table, day)}" for day in written.days}
    assert cloud.partitions(table) == {**location, (2020, 3, 31): "s3://other-day/"}
    by_glue = [call for call in cloud.moto.calls[calls:] if call.service == "glue"]
    assert sorted(call.operation for call in by_glue) == [
        "BatchCreatePartition", "BatchUpdatePartition", "GetPartitions", "GetTable", "GetTable",
    ]  # fmt: skip
    descriptor = cloud.moto.glue.get_table("pregao", table).as_dict()["StorageDescriptor"]
    for call in by_glue:
        for entry in call.parameters.get("PartitionInputList") or call.parameters.get("Entries", []):
            kept = entry.get("PartitionInput", entry)["StorageDescriptor"]
            # False is the default and is omitted.
            assert {**descriptor, **kept} == {**descriptor, "Location": kept["Location"]}, (
                "a partition has the properties of its table"
            )
            assert not any(value for name, value in descriptor.items() if name not in kept)

    confirmed = cloud.invoke("validate-partitions", {"stage": "published", "table": table, **OF_RUN})
    queries = [statement for statement in cloud.moto.statements if statement.startswith("SELECT")]
    assert queries and all(statement.endswith(f"\n-- pregao run {RUN}") for statement in queries)
    assert not any("--" in statement for statement in cloud.moto.statements if statement not in queries)
    assert (confirmed["partitions"], confirmed["rows"]) == (2, published["rows"])
    calls = len(cloud.moto.calls)
    assert cloud.invoke("create-athena-table", event) == published
    assert not [call for call in cloud.moto.calls[calls:] if call.operation.startswith("Batch")], (
        "the catalog is already up to date"
    )
    assert cloud.metrics("create-athena-table", name) == [measured], "and nothing is measured twice"
    listed = json.loads(cloud.moto.objects(cloud.lake)[f"catalog/files/{table}.json"])
    files = [file["uri"] for file in listed["files"]]
    assert files == [f"{location[day]}part-0.parquet" for day in (first, second)]


@pytest.mark.parametrize("lacking", [1, 2])
@pytest.mark.parametrize("table", TABLES)
def test_columns_that_a_table_lacks_are_added_to_it(written: Written, table: str, lacking: int):
    cloud, columns = written.cloud, oracle.TABLES[table]
    cloud.invoke("validate-partitions", {"stage": "staged", **OF_RUN})
    written.publish()
    first, earlier = written.days[0], (2020, 3, 31)
    cloud.put_partitions(table, {first: "s3://earlier/", earlier: "s3://other-day/"}, columns[:-lacking])
    before = len(cloud.moto.statements)
    published = cloud.invoke("create-athena-table", {"table": table, **DAYS})
    added = ", ".join(f"`{column.name}` {column.type}" for column in columns[-lacking:])
    altered = [statement for statement in cloud.moto.statements[before:] if statement.startswith("ALTER")]
    assert altered == [f"ALTER TABLE `pregao`.`{table}` ADD COLUMNS ({added})"]
    (call,) = (call for call in cloud.moto.made("StartQueryExecution") if call.parameters["QueryString"] == altered[0])
    assert call.parameters["QueryExecutionContext"] == {"Database": "pregao"}

    in_catalog = cloud.moto.glue.get_table("pregao", table)
    described = in_catalog.as_dict()["StorageDescriptor"]["Columns"]
    assert [(column["Name"], column["Type"]) for column in described] == [
        (column.name, column.type) for column in columns
    ]
    names = {
        tuple(map(int, partition.values)): [
            column["Name"] for column in partition.as_dict()["StorageDescriptor"]["Columns"]
        ]
        for partition in in_catalog.partitions.values()
    }
    complete = [column.name for column in columns]
    assert names == {**dict.fromkeys(written.days, complete), earlier: complete[:-lacking]}
    assert cloud.invoke("create-athena-table", {"table": table, **DAYS}) == published
    again = [statement for statement in cloud.moto.statements[before:] if statement.startswith("ALTER")]
    assert again == altered, "a second time adds nothing"


@pytest.mark.parametrize(
    "change",
    [
        lambda columns: [columns[1], columns[0], *columns[2:]],
        lambda columns: columns[1:],
        lambda columns: [*columns[:-1], columns[-1]._replace(type="timestamp")],
        lambda columns: [*columns, oracle.Column("vwap", "double", "", "")],
    ],
    ids=["moved", "missing", "other type", "newer"],
)
def test_a_table_with_other_columns_is_left_as_it_is(written: Written, change):
    cloud, columns = written.cloud, oracle.TABLES["quotes"]
    cloud.invoke("validate-partitions", {"stage": "staged", **OF_RUN})
    written.publish()
    cloud.put_partitions("quotes", {written.days[0]: "s3://earlier/"}, change(columns))
    error = cloud.fails("create-athena-table", {"table": "quotes", **DAYS})
    assert error.error_type == "TableColumnsDiffer"
    for listed in (change(columns), columns):
        assert f"({', '.join(f'{column.name} {column.type}' for column in listed)})" in error.message
    assert "pregao query 'DROP TABLE pregao.quotes', then pregao recatalog" in error.message
    assert not [statement for statement in cloud.moto.statements if statement.startswith("ALTER")]
    assert cloud.partitions("quotes") == {written.days[0]: "s3://earlier/"}


def test_a_partition_without_a_table_in_its_record_is_removed(written: Written):
    cloud = written.cloud
    cloud.put_partitions("quotes", dict.fromkeys(written.days, "s3://earlier/"))
    written_at = "2020-04-02T10:00:00Z"
    record = {
        "version": 1, "day": "2020-04-01", "number": 1, "cause": "published", "written_at": written_at, "actor": "run other",
        "published": {"run": "other", "published_at": written_at, "tables": {}, "raw_files": []},
    }  # fmt: skip
    key = "published/year=2020/month=4/day=1.json"
    cloud.s3.put_object(Bucket=cloud.lake, Key=key, Body=json.dumps(record).encode())
    updated = cloud.invoke("create-athena-table", {"table": "quotes", **DAYS})
    assert (updated["partitions"], cloud.partitions("quotes")) == (0, {(2020, 4, 2): "s3://earlier/"})
    cloud.put_partitions("quotes", {(2020, 4, 1): "s3://earlier/"})
    with cloud.moto.failing("BatchDeletePartition", 400, "AccessDeniedException"):
        error = cloud.fails("create-athena-table", {"table": "quotes", **DAYS})
        assert error.error_type == "AccessDeniedException" and "pregao.quotes" in error.message


def test_existing_partitions_are_updated(written: Written):
    """The response to the call that added them may be lost: the retry finds that they exist."""
    cloud, staged = written.cloud, "quotes_nightly_m7"
    cloud.invoke("validate-partitions", {"stage": "staged", **OF_RUN})
    written.publish()
    location = {day: f"s3://{cloud.lake}/{written.folder('quotes', day)}" for day in written.days}
    cloud.put_partitions("quotes", {written.days[0]: "s3://elsewhere/"})
    with cloud.moto.answering("GetPartitions", {"Partitions": []}):
        cloud.invoke("create-athena-table", {"table": "quotes", **DAYS})
        assert cloud.partitions("quotes") == location
        there = {"PartitionValues": ["2020", "4", "1"], "ErrorDetail": {"ErrorCode": "AlreadyExistsException"}}
        with (
            cloud.moto.answering("BatchCreatePartition", {"Errors": [there]}),
            cloud.moto.answering("BatchUpdatePartition", {"Errors": []}),
        ):
            cloud.invoke("validate-partitions", {"stage": "staged", **OF_RUN})
    moved = [call.parameters for call in cloud.moto.made("BatchUpdatePartition")]
    (entry,) = next(call["Entries"] for call in moved if call["TableName"] == staged)
    assert entry["PartitionInput"]["StorageDescriptor"]["Location"] == location[written.days[0]]


def test_a_run_with_older_raw_files_is_superseded(written: Written):
    """Another run published a day during this one, with a later raw file that still exists."""
    cloud = written.cloud
    cloud.invoke("validate-partitions", {"stage": "staged", **OF_RUN})
    late = "202004011155_flashpanel.csv"
    cloud.s3.put_object(Bucket=cloud.raw, Key=f"quotes/date=2020-04-01/{late}", Body=b"late")
    raw_files = [
        {
            "name": found["Key"].rsplit("/", 1)[1],
            "bytes": found["Size"],
            "etag": found["ETag"].strip('"'),
            "last_modified": found["LastModified"].isoformat(),
        }
        for feed in ("quotes", "options")
        for found in cloud.s3.list_objects_v2(Bucket=cloud.raw, Prefix=f"{feed}/date=2020-04-01/")["Contents"]
    ]
    written_at = "2020-04-02T10:00:00Z"
    other = {"run": "other", "published_at": written_at, "tables": {}, "raw_files": raw_files}
    record = {
        "version": 1, "day": "2020-04-01", "number": 1, "cause": "published", "written_at": written_at, "actor": "run other",
        "published": other,
    }  # fmt: skip
    key = "published/year=2020/month=4/day=1.json"
    cloud.s3.put_object(Bucket=cloud.lake, Key=key, Body=json.dumps(record).encode())
    recorded = written.publish()
    assert (recorded["published"], recorded["superseded"]) == (1, {"count": 1, "first": ["2020-04-01"]})
    assert json.loads(cloud.moto.objects(cloud.lake)[key]) == record

    # The same raw files as ours, but not the present ones: the audit must run again.
    ours = [file for file in raw_files if file["name"] != late]
    other["raw_files"] = [{**file, "last_modified": "2020-04-01T10:00:00Z", "etag": "older"} for file in ours]
    cloud.s3.put_object(Bucket=cloud.lake, Key=key, Body=json.dumps(record).encode())
    assert cloud.fails("create-athena-table", {"record": True, "run": RUN}).error_type == "RecordChanged"
    assert cloud.fails("validate-partitions", {"stage": "staged", **OF_RUN}).error_type == "RawFilesChanged"
    again = cloud.invoke("validate-partitions", {"stage": "raw", "after": RUN})
    assert (again["run"], again["files"]) == (f"{RUN}.2", len(ours) + 1 + 6)


def test_a_day_without_rows_is_published_as_an_empty_folder(cloud: Cloud, tmp_path: Path):
    for feed, row in [("quotes", quote()), ("options", rawfiles.option())]:
        rawfiles.write(tmp_path, feed, "202004011000", [row])
    for key, data in cloud.land_folder(tmp_path).items():
        cloud.s3.put_object(Bucket=cloud.raw, Key=key, Body=data)
    run = Written(cloud, oracle.read_folder(tmp_path))
    (day,) = run.days
    for table in ("quotes", "options"):
        run.put(table, day, run.expected.day(table, *day))
    run.plan()
    run.answer()

    cloud.invoke("validate-partitions", {"stage": "staged", **OF_RUN})
    run.publish()
    published = cloud.invoke("create-athena-table", {"table": "rejects", "from": "2020-04-01", "to": "2020-04-01"})
    assert (published["partitions"], published["rows"]) == (1, 0)
    location = f"s3://{cloud.lake}/{run.folder('rejects', day)}"
    assert cloud.partitions("rejects") == {day: location}
    confirmed = cloud.invoke("validate-partitions", {"stage": "published", "table": "rejects", **OF_RUN})
    assert (confirmed["partitions"], confirmed["rows"]) == (1, 0)


def test_rows_that_differ_from_the_audited_ones_are_a_quality_error(written: Written):
    cloud, event = written.cloud, {"table": "quotes", **DAYS}
    cloud.invoke("validate-partitions", {"stage": "staged", **OF_RUN})
    written.publish()
    cloud.put_partitions("quotes", {written.days[0]: "s3://lake/"})
    error = cloud.fails("validate-partitions", {"stage": "published", **event})
    assert error.error_type == "QualityError" and "2020-04-02 has no partition" in error.message
    first, second = written.statistics("quotes", written.days)
    cloud.put_partitions("quotes", {written.days[1]: "s3://lake/"})
    cloud.moto.answer(r'AS tickers.*\sFROM "quotes"', STATISTICS, [[*first[:3], first[3] - 1, *first[4:]], second])
    error = cloud.fails("validate-partitions", {"stage": "published", **event})
    assert error.error_type == "QualityError" and "2020-04-01 has" in error.message

    # As if the day had not been published yet.
    cloud.s3.delete_object(Bucket=cloud.lake, Key="published/year=2020/month=4/day=2.json")
    written.put("quotes", written.days[1], [])
    error = cloud.fails("create-athena-table", {"record": True, "run": RUN})
    assert error.error_type == "QualityError" and "2020-04-02" in error.message


def logged_errors(cloud: Cloud, function: str) -> list[dict]:
    """Returns the errors that a function logged. Lambda's runtime logs them again, without the fields of the function."""
    return [line for line in cloud.logged(function) if line.get("level") == "ERROR" and len(line["spans"]) > 1]


def test_errors_are_logged_with_run_and_days(written: Written):
    cloud = written.cloud
    cloud.invoke("validate-partitions", {"stage": "staged", **OF_RUN})
    written.put("quotes", written.days[1], [])
    assert cloud.fails("create-athena-table", {"record": True, "run": RUN}).error_type == "QualityError"
    of_day, failed = logged_errors(cloud, "create-athena-table")
    runtime, invocation = failed["spans"]
    id = runtime["requestId"]
    function = {"name": "invocation", "function": "create-athena-table", "request_id": id}
    assert invocation == {**function, "run": RUN, **DAYS}
    assert failed["fields"]["name"] == "QualityError" and "2020-04-02" in failed["fields"]["error"]
    assert of_day["fields"]["name"] == "QualityError"
    assert of_day["spans"][1:] == [invocation, {"name": "day", "day": "2020-04-02"}]

    assert cloud.fails("validate-partitions", {"stage": "cooked", "run": RUN}).error_type == "InvalidInput"
    (failed,) = logged_errors(cloud, "validate-partitions")
    assert (failed["spans"][1]["stage"], failed["spans"][1]["run"]) == ("cooked", RUN)


def test_failures_of_glue_are_reported(written: Written):
    cloud, event = written.cloud, {"table": "quotes", **DAYS}
    cloud.invoke("validate-partitions", {"stage": "staged", **OF_RUN})
    written.publish()
    for operation in ("GetPartitions", "GetTable", "BatchCreatePartition"):
        for status, code, expected in [
            (400, "AccessDeniedException", "AccessDeniedException"),
            (400, "ThrottlingException", "ServiceUnavailable"),
            (400, "OperationTimeoutException", "ServiceUnavailable"),
            (500, "InternalServiceException", "ServiceUnavailable"),
        ]:
            with cloud.moto.failing(operation, status, code):
                error = cloud.fails("create-athena-table", event)
                assert error.error_type == expected and "pregao.quotes" in error.message
            free_lease(cloud)
    for code, expected in [
        ("InternalServiceException", "ServiceUnavailable"),
        ("ResourceNumberLimitExceededException", "ResourceNumberLimitExceededException"),
    ]:
        detail = {"ErrorCode": code, "ErrorMessage": "in a test"}
        refused = {"Errors": [{"PartitionValues": ["2020", "4", "2"], "ErrorDetail": detail}]}
        with cloud.moto.answering("BatchCreatePartition", refused):
            error = cloud.fails("create-athena-table", event)
            assert error.error_type == expected
            assert "year=2020/month=4/day=2 of pregao.quotes" in error.message and "in a test" in error.message
        free_lease(cloud)
    assert cloud.partitions("quotes") == {}


def free_lease(cloud: Cloud) -> None:
    """Ends the lease, which an update keeps for 30 s after an unanswered call, because it may still take effect."""
    cloud.s3.delete_object(Bucket=cloud.lake, Key="catalog/locks/quotes.json")


def test_failures_of_athena_are_reported(written: Written, monkeypatch: pytest.MonkeyPatch):
    cloud, event = written.cloud, {"table": "quotes", **DAYS}
    record = {"record": True, "run": RUN}
    assert cloud.fails("create-athena-table", record).error_type == "QualityError", "there is no report yet"
    cloud.invoke("validate-partitions", {"stage": "staged", **OF_RUN})
    monkeypatch.setattr(Execution, "status", property(lambda self: "FAILED", lambda self, value: None))
    error = cloud.fails("create-athena-table", event)
    assert error.error_type == "AthenaError" and "CREATE DATABASE IF NOT EXISTS `pregao`" in error.message
    for status, code, expected in [
        (400, "InvalidRequestException", "InvalidRequestException"),
        (400, "TooManyRequestsException", "ServiceUnavailable"),
    ]:
        with cloud.moto.failing("StartQueryExecution", status, code, "in a test"):
            assert cloud.fails("create-athena-table", event).error_type == expected
    for wrong in ({"table": "quotes"}, {**event, "table": "trades"}, {**event, "run": RUN}, {**record, "run": "a b"}):
        assert cloud.fails("create-athena-table", wrong).error_type == "InvalidInput"


# --- vacuum -----------------------------------------------------------------------------------------


LONG_AGO, DAY_KEY = datetime.timedelta(days=2), "published/year=2020/month=4/day=1"
MACHINE_NAME = resolve({"Ref": "CreateDatalakeStateMachine"}).rsplit(":", 1)[1]
MACHINE = f"arn:aws:states:{REGION}:{ACCOUNT}:stateMachine:{MACHINE_NAME}"
FIRST_DAY = "year=2020/month=4/day=1"


@pytest.fixture
def replaced(cloud: Cloud) -> Cloud:
    """A day that one run published and another replaced, with files of further runs, all of them days old."""
    keys = {
        run: [f"runs/run={run}/plan.json", *(f"runs/run={run}/{table}/{FIRST_DAY}/part-0.parquet" for table in TABLES)]
        for run in ("first", "second", "failed", "going", "read")
    }
    # Files of an older version, in the folders of the tables.
    keys["older"] = [f"{table}/{FIRST_DAY}/run=older/part-0.parquet" for table in TABLES]
    for key in (key for of_run in keys.values() for key in of_run):
        cloud.s3.put_object(Bucket=cloud.lake, Key=key, Body=b"rows")
        cloud.moto.age(cloud.lake, key, LONG_AGO)
    for number, run in enumerate(("first", "second"), start=1):
        at = f"2020-04-0{number + 1}T10:00:00Z"
        record = {
            "version": 1, "day": "2020-04-01", "number": number, "cause": "published", "written_at": at, "actor": f"run {run}",
            "published": {"run": run, "published_at": at, "tables": {}, "raw_files": []},
            **({"previous": f"{DAY_KEY}/history/1.json"} if number == 2 else {}),
        }  # fmt: skip
        key = f"{DAY_KEY}/history/1.json" if number == 1 else f"{DAY_KEY}.json"
        cloud.s3.put_object(Bucket=cloud.lake, Key=key, Body=json.dumps(record).encode())
    states = cloud.moto.client("stepfunctions")
    definition = json.dumps({"StartAt": "Wait", "States": {"Wait": {"Type": "Wait", "Seconds": 60, "End": True}}})
    role = f"arn:aws:iam::{ACCOUNT}:role/any"
    states.create_state_machine(name=MACHINE_NAME, definition=definition, roleArn=role)
    states.start_execution(stateMachineArn=MACHINE, name="going")
    # A table of another database whose location is in this lake.
    cloud.moto.glue.create_database("theirs", {"Name": "theirs"})
    location = f"s3://{cloud.lake}/runs/run=read/quotes/{FIRST_DAY}/"
    cloud.moto.glue.create_table("theirs", "q", table_input("q", "`ticker` string", "", location))
    cloud.put_partitions("quotes", {(2020, 4, 1): f"s3://{cloud.lake}/runs/run=second/quotes/{FIRST_DAY}/"})
    return cloud


def runs(cloud: Cloud) -> set[str]:
    """Returns the runs that have any file in the lake."""
    return {part[4:] for key in cloud.moto.objects(cloud.lake) for part in key.split("/") if part.startswith("run=")}


def test_files_of_runs_that_nothing_references_are_removed(replaced: Cloud):
    cloud = replaced
    event = {"state_machine": MACHINE}
    shown = cloud.invoke("vacuum", {**event, "dry_run": True})
    assert shown["runs"] == {"count": 3, "first": ["failed", "first", "older"]}
    assert (shown["days"], shown["objects"], shown["bytes"]) == (3, 11, 44)
    assert len(runs(cloud)) == 6 and not cloud.moto.made("DeleteObjects"), "a dry run removes nothing"
    freed = cloud.invoke("vacuum", event)
    assert freed == {**shown, "dry_run": False}
    assert runs(cloud) == {"second", "going", "read"}
    record = json.loads(cloud.moto.objects(cloud.lake)[f"{DAY_KEY}.json"])
    assert (record["number"], record["published"]["run"]) == (2, "second")
    assert record["removed_runs"] == ["failed", "first", "older"]
    (written,) = (
        call.parameters
        for call in cloud.moto.made("PutObject")
        if call.caller == "vacuum" and "published/" in call.parameters["Key"]
    )
    assert written["if-match"], "the record was replaced by compare-and-swap"
    copied = json.loads(cloud.moto.objects(cloud.lake)["catalog/records/year=2020.json"])
    assert [copy["record"] for copy in copied["records"]] == [record]
    assert cloud.invoke("vacuum", event)["objects"] == 0

    # When the execution has ended and the table is dropped, nothing references the rest.
    states = cloud.moto.client("stepfunctions")
    states.stop_execution(executionArn=MACHINE.replace(":stateMachine:", ":execution:") + ":going")
    cloud.moto.glue.delete_table("theirs", "q")
    assert cloud.invoke("vacuum", event)["runs"]["first"] == ["going", "read"]
    assert runs(cloud) == {"second"}


def test_a_run_within_the_retention_or_with_recent_files_is_kept(replaced: Cloud):
    cloud = replaced
    long = {"vacuum": {"keep_days": 36_500}}
    cloud.s3.put_object(Bucket=cloud.lake, Key="runs/run=failed/audit.json", Body=b"{}")
    freed = cloud.invoke("vacuum", {"state_machine": MACHINE}, long)
    assert (freed["keep_days"], freed["runs"]["first"]) == (36_500, ["older"])
    assert runs(cloud) == {"first", "second", "failed", "going", "read"}
    off = cloud.invoke("vacuum", {"state_machine": MACHINE}, {"vacuum": {"keep_days": 0}})
    assert (off["objects"], off["keep_days"]) == (0, 0)


def test_a_refused_deletion_is_reported_and_repeated(replaced: Cloud):
    cloud = replaced
    event = {"state_machine": MACHINE}
    with cloud.moto.failing("DeleteObjects", 403, "AccessDenied"):
        error = cloud.fails("vacuum", event)
    assert error.error_type == "AccessDenied" and f"s3://{cloud.lake}/" in error.message
    refusal = (
        b"<DeleteResult><Error><Key>k</Key><Code>AccessDenied</Code><Message>in a test</Message></Error></DeleteResult>"
    )
    with cloud.moto.answering("DeleteObjects", refusal):
        error = cloud.fails("vacuum", event)
    assert error.error_type == "AccessDenied" and f"s3://{cloud.lake}/k" in error.message
    busy = refusal.replace(b"AccessDenied", b"SlowDown")
    with cloud.moto.answering("DeleteObjects", busy):
        assert cloud.fails("vacuum", event).error_type == "ServiceUnavailable"
    assert len(runs(cloud)) == 6
    assert cloud.invoke("vacuum", event)["runs"]["count"] == 3
    assert runs(cloud) == {"second", "going", "read"}


def test_temporary_objects_of_interrupted_commands_are_removed(cloud: Cloud):
    glue, database = cloud.moto.glue, cloud.resources["athena"]["database"]
    cloud.moto.client("stepfunctions").create_state_machine(
        name=MACHINE_NAME,
        definition='{"StartAt": "P", "States": {"P": {"Type": "Pass", "End": true}}}',
        roleArn=f"arn:aws:iam::{ACCOUNT}:role/any",
    )
    made = [f"{database}_asof_20200401t000000000z", f"{database}_diff_1", f"{database}_asof_young", f"{database}_mine"]
    for name in made:
        glue.create_database(name, {"Name": name})
        glue.databases[name].created_time -= LONG_AGO
        glue.create_table(name, "quotes", table_input("quotes", "`ticker` string", "`year` int", "s3://elsewhere/"))
        glue.get_table(name, "quotes").created_time -= LONG_AGO
    glue.create_table(made[2], "rejects", table_input("rejects", "`ticker` string", "`year` int", "s3://elsewhere/"))
    for bucket in (cloud.raw, cloud.lake, cloud.results):
        # In moto each was created in 2010.
        cloud.s3.create_multipart_upload(Bucket=bucket, Key="big")
    shown = cloud.invoke("vacuum", {"state_machine": MACHINE, "dry_run": True})
    assert (shown["uploads"], shown["databases"]["first"]) == (3, made[:2])
    assert set(made) <= set(glue.databases)
    assert cloud.invoke("vacuum", {"state_machine": MACHINE}) == {**shown, "dry_run": False}
    assert set(glue.databases) & set(made) == set(made[2:])
    for bucket in (cloud.raw, cloud.lake, cloud.results):
        assert "Uploads" not in cloud.s3.list_multipart_uploads(Bucket=bucket)


def test_a_vacuum_of_a_damaged_record_removes_nothing(replaced: Cloud):
    cloud = replaced
    cloud.s3.put_object(Bucket=cloud.lake, Key=f"{DAY_KEY}.json", Body=b"{")
    error = cloud.fails("vacuum", {"state_machine": MACHINE})
    assert error.error_type == "RecordError" and f"{DAY_KEY}.json" in error.message
    assert len(runs(cloud)) == 6
    for wrong in ({"days": 3}, {"dry_run": "yes"}, "now"):
        assert cloud.fails("vacuum", wrong).error_type == "InvalidInput"


# --- all of them ------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", FUNCTIONS)
def test_an_invalid_configuration_is_reported_at_the_start(cloud: Cloud, name: str):
    error = cloud.fails(name, {}, {"quality": {"max_reject_shares": 1}})
    assert error.error_type == "Runtime.ExitError" and "max_reject_shares" in str(error)
    assert "PREGAO_CONFIG" in str(error)


def test_services_are_reached_by_https_if_their_certificate_is_trusted(cloud: Cloud, tmp_path: Path):
    cloud.land("202004011000_options.csv", rawfiles.encode("options", "202004011000", [rawfiles.option()]))
    authorities = {name: trustme.CA() for name in ("trusted", "another")}
    for name, authority in authorities.items():
        authority.cert_pem.write_to_path(tmp_path / name)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authorities["trusted"].issue_cert("127.0.0.1").configure_cert(tls)
    with contextlib.closing(Moto(tls)) as secured:
        by_https = {"AWS_ENDPOINT_URL": secured.url}
        with cloud.deploy("ingest", **by_https, SSL_CERT_FILE=str(tmp_path / "another")) as function:
            with pytest.raises(FunctionError, match=r"(?i)certificate"):
                function.invoke(DAYS)
        assert not secured.calls
        with cloud.deploy("ingest", **by_https, SSL_CERT_FILE=str(tmp_path / "trusted")) as function:
            assert function.invoke(DAYS)["accepted"] == 1
        assert secured.made("CopyObject")


def test_services_are_reached_through_a_proxy(cloud: Cloud):
    cloud.land("202004011000_options.csv", rawfiles.encode("options", "202004011000", [rawfiles.option()]))
    nowhere = "http://aws.invalid"
    with cloud.deploy("ingest", AWS_ENDPOINT_URL=nowhere, HTTP_PROXY=cloud.moto.url) as function:
        assert function.invoke(DAYS)["accepted"] == 1
    assert cloud.moto.made("CopyObject")
    with cloud.deploy("ingest", AWS_ENDPOINT_URL=nowhere) as function:
        with pytest.raises(FunctionError, match=r"(?i)dispatch|dns|resolve|connect"):
            function.invoke(DAYS)
