"""The deployed stack: functions built for Lambda, and the template in an independent emulator.

`ministack` emulates CloudFormation, S3, EventBridge, Step Functions and Lambda, and runs the real binaries.
`pregao deploy` deploys the unmodified template to it; it sets AWS_ENDPOINT_URL for the functions.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import threading
import urllib.request
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import botocore.exceptions
import pytest

import aws_tools as tools
import rawfiles
import run
from lake import ROOT, binary, client, eventually
from network import add_default_route
from pipe import Pipe
from sam_template import FUNCTIONS, RESOURCES

STACK, REGION = "acme", "us-east-1"
CREDENTIALS = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_DEFAULT_REGION": REGION}
# A new machine compiles the AWS SDKs again here, for Lambda.
BUILD_PATIENCE = 2400
# The size limit of a function's zip.
LARGEST_ZIP = 6_000_000
# The C library of provided.al2023.
GLIBC = (2, 34)


# --- the functions, built for Lambda ----------------------------------------------------------------


@pytest.fixture(scope="session")
def built() -> Path:
    """Returns the output folder of cargo-lambda: for each function a folder with its `bootstrap`."""
    packages = [option for name in FUNCTIONS for option in ("--package", name)]
    arguments = ("lambda", "build", "--release", "--x86-64", "--locked", *packages)
    tools.succeeds("cargo-lambda", *arguments, patience=BUILD_PATIENCE)
    return run.target_directory() / "lambda"


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_function_is_small_enough_to_start_quickly(built: Path, name: str, tmp_path: Path):
    with zipfile.ZipFile(tmp_path / "function.zip", "w", zipfile.ZIP_DEFLATED) as file:
        file.write((built / name / "bootstrap"), "bootstrap")
    assert (tmp_path / "function.zip").stat().st_size < LARGEST_ZIP


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_function_needs_no_newer_c_library_than_lambda_has(built: Path, name: str):
    content = (built / name / "bootstrap").read_bytes()
    assert content[:4] == b"\x7fELF" and content[18] == 0x3E, f"{name} is not a program for x86-64"
    versions = {tuple(map(int, found)) for found in re.findall(rb"GLIBC_(\d+)\.(\d+)", content)}
    assert versions and max(versions) <= GLIBC, f"{name} needs glibc {max(versions)}"


@pytest.mark.parametrize("page", ["README.md", "docs/aws.md"])
def test_the_documentation_installs_what_is_tested_here(page: str):
    line = re.search(r"^pip install (aws-sam-cli.*)$", (ROOT / page).read_text(encoding="utf-8"), re.MULTILINE)
    pinned = (ROOT / "tests" / "tools" / "aws.txt").read_text(encoding="utf-8").splitlines()
    assert line and set(line.group(1).split()) <= set(pinned)


# --- the stack, deployed ----------------------------------------------------------------------------


class Deployed(NamedTuple):
    """A stack in a running emulator."""

    url: str
    outputs: dict[str, str]
    folder: Path

    def pregao(self, *arguments: str) -> str:
        """Runs the command line in the folder of the sources, with the stack of the account."""
        command = [str(binary()), "--set", f"aws.stack={STACK}", "--set", f"aws.region={REGION}", *arguments]
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=BUILD_PATIENCE,
            cwd=self.folder,
            env=tools.environment(AWS_ENDPOINT_URL=self.url, **CREDENTIALS),
        )
        assert done.returncode == 0, f"{command}\n{done.stdout}"
        return done.stdout

    def client(self, service: str):
        return client(self.url, service)

    @property
    def resources(self) -> dict[str, dict]:
        return json.loads(self.outputs["Resources"])


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


@contextlib.contextmanager
def emulator(folder: Path) -> Iterator[str]:
    """Runs ministack on a free port of this machine."""
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    settings = {
        "BIND_HOST": "127.0.0.1",
        "GATEWAY_PORT": str(port),
        "LAMBDA_EXECUTOR": "local",
        # The address for its functions.
        "AWS_ENDPOINT_URL": url,
        "HOME": str(folder),
        "TMPDIR": str(folder),
    }
    with open(folder / "ministack.log", "wb") as log:
        process = subprocess.Popen(
            [tools.find("ministack")],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            env=tools.environment(**settings),
            cwd=folder,
            start_new_session=True,
        )
    try:

        def answers():
            assert process.poll() is None, (folder / "ministack.log").read_text()
            with contextlib.suppress(OSError):
                return urllib.request.urlopen(f"{url}/_ministack/health", timeout=5).status == 200 or None

        eventually("ministack to answer", answers)
        yield url
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


@pytest.fixture(scope="session")
def deployed(built: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployed]:
    """The stack, deployed by `pregao deploy` with compiled functions."""
    folder = tmp_path_factory.mktemp("ministack")
    with emulator(folder) as url:
        # The sources, without the configuration of the user who runs the tests.
        for name in ("functions", "infra", "statemachines"):
            (folder / name).symlink_to(ROOT / name)
        deployed = Deployed(url, {}, folder)
        add_default_route(deployed.client("ec2"))
        deployed.pregao("deploy")
        (described,) = deployed.client("cloudformation").describe_stacks(StackName=STACK)["Stacks"]
        assert described["StackStatus"] == "CREATE_COMPLETE"
        deployed.outputs.update({output["OutputKey"]: output["OutputValue"] for output in described["Outputs"]})
        pipe = landing_pipe(deployed)
        thread = threading.Thread(target=pipe.run, daemon=True)
        thread.start()
        yield deployed
        pipe.stop()
        thread.join()


def landing_pipe(deployed: Deployed) -> Pipe:
    """Returns the pipe of the template. ministack creates pipes that read from a queue, and does not run them."""
    described = deployed.client("pipes").describe_pipe(Name=f"{STACK}-landing")
    assert described["Target"] == deployed.outputs["UploadRawDataArn"], described
    sqs = deployed.client("sqs")
    queue_url = sqs.get_queue_url(QueueName=f"{STACK}-landing")["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=queue_url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    assert described["Source"] == arn, described
    # ministack does not keep these parameters.
    parameters = RESOURCES["LandingPipe"]["Properties"]
    return Pipe(
        sqs,
        deployed.client("stepfunctions"),
        queue_url,
        described["Target"],
        parameters["TargetParameters"]["InputTemplate"],
        parameters["SourceParameters"]["SqsQueueParameters"]["BatchSize"],
    )


def keys(deployed: Deployed, prefix: str = "") -> set[str]:
    listing = deployed.client("s3").list_objects_v2(Bucket=deployed.resources["buckets"]["raw"], Prefix=prefix)
    return {item["Key"] for item in listing.get("Contents", [])}


def finished(deployed: Deployed, machine: str, wanted: str) -> dict:
    """Waits for the end of the execution whose input contains this text."""
    client = deployed.client("stepfunctions")

    def poll():
        for listed in client.list_executions(stateMachineArn=machine)["executions"]:
            execution = client.describe_execution(executionArn=listed["executionArn"])
            if wanted in execution["input"] and execution["status"] != "RUNNING":
                return execution
        return None

    return eventually(f"the end of an execution for {wanted}", poll)


def test_an_uploaded_snapshot_is_moved_to_its_key(deployed: Deployed, tmp_path: Path):
    rawfiles.write_market(tmp_path, seed=20200401)
    snapshot = min(tmp_path.rglob("*_flashpanel.csv"))
    name, body = snapshot.name, snapshot.read_bytes()
    day = f"{name[:4]}-{name[4:6]}-{name[6:8]}"
    s3, bucket = deployed.client("s3"), deployed.resources["buckets"]["raw"]
    s3.put_object(Bucket=bucket, Key=f"landing/april/{name}", Body=body)

    # Only the rule, the queue and the pipe of the stack start an execution here.
    execution = finished(deployed, deployed.outputs["UploadRawDataArn"], f"landing/april/{name}")
    assert execution["status"] == "SUCCEEDED", execution
    output = json.loads(execution["output"])
    assert (output["from"], output["to"], output["accepted"]) == (day, day, 1)
    assert output["raw"]["files"] == 1, "ValidateRaw, the second function of the workflow, counts the raw files"
    assert s3.get_object(Bucket=bucket, Key=f"quotes/date={day}/{name}")["Body"].read() == body
    assert not [key for key in keys(deployed, "landing/") if key.endswith(name)]


def test_an_invalid_file_is_quarantined_with_a_reason(deployed: Deployed):
    s3, bucket = deployed.client("s3"), deployed.resources["buckets"]["raw"]
    s3.put_object(Bucket=bucket, Key="landing/202004011320_flashpanel.csv", Body=b"not,the,header\n1,2,3\n")
    execution = finished(deployed, deployed.outputs["UploadRawDataArn"], "landing/202004011320_flashpanel.csv")
    assert execution["status"] == "SUCCEEDED", execution
    assert json.loads(execution["output"])["quarantined"]["count"] == 1
    kept = s3.get_object(Bucket=bucket, Key="quarantine/202004011320_flashpanel.csv")["Body"].read()
    assert kept == b"not,the,header\n1,2,3\n"
    reason = json.loads(
        s3.get_object(Bucket=bucket, Key="quarantine/202004011320_flashpanel.csv.reason.json")["Body"].read()
    )
    assert reason["reason"] == "wrong_header" and reason["source"].endswith("/landing/202004011320_flashpanel.csv")
    assert not [key for key in keys(deployed) if "/date=2020-04-01/202004011320" in key]


def test_only_objects_in_landing_start_an_execution(deployed: Deployed):
    client = deployed.client("stepfunctions")
    machine = deployed.outputs["UploadRawDataArn"]
    s3, bucket = deployed.client("s3"), deployed.resources["buckets"]["raw"]
    s3.put_object(Bucket=bucket, Key="elsewhere/202004011330_flashpanel.csv", Body=b"x")
    s3.put_object(Bucket=bucket, Key="landing/after-it.txt", Body=b"x")
    finished(deployed, machine, "landing/after-it.txt")
    batches = [
        json.loads(client.describe_execution(executionArn=execution["executionArn"])["input"])
        for execution in client.list_executions(stateMachineArn=machine)["executions"]
    ]
    assert {item["key"].split("/")[0] for batch in batches for item in batch} == {"landing"}


def test_a_burst_of_files_is_ingested_in_batches(deployed: Deployed):
    s3, bucket = deployed.client("s3"), deployed.resources["buckets"]["raw"]
    times = [f"20200406{hour}{minute}0" for hour in range(10, 17) for minute in range(6)]
    files = {f"{time}_flashpanel.csv": rawfiles.encode("quotes", time, [rawfiles.quote("PETR4")]) for time in times}
    for name, body in files.items():
        s3.put_object(Bucket=bucket, Key=f"landing/burst/{name}", Body=body)

    def accepted():
        return {key.split("/")[-1] for key in keys(deployed, "quotes/date=2020-04-06/")} == set(files) or None

    eventually("all files of the burst to be accepted", accepted)
    assert not keys(deployed, "landing/burst/")
    client = deployed.client("stepfunctions")
    started = client.list_executions(stateMachineArn=deployed.outputs["UploadRawDataArn"])["executions"]
    inputs = [client.describe_execution(executionArn=execution["executionArn"])["input"] for execution in started]
    batches = [json.loads(text) for text in inputs if "landing/burst/" in text]
    assert sum(len(batch) for batch in batches) >= len(files)
    assert len(batches) < len(files) / 2, f"{len(batches)} executions for {len(files)} files"


def test_a_day_without_files_is_planned_and_costs_no_cluster(deployed: Deployed):
    client = deployed.client("stepfunctions")
    arn = client.start_execution(
        stateMachineArn=deployed.outputs["CreateDatalakeArn"], input=json.dumps({"date": "2019-12-30"})
    )["executionArn"]
    execution = finished(deployed, deployed.outputs["CreateDatalakeArn"], "2019-12-30")
    assert (execution["executionArn"], execution["status"]) == (arn, "SUCCEEDED"), execution
    assert json.loads(execution["output"])["files"] == 0
    assert deployed.client("emr").list_clusters()["Clusters"] == []


def test_a_run_that_fails_invokes_stop_emr_step(deployed: Deployed):
    client = deployed.client("stepfunctions")
    client.start_execution(
        stateMachineArn=deployed.outputs["CreateDatalakeArn"], name="given-up", input=json.dumps({"dates": "misspelt"})
    )
    execution = finished(deployed, deployed.outputs["CreateDatalakeArn"], "misspelt")
    assert execution["status"] == "FAILED", execution
    assert execution["error"] == "InvalidInput" and "dates" in execution["cause"]

    def stopped():
        with contextlib.suppress(botocore.exceptions.ClientError):
            events = deployed.client("logs").filter_log_events(logGroupName=f"/aws/lambda/{STACK}-stop-emr-step")[
                "events"
            ]
            return next((event["message"] for event in events if "given-up" in event["message"]), None)
        return None

    eventually("stop-emr-step to be invoked for the run", stopped)


def test_functions_and_commands_use_the_same_resources(deployed: Deployed):
    client = deployed.client("lambda")
    for name in FUNCTIONS:
        configuration = client.get_function_configuration(FunctionName=f"{STACK}-{name}")
        variables = configuration["Environment"]["Variables"]
        assert (json.loads(variables["PREGAO_RESOURCES"]), variables["PREGAO_CONFIG"]) == (deployed.resources, "{}")
        assert configuration["Runtime"] == "provided.al2023" and configuration["Architectures"] == ["x86_64"]
    # Two stacks of one account have a database each.
    assert deployed.resources["athena"] == {"database": STACK, "workgroup": STACK}
    buckets = {bucket["Name"] for bucket in deployed.client("s3").list_buckets()["Buckets"]}
    assert set(deployed.resources["buckets"].values()) <= buckets


def test_destroy_keeps_data_that_cannot_be_recomputed(deployed: Deployed):
    """Destroys the stack, and therefore has to be the last test."""
    s3 = deployed.client("s3")
    raw, lake, results = (deployed.resources["buckets"][name] for name in ("raw", "lake", "results"))
    s3.put_object(Bucket=raw, Key="quotes/date=2020-04-01/kept", Body=b"kept")
    s3.put_object(Bucket=lake, Key="quotes/kept", Body=b"kept")
    s3.put_object(Bucket=results, Key="athena/lost", Body=b"lost")
    output = deployed.pregao("destroy", "--yes")
    assert raw in output and lake in output
    buckets = {bucket["Name"] for bucket in s3.list_buckets()["Buckets"]}
    assert {raw, lake} <= buckets and results not in buckets
    assert s3.get_object(Bucket=raw, Key="quotes/date=2020-04-01/kept")["Body"].read() == b"kept"
    assert s3.get_object(Bucket=lake, Key="quotes/kept")["Body"].read() == b"kept"
    assert deployed.client("lambda").list_functions()["Functions"] == []
    assert deployed.client("stepfunctions").list_state_machines()["stateMachines"] == []
    listed = deployed.client("cloudformation").list_stacks(StackStatusFilter=["CREATE_COMPLETE", "DELETE_FAILED"])
    assert STACK not in {stack["StackName"] for stack in listed["StackSummaries"]}
