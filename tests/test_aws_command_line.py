"""`pregao --aws`, `deploy`, `destroy` and `cluster`, with an emulated account.

CloudFormation, EventBridge Scheduler, EC2, IAM and STS are moto's. The other services are those of the embedded endpoint, so
workflows really run. Unlike with a local lake, commands have to find the stack, which names the buckets.
"""

from __future__ import annotations

import json
import os
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from moto.cloudformation.models import CloudFormationBackend, cloudformation_backends
from moto.core import DEFAULT_ACCOUNT_ID
from moto.ec2.models import ec2_backends
from moto.emrserverless.models import emrserverless_backends
from moto.server import ThreadedMotoServer

import oracle
import rawfiles
from lake import Lake, Result, assert_same_rows, binary, client, environment, read_json
from network import add_default_route

REGION = "us-east-1"
BUCKETS = {"raw": "acme-raw", "lake": "acme-lake", "results": "acme-results"}
RESOURCES = {"buckets": BUCKETS, "athena": {"database": "acme", "workgroup": "primary"}}
TEMPLATE = {
    "Resources": {"Topic": {"Type": "AWS::SNS::Topic"}},
    "Outputs": {
        "Resources": {"Value": json.dumps(RESOURCES)},
        "CreateDatalakeArn": {"Value": "arn:of:create_datalake"},
    },
}


class Account:
    """The services of an account, and commands that find them by environment variables."""

    def __init__(self, services: str, cloudformation: str, folder: Path):
        self.folder = folder
        self.settings = {
            **environment(folder),
            "AWS_ENDPOINT_URL": services,
            "AWS_ENDPOINT_URL_CLOUDFORMATION": cloudformation,
            "AWS_ENDPOINT_URL_SCHEDULER": cloudformation,
            # For the checks of `deploy`.
            **{f"AWS_ENDPOINT_URL_{service}": cloudformation for service in ("EC2", "IAM", "STS")},
            "AWS_REGION": REGION,
            "AWS_ACCESS_KEY_ID": "local",
            "AWS_SECRET_ACCESS_KEY": "local",
        }
        self.cloudformation = client(cloudformation, "cloudformation")
        self.scheduler = client(cloudformation, "scheduler")

    def run(
        self, *arguments: object, check: bool = True, settings: dict | None = None, folder: Path | None = None
    ) -> Result:
        command = [str(binary()), "--home", str(self.folder / "no-home"), *map(str, arguments)]
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=120,
            env={**self.settings, **(settings or {})},
            cwd=folder or self.folder,
        )
        result = Result(command, done.returncode, done.stdout, done.stderr)
        assert not check or result.code == 0, str(result)
        assert "panicked" not in result.err, str(result)
        return result

    def fails(self, *arguments: object, **options) -> Result:
        result = self.run(*arguments, check=False, **options)
        assert result.code > 0 and result.err.strip(), f"this must fail with a message:\n{result}"
        return result


@pytest.fixture
def account(tmp_path: Path) -> Iterator[Account]:
    lake = Lake(tmp_path / "services")
    chosen = [f"buckets.{kind}={name}" for kind, name in BUCKETS.items()] + ["athena.database=acme"]
    settings = [argument for setting in chosen for argument in ("--set", setting)]
    moto = ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    moto.start()
    ec2_backends.reset()
    add_default_route(client("http://{}:{}".format(*moto.get_host_and_port()), "ec2"))
    try:
        with lake.started(*settings, "local") as process:
            process.wait_for_line(lambda line: "http://" in line)
            host, port = moto.get_host_and_port()
            yield Account(lake.url(), f"http://{host}:{port}", tmp_path)
    finally:
        moto.stop()


@pytest.fixture
def stack(account: Account) -> Iterator[Account]:
    """The account with the stack in it."""
    account.cloudformation.create_stack(StackName="pregao", TemplateBody=json.dumps(TEMPLATE))
    yield account
    account.cloudformation.delete_stack(StackName="pregao")


def test_the_daily_work_is_the_same_in_an_account(stack: Account, tmp_path: Path):
    rawfiles.write_market(tmp_path / "raw", seed=31, days=["20200401", "20200402"], snapshots=8)
    expected = oracle.read_folder(tmp_path / "raw")
    stack.run("--aws", "upload", tmp_path / "raw")
    done = stack.run("--aws", "run", "--from", "2020-04-01", "--to", "2020-04-02")
    assert "s3://acme-lake/runs/run=" in done.out and "/TABLE/year=*/" in done.out, done
    for table in oracle.TABLES:
        answer = stack.run("--aws", "query", f"SELECT * FROM {table}", "--format", "json")
        assert_same_rows(table, read_json(answer.out), expected.rows[table])
    listed = stack.run("--aws", "runs").out
    assert "upload_raw_data" in listed and "create_datalake" in listed
    assert not (tmp_path / "no-home").exists(), "nothing is stored on this machine"


def test_uploaded_files_are_not_sent_again(stack: Account, tmp_path: Path):
    rawfiles.write_market(tmp_path / "raw", seed=32, days=["20200401"], snapshots=6)
    files = len(list((tmp_path / "raw").rglob("*.csv*")))
    first = stack.run("--aws", "upload", tmp_path / "raw")
    assert f"uploaded {files} files" in first.err and f"{files} accepted" in first.out, first
    again = stack.run("--aws", "upload", tmp_path / "raw")
    assert "uploaded 0 files" in again.err and f"{files} there already" in again.out, again
    rawfiles.write(tmp_path / "raw", "quotes", "202004011650", [rawfiles.quote("PETR4")])
    more = stack.run("--aws", "upload", tmp_path / "raw")
    assert "uploaded 1 file," in more.err and "1 accepted" in more.out, more


def test_a_missing_stack_is_an_error(account: Account):
    failed = account.fails("--aws", "runs")
    assert "there is no stack pregao in us-east-1" in failed.err and "pregao deploy" in failed.err
    failed = account.fails("--aws", "--set", "aws.stack=another", "query", "SELECT 1")
    assert "another" in failed.err
    failed = account.fails("--aws", "runs", settings={"AWS_REGION": ""})
    assert "region" in failed.err
    account.cloudformation.create_stack(
        StackName="foreign", TemplateBody=json.dumps({"Resources": TEMPLATE["Resources"]})
    )
    failed = account.fails("--aws", "--set", "aws.stack=foreign", "runs")
    account.cloudformation.delete_stack(StackName="foreign")
    assert "none of this program's" in failed.err


def test_settings_that_deployed_functions_ignore_are_refused(stack: Account):
    failed = stack.fails("--aws", "--set", "quality.max_reject_share=1", "run", "--from", "2020-04-01")
    assert "quality.max_reject_share" in failed.err and "pregao deploy" in failed.err
    for command in (["demo"], ["local"]):
        assert "this machine" in stack.fails("--aws", *command).err


def test_a_cluster_is_started_and_stopped_by_hand(stack: Account):
    assert "no cluster" in stack.run("--aws", "cluster", "status").out
    started = stack.run("--aws", "cluster", "start").out
    id = started.split()[0]
    assert id.startswith("j-") and "30 minutes" in started
    assert f"there is one already: {id}" in stack.run("--aws", "cluster", "start").out
    assert id in stack.run("--aws", "cluster", "status").out

    rawfiles.write_market(stack.folder / "raw", seed=33, days=["20200401"], snapshots=4)
    stack.run("--aws", "upload", stack.folder / "raw")
    stack.run("--aws", "run", "--from", "2020-04-01")
    emr = client(stack.settings["AWS_ENDPOINT_URL"], "emr")
    assert len(emr.list_clusters()["Clusters"]) == 1, "the run has used the existing cluster"
    assert [step["Status"]["State"] for step in emr.list_steps(ClusterId=id)["Steps"]] == ["COMPLETED"]

    assert f"ending {id}" in stack.run("--aws", "cluster", "stop").out
    assert "no cluster" in stack.run("--aws", "cluster", "status").out


# --- deploy and destroy -----------------------------------------------------------------------------

# A program that records its calls, one line each.
RECORDER = """#!/bin/sh
python3 - "$0" "$@" <<'END' >> "{calls}"
import json, os, sys
print(json.dumps([os.path.basename(sys.argv[1]), *sys.argv[2:]]))
END
exit {status}
"""


def tools(folder: Path, *names: str, status: int = 0) -> tuple[dict, Path]:
    """Creates tools that record their calls. Returns a PATH with these tools first, and the file with the calls."""
    folder.mkdir()
    calls = folder / "calls"
    for name in names:
        tool = folder / name
        tool.write_text(RECORDER.format(calls=calls, status=status))
        tool.chmod(tool.stat().st_mode | stat.S_IXUSR)
    return {"PATH": os.pathsep.join([str(folder), "/usr/bin", "/bin"])}, calls


@pytest.fixture
def sources(tmp_path: Path) -> Path:
    """A folder with the sources that `deploy` reads."""
    folder = tmp_path / "sources"
    (folder / "infra").mkdir(parents=True)
    (folder / "infra" / "template.yaml").write_text("Resources: {}\n")
    return folder


def test_deploy_passes_the_configuration(stack: Account, sources: Path, tmp_path: Path):
    (sources / "confs").mkdir()
    (sources / "confs" / "pregao.toml").write_text(
        '[aws]\narchitecture = "arm64"\nalarm_email = "ops@example.com"\n[buckets]\nraw = "chosen-raw"\n'
        '[emr]\ninstance_types = ["r6g.xlarge"]\ncore_instances = 20\n[schedule]\nenabled = false\n'
    )
    settings, calls = tools(tmp_path / "tools", "sam", "cargo")
    done = stack.run("deploy", settings=settings, folder=sources)
    assert "arn:of:create_datalake" in done.out

    *checked, built, sent = [json.loads(line) for line in calls.read_text().splitlines()]
    assert ["cargo", "lambda", "--version"] in checked and ["sam", "--version"] in checked
    assert built[:2] == ["sam", "build"] and sent[:2] == ["sam", "deploy"]
    assert sent[sent.index("--stack-name") + 1] == "pregao"
    for call in (built, sent):
        overrides = call[call.index("--parameter-overrides") + 1 :]
        # The form of the SAM CLI: a quoted value, in which quotes and backslashes are escaped.
        given = {name: json.loads(value) for name, value in (pair.split("=", 1) for pair in overrides)}
        assert json.loads(given["Config"]) == {"emr": {"instance_types": ["r6g.xlarge"], "core_instances": 20}}
        expected = {
            "Architecture": "arm64",
            "AlarmEmail": "ops@example.com",
            "RawBucketName": "chosen-raw",
            "LakeBucketName": "",
            "ScheduleState": "DISABLED",
        }
        assert {name: given[name] for name in expected} == expected


def set_status(name: str, status: str) -> None:
    """Puts a stack into a state, of which moto has only some."""
    for stack in cloudformation_backends[DEFAULT_ACCOUNT_ID][REGION].stacks.values():
        if stack.name == name:
            stack.status = status


def test_only_a_first_deployment_is_deleted_when_it_fails(account: Account, sources: Path, tmp_path: Path):
    """A stack whose creation failed can be neither updated nor created. An existing one must survive a failed update."""
    settings, calls = tools(tmp_path / "tools", "sam", "cargo")
    account.fails("deploy", settings=settings, folder=sources)  # the fake sam creates no stack
    sent = json.loads(calls.read_text().splitlines()[-1])
    assert sent[sent.index("--on-failure") + 1] == "DELETE"
    account.cloudformation.create_stack(StackName="pregao", TemplateBody=json.dumps(TEMPLATE))
    try:
        account.run("deploy", settings=settings, folder=sources)
        assert "--on-failure" not in json.loads(calls.read_text().splitlines()[-1])
    finally:
        account.cloudformation.delete_stack(StackName="pregao")


@pytest.mark.parametrize(
    "status, way_out",
    [
        ("UPDATE_IN_PROGRESS", "deploy again when it has finished"),
        ("DELETE_IN_PROGRESS", "deploy again when it has finished"),
        ("CREATE_FAILED", "pregao destroy"),
        ("ROLLBACK_COMPLETE", "pregao destroy"),
        ("ROLLBACK_FAILED", "pregao destroy"),
        ("DELETE_FAILED", "pregao destroy"),
        (
            "UPDATE_ROLLBACK_FAILED",
            "aws cloudformation continue-update-rollback --stack-name pregao --region us-east-1",
        ),
    ],
)
def test_deploy_names_the_way_out_of_each_state(
    stack: Account, sources: Path, tmp_path: Path, status: str, way_out: str
):
    settings, calls = tools(tmp_path / "tools", "sam", "cargo")
    set_status("pregao", status)
    failed = stack.fails("deploy", settings=settings, folder=sources)
    assert status in failed.err and way_out in failed.err, failed
    assert "sam" not in calls.read_text(), "nothing is built"


def test_deploy_names_missing_prerequisites(stack: Account, sources: Path, tmp_path: Path):
    settings, _ = tools(tmp_path / "tools", "sam", "cargo")
    assert "infra/template.yaml" in stack.fails("deploy", settings=settings).err
    settings, _ = tools(tmp_path / "no-sam", "cargo")
    assert "pip install aws-sam-cli" in stack.fails("deploy", settings=settings, folder=sources).err
    settings, _ = tools(tmp_path / "broken", "sam", "cargo", status=3)
    assert "cargo-lambda" in stack.fails("deploy", settings=settings, folder=sources).err


def test_destroy_keeps_data_that_cannot_be_recomputed(stack: Account, tmp_path: Path):
    rawfiles.write_market(tmp_path / "raw", seed=34, days=["20200401"], snapshots=4)
    stack.run("--aws", "upload", tmp_path / "raw")
    stack.run("--aws", "run", "--from", "2020-04-01")
    cluster = stack.run("--aws", "cluster", "start").out.split()[0]
    assert "--yes" in stack.fails("destroy").err, "it asks for confirmation, and there is no terminal"
    assert stack.cloudformation.describe_stacks(StackName="pregao")["Stacks"]

    target = {"Arn": "arn:of:create_datalake", "RoleArn": "arn:of:role", "Input": "{}"}
    schedule = {"Name": "pregao-create_datalake", "ScheduleExpression": "cron(0 7 * * ? *)"}
    stack.scheduler.create_schedule(
        **schedule, ScheduleExpressionTimezone="America/Sao_Paulo", FlexibleTimeWindow={"Mode": "OFF"}, Target=target
    )

    done = stack.run("destroy", "--yes")
    disabled = stack.scheduler.get_schedule(Name=schedule["Name"])
    assert disabled["State"] == "DISABLED" and disabled["Target"]["Input"] == "{}", disabled
    assert schedule.items() <= disabled.items() and disabled["ScheduleExpressionTimezone"] == "America/Sao_Paulo"
    emr = client(stack.settings["AWS_ENDPOINT_URL"], "emr")
    clusters = [one["Status"]["State"] for one in emr.list_clusters()["Clusters"]]
    assert clusters and all(state.startswith("TERMINATED") for state in clusters)
    assert "keeps s3://acme-raw/ and s3://acme-lake/" in done.out and f"ending {cluster}" in done.out
    services = Lake(tmp_path / "services")
    assert services.objects("acme-results") == {}
    assert services.objects("acme-raw") and services.objects("acme-lake")
    states = {
        stack["StackName"]: stack["StackStatus"] for stack in stack.cloudformation.list_stacks()["StackSummaries"]
    }
    assert states["pregao"] == "DELETE_COMPLETE"
    assert "there is no stack" in stack.fails("destroy", "--yes").err


def test_destroy_stops_what_is_running(stack: Account, tmp_path: Path):
    rawfiles.write_market(tmp_path / "raw", seed=35, days=["20200401"], snapshots=4)
    stack.run("--aws", "upload", tmp_path / "raw")
    states = client(stack.settings["AWS_ENDPOINT_URL"], "stepfunctions")
    (machine,) = (m for m in states.list_state_machines()["stateMachines"] if m["name"].endswith("create_datalake"))
    arn = states.start_execution(stateMachineArn=machine["stateMachineArn"], input=json.dumps({"date": "2020-04-01"}))[
        "executionArn"
    ]
    stack.run("destroy", "--yes")
    assert states.describe_execution(executionArn=arn)["status"] in ("ABORTED", "SUCCEEDED")
    assert (
        states.list_executions(stateMachineArn=machine["stateMachineArn"], statusFilter="RUNNING")["executions"] == []
    )


def test_destroy_stops_the_application_of_emr_serverless(account: Account):
    """CloudFormation deletes only an application that has stopped."""
    moto = account.settings["AWS_ENDPOINT_URL_CLOUDFORMATION"]
    serverless = client(moto, "emr-serverless")
    application = serverless.create_application(name="pregao", releaseLabel="emr-7.13.0", type="SPARK")["applicationId"]
    job_run = serverless.start_job_run(
        applicationId=application, clientToken="a", executionRoleArn=f"arn:aws:iam::{DEFAULT_ACCOUNT_ID}:role/job"
    )["jobRunId"]
    emrserverless_backends[DEFAULT_ACCOUNT_ID][REGION].get_job_run(application, job_run).state = "RUNNING"
    resources = {**RESOURCES, "emr": {"application_id": application, "job_role": "arn:of:role"}}
    template = {**TEMPLATE, "Outputs": {**TEMPLATE["Outputs"], "Resources": {"Value": json.dumps(resources)}}}
    account.cloudformation.create_stack(StackName="pregao", TemplateBody=json.dumps(template))
    done = account.run("destroy", "--yes", settings={"AWS_ENDPOINT_URL_EMR_SERVERLESS": moto})
    assert f"stopping the application {application}" in done.err, done
    assert serverless.get_job_run(applicationId=application, jobRunId=job_run)["jobRun"]["state"] == "CANCELLED"
    assert serverless.get_application(applicationId=application)["application"]["state"] == "STOPPED"
    assert "there is no stack" in account.fails("destroy", "--yes").err


@pytest.mark.parametrize("failures, removed", [(1, True), (3, False)])
def test_destroy_tries_again_when_the_bucket_was_written_to(
    stack: Account, monkeypatch: pytest.MonkeyPatch, failures: int, removed: bool
):
    """A cluster may have written a log after the bucket was emptied."""
    s3 = client(stack.settings["AWS_ENDPOINT_URL"], "s3")
    deletions = []
    delete = CloudFormationBackend.delete_stack

    def fail_at_first(self: CloudFormationBackend, name: str) -> None:
        if name != "pregao":  # moto deletes a stack by its id
            delete(self, name)
            return
        deletions.append(s3.list_objects_v2(Bucket="acme-results")["KeyCount"])
        if len(deletions) > failures:
            delete(self, name)
        else:
            s3.put_object(Bucket="acme-results", Key=f"logs/{len(deletions)}", Body=b"late")
            set_status("pregao", "DELETE_FAILED")

    monkeypatch.setattr(CloudFormationBackend, "delete_stack", fail_at_first)
    if removed:
        assert "removed the stack pregao" in stack.run("destroy", "--yes").out
    else:
        assert "the stack pregao was not removed" in stack.fails("destroy", "--yes").err
    assert deletions == [0] * min(failures + 1, 3), "the bucket is empty at each attempt"
    monkeypatch.undo()


@pytest.mark.parametrize("status", ["ROLLBACK_COMPLETE", "ROLLBACK_FAILED", "CREATE_FAILED", "DELETE_FAILED"])
def test_destroy_removes_a_stack_without_outputs(account: Account, status: str):
    s3 = client(account.settings["AWS_ENDPOINT_URL"], "s3")
    s3.put_object(Bucket="acme-results", Key="logs/1", Body=b"a log")
    # moto creates its own bucket of this name; the commands find that of the embedded endpoint.
    bucket = {"Type": "AWS::S3::Bucket", "Properties": {"BucketName": "acme-results"}}
    account.cloudformation.create_stack(
        StackName="pregao", TemplateBody=json.dumps({"Resources": {"ResultsBucket": bucket}})
    )
    set_status("pregao", status)
    assert "pregao destroy" in account.fails("--aws", "runs").err
    assert "--yes" in account.fails("destroy").err
    assert "removed the stack pregao" in account.run("destroy", "--yes").out
    assert s3.list_objects_v2(Bucket="acme-results")["KeyCount"] == 0
    assert "there is no stack" in account.fails("destroy", "--yes").err


def test_destroy_waits_for_cloudformation(stack: Account):
    set_status("pregao", "UPDATE_IN_PROGRESS")
    failed = stack.fails("destroy", "--yes")
    assert "UPDATE_IN_PROGRESS" in failed.err and "when it has finished" in failed.err
    set_status("pregao", "CREATE_COMPLETE")
