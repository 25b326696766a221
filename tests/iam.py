"""A model of IAM: the permissions that a call needs, and the evaluation of policies.

https://docs.aws.amazon.com/service-authorization/latest/reference/ defines the action and the resource of each request, and
the IAM guide defines the evaluation of statements. Only the features that the stack uses are supported; any other one is an
error, so that no statement passes by mistake.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import NamedTuple
from urllib.parse import unquote

from moto_server import Call
from sam_template import ACCOUNT, REGION, Statement, resolve, resources_text


class Need(NamedTuple):
    """One permission: an action on a resource, with the context keys that conditions may test."""

    action: str
    resource: str
    context: frozenset = frozenset()  # of pairs of a key and its value
    why: str = ""

    def __str__(self) -> str:
        circumstances = ", ".join(f"{key}={value}" for key, value in sorted(self.context))
        return (
            f"{self.action} on {self.resource}" + (f" with {circumstances}" if circumstances else "") + f" ({self.why})"
        )


# --- granted permissions ----------------------------------------------------------------------------


class Grant(NamedTuple):
    """One action on one resource of one statement that allows."""

    sid: str
    action: str
    resource: str
    condition: dict

    def covers(self, need: Need) -> bool:
        return (
            matches(self.action.lower(), need.action.lower())
            and matches(self.resource, need.resource)
            and all(_holds(operator, values, dict(need.context)) for operator, values in self.condition.items())
        )

    def __str__(self) -> str:
        return f"{self.action} on {self.resource} (statement {self.sid})"


def grants(policy: list[Statement]) -> list[Grant]:
    """Splits a policy into permissions. Statements with Deny are not supported."""
    found = []
    for statement in policy:
        assert statement.effect == "Allow", f"only Allow is supported: {statement}"
        found += [
            Grant(statement.sid, action, resource, statement.condition)
            for action in statement.actions
            for resource in statement.resources
        ]
    return found


def matches(pattern: str, text: str) -> bool:
    """Matches IAM's wildcards: `*` and `?` also match slashes and colons."""
    parts = (".*" if part == "*" else "." if part == "?" else re.escape(part) for part in re.split(r"([*?])", pattern))
    return re.fullmatch("".join(parts), text, re.DOTALL) is not None


def _holds(operator: str, condition: dict, context: dict) -> bool:
    """Evaluates a condition. It fails if the request lacks the key, except for `Null`, which tests for that."""
    for key, values in condition.items():
        values = [str(value) for value in _list(values)]
        if operator == "Null":
            holds = (key not in context) == (values == ["true"])
        elif operator == "StringEquals":
            holds = context.get(key) in values
        elif operator == "StringEqualsIfExists":
            holds = key not in context or context[key] in values
        elif operator == "StringLike":
            holds = key in context and any(matches(value, context[key]) for value in values)
        else:
            raise NotImplementedError(f"the condition {operator}: {condition}")
        if not holds:
            return False
    return True


def _list(value: object) -> list:
    return value if isinstance(value, list) else [value]


# --- needed permissions -----------------------------------------------------------------------------


def needs(call: Call) -> Iterator[Need]:
    """Returns all permissions that the caller needs for this call."""
    by_service = {
        "s3": _s3,
        "elasticmapreduce": _emr,
        "emr-serverless": _emr_serverless,
        "athena": _athena,
        "glue": _glue_call,
        "states": _states,
        # Those of the command line alone.
        "cloudformation": _cloudformation,
        "iam": _iam,
        "sts": lambda _: iter(()),  # GetCallerIdentity needs no permission
        **dict.fromkeys(("ec2", "lambda", "servicequotas"), _of_account),
    }
    yield from by_service[call.service](call)


def _s3(call: Call) -> Iterator[Need]:
    parameters, why = call.parameters, call.operation
    bucket = f"arn:aws:s3:::{parameters['Bucket']}"
    object_ = f"{bucket}/{parameters.get('Key')}"
    reads_target = Need("s3:GetObject", object_, why=f"{why} by an ETag reads it")
    if call.operation == "ListObjectsV2":
        yield Need("s3:ListBucket", bucket, _context(**{"s3:prefix": parameters["Prefix"]}), why)
        return
    if call.operation == "ListMultipartUploads":
        yield Need("s3:ListBucketMultipartUploads", bucket, why=why)
        return
    if call.operation == "DeleteObjects":
        yield from (Need("s3:DeleteObject", f"{bucket}/{key}", why=why) for key in parameters["Keys"])
        return
    if call.operation == "AbortMultipartUpload":
        yield Need("s3:AbortMultipartUpload", object_, why=why)
        return
    # https://docs.aws.amazon.com/AmazonS3/latest/userguide/mpuoverview.html: the permissions of multipart uploads.
    if call.operation in ("CreateMultipartUpload", "UploadPart", "CompleteMultipartUpload"):
        yield Need("s3:PutObject", object_, why=why)
        return
    if call.operation in ("GetObject", "HeadObject"):
        yield Need("s3:GetObject", object_, why=why)
    elif call.operation in ("PutObject", "CopyObject"):
        yield Need("s3:PutObject", object_, why=why)
        if "if-match" in parameters:
            yield reads_target
        if call.operation == "CopyObject":
            source = unquote(parameters["x-amz-copy-source"])
            yield Need("s3:GetObject", f"arn:aws:s3:::{source}", why=why)
            if call.about["tags"]:
                yield Need("s3:GetObjectTagging", f"arn:aws:s3:::{source}", why=f"{why} of an object with tags")
                yield Need("s3:PutObjectTagging", object_, why=f"{why} of an object with tags")
    elif call.operation == "DeleteObject":
        context = _context(**{"s3:if-match": parameters["if-match"]} if "if-match" in parameters else {})
        yield Need("s3:DeleteObject", object_, context, why)
        if "if-match" in parameters:
            yield reads_target
    else:
        raise NotImplementedError(f"the permissions for the S3 operation {call.operation} of {parameters}")
    if call.status == 404 and call.operation != "PutObject":
        # Without this permission the response is 403 instead of 404. The request has no prefix.
        yield Need("s3:ListBucket", bucket, why=f"{why} of a missing object returns 404")


def _emr(call: Call) -> Iterator[Need]:
    parameters, why = call.parameters, call.operation
    action = f"elasticmapreduce:{call.operation}"
    cluster = f"arn:aws:elasticmapreduce:{REGION}:{ACCOUNT}:cluster"
    if call.operation == "ListClusters":
        yield Need(action, "*", why=why)
    elif call.operation == "RunJobFlow":
        yield from _run_job_flow(parameters, cluster)
    elif call.operation in (
        "DescribeCluster",
        "DescribeStep",
        "ListSteps",
        "AddJobFlowSteps",
        "CancelSteps",
        "TerminateJobFlows",
    ):
        named = [parameters.get("ClusterId"), parameters.get("JobFlowId"), *parameters.get("JobFlowIds", [])]
        for id in filter(None, named):
            yield Need(action, f"{cluster}/{id}", _tags("Resource", call.about["tags"]), why)
    else:
        raise NotImplementedError(f"the permissions for the EMR operation {call.operation}")


# The operations of EMR Serverless whose resource is a job run. That of the others is an application.
OF_JOB_RUN = ("GetJobRun", "CancelJobRun")


def _emr_serverless(call: Call) -> Iterator[Need]:
    parameters, why = call.parameters, call.operation
    resource = f"arn:aws:emr-serverless:{REGION}:{ACCOUNT}:/applications/{parameters['applicationId']}"
    if call.operation in OF_JOB_RUN:
        resource += f"/jobruns/{parameters['jobRunId']}"
    elif call.operation not in ("StartJobRun", "ListJobRuns"):
        raise NotImplementedError(f"the permissions for the EMR Serverless operation {call.operation}")
    yield Need(f"emr-serverless:{call.operation}", resource, why=why)
    if call.operation == "StartJobRun":
        # The role is in moto's account.
        role = resolve({"Fn::GetAtt": ["EmrServerlessJobRole", "Arn"]})
        assert parameters["executionRoleArn"].split(":role/")[1] == role.split(":role/")[1]
        passed = _context(**{"iam:PassedToService": "emr-serverless.amazonaws.com"})
        yield Need("iam:PassRole", role, passed, f"{why} passes the role")
        if parameters.get("tags"):
            yield Need("emr-serverless:TagResource", f"{resource}/jobruns/CREATED", why=f"{why} with tags")


def _run_job_flow(parameters: dict, cluster: str) -> Iterator[Need]:
    why, created = "RunJobFlow", f"{cluster}/j-CREATED"
    tags = _tags("Request", {tag["Key"]: tag["Value"] for tag in parameters.get("Tags", [])})
    yield Need("elasticmapreduce:RunJobFlow", "*", tags, why)
    if parameters.get("Tags"):
        yield Need("elasticmapreduce:AddTags", created, tags, f"{why} with tags")
    if "AutoTerminationPolicy" in parameters:
        yield Need("elasticmapreduce:PutAutoTerminationPolicy", created, why=f"{why} with an auto-termination policy")
    passed = {
        "elasticmapreduce.amazonaws.com": resolve({"Fn::GetAtt": ["EmrServiceRole", "Arn"]}),
        "ec2.amazonaws.com": resolve({"Fn::GetAtt": ["EmrInstanceRole", "Arn"]}),
    }
    assert parameters["ServiceRole"] == resolve({"Ref": "EmrServiceRole"}), parameters["ServiceRole"]
    assert parameters["JobFlowRole"] == resolve({"Ref": "EmrInstanceProfile"}), parameters["JobFlowRole"]
    for service, role in passed.items():
        yield Need("iam:PassRole", role, _context(**{"iam:PassedToService": service}), f"{why} passes the role")
    linked = "role/aws-service-role/elasticmapreduce.amazonaws.com/AWSServiceRoleForEMRCleanup"
    context = _context(**{"iam:AWSServiceName": "elasticmapreduce.amazonaws.com"})
    why = "the first RunJobFlow of an account creates this role for its caller"
    yield Need("iam:CreateServiceLinkedRole", f"arn:aws:iam::{ACCOUNT}:{linked}", context, why)


def _tags(kind: str, tags: dict) -> frozenset:
    names = {
        f"{prefix}:{kind}Tag/{key}": value for prefix in ("elasticmapreduce", "aws") for key, value in tags.items()
    }
    return _context(**names)


def _context(**values: str) -> frozenset:
    return frozenset(values.items())


# --- calls that Athena makes for its caller ---------------------------------------------------------

# https://docs.aws.amazon.com/athena/latest/ug/querying.html: the permissions for writing the results.
RESULTS = ["s3:GetObject", "s3:PutObject", "s3:AbortMultipartUpload", "s3:ListMultipartUploadParts"]
RESULTS_BUCKET = ["s3:GetBucketLocation", "s3:ListBucket", "s3:ListBucketMultipartUploads"]
# The permissions on the bucket of the data, to read it or to create a table on it.
DATA_BUCKET = ["s3:GetBucketLocation", "s3:ListBucket"]

NAME = r"[`\"]([a-z0-9_]+)[`\"]"
# The catalog actions of statements, by their first words. DDL makes the calls of AWS's Glue client for Hive,
# which is public (awslabs/aws-glue-data-catalog-client-for-apache-hive-metastore). DROP TABLE, for example, first deletes
# each partition.
OF_TABLE = {
    "CREATE EXTERNAL TABLE": ["GetDatabase", "GetTable", "CreateTable"],
    "ALTER TABLE": ["GetDatabase", "GetTable", "UpdateTable"],
    "DROP TABLE": ["GetDatabase", "GetTable", "GetPartitions", "GetPartition", "DeletePartition", "DeleteTable"],
    # Athena may get partitions one by one, by a filter, or by their names; the guide's policies for reading allow all three.
    "SELECT": ["GetDatabase", "GetTable", "GetPartition", "GetPartitions", "BatchGetPartition"],
}


def _athena(call: Call) -> Iterator[Need]:
    parameters = call.parameters
    workgroup = parameters.get("WorkGroup") or call.about["workgroup"]
    yield Need(
        f"athena:{call.operation}", f"arn:aws:athena:{REGION}:{ACCOUNT}:workgroup/{workgroup}", why=call.operation
    )
    results = f"arn:aws:s3:::{resources_text()['buckets']['results']}"
    if call.operation == "GetQueryResults":
        yield Need("s3:GetObject", f"{results}/athena/0.csv", why=call.operation)
    if call.operation == "StartQueryExecution" and call.status == 200:
        yield from _statement(call, results)


def _statement(call: Call, results: str) -> Iterator[Need]:
    statement = call.parameters["QueryString"]
    why = f"Athena for: {' '.join(statement.split())[:60]}"
    output = call.parameters["ResultConfiguration"]["OutputLocation"]
    result = f"arn:aws:s3:::{output[len('s3://') :]}0.csv"
    assert result.startswith(results), f"the output location is outside the results bucket: {output}"
    yield from (Need(action, result, why=why) for action in RESULTS)
    yield from (Need(action, results, why=why) for action in RESULTS_BUCKET)
    # https://docs.aws.amazon.com/athena/latest/ug/fine-grained-access-to-glue-resources.html: mandatory for all statements.
    for action in ("GetDatabase", "CreateDatabase"):
        yield from _glue(action, "default", None, why)
    database = call.parameters.get("QueryExecutionContext", {}).get("Database")
    created = re.match(rf"CREATE DATABASE IF NOT EXISTS {NAME}", statement)
    if created:
        for action in ("GetDatabase", "CreateDatabase"):
            yield from _glue(action, created[1], None, why)
        return
    kind, database, table = _of_table(statement, database)
    for action in OF_TABLE[kind]:
        yield from _glue(action, database, table, why)
    lake = f"arn:aws:s3:::{resources_text()['buckets']['lake']}"
    if kind == "SELECT":
        yield from (Need(action, lake, why=why) for action in DATA_BUCKET)
        table, *staged = table.split("_", 1)
        yield Need("s3:GetObject", f"{lake}/runs/run=r/{table}/year=2020/month=4/day=1/part-0.parquet", why=why)
        if not staged:
            # Data that an older version published is at its old location.
            yield Need("s3:GetObject", f"{lake}/{table}/year=2020/month=4/day=1/run=r/part-0.parquet", why=why)
    for folder in re.findall(r"LOCATION 's3://([^']+)'", statement):
        # Hive checks whether a folder exists, and creates a missing one as an empty object.
        yield from (Need(action, lake, why=why) for action in DATA_BUCKET)
        yield Need("s3:GetObject", f"arn:aws:s3:::{folder}", why=f"{why}, to check the folder")
        if folder in call.about["missing"]:
            marker = f"arn:aws:s3:::{folder.rstrip('/')}_$folder$"
            yield Need("s3:PutObject", marker, why=f"{why}, because the folder is empty")


def _of_table(statement: str, database: str | None) -> tuple[str, str | None, str]:
    """Returns the kind of a statement, and its database and table."""
    created = re.match(rf"CREATE EXTERNAL TABLE IF NOT EXISTS {NAME}\.{NAME}", statement)
    if created:
        return "CREATE EXTERNAL TABLE", created[1], created[2]
    altered = re.match(rf"ALTER TABLE {NAME}\.{NAME} ADD COLUMNS \(", statement)
    if altered:
        return "ALTER TABLE", altered[1], altered[2]
    for kind, pattern in {
        "ALTER TABLE": rf"ALTER TABLE {NAME} SET TBLPROPERTIES ",
        "DROP TABLE": rf"DROP TABLE IF EXISTS {NAME}$",
    }.items():
        found = re.match(pattern, statement)
        if found:
            return kind, database, found[1]
    # The statements of functions quote all names; those of users may not.
    for name in (NAME, r"([a-z0-9_]+)"):
        selected = re.match(rf"(?s)(?:SELECT|WITH)\s.*?FROM\s+(?:{name}\.)?{name}", statement)
        if selected:
            return "SELECT", selected[1] or database, selected[2]
    raise NotImplementedError(f"the permissions for the Athena statement {statement}")


def _glue_call(call: Call) -> Iterator[Need]:
    """Returns the action of the same name. Locations of partitions are not evaluated."""
    parameters, why = call.parameters, call.operation
    of_partitions = ("GetPartitions", "BatchCreatePartition", "BatchUpdatePartition", "BatchDeletePartition")
    if call.operation == "GetDatabases":
        yield from _glue(call.operation, "*", None, why)
    elif call.operation == "GetTables":
        yield from _glue(call.operation, parameters["DatabaseName"], "*", why)
    elif call.operation == "DeleteDatabase":
        # https://docs.aws.amazon.com/glue/latest/dg/glue-specifying-resource-arns.html: a deletion needs permissions
        # on the content too.
        yield from _glue(call.operation, parameters["Name"], "*", why)
        functions = f"arn:aws:glue:{REGION}:{ACCOUNT}:userDefinedFunction/{parameters['Name']}/*"
        yield Need(f"glue:{call.operation}", functions, why=why)
    elif call.operation == "GetDatabase":
        yield from _glue(call.operation, parameters["Name"], None, why)
    elif call.operation in ("GetTable", "DeleteTable"):
        yield from _glue(call.operation, parameters["DatabaseName"], parameters["Name"], why)
    elif call.operation in of_partitions:
        yield from _glue(call.operation, parameters["DatabaseName"], parameters["TableName"], why)
    else:
        raise NotImplementedError(f"the permissions for the Glue operation {call.operation}")


def _states(call: Call) -> Iterator[Need]:
    action = f"states:{call.operation}"
    if call.operation == "ListStateMachines":
        yield Need(action, "*", why=call.operation)
    elif call.operation in ("DescribeStateMachine", "ListExecutions", "StartExecution"):
        name = call.parameters["stateMachineArn"].rsplit(":", 1)[1]
        yield Need(action, f"arn:aws:states:{REGION}:{ACCOUNT}:stateMachine:{name}", why=call.operation)
    elif call.operation in (
        "DescribeExecution",
        "DescribeStateMachineForExecution",
        "GetExecutionHistory",
        "RedriveExecution",
        "StopExecution",
    ):
        execution = call.parameters["executionArn"].split(":", 5)[5]
        yield Need(action, f"arn:aws:states:{REGION}:{ACCOUNT}:{execution}", why=call.operation)
    else:
        raise NotImplementedError(f"the permissions for the Step Functions operation {call.operation}")


def _cloudformation(call: Call) -> Iterator[Need]:
    if call.operation != "DescribeStacks":
        raise NotImplementedError(f"the permissions for the CloudFormation operation {call.operation}")
    stack = f"arn:aws:cloudformation:{REGION}:{ACCOUNT}:stack/{call.parameters['StackName']}/made-up"
    yield Need("cloudformation:DescribeStacks", stack, why=call.operation)


def _iam(call: Call) -> Iterator[Need]:
    if call.operation not in ("GetInstanceProfile", "GetRole"):
        raise NotImplementedError(f"the permissions for the IAM operation {call.operation}")
    name = call.parameters.get("RoleName")
    path = f"role/{name}" if name else f"instance-profile/{call.parameters['InstanceProfileName']}"
    # https://docs.aws.amazon.com/IAM/latest/UserGuide/id_roles_create-service-linked-role.html: the path of such a role.
    if name and name.startswith("AWSServiceRoleFor"):
        path = f"role/aws-service-role/made-up.amazonaws.com/{name}"
    yield Need(f"iam:{call.operation}", f"arn:aws:iam::{ACCOUNT}:{path}", why=call.operation)


def _of_account(call: Call) -> Iterator[Need]:
    """Returns the permission for a call that reads the settings of the account, for which there are no resources."""
    reading = ("Describe", "GetAccountSettings", "GetAWSDefaultServiceQuota", "GetServiceQuota")
    if not call.operation.startswith(reading):
        raise NotImplementedError(f"the permissions for the operation {call.operation} of {call.service}")
    yield Need(f"{call.service}:{call.operation}", "*", why=call.operation)


def _glue(action: str, database: str | None, table: str | None, why: str) -> Iterable[Need]:
    """Returns the permissions for an action: on the resource and on all resources that contain it."""
    parts = ["catalog", f"database/{database}", *([f"table/{database}/{table}"] if table else [])]
    return (Need(f"glue:{action}", f"arn:aws:glue:{REGION}:{ACCOUNT}:{part}", why=why) for part in parts)
