"""`pregao doctor` finds faults that are planted in an account on moto and in homes, and `pregao deploy` stops at them."""

from __future__ import annotations

import datetime
import email.utils
import io
import json
import os
import signal
import subprocess
import threading
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import pytest
from moto.cloudformation.models import cloudformation_backends
from moto.core import DEFAULT_ACCOUNT_ID
from moto.ec2.models import ec2_backends
from moto.glue.models import glue_backends
from moto.iam.models import iam_backends
from moto.s3.models import s3_backends
from moto.server import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import WSGIRequestHandler, make_server

from lake import Lake, Result, binary, client, environment
from network import add_default_route
from test_aws_command_line import set_status

REGION = "us-east-1"
BACKENDS = [cloudformation_backends, ec2_backends, glue_backends, iam_backends, s3_backends]
QUOTAS = {"L-1216C47A": 32, "L-34B43A08": 32, "L-3CE0BBA0": 20}
TEMPLATE = "Resources: {}\n"


class Services:
    """The services of an account: moto's, with the quotas that moto has not, and faults."""

    def __init__(self) -> None:
        for backends in BACKENDS:
            backends.reset()
        self.quotas = dict(QUOTAS)
        self.defaults: dict[str, float] = {}
        self.concurrency = {"ConcurrentExecutions": 1_000, "UnreservedConcurrentExecutions": 1_000}
        self.skew = datetime.timedelta()
        self.regions = {REGION: "opt-in-not-required"}
        self.refused: dict[str, str] = {}  # the error code by operation
        self._moto = DomainDispatcherApplication(create_backend_app)
        services = self

        class Handler(WSGIRequestHandler):
            protocol_version = "HTTP/1.1"

            def date_time_string(self, timestamp: float | None = None) -> str:
                now = datetime.datetime.now(datetime.timezone.utc) + services.skew
                return email.utils.format_datetime(now, usegmt=True)

            def log_request(self, *_: object) -> None:
                """Writes nothing."""

        self._server = make_server("127.0.0.1", 0, self._answer, threaded=True, request_handler=Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def _answer(self, environ: dict, start_response: Callable) -> Iterable[bytes]:
        body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        environ["wsgi.input"] = io.BytesIO(body)
        operation = environ.get("HTTP_X_AMZ_TARGET", "").split(".")[-1]
        for word in body.decode("utf-8", "replace").split("&"):
            if word.startswith("Action="):
                operation = word.removeprefix("Action=")
        if environ["PATH_INFO"] == "/2016-08-19/account-settings":
            operation = "GetAccountSettings"
        if operation in self.refused:
            code = self.refused[operation]
            text = f"<ErrorResponse><Error><Code>{code}</Code><Message>in a test</Message></Error></ErrorResponse>"
            return self._reply(start_response, 403, text.encode(), "text/xml")
        if operation == "DescribeRegions":
            items = (
                f"<item><regionName>{name}</regionName><optInStatus>{status}</optInStatus></item>"
                for name, status in self.regions.items()
            )
            text = f"<DescribeRegionsResponse><regionInfo>{''.join(items)}</regionInfo></DescribeRegionsResponse>"
            return self._reply(start_response, 200, text.encode(), "text/xml")
        if operation == "GetAccountSettings":
            return self._reply(start_response, 200, json.dumps({"AccountLimit": self.concurrency}).encode())
        if operation in ("GetServiceQuota", "GetAWSDefaultServiceQuota"):
            values = self.quotas if operation == "GetServiceQuota" else self.defaults
            code = json.loads(body)["QuotaCode"]
            if code not in values:
                return self._reply(start_response, 400, json.dumps({"__type": "NoSuchResourceException"}).encode())
            return self._reply(
                start_response, 200, json.dumps({"Quota": {"QuotaCode": code, "Value": values[code]}}).encode()
            )
        return self._moto(environ, start_response)

    @staticmethod
    def _reply(
        start_response: Callable, status: int, body: bytes, type: str = "application/x-amz-json-1.1"
    ) -> list[bytes]:
        start_response(f"{status} In a test", [("Content-Type", type)])
        return [body]


class Account:
    """An account in which the stack can be deployed, and a machine with the tools for it."""

    def __init__(self, services: Services, folder: Path):
        self.services, self.folder = services, folder
        self.tools, self.calls = folder / "tools", folder / "calls"
        self.tools.mkdir()
        self.tool("sam", "SAM CLI, version 1.170.0")
        self.tool("cargo", "cargo-lambda 1.9.2 (2026-05-01Z)")
        self.settings = {
            **environment(folder),
            "PATH": f"{self.tools}:/usr/bin:/bin",
            "AWS_ENDPOINT_URL": services.url,
            "AWS_REGION": REGION,
            "AWS_ACCESS_KEY_ID": "key",
            "AWS_SECRET_ACCESS_KEY": "secret",
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_MAX_ATTEMPTS": "1",
        }
        self.route_table = add_default_route(self.client("ec2"))

    def client(self, service: str):
        return client(self.services.url, service)

    def tool(self, name: str, version: str) -> None:
        """Installs a program that records its calls and prints a version."""
        program = self.tools / name
        program.write_text(f"#!/bin/sh\necho {name} \"$@\" >> {self.calls}\necho '{version}'\n")
        program.chmod(0o755)

    def run(self, *arguments: str, folder: Path | None = None, **settings: str) -> Result:
        command = [str(binary()), *arguments]
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=120,
            env={**self.settings, **settings},
            cwd=folder or self.folder,
        )
        result = Result(command, done.returncode, done.stdout, done.stderr)
        assert "panicked" not in result.err, str(result)
        return result

    def checks(self, *arguments: str, **settings: str) -> dict[str, dict]:
        """Returns the checks by name. The exit code has to be that of their results."""
        done = self.run("--aws", *arguments, "doctor", "--format", "json", **settings)
        document = json.loads(done.out)
        assert document["aws"]
        results = [check["result"] for check in document["checks"]]
        assert done.code == (1 if "failed" in results else 0), done
        assert all(check["remedy"] for check in document["checks"] if check["result"] != "ok"), document
        return {check["name"]: check for check in document["checks"]}


@pytest.fixture
def account(tmp_path: Path) -> Iterator[Account]:
    services = Services()
    try:
        yield Account(services, tmp_path)
    finally:
        services.close()


def test_nothing_is_wrong_with_an_account_that_is_prepared(account: Account):
    checks = account.checks()
    assert {check["result"] for check in checks.values()} == {"ok"}, checks
    expected = ["SAM CLI", "cargo-lambda", "credentials", "clock", "region", "stack", "bucket names", "database name"]
    expected += ["Glue default database", "Lambda concurrency", "Athena DDL", "EC2 On-Demand vCPUs", "network"]
    assert list(checks) == [*expected, "EMR cleanup role"]
    text = account.run("--aws", "doctor").out
    assert "14 checks: nothing is wrong" in text and "an internet gateway" in text, text


def plant_old_tool(account: Account) -> None:
    account.tool("sam", "SAM CLI, version 1.99.0")


def plant_no_tool(account: Account) -> None:
    (account.tools / "cargo").unlink()


def plant_refused_credentials(account: Account) -> None:
    account.services.refused["GetCallerIdentity"] = "InvalidClientTokenId"


def plant_skew(account: Account) -> None:
    account.services.skew = datetime.timedelta(minutes=10)


def plant_other_regions(account: Account) -> None:
    account.services.regions = {"sa-east-1": "opt-in-not-required"}


def plant_disabled_region(account: Account) -> None:
    account.services.regions = {REGION: "not-opted-in"}


def plant_lambda_quota(account: Account) -> None:
    account.services.concurrency = {"ConcurrentExecutions": 10, "UnreservedConcurrentExecutions": 10}


def plant_vcpu_quota(account: Account) -> None:
    account.services.quotas["L-1216C47A"] = 5


def plant_default_vcpu_quota(account: Account) -> None:
    del account.services.quotas["L-1216C47A"]
    account.services.defaults["L-1216C47A"] = 5


def plant_spot_quota(account: Account) -> None:
    account.services.quotas["L-34B43A08"] = 0


def plant_ddl_quota(account: Account) -> None:
    account.services.quotas["L-3CE0BBA0"] = 1


def plant_no_default_vpc(account: Account) -> None:
    for vpc in ec2_backends[DEFAULT_ACCOUNT_ID][REGION].vpcs.values():
        vpc.is_default = "false"


def plant_no_route(account: Account) -> None:
    account.client("ec2").delete_route(RouteTableId=account.route_table, DestinationCidrBlock="0.0.0.0/0")


def plant_bucket(account: Account) -> None:
    account.client("s3").create_bucket(Bucket=f"pregao-lake-{DEFAULT_ACCOUNT_ID}")


def plant_database(account: Account) -> None:
    account.client("glue").create_database(DatabaseInput={"Name": "pregao"})


def plant_failed_stack(account: Account) -> None:
    template = {"Resources": {"Topic": {"Type": "AWS::SNS::Topic"}}}
    account.client("cloudformation").create_stack(StackName="pregao", TemplateBody=json.dumps(template))
    set_status("pregao", "ROLLBACK_COMPLETE")


def plant_stack_without_roles(account: Account) -> None:
    resources = {"emr": {"service_role": "arn:aws:iam::1:role/gone", "instance_profile": "gone"}}
    template = {
        "Resources": {"Topic": {"Type": "AWS::SNS::Topic"}},
        "Outputs": {"Resources": {"Value": json.dumps(resources)}},
    }
    account.client("cloudformation").create_stack(StackName="pregao", TemplateBody=json.dumps(template))


def plant_nothing(account: Account) -> None:
    """For faults of the configuration."""


@pytest.mark.parametrize(
    ("plant", "arguments", "name", "found", "remedy"),
    [
        (plant_old_tool, [], "SAM CLI", "1.99.0, older", "pip install aws-sam-cli==1.170.0"),
        (plant_no_tool, [], "cargo-lambda", "not installed", "pip install cargo-lambda==1.9.2"),
        (plant_refused_credentials, [], "credentials", "InvalidClientTokenId", "aws sso login"),
        (plant_skew, [], "clock", "behind that of AWS", "timedatectl"),
        (plant_other_regions, [], "region", f"no region {REGION}", "aws.region"),
        (plant_disabled_region, [], "region", f"{REGION} is not enabled", "enable-region"),
        (plant_lambda_quota, [], "Lambda concurrency", "10 concurrent executions", "reserved_concurrency = 0"),
        (plant_vcpu_quota, [], "EC2 On-Demand vCPUs", "quota is 5, and a cluster needs 8", "L-1216C47A"),
        (plant_default_vcpu_quota, [], "EC2 On-Demand vCPUs", "quota is 5, and a cluster needs 8", "L-1216C47A"),
        (plant_spot_quota, ["--set", "emr.spot=true"], "EC2 Spot vCPUs", "quota is 0, and", "L-34B43A08"),
        (
            plant_nothing,
            ["--set", 'emr.instance_types=["q9.nano"]'],
            "EC2 On-Demand vCPUs",
            "q9.nano",
            "emr.instance_types",
        ),
        (plant_ddl_quota, [], "Athena DDL", "1 statements", "L-3CE0BBA0"),
        (plant_no_default_vpc, [], "network", "no default VPC", "emr.subnet_ids"),
        (plant_no_route, [], "network", "no route to S3", "endpoint of S3"),
        (plant_nothing, ["--set", 'emr.subnet_ids=["subnet-0123"]'], "network", "subnet-0123", "emr.subnet_ids"),
        (plant_bucket, [], "bucket names", f"pregao-lake-{DEFAULT_ACCOUNT_ID} is in this account", "[buckets]"),
        (plant_database, [], "database name", "database pregao", "athena.database"),
        (plant_failed_stack, [], "stack", "ROLLBACK_COMPLETE", "pregao destroy"),
        (plant_stack_without_roles, [], "EMR roles", "there is no gone", "infra/template.yaml"),
    ],
)
def test_a_planted_fault_is_found(
    account: Account, plant: Callable[[Account], None], arguments: list[str], name: str, found: str, remedy: str
):
    plant(account)
    checks = account.checks(*arguments)
    check = checks[name]
    assert check["result"] == "failed", checks
    assert found in check["found"] and remedy in check["remedy"], check
    # A fault is not reported as several, except that nothing else can be checked without credentials.
    others = {check["name"] for check in checks.values() if check["result"] == "failed"} - {name}
    assert not others, checks


def test_a_configuration_for_an_account_checks_the_account(account: Account):
    done = account.run("--set", "aws.always=true", "doctor", "--format", "json")
    assert done.code == 0 and json.loads(done.out)["aws"], done
    done = account.run("--aws", "--set", "emr.relase=x", "doctor", "--format", "json")
    assert done.code == 1 and "emr.release" in json.loads(done.out)["error"]["message"], done


def test_credentials_are_needed_for_the_rest(account: Account):
    checks = account.checks(AWS_ACCESS_KEY_ID="", AWS_SECRET_ACCESS_KEY="")
    assert checks["credentials"]["result"] == "failed" and "no credentials" in checks["credentials"]["found"], checks
    assert checks["account"]["result"] == "unknown" and "stack" not in checks
    checks = account.checks(AWS_REGION="")
    assert checks["region"]["result"] == "failed" and "aws.region" in checks["region"]["remedy"], checks


@pytest.mark.parametrize(
    ("operation", "name"),
    [
        ("GetAccountSettings", "Lambda concurrency"),
        ("GetServiceQuota", "Athena DDL"),
        ("DescribeInstanceTypes", "EC2 On-Demand vCPUs"),
        ("DescribeRouteTables", "network"),
        ("DescribeRegions", "region"),
        ("DescribeStacks", "stack"),
        ("GetRole", "EMR cleanup role"),
    ],
)
def test_a_check_without_its_permission_is_unknown(account: Account, operation: str, name: str):
    account.services.refused[operation] = "AccessDenied"
    check = account.checks()[name]
    assert check["result"] == "unknown" and "permit" in check["remedy"], check


def test_a_deployed_stack_already_has_its_reservations(account: Account):
    """The account has as many executions as the stack needs, and the stack has them."""
    account.services.concurrency = {"ConcurrentExecutions": 271, "UnreservedConcurrentExecutions": 100}
    assert account.checks()["Lambda concurrency"]["result"] == "failed"
    template = {
        "Parameters": {"ReservedConcurrency": {"Type": "Number"}},
        "Resources": {"Topic": {"Type": "AWS::SNS::Topic"}},
    }
    parameters = [{"ParameterKey": "ReservedConcurrency", "ParameterValue": "50"}]
    account.client("cloudformation").create_stack(
        StackName="pregao", TemplateBody=json.dumps(template), Parameters=parameters
    )
    assert account.checks()["Lambda concurrency"]["result"] == "ok"
    more = account.checks("--set", "aws.reserved_concurrency=51")["Lambda concurrency"]
    assert more["result"] == "failed" and "request 273" in more["remedy"], more


def test_a_lake_without_clusters_needs_none_of_their_quotas(account: Account):
    plant_vcpu_quota(account)
    plant_no_route(account)
    for setting in ("transform.engine=lambda", "emr.cluster_id=j-1"):
        checks = account.checks("--set", setting)
        assert checks["network"]["result"] == checks["EC2 On-Demand vCPUs"]["result"] == "ok", checks


def test_deploy_stops_at_a_fault_before_it_builds(account: Account):
    sources = account.folder / "sources"
    (sources / "infra").mkdir(parents=True)
    (sources / "infra" / "template.yaml").write_text(TEMPLATE)
    plant_lambda_quota(account)
    plant_vcpu_quota(account)
    failed = account.run("deploy", folder=sources)
    assert failed.code == 1 and "Lambda concurrency" in failed.err and "EC2 On-Demand vCPUs" in failed.err, failed
    assert "aws.reserved_concurrency = 0" in failed.err and "--skip-checks" in failed.err, failed
    assert "sam build" not in account.calls.read_text(), "nothing is built"
    account.run("deploy", "--skip-checks", folder=sources)
    assert "sam build" in account.calls.read_text() and "sam deploy" in account.calls.read_text()


# --- this machine ---


def machine(lake: Lake, *options: str) -> tuple[int, dict[str, dict]]:
    command = lake.command(*options, "doctor", "--format", "json")
    done = subprocess.run(command, capture_output=True, text=True, env=environment(lake.home.parent), timeout=120)
    return done.returncode, {check["name"]: check for check in json.loads(done.stdout)["checks"]}


def test_nothing_is_wrong_with_a_machine_without_a_lake(lake: Lake):
    code, checks = machine(lake)
    assert code == 0 and list(checks) == ["configuration", "ports", "disk space", "home"], checks
    assert not lake.home.exists(), "nothing is created"


def test_nothing_is_wrong_with_a_lake(lake: Lake):
    lake.run("query", "SELECT 1")
    code, checks = machine(lake)
    assert code == 0, checks
    assert list(checks) == ["configuration", "ports", "disk space", "home", "owner", "databases"]
    assert checks["databases"]["found"] == "intact" and not list(lake.home.glob(".doctor*"))


def test_faults_of_a_home_are_found(lake: Lake):
    lake.run("query", "SELECT 1")
    code, checks = machine(lake, "--set", "emr.relase=emr-7.13.0")
    assert code == 1 and checks["configuration"]["result"] == "failed", checks
    assert "emr.release" in checks["configuration"]["found"], checks

    lake.home.chmod(0o755)
    code, checks = machine(lake)
    assert code == 1 and "mode is 755" in checks["home"]["found"] and "chmod 700" in checks["home"]["remedy"], checks
    lake.home.chmod(0o700)

    database = lake.home / "state.db"
    data = database.read_bytes()
    database.write_bytes(data[:100] + bytes(1_000) + data[1_100:])
    code, checks = machine(lake)
    assert code == 1 and "state.db" in checks["databases"]["found"], checks
    assert "pregao verify" in checks["databases"]["remedy"], checks
    database.write_bytes(data)
    assert machine(lake)[0] == 0


def test_a_stopped_owner_is_found(lake: Lake):
    with lake.started("local") as process:
        process.wait_for_line(lambda line: "http://" in line)
        code, checks = machine(lake)
        assert code == 0 and "serves the home" in checks["owner"]["found"], checks
        pid = int(checks["owner"]["found"].split()[1])
        os.kill(pid, signal.SIGSTOP)
        try:
            code, checks = machine(lake)
        finally:
            os.kill(pid, signal.SIGCONT)
        assert code == 1 and "does not answer" in checks["owner"]["found"], checks
        assert f"kill -CONT {pid}" in checks["owner"]["remedy"], checks
