"""The policies for people permit exactly the calls of their commands: analysts query, operators run the lake, and those who
maintain it start clusters, remove files and check the account.

A proxy before the services of the emulated account records the calls of each command, and `iam.py` derives the needed
permissions.
"""

from __future__ import annotations

import datetime
import http.client
import json
import re
import threading
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from werkzeug.serving import make_server

import rawfiles
import sam_template
from iam import Grant, Need, grants, needs
from lake import ROOT, Lake, client
from moto_server import CREDENTIAL, Call, QuietHandler, json_request, s3_request
from network import add_default_route
from sam_template import ACCOUNT, REGION, STACK, resolve, resources_text, statements
from test_aws_command_line import Account
from test_doctor import Services

# Each has the policies of those before it too.
POLICIES = {"analyst": "AnalystPolicy", "operator": "OperatorPolicy", "maintenance": "MaintenancePolicy"}
# A managed policy has at most so many characters, without white space.
# https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html
LARGEST = 6_144
DAY = "2020-04-01"


def policy(*people: str) -> list[Grant]:
    """Returns the permissions of the policies of these people."""
    return [grant for person in people for grant in grants(statements(POLICIES[person]))]


def up_to(person: str) -> list[Grant]:
    """Returns the permissions of a person with all policies that it has."""
    people = list(POLICIES)
    return policy(*people[: people.index(person) + 1])


# --- the calls of the commands ----------------------------------------------------------------------


class Recorder:
    """A proxy that records calls. The caller of a call is the person whose command runs."""

    def __init__(self, target: str, calls: list[Call]):
        self.target, self.calls, self.person = urlsplit(target), calls, ""
        self.s3, self.emr = client(target, "s3"), client(target, "emr")
        self.workgroups: dict[str, str] = {}
        self._server = make_server("127.0.0.1", 0, self._front, threaded=True, request_handler=QuietHandler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def _front(self, environ: dict, start_response: Callable) -> Iterable[bytes]:
        body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        service = CREDENTIAL.search(environ["HTTP_AUTHORIZATION"]).group(3)
        operation, parameters = self._operation(service, environ, body)
        about = self._about(service, operation, parameters)
        status, headers, answer = self._forward(environ, body)
        if operation == "StartQueryExecution" and status == 200:
            self.workgroups[json.loads(answer)["QueryExecutionId"]] = parameters["WorkGroup"]
        self.calls.append(Call(self.person, service, operation, parameters, status, about))
        start_response(f"{status} Forwarded", headers)
        return [answer]

    def _forward(self, environ: dict, body: bytes) -> tuple[int, list[tuple[str, str]], bytes]:
        sent = {name[5:].replace("_", "-"): value for name, value in environ.items() if name.startswith("HTTP_")}
        sent = {**sent, "HOST": self.target.netloc, "CONNECTION": "close", "CONTENT-LENGTH": str(len(body))}
        if environ.get("CONTENT_TYPE"):
            sent["CONTENT-TYPE"] = environ["CONTENT_TYPE"]
        connection = http.client.HTTPConnection(self.target.netloc, timeout=120)
        connection.request(environ["REQUEST_METHOD"], environ["REQUEST_URI"], body, sent)
        response = connection.getresponse()
        answer = response.read()
        connection.close()
        own = ("connection", "content-length", "date", "server", "transfer-encoding")
        headers = [(name, value) for name, value in response.getheaders() if name.lower() not in own]
        is_head = environ["REQUEST_METHOD"] == "HEAD"
        length = response.getheader("content-length", "0") if is_head else str(len(answer))
        return response.status, [*headers, ("content-length", length)], answer

    def _operation(self, service: str, environ: dict, body: bytes) -> tuple[str, dict]:
        if service == "s3":
            return s3_request(environ, body)
        if "HTTP_X_AMZ_TARGET" in environ:
            operation, parameters = json_request(environ, body)
            return operation, {name: _deployed(value) for name, value in parameters.items()}
        if environ["PATH_INFO"] == "/2016-08-19/account-settings":
            return "GetAccountSettings", {}
        form = {name: values[0] for name, values in parse_qs(body.decode()).items()}
        return form.pop("Action"), form

    def _about(self, service: str, operation: str, parameters: dict) -> dict:
        """Returns the state that a policy may depend on and that the request does not contain."""
        if service == "elasticmapreduce":
            ids = [parameters.get("ClusterId"), *parameters.get("JobFlowIds", [])]
            clusters = [self.emr.describe_cluster(ClusterId=id)["Cluster"] for id in ids if id]
            return {"tags": {tag["Key"]: tag["Value"] for cluster in clusters for tag in cluster["Tags"]}}
        if operation == "StartQueryExecution":
            locations = re.findall(r"LOCATION 's3://([^/']+)/([^']*)'", parameters["QueryString"])
            return {"missing": [f"{bucket}/{folder}" for bucket, folder in locations if self._is_empty(bucket, folder)]}
        return {"workgroup": self.workgroups.get(parameters.get("QueryExecutionId", ""))}

    def _is_empty(self, bucket: str, folder: str) -> bool:
        return self.s3.list_objects_v2(Bucket=bucket, Prefix=folder)["KeyCount"] == 0


def _deployed(value: object) -> object:
    """Returns a value with the names that state machines of the stack have: the embedded ones have no prefix."""
    if not isinstance(value, str):
        return value
    return re.sub(
        r"arn:aws:states:[^:]*:[^:]*:(stateMachine|execution):",
        rf"arn:aws:states:{REGION}:{ACCOUNT}:\1:{STACK}-",
        value,
    )


class People(Account):
    """The account with the stack, and commands of people."""

    def __init__(self, services: str, others: str, folder: Path):
        self.calls: list[Call] = []
        self.recorders = [Recorder(services, self.calls), Recorder(others, self.calls)]
        super().__init__(*(recorder.url for recorder in self.recorders), folder)
        self.settings |= {f"AWS_ENDPOINT_URL_{name}": self.recorders[1].url for name in ("LAMBDA", "SERVICE_QUOTAS")}
        self.services = services

    def command(self, person: str, *arguments: object, check: bool = True) -> str:
        """Runs a command on the stack as this person. Returns its output."""
        for recorder in self.recorders:
            recorder.person = person
        return self.run("--aws", "--set", f"aws.stack={STACK}", *arguments, check=check).out


@pytest.fixture(scope="module")
def calls(tmp_path_factory: pytest.TempPathFactory) -> list[Call]:
    """The calls of the commands of all people."""
    folder = tmp_path_factory.mktemp("people")
    lake, named = Lake(folder / "services"), resources_text()
    chosen = [f"buckets.{kind}={name}" for kind, name in named["buckets"].items()]
    chosen += [f"athena.{name}={value}" for name, value in named["athena"].items()]
    others = Services()
    with lake.started(*(part for setting in chosen for part in ("--set", setting)), "local") as process:
        process.wait_for_line(lambda line: "http://" in line)
        people = People(lake.url(), others.url, folder)
        try:
            make_account(others.url, named)
            work(people, folder)
        finally:
            for server in (*people.recorders, others):
                server.close()
    return people.calls


def make_account(url: str, named: dict) -> None:
    """Creates what the commands find outside the lake: the outputs of the stack, its roles, the network."""
    add_default_route(client(url, "ec2"))
    outputs = {"Resources": {"Value": json.dumps(named)}}
    template = {"Resources": {"Topic": {"Type": "AWS::SNS::Topic"}}, "Outputs": outputs}
    client(url, "cloudformation").create_stack(StackName=STACK, TemplateBody=json.dumps(template))
    roles, trust = client(url, "iam"), json.dumps({"Version": "2012-10-17", "Statement": []})
    roles.create_role(RoleName=named["emr"]["service_role"], AssumeRolePolicyDocument=trust)
    roles.create_instance_profile(InstanceProfileName=named["emr"]["instance_profile"])


def work(people: People, folder: Path) -> None:
    """Runs the commands of everyone."""
    rawfiles.write_market(folder / "raw", seed=31, days=[DAY.replace("-", "")], snapshots=4)

    def operator(*arguments: object) -> str:
        return people.command("operator", *arguments)

    operator("upload", folder / "raw")
    operator("run", "--from", DAY, "--plan")
    operator("run", "--from", DAY)
    operator("backfill", "--from", DAY, "--to", DAY, "--force", "--engine", "lambda")
    operator("run", "--stale")
    operator("run", "--accept-missing", "2020-04-02")
    operator("status")
    operator("verify", "--deep")
    first, last = (record["run"] for record in json.loads(operator("history", DAY, "--format", "json"))["records"])
    operator("diff", DAY, first, last)
    operator("rollback", DAY)
    operator("recatalog")
    operator("runs", last)
    now = datetime.datetime.now(datetime.timezone.utc).isoformat()
    operator("query", "--as-of", now, "SELECT count(*) FROM quotes")
    database = operator("query", "--as-of", "2026-01-01", "--print-database").strip()

    people.command("analyst", "query", "SELECT count(*) FROM quotes")
    people.command("analyst", "query", "--database", database, "SELECT count(*) FROM quotes")
    people.command("analyst", "history", DAY)
    people.command("analyst", "files", "quotes")

    people.command("maintenance", "doctor", check=False)
    for action in ("start", "status", "stop"):
        people.command("maintenance", "cluster", action)
    people.command("maintenance", "vacuum")
    people.command("maintenance", "smoke", "--yes", "--without-emr", check=False)


# --- what they may do -------------------------------------------------------------------------------


def machine(kind: str, name: str) -> str:
    return f"arn:aws:states:{REGION}:{ACCOUNT}:{kind}:{STACK}-{name}"


def unrecorded() -> dict[str, list[Need]]:
    """Returns what people need in addition to the recorded calls, with the reason."""
    raw, lake, results = (f"arn:aws:s3:::{name}" for name in resources_text()["buckets"].values())
    workgroup = f"arn:aws:athena:{REGION}:{ACCOUNT}:workgroup/{STACK}"
    executions = [f"{machine('execution', name)}:some" for name in sam_template.MACHINES]
    cluster = f"arn:aws:elasticmapreduce:{REGION}:{ACCOUNT}:cluster/j-SOME"
    application = resolve({"Fn::GetAtt": ["EmrServerlessApplication", "Arn"]})
    of_service = f"arn:aws:iam::{ACCOUNT}:role/aws-service-role/spot.amazonaws.com/AWSServiceRoleForEC2Spot"
    in_vacuum = "vacuum, of runs that are old enough"
    of_catalog = [f"arn:aws:glue:{REGION}:{ACCOUNT}:{part}" for part in ("catalog", "database/any", "table/any/any")]
    by_interrupt = "an interrupted command stops its query"
    return {
        "analyst": [
            Need("athena:StopQueryExecution", workgroup, why=by_interrupt),
            Need("athena:GetWorkGroup", workgroup, why="awswrangler and the console read the settings"),
            *(need for table in ("pregao", "pregao_asof_x") for need in tables_of(table)),
        ],
        "operator": [
            *(
                Need("states:StopExecution", arn, why="an interrupted command stops its execution")
                for arn in executions
            ),
            *(Need("states:RedriveExecution", arn, why="the runbook") for arn in executions),
            Need("s3:GetObject", f"{raw}/quotes/a.csv", why="the explorer shows what the error of an execution names"),
            Need("s3:GetObject", f"{results}/logs/j-A/stderr.gz", why="the explorer shows the log of a cluster"),
            *(Need("states:DescribeExecution", arn, why="pregao runs RUN asks each workflow") for arn in executions),
            *(Need("states:GetExecutionHistory", arn, why="pregao runs RUN, of any workflow") for arn in executions),
            *(Need("states:DescribeStateMachineForExecution", arn, why="the explorer") for arn in executions),
            *(
                Need(f"states:{action}", machine("stateMachine", name), why="the explorer, and pregao runs")
                for name in sam_template.MACHINES
                for action in ("DescribeStateMachine", "ListExecutions", "StartExecution")
            ),
        ],
        "maintenance": [
            *(Need("s3:DeleteObject", f"{lake}/{key}", why=in_vacuum) for key in ("runs/run=a/plan.json", "quotes/a")),
            *(Need("s3:DeleteObject", f"{lake}/{key}", why=in_vacuum) for key in ("options/a", "rejects/a")),
            *(Need("s3:AbortMultipartUpload", f"{bucket}/a", why=in_vacuum) for bucket in (raw, lake, results)),
            *(Need("glue:GetPartitions", resource, why=in_vacuum) for resource in of_catalog),
            Need("s3:PutObject", f"{lake}/catalog/records/year=2020.json", why=in_vacuum),
            Need("s3:DeleteObject", f"{raw}/landing/b/199007021000_options.csv", why="smoke, after an interrupted one"),
            Need("elasticmapreduce:ListSteps", cluster, why="smoke looks at the clusters of its runs"),
            Need("emr-serverless:ListJobRuns", application, why="smoke looks at the job runs of its runs"),
            Need("servicequotas:GetAWSDefaultServiceQuota", "*", why="doctor, of a quota that was never changed"),
            Need("iam:GetRole", of_service, why="doctor, with emr.spot"),
        ],
    }


def tables_of(database: str) -> Iterator[Need]:
    for part in ("catalog", f"database/{database}", f"table/{database}/*"):
        yield Need("glue:GetTables", f"arn:aws:glue:{REGION}:{ACCOUNT}:{part}", why="clients list the tables")


@pytest.fixture(scope="module")
def needed(calls: list[Call]) -> dict[str, set[Need]]:
    found = {person: {need for call in calls if call.caller == person for need in needs(call)} for person in POLICIES}
    return {person: {*found[person], *unrecorded()[person]} for person in POLICIES}


@pytest.mark.parametrize("person", POLICIES)
def test_every_call_of_the_commands_is_allowed(person: str, needed: dict[str, set[Need]]):
    assert len(needed[person]) > 20
    granted = up_to(person)
    missing = sorted(need for need in needed[person] if not any(grant.covers(need) for grant in granted))
    assert not missing, f"the policies of {person} do not allow:\n" + "\n".join(map(str, missing))


@pytest.mark.parametrize("person", POLICIES)
def test_nothing_is_allowed_that_no_command_needs(person: str, needed: dict[str, set[Need]]):
    def is_void(grant: Grant) -> bool:
        # Listed in a statement but never required by Glue: a database is created in the catalog, not in a table.
        return grant.action == "glue:CreateDatabase" and ":table/" in grant.resource

    unused = [grant for grant in policy(person) if not any(grant.covers(need) for need in needed[person])]
    unused = [grant for grant in unused if not is_void(grant)]
    assert not unused, f"the policy of {person} allows what no command needs:\n" + "\n".join(map(str, unused))


def test_vacuum_by_hand_may_do_what_the_function_may():
    granted = up_to("maintenance")
    of_lambda = ("logs:", "sqs:", "xray:")
    for grant in grants(statements("VacuumRole")):
        if not grant.action.startswith(of_lambda):
            need = Need(grant.action, grant.resource)
            assert any(other.covers(need) for other in granted), grant


# --- and what they may not --------------------------------------------------------------------------


def denied() -> dict[str, list[Need]]:
    """Returns what is refused to people with all of their policies."""
    raw, lake, results = (f"arn:aws:s3:::{name}" for name in resources_text()["buckets"].values())
    glue, here = f"arn:aws:glue:{REGION}:{ACCOUNT}", f"{REGION}:{ACCOUNT}"
    published = [f"{glue}:catalog", f"{glue}:database/pregao", f"{glue}:table/pregao/quotes"]
    cluster = f"arn:aws:elasticmapreduce:{here}:cluster/j-SOME"
    of_another = frozenset({("elasticmapreduce:ResourceTag/pregao:lake", "another-lake")})
    to_lambda = frozenset({("iam:PassedToService", "lambda.amazonaws.com")})
    roles = [resolve({"Fn::GetAtt": [name, "Arn"]}) for name in ("EmrServiceRole", "EmrInstanceRole", "VacuumRole")]
    everyone = [
        *(Need(f"iam:{action}", "*") for action in ("AttachUserPolicy", "CreateRole", "PutRolePolicy")),
        *(Need("iam:PassRole", role, to_lambda) for role in roles),
        Need("sts:AssumeRole", roles[0]),
        Need("lambda:UpdateFunctionCode", f"arn:aws:lambda:{here}:function:{STACK}-ingest"),
        Need("lambda:InvokeFunction", f"arn:aws:lambda:{here}:function:{STACK}-vacuum"),
        Need("cloudformation:UpdateStack", f"arn:aws:cloudformation:{here}:stack/{STACK}/made-up"),
        Need("cloudformation:DescribeStacks", f"arn:aws:cloudformation:{here}:stack/{STACK}-dev/made-up"),
        Need("athena:StartQueryExecution", f"arn:aws:athena:{here}:workgroup/primary"),
        Need("athena:UpdateWorkGroup", f"arn:aws:athena:{here}:workgroup/{STACK}"),
        *(Need("s3:GetObject", f"arn:aws:s3:::{bucket}/a") for bucket in ("another", f"{STACK}-dev-lake-{ACCOUNT}")),
        *(Need("s3:PutBucketPolicy", bucket) for bucket in (raw, lake, results)),
        *(Need("s3:DeleteObjectVersion", f"{bucket}/a") for bucket in (raw, lake, results)),
        *(Need("s3:PutObject", f"{lake}/{key}") for key in ("runs/run=a/quotes/a.parquet", "quality/a.json", "a")),
        *(Need("s3:PutObject", f"{raw}/{key}") for key in ("quotes/date=2020-04-01/a.csv", "quarantine/a.csv", "a")),
        *(Need("s3:PutObject", f"{results}/{key}") for key in ("jobs/a.sql", "logs/a", "a")),
        *(Need("s3:DeleteObject", f"{raw}/{key}") for key in ("quotes/date=2020-04-01/a", "quarantine/2020_a")),
        *(Need("s3:DeleteObject", f"{raw}/{key}") for key in ("landing/2020_a", "options/date=1990-08-02/a")),
        *(Need("s3:DeleteObject", f"{lake}/{key}") for key in ("published/year=2020/month=4/day=1.json", "quality/a")),
        *(Need("s3:DeleteObject", f"{lake}/{key}") for key in ("catalog/records/year=2020.json", "catalog/a")),
        Need("s3:DeleteObject", f"{results}/athena/a.csv"),
        *(Need(f"glue:{action}", part) for action in ("UpdateTable", "DeleteTable") for part in published[1:]),
        *(Need("glue:DeleteDatabase", part) for part in published[1:]),
        Need("states:StartExecution", f"arn:aws:states:{here}:stateMachine:{STACK}-dev-create_datalake"),
        Need("states:UpdateStateMachine", machine("stateMachine", "create_datalake")),
        Need("elasticmapreduce:RunJobFlow", "*"),
        Need("elasticmapreduce:TerminateJobFlows", cluster),
        Need("elasticmapreduce:TerminateJobFlows", cluster, of_another),
        Need("elasticmapreduce:AddJobFlowSteps", cluster),
        Need("ec2:RunInstances", "*"),
        Need("kms:Decrypt", f"arn:aws:kms:{here}:key/a"),
        Need("sqs:SendMessage", f"arn:aws:sqs:{here}:{STACK}-landing"),
    ]
    not_analyst = [
        Need("s3:ListBucket", raw),
        *(
            Need("s3:GetObject", f"{raw}/{key}")
            for key in ("quotes/date=2020-04-01/a.csv", "landing/a", "quarantine/a")
        ),
        *(Need("s3:GetObject", f"{results}/{key}") for key in ("logs/a", "jobs/a.sql")),
        Need("s3:PutObject", f"{raw}/landing/a.csv"),
        *(Need("s3:PutObject", f"{lake}/{key}") for key in ("published/a", "smoke/claim.json", "catalog/records/a")),
        *(Need("glue:CreateDatabase", f"{glue}:database/{name}") for name in ("pregao", "pregao_asof_a", "another")),
        *(Need("glue:CreateTable", part) for part in published),
        *(Need("glue:GetTable", f"{glue}:{part}") for part in ("table/another/a", "table/pregao_staged/a")),
        Need("states:StartExecution", machine("stateMachine", "create_datalake")),
        Need("states:StopExecution", f"{machine('execution', 'create_datalake')}:a"),
        Need("elasticmapreduce:ListClusters", "*"),
    ]
    not_operator = [
        *(Need("s3:DeleteObject", f"{lake}/{key}") for key in ("runs/run=a/quotes/a.parquet", "smoke/claim.json")),
        *(Need("s3:DeleteObject", f"{raw}/{key}") for key in ("landing/199007021000_a", "quotes/date=1990-07-02/a")),
        *(Need("glue:BatchDeletePartition", part) for part in published),
        *(Need("glue:GetTables", f"{glue}:{part}") for part in ("database/another", "table/another/a")),
        Need("elasticmapreduce:ListClusters", "*"),
        Need("elasticmapreduce:RunJobFlow", "*", frozenset({("elasticmapreduce:RequestTag/pregao:lake", lake[13:])})),
        *(Need("iam:PassRole", role, frozenset({("iam:PassedToService", "ec2.amazonaws.com")})) for role in roles),
        Need("ec2:DescribeVpcs", "*"),
    ]
    return {
        "analyst": [*everyone, *not_analyst, *not_operator],
        "operator": [*everyone, *not_operator],
        "maintenance": everyone,
    }


@pytest.mark.parametrize("person", POLICIES)
def test_what_is_not_theirs_is_refused(person: str):
    granted = up_to(person)
    allowed = [(need, grant) for need in denied()[person] for grant in granted if grant.covers(need)]
    assert not allowed, f"the policies of {person} allow:\n" + "\n".join(f"{need} by {by.sid}" for need, by in allowed)


def test_a_missing_and_a_wide_permission_are_found(needed: dict[str, set[Need]]):
    less = [grant for grant in up_to("analyst") if grant.action != "s3:PutObject"]
    assert [need for need in needed["analyst"] if not any(grant.covers(need) for grant in less)]
    wide = Grant("Wide", "s3:*", "*", {})
    assert any(wide.covers(need) for need in denied()["analyst"])


# --- the policies as documents ----------------------------------------------------------------------


def test_the_policies_are_outputs_and_have_no_other_settings():
    policies = sam_template.of_type("AWS::IAM::ManagedPolicy")
    assert sorted(policies) == sorted(POLICIES.values())
    for name, properties in policies.items():
        # With a name, the stack would need CAPABILITY_NAMED_IAM; a change of a description replaces the policy.
        assert set(properties) == {"PolicyDocument"}
        assert sam_template.TEMPLATE["Outputs"][f"{name}Arn"]["Value"] == {"Ref": name}


def test_the_policies_are_small_enough_with_the_longest_names(monkeypatch: pytest.MonkeyPatch):
    longest = dict.fromkeys(("RawBucketName", "LakeBucketName", "ResultsBucketName"), "b" * 63)
    (database,) = re.findall(r"\{1,(\d+)\}", sam_template.TEMPLATE["Parameters"]["DatabaseName"]["AllowedPattern"])
    longest["DatabaseName"] = "d" * int(database)
    for parameter, value in longest.items():
        monkeypatch.setitem(sam_template.PARAMETERS, parameter, value)
    monkeypatch.setattr(sam_template, "STACK", "s" * 32)
    monkeypatch.setattr(sam_template, "REGION", "ap-southeast-1")
    for name in POLICIES.values():
        document = resolve(sam_template.RESOURCES[name]["Properties"]["PolicyDocument"])
        text = re.sub(r"\s", "", json.dumps(document))
        assert "b" * 63 in text and "d" * int(database) in text
        assert len(text) <= LARGEST, f"{name} has {len(text)} characters"


def test_the_documentation_names_each_policy_with_its_commands():
    page = (ROOT / "docs" / "aws.md").read_text(encoding="utf-8")
    section = page.split("\n## Permissions\n", 1)[1].split("\n## ", 1)[0]
    for name in POLICIES.values():
        assert f"`{name}Arn`" in section, name
    for command in ("query", "upload", "run", "backfill", "rollback", "status", "verify", "vacuum", "cluster", "smoke"):
        assert re.search(rf"`(pregao )?{command}[ `]", section), command
