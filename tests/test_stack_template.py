"""Properties of infra/template.yaml itself: names, references, and above all missing permissions."""

from __future__ import annotations

import json
import re
from collections import Counter

import pytest

import sam_template as stack
from lake import ROOT
from pipe import Pipe
from sam_template import (
    ACCOUNT,
    FUNCTIONS,
    MACHINES,
    REGION,
    RESOURCES,
    STACK,
    STATE_MACHINES,
    TEMPLATE,
    resolve,
    statements,
)

BUCKETS = {"RawBucket": "raw", "LakeBucket": "lake", "ResultsBucket": "results"}
ROLES = sorted(stack.of_type("AWS::IAM::Role"))
# Those for people; tests/test_people.py compares them with the calls of the commands.
POLICIES = ["AnalystPolicy", "OperatorPolicy", "MaintenancePolicy"]

# Statements with `Resource: "*"`, with the reason.
WHOLE_ACCOUNT = {
    **{
        (role, "Trace"): "X-Ray has no resources for this"
        for role in ROLES
        if not role.startswith(("Emr", "Schedule", "Landing", "VacuumSchedule"))
    },
    **{
        (f"{name}Role", "Log"): "deliveries of logs have no resources"
        for name in ("UploadRawData", "CreateDatalake", "Backfill", "AthenaUpdate")
    },
    ("LaunchEmrStepRole", "FindClusters"): "EMR lists all clusters or none",
    ("LaunchEmrStepRole", "StartClustersOfThisLake"): "a cluster to start has no name; the condition requires its tag",
    ("StopEmrStepRole", "FindClusters"): "EMR lists all clusters or none",
    ("OperatorPolicy", "FindTheWorkflows"): "Step Functions lists all state machines or none",
    ("MaintenancePolicy", "CheckTheAccount"): "EC2, EMR, Lambda and Service Quotas have no resources for these",
    ("MaintenancePolicy", "StartClustersOfThisLake"): "a cluster to start has no name; the condition requires its tag",
    ("EmrServiceRole", "LookAround"): "EC2's Describe actions have no resources",
    ("AlarmKey", "GovernedByTheAccount"): "the policy of a key applies to that key only",
    ("AlarmKey", "Alarms"): "the policy of a key applies to that key only",
    ("AlarmKey", "Failures"): "the policy of a key applies to that key only",
}


def camel(name: str) -> str:
    return "".join(part.capitalize() for part in re.split("[-_]", name))


# --- parameters and outputs -------------------------------------------------------------------------


def test_the_parameters_are_those_that_deploy_passes():
    defaults = {name: parameter["Default"] for name, parameter in TEMPLATE["Parameters"].items()}
    assert defaults == {
        "Config": "{}",
        "RawBucketName": "",
        "LakeBucketName": "",
        "ResultsBucketName": "",
        "DatabaseName": "pregao",
        "EmrKind": "ec2",
        "EmrRelease": "emr-7.13.0",
        "ScheduleExpression": "cron(0 7 * * ? *)",
        "ScheduleTimezone": "America/Sao_Paulo",
        "ScheduleState": "ENABLED",
        "Architecture": "x86_64",
        "ReservedConcurrency": 50,
        "AccessLogsBucketName": "",
        "AlarmEmail": "",
        "QueryScanLimitBytes": 107374182400,
        "LogRetentionDays": 30,
        "ResultsRetentionDays": 30,
        "SupersededRetentionDays": 30,
    }
    assert TEMPLATE["Parameters"]["Architecture"]["AllowedValues"] == ["x86_64", "arm64"]
    assert all(parameter["Description"] for parameter in TEMPLATE["Parameters"].values())


def test_the_outputs_are_those_that_commands_read():
    assert {name: resolve(output["Value"]) for name, output in TEMPLATE["Outputs"].items()} == {
        "Resources": json.dumps(stack.resources_text(), separators=(",", ":")),
        "UploadRawDataArn": f"arn:aws:states:{REGION}:{ACCOUNT}:stateMachine:{STACK}-upload_raw_data",
        "CreateDatalakeArn": f"arn:aws:states:{REGION}:{ACCOUNT}:stateMachine:{STACK}-create_datalake",
        "BackfillArn": f"arn:aws:states:{REGION}:{ACCOUNT}:stateMachine:{STACK}-backfill",
        "AthenaUpdateArn": f"arn:aws:states:{REGION}:{ACCOUNT}:stateMachine:{STACK}-athena_update",
        "AlarmTopicArn": f"arn:aws:sns:{REGION}:{ACCOUNT}:{STACK}-alarms",
        **{f"{name}Arn": f"arn:aws:iam::{ACCOUNT}:policy/{STACK}-{name}-made-up" for name in POLICIES},
    }


def test_functions_get_the_resources_under_the_keys_of_the_configuration():
    assert stack.resources_text() == {
        "aws": {"stack": STACK},
        "buckets": {name: f"{STACK}-{name}-{ACCOUNT}" for name in ("raw", "lake", "results")},
        "athena": {"database": "pregao", "workgroup": STACK},
        "emr": {
            "service_role": f"{STACK}-EmrServiceRole-made-up",
            "instance_profile": f"{STACK}-EmrInstanceProfile-made-up",
            "application_id": stack.APPLICATION,
            "job_role": f"arn:aws:iam::{ACCOUNT}:role/{STACK}-EmrServerlessJobRole-made-up",
        },
    }
    template = (ROOT / "confs" / "pregao.template.toml").read_text(encoding="utf-8")
    for section, values in stack.resources_text().items():
        body = template.split(f"\n[{section}]\n")[1].split("\n[")[0]
        for key in values:
            assert re.search(rf"^{key} = ", body, re.MULTILINE), f"{section}.{key} is not a key of the configuration"
    variables = TEMPLATE["Globals"]["Function"]["Environment"]["Variables"]
    assert sorted(variables) == ["PREGAO_CONFIG", "PREGAO_RESOURCES"]
    assert variables["PREGAO_RESOURCES"] == TEMPLATE["Outputs"]["Resources"]["Value"]
    assert not any("Environment" in properties for properties in stack.of_type("AWS::Serverless::Function").values())


def test_the_variables_of_a_function_fit(monkeypatch: pytest.MonkeyPatch):
    """https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html: 4 KB for all of them together."""
    (database,) = re.findall(r"\{1,(\d+)\}", TEMPLATE["Parameters"]["DatabaseName"]["AllowedPattern"])
    buckets = ("RawBucketName", "LakeBucketName", "ResultsBucketName")
    for parameter, length in {"DatabaseName": int(database), **dict.fromkeys(buckets, 63)}.items():
        monkeypatch.setitem(stack.PARAMETERS, parameter, "n" * length)
    monkeypatch.setattr(stack, "STACK", "s" * 32)
    resources = json.dumps(stack.resources_text(), separators=(",", ":"))
    # Names of roles, with the characters that CloudFormation adds, have at most 64.
    roles = 3 * (64 - len("s" * 32 + "-EmrServiceRole-made-up"))
    configuration = TEMPLATE["Parameters"]["Config"]["MaxLength"]
    assert len(resources) + roles + configuration + len("PREGAO_CONFIGPREGAO_RESOURCES") <= 4096


def test_no_account_or_region_is_hard_coded():
    texts = {
        path.name: path.read_text(encoding="utf-8") for path in [stack.TEMPLATE_FILE, *STATE_MACHINES.glob("*.json")]
    }
    forbidden = {
        "an account number": r"(?<!\d)\d{12}(?!\d)",
        "a region": r"\b(af|ap|ca|cn|eu|il|me|mx|sa|us)(-gov|-iso[a-z]?)?-(central|north|south|east|west)[a-z]*-\d\b",
        "a key": r"\b(AKIA|ASIA)[0-9A-Z]{16}\b|(?i:secret_?access_?key)",
        "the name of a partition": r"arn:aws(-cn|-us-gov)?:(?!states:::)",
    }
    for name, text in texts.items():
        text = text.replace("Default: 107374182400", "")  # 100 GiB, which also has twelve digits
        for kind, pattern in forbidden.items():
            assert not (found := re.search(pattern, text)), f"{name} contains {kind}: {found.group()}"
    for broken in ("123456789012", "sa-east-1", "AKIAABCDEFGHIJKLMNOP", "arn:aws:s3:::x"):
        assert any(re.search(pattern, broken) for pattern in forbidden.values()), broken


# --- functions --------------------------------------------------------------------------------------


def test_every_function_of_the_workspace_is_deployed():
    assert sorted(stack.functions()) == FUNCTIONS
    for name, properties in stack.functions().items():
        resource = RESOURCES[f"{camel(name)}Function"]
        assert resolve(properties["FunctionName"]) == f"{STACK}-{name}"
        assert resource["Metadata"] == {"BuildMethod": "rust-cargolambda", "BuildProperties": {"Binary": name}}
        assert (stack.TEMPLATE_FILE.parent / properties["CodeUri"]).resolve() == ROOT / "functions" / name
        assert properties["Runtime"] == "provided.al2023" and properties["Handler"] == "bootstrap"
        assert properties["Architectures"] == [{"Ref": "Architecture"}]


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_function_has_limits_tracing_and_a_log_group(name: str):
    properties = stack.functions()[name]
    assert 0 < properties["Timeout"] <= 900 and 128 <= properties["MemorySize"] <= 3008
    assert properties["Tracing"] == "Active"
    condition, reserved, nothing = properties["ReservedConcurrentExecutions"]["Fn::If"]
    assert (condition, nothing) == ("ReservesConcurrency", {"Ref": "AWS::NoValue"}) and resolve(reserved) > 0
    assert properties["LoggingConfig"] == {"LogGroup": {"Ref": f"{camel(name)}LogGroup"}}
    assert resolve(RESOURCES[f"{camel(name)}LogGroup"]["Properties"]["LogGroupName"]) == f"/aws/lambda/{STACK}-{name}"


def test_the_reserved_concurrency_fits_an_account():
    # Of the 1,000 concurrent executions of an account, Lambda requires 100 to stay unreserved.
    reserved = [resolve(properties["ReservedConcurrentExecutions"]) for properties in stack.functions().values()]
    assert sum(reserved) <= 900
    condition = TEMPLATE["Conditions"]["ReservesConcurrency"]
    assert condition == {"Fn::Not": [{"Fn::Equals": [{"Ref": "ReservedConcurrency"}, 0]}]}
    description = TEMPLATE["Parameters"]["ReservedConcurrency"]["Description"]
    assert (
        f"{sum(reserved) - 2 * TEMPLATE['Parameters']['ReservedConcurrency']['Default']} for the other" in description
    )


def test_every_log_group_has_a_retention_period():
    groups = stack.of_type("AWS::Logs::LogGroup")
    assert len(groups) == len(FUNCTIONS) + len(MACHINES)
    assert all(group["RetentionInDays"] == {"Ref": "LogRetentionDays"} for group in groups.values())


# --- state machines ---------------------------------------------------------------------------------


@pytest.mark.parametrize("name", MACHINES)
def test_a_state_machine_uses_its_definition(name: str):
    properties = stack.machines()[name]
    assert resolve(properties["Name"]) == f"{STACK}-{name}"
    assert properties["DefinitionUri"] == f"../statemachines/{name}.asl.json"
    used = set(re.findall(r"\$\{(\w+)\}", (STATE_MACHINES / f"{name}.asl.json").read_text(encoding="utf-8")))
    assert set(properties["DefinitionSubstitutions"]) == used
    for variable, value in properties["DefinitionSubstitutions"].items():
        target = re.sub("Arn$", "", variable)
        assert value in ({"Fn::GetAtt": [target, "Arn"]}, {"Ref": target}), f"{variable} is filled in with {value}"
    assert properties["Type"] == "STANDARD" and properties["Tracing"] == {"Enabled": True}
    assert properties["Logging"]["Level"] in ("ERROR", "ALL")
    assert properties["Logging"]["Destinations"] == [
        {"CloudWatchLogsLogGroup": {"LogGroupArn": {"Fn::GetAtt": [f"{camel(name)}LogGroup", "Arn"]}}}
    ]


@pytest.mark.parametrize("name", MACHINES)
def test_a_state_machine_may_start_what_its_definition_names_and_nothing_else(name: str):
    definition = json.loads(stack.definition(name))
    named: dict[str, set] = {"lambda:InvokeFunction": set(), "states:StartExecution": set()}
    waits = False
    for _, state in stack.states(definition):
        if state["Type"] == "Task":
            parameters = state["Parameters"]
            if "FunctionName" in parameters:
                named["lambda:InvokeFunction"].add(parameters["FunctionName"])
            else:
                resource = state["Resource"].removeprefix("arn:aws:states:::states:")
                assert resource in ("startExecution", "startExecution.sync:2")
                waits |= resource == "startExecution.sync:2"
                named["states:StartExecution"].add(parameters["StateMachineArn"])
    assert not any("${" in arn for arns in named.values() for arn in arns)
    role = stack.role_of(stack.machines()[name])
    allowed = {action: set() for action in named}
    for statement in statements(role):
        for action in set(statement.actions) & set(named):
            allowed[action].update(statement.resources)
    assert allowed == named

    # The additional permissions of startExecution.sync:2, only where it is used.
    nested = {
        (action, resource)
        for statement in statements(role)
        for action in statement.actions
        for resource in statement.resources
        if action.startswith(("states:", "events:")) and action != "states:StartExecution"
    }
    rule = f"arn:aws:events:{REGION}:{ACCOUNT}:rule/StepFunctionsGetEventsForStepFunctionsExecutionRule"
    executions = {arn.replace(":stateMachine:", ":execution:") + ":*" for arn in named["states:StartExecution"]}
    expected = {(action, rule) for action in ("events:PutTargets", "events:PutRule", "events:DescribeRule")}
    expected |= {(action, arn) for action in ("states:DescribeExecution", "states:StopExecution") for arn in executions}
    assert nested == (expected if waits else set())


@pytest.mark.parametrize("name", MACHINES)
def test_a_function_times_out_before_its_task(name: str):
    """With equal limits, either Lambda or Step Functions reports the timeout first. Only Lambda's error is retried."""
    functions = stack.functions()
    for state_name, state in stack.states(json.loads(stack.definition(name))):
        function = state.get("Parameters", {}).get("FunctionName")
        if function:
            timeout = functions[function.rsplit(f":{STACK}-", 1)[1]]["Timeout"]
            assert timeout < state["TimeoutSeconds"], f"{state_name} times out before its function does"


# --- buckets ----------------------------------------------------------------------------------------


def test_there_are_three_buckets():
    assert set(stack.of_type("AWS::S3::Bucket")) == set(BUCKETS)


@pytest.mark.parametrize("bucket", BUCKETS)
def test_a_bucket_is_encrypted_and_private_and_its_owner_owns_all_objects(bucket: str):
    properties = RESOURCES[bucket]["Properties"]
    (rule,) = properties["BucketEncryption"]["ServerSideEncryptionConfiguration"]
    assert rule["ServerSideEncryptionByDefault"]["SSEAlgorithm"] in ("AES256", "aws:kms")
    assert properties["PublicAccessBlockConfiguration"] == {
        "BlockPublicAcls": True,
        "BlockPublicPolicy": True,
        "IgnorePublicAcls": True,
        "RestrictPublicBuckets": True,
    }
    assert properties["OwnershipControls"] == {"Rules": [{"ObjectOwnership": "BucketOwnerEnforced"}]}


@pytest.mark.parametrize("bucket", BUCKETS)
def test_a_bucket_requires_tls(bucket: str):
    policies = [
        name for name, policy in stack.of_type("AWS::S3::BucketPolicy").items() if policy["Bucket"] == {"Ref": bucket}
    ]
    (deny,) = statements(policies[0])
    arn = resolve({"Fn::GetAtt": [bucket, "Arn"]})
    assert (deny.effect, deny.principal, deny.actions) == ("Deny", "*", ["s3:*"])
    assert deny.resources == [arn, f"{arn}/*"]
    assert deny.condition == {"Bool": {"aws:SecureTransport": "false"}}


def test_data_that_cannot_be_recomputed_survives_the_stack():
    policies = {bucket: RESOURCES[bucket]["DeletionPolicy"] for bucket in BUCKETS}
    assert policies == {
        "RawBucket": "RetainExceptOnCreate",
        "LakeBucket": "RetainExceptOnCreate",
        "ResultsBucket": "Delete",
    }
    assert all(RESOURCES[bucket]["UpdateReplacePolicy"] == "Retain" for bucket in ("RawBucket", "LakeBucket"))
    # Kept buckets still require TLS.
    assert all(RESOURCES[f"{bucket}Policy"]["DeletionPolicy"] == "RetainExceptOnCreate" for bucket in BUCKETS)
    for bucket in ("RawBucket", "LakeBucket"):
        assert RESOURCES[bucket]["Properties"]["VersioningConfiguration"] == {"Status": "Enabled"}


@pytest.mark.parametrize("bucket", BUCKETS)
def test_only_current_results_and_logs_expire(bucket: str):
    rules = RESOURCES[bucket]["Properties"]["LifecycleConfiguration"]["Rules"]
    assert all(rule["Status"] == "Enabled" for rule in rules)
    current = {rule.get("Prefix"): rule["ExpirationInDays"] for rule in rules if "ExpirationInDays" in rule}
    days = {"Ref": "ResultsRetentionDays"}
    assert current == ({"athena/": days, "logs/": days} if bucket == "ResultsBucket" else {})
    older = [rule["NoncurrentVersionExpiration"] for rule in rules if "NoncurrentVersionExpiration" in rule]
    assert older == ([] if bucket == "ResultsBucket" else [{"NoncurrentDays": {"Ref": "SupersededRetentionDays"}}])
    assert any("AbortIncompleteMultipartUpload" in rule for rule in rules)
    assert not any(
        key.startswith(("Transition", "Noncurrent")) and "Transition" in key for rule in rules for key in rule
    )


def test_the_folders_of_the_template_are_those_of_the_code():
    keys = (ROOT / "crates" / "lake" / "src" / "keys.rs").read_text(encoding="utf-8")
    folders = dict(re.findall(r'pub const (\w+): &str = "([a-z.]+/)";', keys))
    location = resolve(
        RESOURCES["Workgroup"]["Properties"]["WorkGroupConfiguration"]["ResultConfiguration"]["OutputLocation"]
    )
    assert location == f"s3://{STACK}-results-{ACCOUNT}/{folders['QUERY_RESULTS']}"
    (prefix,) = resolve(RESOURCES["LandingRule"]["Properties"]["EventPattern"])["detail"]["object"]["key"]
    assert prefix == {"prefix": folders["LANDING"]}
    expiring = {
        rule.get("Prefix") for rule in RESOURCES["ResultsBucket"]["Properties"]["LifecycleConfiguration"]["Rules"]
    }
    assert expiring - {None} == {folders["QUERY_RESULTS"], folders["LOGS"]}


# --- catalog and queries ----------------------------------------------------------------------------


def test_the_databases_are_the_published_one_and_that_of_the_audit():
    names = {resolve(database["DatabaseInput"]["Name"]) for database in stack.of_type("AWS::Glue::Database").values()}
    assert names == {"pregao", "pregao_staged"}
    staging = (ROOT / "functions" / "validate-partitions" / "src" / "staging.rs").read_text(encoding="utf-8")
    assert 'format!("{}_staged", ' in staging


def test_every_query_has_the_limit_of_the_workgroup():
    workgroup = RESOURCES["Workgroup"]["Properties"]
    assert resolve(workgroup["Name"]) == STACK
    configuration = workgroup["WorkGroupConfiguration"]
    assert configuration["EnforceWorkGroupConfiguration"] is True
    assert configuration["BytesScannedCutoffPerQuery"] == {"Ref": "QueryScanLimitBytes"}
    assert configuration["ResultConfiguration"]["EncryptionConfiguration"] == {"EncryptionOption": "SSE_S3"}
    for name in FUNCTIONS:
        for statement in statements(stack.role_of(stack.functions()[name])):
            if any(action.startswith("athena:") for action in statement.actions):
                assert statement.resources == [f"arn:aws:athena:{REGION}:{ACCOUNT}:workgroup/{STACK}"]


# --- permissions ------------------------------------------------------------------------------------


def test_everything_that_acts_has_a_role_of_its_own():
    users = [stack.role_of(properties) for properties in [*stack.functions().values(), *stack.machines().values()]]
    users += [stack.role_of(schedule["Target"]) for schedule in stack.of_type("AWS::Scheduler::Schedule").values()]
    users += [stack.role_of(pipe) for pipe in stack.of_type("AWS::Pipes::Pipe").values()]
    users += [role["Ref"] for role in RESOURCES["EmrInstanceProfile"]["Properties"]["Roles"]]
    assert not [role for role, count in Counter(users).items() if count > 1]
    assert sorted([*users, "EmrServiceRole", "EmrServerlessJobRole"]) == ROLES


def test_a_role_is_assumed_by_one_service():
    trusted = {}
    for role in ROLES:
        (statement,) = RESOURCES[role]["Properties"]["AssumeRolePolicyDocument"]["Statement"]
        assert (statement["Effect"], statement["Action"]) == ("Allow", "sts:AssumeRole")
        trusted[role] = statement["Principal"]["Service"]
        assert list(statement["Principal"]) == ["Service"]
        service = trusted[role].split(".")[0]
        if service in ("elasticmapreduce", "emr-serverless", "pipes", "scheduler", "states"):
            assert statement["Condition"]["StringEquals"]["aws:SourceAccount"] == {"Ref": "AWS::AccountId"}, role
        else:
            # EC2 and Lambda document no condition keys for this.
            assert service in ("ec2", "lambda") and "Condition" not in statement
    services = Counter(service.split(".")[0] for service in trusted.values())
    assert services == {
        "lambda": len(FUNCTIONS),
        "states": len(MACHINES),
        "ec2": 1,
        "elasticmapreduce": 1,
        "emr-serverless": 1,
        "pipes": 1,
        "scheduler": len(stack.of_type("AWS::Scheduler::Schedule")),
    }


def test_no_policy_comes_from_elsewhere():
    for role in ROLES:
        assert set(RESOURCES[role]["Properties"]) == {"AssumeRolePolicyDocument", "Description", "Policies", "Tags"}
    other = ("AWS::IAM::Policy", "AWS::IAM::RolePolicy", "AWS::IAM::User", "AWS::IAM::Group")
    assert not [name for name, resource in RESOURCES.items() if resource["Type"] in other]
    # Users attach these; the stack attaches them to nothing (tests/test_people.py).
    assert sorted(stack.of_type("AWS::IAM::ManagedPolicy")) == sorted(POLICIES)
    # SAM properties that grant more permissions.
    for properties in [*stack.functions().values(), *stack.machines().values()]:
        assert not {"Policies", "Connectors", "PermissionsBoundary", "Events"} & set(properties)
    assert "FullAccess" not in stack.TEMPLATE_FILE.read_text(encoding="utf-8")


def allowing() -> list[stack.Statement]:
    owners = [
        name
        for name, resource in RESOURCES.items()
        if {"Policies", "PolicyDocument", "KeyPolicy"} & set(resource["Properties"])
    ]
    found = [statement for owner in owners for statement in statements(owner)]
    assert len(owners) > len(ROLES) and all(statement.sid for statement in found)
    return [statement for statement in found if statement.effect == "Allow"]


def test_every_action_is_named():
    for statement in allowing():
        for action in statement.actions:
            if (statement.owner, statement.sid) == ("AlarmKey", "GovernedByTheAccount"):
                continue  # without this statement the key could never be changed
            # The documentation of KMS names this permission with a wildcard.
            assert action == "kms:GenerateDataKey*" or re.fullmatch(r"[a-z0-9-]+:[A-Za-z]+", action), statement


def test_every_resource_is_named_where_the_service_knows_names():
    everything = {(statement.owner, statement.sid) for statement in allowing() if "*" in statement.resources}
    assert everything == set(WHOLE_ACCOUNT)
    for statement in allowing():
        for resource in set(statement.resources) - {"*"}:
            parts = resource.split(":", 5)
            assert parts[0] == "arn" and "*" not in parts[2], statement
            of_software = resource == "arn:aws:s3:::*.elasticmapreduce/*"
            assert of_software or not parts[5].startswith("*"), statement
            if parts[2] not in ("s3", "iam") and not resource.endswith("::image/ami-*"):
                assert (parts[3], parts[4]) == (REGION, ACCOUNT), statement


def test_roles_are_passed_only_to_the_service_they_are_for():
    passed = {
        (statement.owner, *statement.resources): statement.condition
        for statement in allowing()
        if "iam:PassRole" in statement.actions
    }
    service, instances = (resolve({"Fn::GetAtt": [role, "Arn"]}) for role in ("EmrServiceRole", "EmrInstanceRole"))
    to = lambda service: {"StringLike": {"iam:PassedToService": f"{service}.amazonaws.com*"}}  # noqa: E731
    assert passed == {
        ("LaunchEmrStepRole", service): to("elasticmapreduce"),
        ("LaunchEmrStepRole", instances): to("ec2"),
        ("LaunchEmrStepRole", resolve({"Fn::GetAtt": ["EmrServerlessJobRole", "Arn"]})): {
            "StringEquals": {"iam:PassedToService": "emr-serverless.amazonaws.com"}
        },
        ("EmrServiceRole", instances): to("ec2"),
        ("MaintenancePolicy", service): to("elasticmapreduce"),
        ("MaintenancePolicy", instances): to("ec2"),
    }


def test_only_clusters_with_the_tag_of_this_lake_are_changed():
    source = (ROOT / "crates" / "lake" / "src" / "cluster.rs").read_text(encoding="utf-8")
    tag = re.search(r'const LAKE_TAG: &str = "([^"]+)";', source).group(1)
    lake = f"{STACK}-lake-{ACCOUNT}"
    changing = ("RunJobFlow", "AddTags", "AddJobFlowSteps", "TerminateJobFlows", "CancelSteps")
    checked = set()
    for statement in allowing():
        for action in statement.actions:
            service, name = action.split(":")
            if service == "elasticmapreduce" and name in changing:
                checked.add(name)
                kind = "RequestTag" if name in ("RunJobFlow", "AddTags") else "ResourceTag"
                expected = {"StringEquals": {f"elasticmapreduce:{kind}/{tag}": lake}}
                if name == "AddTags":
                    # A new cluster has no tags. One with the tag of another lake keeps it.
                    expected["StringEqualsIfExists"] = {f"elasticmapreduce:ResourceTag/{tag}": lake}
                assert statement.condition == expected, statement
    assert checked == set(changing)


def test_emr_deletes_only_what_it_created_for_a_cluster_with_its_tag():
    # As in AmazonEMRServicePolicy_v2: https://docs.aws.amazon.com/emr/latest/ManagementGuide/emr-iam-role.html
    source = (ROOT / "crates" / "lake" / "src" / "cluster.rs").read_text(encoding="utf-8")
    key, value = re.search(r'const EMR_TAG: \(&str, &str\) = \("([^"]+)", "([^"]+)"\);', source).groups()
    deleting = {}
    for statement in statements("EmrServiceRole"):
        for action in statement.actions:
            if re.match("ec2:(Delete|Terminate|Modify)", action):
                deleting[action] = statement.condition
    tagged = {"StringEquals": {f"aws:ResourceTag/{key}": value}}
    of_emr = {"Null": {"aws:ResourceTag/aws:elasticmapreduce:job-flow-id": "false"}}
    assert deleting == {
        "ec2:DeleteLaunchTemplate": tagged,
        "ec2:DeleteNetworkInterface": tagged,
        "ec2:TerminateInstances": of_emr,
        "ec2:ModifyInstanceAttribute": of_emr,
        "ec2:DeleteTags": of_emr,
    }


def test_only_vacuum_deletes_files_of_runs_and_only_smoke_deletes_quarantined_ones():
    deleting: dict[str, set] = {}
    for statement in allowing():
        if any(re.match("s3:(Delete|PutLifecycle|PutBucket)", action) for action in statement.actions):
            deleting.setdefault(statement.owner, set()).update(statement.resources)
    raw, lake = (f"arn:aws:s3:::{STACK}-{name}-{ACCOUNT}" for name in ("raw", "lake"))
    tables = ("quotes", "options", "rejects")
    # The job deletes files in its own folders.
    of_the_job = {
        *(f"{lake}/runs/*/{table}/*" for table in tables),
        f"{lake}/runs_$folder$",
        f"{lake}/runs/*_$folder$",
    }
    assert deleting == {
        "IngestRole": {f"{raw}/{folder}/*" for folder in ("landing", "quotes", "options")},
        # S3 keeps the versions.
        "EmrInstanceRole": of_the_job,
        "EmrServerlessJobRole": of_the_job,
        # It first determines which runs nothing references. Older versions wrote into the folders of the tables.
        "VacuumRole": {f"{lake}/{folder}/*" for folder in ("runs", *tables)},
        # `pregao vacuum` does the same, and `pregao smoke` removes its own days and runs.
        "MaintenancePolicy": {
            *(f"{lake}/{folder}/*" for folder in ("runs", *tables, "smoke", "published/year=1990/month=7")),
            *(f"{lake}/{key}" for key in ("catalog/records/year=1990.json", "quality/run=smoke-*")),
            *(f"{raw}/{folder}/date=1990-07-0*" for folder in ("quotes", "options")),
            *(f"{raw}/{key}" for key in ("landing/*1990070*", "quarantine/1990070*")),
        },
    }
    for statement in statements("IngestRole"):
        if "s3:DeleteObject" in statement.actions:
            assert statement.condition == {"Null": {"s3:if-match": "false"}}
    for statement in allowing():
        # The catalog is derived from the records: partitions without a record are removed. Files stay.
        if "glue:BatchDeletePartition" in statement.actions:
            # `pregao smoke` removes the partitions of its days.
            assert statement.owner in ("CreateAthenaTableRole", "MaintenancePolicy")
        # Tables are dropped only in the database of staged tables.
        if {"glue:DeleteTable", "glue:DeletePartition", "glue:DeleteDatabase"} & set(statement.actions):
            beside = {
                "ValidatePartitionsRole": r":catalog|/pregao_staged(/\*)?",
                "VacuumRole": r":catalog|/pregao_(asof|diff)_\*(/\*)?",
                "OperatorPolicy": r":catalog|/pregao_(asof|diff)_\*(/\*)?",
            }
            for resource in statement.resources:
                assert re.search(f"({beside[statement.owner]})$", resource), resource


# --- triggers and alarms ----------------------------------------------------------------------------


def test_the_schedule_sends_the_input_of_the_workflow():
    schedule = RESOURCES["Schedule"]["Properties"]
    for name in ("ScheduleExpression", "State"):
        assert schedule[name] == {"Ref": name if name.startswith("Schedule") else f"Schedule{name}"}
    assert schedule["ScheduleExpressionTimezone"] == {"Ref": "ScheduleTimezone"}
    target = schedule["Target"]
    assert json.loads(target["Input"]) == {
        "source": "aws.scheduler",
        "detail-type": "Scheduled Event",
        "time": "<aws.scheduler.scheduled-time>",
    }
    assert target["Arn"] == {"Ref": "CreateDatalakeStateMachine"}
    (start,) = (s for s in statements(stack.role_of(target)) if "states:StartExecution" in s.actions)
    assert start.resources == [resolve(target["Arn"])]


def test_landing_is_checked_every_hour():
    schedule = RESOURCES["LandingSchedule"]["Properties"]
    assert (schedule["ScheduleExpression"], schedule["State"]) == ("rate(1 hour)", "ENABLED")
    target = schedule["Target"]
    assert json.loads(target["Input"]) == {"stage": "landing"}
    assert target["Arn"] == {"Fn::GetAtt": ["ValidatePartitionsFunction", "Arn"]}
    (invoke,) = (s for s in statements(stack.role_of(target)) if "lambda:InvokeFunction" in s.actions)
    assert (invoke.actions, invoke.resources) == (["lambda:InvokeFunction"], [resolve(target["Arn"])])
    # Missing data raises no alarm: a failed check goes to the dead-letter queue, which raises one.
    assert RESOURCES["LandingAlarm"]["Properties"]["Period"] == 3600


def test_each_landed_object_becomes_a_message():
    assert RESOURCES["RawBucket"]["Properties"]["NotificationConfiguration"] == {
        "EventBridgeConfiguration": {"EventBridgeEnabled": True}
    }
    rule = RESOURCES["LandingRule"]["Properties"]
    assert resolve(rule["EventPattern"]) == {
        "source": ["aws.s3"],
        "detail-type": ["Object Created"],
        "detail": {"bucket": {"name": [f"{STACK}-raw-{ACCOUNT}"]}, "object": {"key": [{"prefix": "landing/"}]}},
    }
    (target,) = rule["Targets"]
    assert target["Arn"] == {"Fn::GetAtt": ["LandingQueue", "Arn"]} and "RoleArn" not in target
    (allowed,) = (s for s in statements("LandingQueuePolicy") if s.effect == "Allow")
    assert (allowed.principal, allowed.actions) == ({"Service": "events.amazonaws.com"}, ["sqs:SendMessage"])
    assert allowed.resources == [resolve(target["Arn"])]
    assert allowed.condition["ArnEquals"]["aws:SourceArn"] == resolve({"Fn::GetAtt": ["LandingRule", "Arn"]})


def test_a_batch_of_messages_starts_upload_raw_data():
    pipe, queue = RESOURCES["LandingPipe"]["Properties"], RESOURCES["LandingQueue"]["Properties"]
    assert (pipe["Source"], pipe["Target"]) == (
        {"Fn::GetAtt": ["LandingQueue", "Arn"]},
        {"Ref": "UploadRawDataStateMachine"},
    )
    parameters = pipe["TargetParameters"]
    assert parameters["StepFunctionStateMachineParameters"] == {"InvocationType": "FIRE_AND_FORGET"}
    read, start = statements(stack.role_of(pipe))
    assert (start.actions, start.resources) == (["states:StartExecution"], [resolve(pipe["Target"])])
    assert set(read.actions) == {"sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes"}
    assert read.resources == [resolve(pipe["Source"])]
    # What cannot be started becomes a dead letter, long before the messages expire.
    redrive = queue["RedrivePolicy"]
    assert redrive["deadLetterTargetArn"] == {"Fn::GetAtt": ["DeadLetters", "Arn"]}
    assert redrive["maxReceiveCount"] * queue["VisibilityTimeout"] < queue["MessageRetentionPeriod"]

    # The largest batch, of keys with 1,024 bytes each of which JSON escapes, is an input of the state machine and a payload
    # of the pipe.
    # https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-pipes-batching-concurrency.html
    size = pipe["SourceParameters"]["SqsQueueParameters"]["BatchSize"]
    for key in ("landing/" + "x" * 1016, "landing/" + '"' * 1016):
        batch = json.dumps([Pipe.transformed(parameters["InputTemplate"], landed(key))] * size)
        assert len(batch) <= 262_144


def landed(key: str) -> dict:
    """Returns the message about a landed object: the event of S3 as EventBridge sends it to the queue.

    https://docs.aws.amazon.com/AmazonS3/latest/userguide/ev-events.html
    """
    event = {
        "version": "0",
        "id": "17793124-05d4-b198-2fde-7ededc63b103",
        "detail-type": "Object Created",
        "source": "aws.s3",
        "account": ACCOUNT,
        "time": "2021-11-12T00:00:00Z",
        "region": REGION,
        "resources": [f"arn:aws:s3:::{STACK}-raw-{ACCOUNT}"],
        "detail": {
            "bucket": {"name": f"{STACK}-raw-{ACCOUNT}"},
            "object": {"key": key, "size": 5},
            "reason": "PutObject",
        },
    }
    return {"messageId": "1", "body": json.dumps(event), "eventSource": "aws:sqs"}


def test_the_pipe_names_the_bucket_and_the_key_of_each_object():
    template = RESOURCES["LandingPipe"]["Properties"]["TargetParameters"]["InputTemplate"]
    for key in ("landing/a.csv", 'landing/a "b" é\\/202004011320_flashpanel.csv.gz'):
        expected = {"bucket": f"{STACK}-raw-{ACCOUNT}", "key": key}
        assert Pipe.transformed(template, landed(key)) == expected


def test_a_run_that_fails_leaves_no_cluster():
    rule = RESOURCES["GivenUpRule"]["Properties"]
    assert resolve(rule["EventPattern"]) == {
        "source": ["aws.states"],
        "detail-type": ["Step Functions Execution Status Change"],
        "detail": {
            "stateMachineArn": [f"arn:aws:states:{REGION}:{ACCOUNT}:stateMachine:{STACK}-create_datalake"],
            "status": ["FAILED", "TIMED_OUT", "ABORTED"],
        },
    }
    (target,) = rule["Targets"]
    assert target["Arn"] == {"Fn::GetAtt": ["StopEmrStepFunction", "Arn"]}
    permission = RESOURCES["GivenUpPermission"]["Properties"]
    assert permission["FunctionName"] == {"Ref": "StopEmrStepFunction"}
    assert permission["Principal"] == "events.amazonaws.com"
    assert permission["SourceArn"] == {"Fn::GetAtt": ["GivenUpRule", "Arn"]}


# The condition keys that services send with their requests. A policy with another key never matches.
# https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-troubleshooting.html: a `SourceAccount` in the policy of a
# function prevents EventBridge from invoking it.
# https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-rule-dlq.html: the policy of a dead-letter queue has
# `aws:SourceArn`.
# https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-use-resource-based.html: the policy of a topic has no
# condition. The page on troubleshooting has none in the policy of the topic's key either.
# https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/Notify_Users_Alarm_Changes.html: alarms send
# `aws:SourceAccount` and `aws:SourceArn`.
SENT = {
    ("events.amazonaws.com", "AWS::Lambda::Permission"): {"aws:SourceArn"},
    ("events.amazonaws.com", "AWS::SQS::QueuePolicy"): {"aws:SourceArn"},
    ("events.amazonaws.com", "AWS::SNS::TopicPolicy"): set(),
    ("events.amazonaws.com", "AWS::KMS::Key"): set(),
    ("cloudwatch.amazonaws.com", "AWS::SNS::TopicPolicy"): {"aws:SourceAccount", "aws:SourceArn"},
    ("cloudwatch.amazonaws.com", "AWS::KMS::Key"): {"aws:SourceAccount", "aws:SourceArn"},
}


def test_a_resource_policy_has_only_conditions_that_the_service_sends():
    found = set()
    for name, resource in RESOURCES.items():
        type, properties = resource["Type"], resource["Properties"]
        if type == "AWS::Lambda::Permission":
            sent = SENT[properties["Principal"], type]
            required = {f"aws:{key}" for key in properties if key.startswith("Source")}
            required |= {key for key in properties if key in ("EventSourceToken", "PrincipalOrgID")}
            assert required and required <= sent, f"{name} requires {required}, and the service sends {sent}"
            found.add((properties["Principal"], type))
        elif {"PolicyDocument", "KeyPolicy"} & set(properties):
            for statement in statements(name):
                service = statement.principal.get("Service") if isinstance(statement.principal, dict) else None
                if service:
                    required = {key for keys in statement.condition.values() for key in keys}
                    assert required <= SENT[service, type], (name, statement.sid, required)
                    found.add((service, type))
    assert found == set(SENT)


def test_no_event_is_lost_in_silence():
    queue = {"Fn::GetAtt": ["DeadLetters", "Arn"]}
    targets = [schedule["Target"] for schedule in stack.of_type("AWS::Scheduler::Schedule").values()]
    for rule in stack.of_type("AWS::Events::Rule").values():
        targets += rule["Targets"]
    assert len(targets) == 6
    for target in targets:
        assert target["DeadLetterConfig"] == {"Arn": queue}
        assert target["RetryPolicy"]["MaximumRetryAttempts"] > 0
    # A function that an event invokes has no caller: its failed events go to the dead-letter queue too.
    for function in ("stop-emr-step", "vacuum", "validate-partitions"):
        of_events = stack.functions()[function]["EventInvokeConfig"]
        assert of_events["DestinationConfig"] == {"OnFailure": {"Type": "SQS", "Destination": queue}}

    arn = resolve(queue)
    senders = {s.owner for s in allowing() if "sqs:SendMessage" in s.actions and s.resources == [arn]}
    roles = {"ScheduleRole", "LandingScheduleRole", "StopEmrStepRole", "ValidatePartitionsRole"}
    roles |= {"VacuumRole", "VacuumScheduleRole"}
    assert senders == {"DeadLettersPolicy", *roles}
    (from_rules,) = (s for s in statements("DeadLettersPolicy") if s.effect == "Allow")
    rules = [resolve({"Fn::GetAtt": [rule, "Arn"]}) for rule in stack.of_type("AWS::Events::Rule")]
    assert sorted(from_rules.condition["ArnEquals"]["aws:SourceArn"]) == sorted(rules)
    assert RESOURCES["DeadLetters"]["Properties"]["SqsManagedSseEnabled"] is True


def test_every_failure_raises_an_alarm_that_is_delivered():
    alarms = stack.of_type("AWS::CloudWatch::Alarm").values()
    watched = set()
    for alarm in alarms:
        assert alarm["AlarmActions"] == [{"Ref": "AlarmTopic"}]
        assert (alarm["ComparisonOperator"], alarm["Threshold"]) == ("GreaterThanThreshold", 0)
        assert alarm["TreatMissingData"] == "notBreaching"
        (dimension,) = alarm["Dimensions"]
        watched.add((alarm["Namespace"], alarm["MetricName"], dimension["Name"], resolve(dimension["Value"])))
    failures = ("ExecutionsFailed", "ExecutionsTimedOut", "ExecutionsAborted")
    machines = [resolve({"Ref": f"{camel(name)}StateMachine"}) for name in MACHINES]
    assert watched == {
        *(("AWS/States", metric, "StateMachineArn", machine) for metric in failures for machine in machines),
        ("AWS/SQS", "ApproximateNumberOfMessagesVisible", "QueueName", f"{STACK}-dead-letters"),
        *(("pregao", metric, "Lake", resolve({"Ref": "LakeBucket"})) for metric in ("Quarantined", "LandingObjects")),
    }
    assert len({resolve(alarm["AlarmName"]) for alarm in alarms}) == len(alarms)

    # An alarm cannot publish to a topic whose key it may not use, and reports no error.
    topic = RESOURCES["AlarmTopic"]["Properties"]
    assert topic["KmsMasterKeyId"] == {"Fn::GetAtt": ["AlarmKey", "Arn"]}
    for service in ("cloudwatch.amazonaws.com", "events.amazonaws.com"):
        (key,) = (s for s in statements("AlarmKey") if s.principal == {"Service": service})
        assert key.actions == ["kms:Decrypt", "kms:GenerateDataKey*"]
        (publish,) = (s for s in statements("AlarmTopicPolicy") if s.principal == {"Service": service})
        assert (publish.effect, publish.actions, publish.resources) == (
            "Allow",
            ["sns:Publish"],
            [resolve({"Ref": "AlarmTopic"})],
        )
    subscription = RESOURCES["AlarmSubscription"]
    assert subscription["Condition"] == "TellsSomeone"
    assert subscription["Properties"]["Endpoint"] == {"Ref": "AlarmEmail"}


def transformed(transformer: dict, event: dict) -> list[str]:
    """Returns the lines of the text that EventBridge sends, by the rules of eb-transform-target-input in its user guide."""

    def value(name: str) -> str:
        assert transformer["InputPathsMap"][name].startswith("$."), name
        found = event
        for part in transformer["InputPathsMap"][name].split(".")[1:]:
            found = (found or {}).get(part)
        # In a string, values are escaped. A path that the event does not have is left out.
        return "" if found is None else json.dumps(found)[1:-1]

    filled = re.sub(r"<(\w+)>", lambda match: value(match.group(1)), transformer["InputTemplate"])
    return [json.loads(line) for line in filled.splitlines()]


def test_a_failed_execution_is_notified_with_its_days_error_and_command():
    rule = RESOURCES["FailureRule"]["Properties"]
    machines = sorted(resolve({"Ref": f"{camel(name)}StateMachine"}) for name in MACHINES)
    detail = resolve(rule["EventPattern"])["detail"]
    assert sorted(detail["stateMachineArn"]) == machines
    assert detail["status"] == ["FAILED", "TIMED_OUT", "ABORTED"]
    (target,) = rule["Targets"]
    assert target["Arn"] == {"Ref": "AlarmTopic"}

    arn = f"arn:aws:states:{REGION}:{ACCOUNT}:execution:{STACK}-create_datalake:nightly-7"
    failed = {
        "name": "nightly-7", "status": "FAILED", "executionArn": arn, "error": "QualityError",
        "input": '{"date": "2020-04-01"}', "cause": 'row_counts: 3 of 4 "rows"\nsee quality/', "output": None,
    }  # fmt: skip
    lines = transformed(target["InputTransformer"], {"detail": failed})
    for words in ("nightly-7 ended as FAILED", failed["input"], failed["error"], failed["cause"]):
        assert any(words in line for line in lines), words
    assert lines[-2].endswith(": pregao --aws runs nightly-7") and lines[-1].endswith(f" --execution-arn {arn}")
    aborted = {"name": "nightly-7", "status": "ABORTED", "executionArn": arn, "input": "{}"}
    assert "Error: " in transformed(target["InputTransformer"], {"detail": aborted})


METRICS = ROOT / "crates" / "lake" / "src" / "metrics.rs"


def namespace_and_dimension() -> tuple[str, str]:
    source = METRICS.read_text(encoding="utf-8")
    (namespace,) = re.findall(r'const NAMESPACE: &str = "([^"]+)";', source)
    (dimension,) = re.findall(r'const DIMENSION: &str = "([^"]+)";', source)
    return namespace, dimension


def emitted_metrics() -> set[str]:
    """Returns the names of the metrics that code of the functions emits, all of which are variants of `Metric`."""
    source = METRICS.read_text(encoding="utf-8")
    names = set(re.findall(r"^    (\w+),$", source.split("pub enum Metric {", 1)[1].split("}", 1)[0], re.MULTILINE))
    of_functions = [*(ROOT / "functions").rglob("src/*.rs"), *(ROOT / "crates" / "lake" / "src").rglob("*.rs")]
    texts = [path.read_text(encoding="utf-8") for path in of_functions if path != METRICS]
    emitted = {variant for text in texts for variant in re.findall(r"Metric::(\w+)", text)}
    assert emitted == names, "a metric that nothing emits"
    return emitted


def test_alarms_use_metrics_that_the_functions_emit():
    (namespace, dimension), emitted = namespace_and_dimension(), emitted_metrics()
    ours = [alarm for alarm in stack.of_type("AWS::CloudWatch::Alarm").values() if "/" not in alarm["Namespace"]]
    assert len(ours) >= 2
    for alarm in ours:
        assert alarm["Namespace"] == namespace
        assert [each["Name"] for each in alarm["Dimensions"]] == [dimension]
        assert alarm["MetricName"] in emitted, "an alarm on a metric that nothing emits"
    described = {name.strip(" `"): unit.strip() for name, unit, _ in runbook("metric")}
    assert set(described) == emitted


def test_the_dashboard_shows_every_metric_and_no_others():
    (dashboard,) = stack.of_type("AWS::CloudWatch::Dashboard").values()
    assert resolve(dashboard["DashboardName"]) == STACK
    body = json.loads(resolve(dashboard["DashboardBody"]))
    namespace, dimension = namespace_and_dimension()
    machines = {resolve({"Ref": f"{camel(name)}StateMachine"}) for name in MACHINES}
    failures = {"ExecutionsFailed", "ExecutionsTimedOut", "ExecutionsAborted"}
    shown, of_machines = [], set()
    for widget in body["widgets"]:
        properties = widget["properties"]
        assert (widget["type"], properties["view"], properties["region"]) == ("metric", "timeSeries", REGION)
        # A sum of ages, of durations or of counts of the same objects has no meaning.
        names = {metric[1] for metric in properties["metrics"]}
        is_level = bool(names & {"MissingSnapshots", "LandingObjects"}) or any("Seconds" in name for name in names)
        assert properties["stat"] == ("Maximum" if is_level else "Sum"), properties["title"]
        for space, name, key, value, *options in properties["metrics"]:
            assert all(set(option) <= {"yAxis", "label"} for option in options)
            if space == namespace:
                assert (key, value) == (dimension, resolve({"Ref": "LakeBucket"})), name
                shown.append(name)
            else:
                assert (space, key) == ("AWS/States", "StateMachineArn") and value in machines, (space, name)
                of_machines.add(name)
    assert sorted(shown) == sorted(emitted_metrics())
    assert of_machines == {*failures, "ExecutionsSucceeded"}
    assert len({widget["properties"]["title"] for widget in body["widgets"]}) == len(body["widgets"])


def test_the_widgets_of_the_dashboard_do_not_overlap():
    """The grid has 24 columns: docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/CloudWatch-Dashboard-Body-Structure.html."""
    (dashboard,) = stack.of_type("AWS::CloudWatch::Dashboard").values()
    cells = [
        (x, y)
        for widget in json.loads(resolve(dashboard["DashboardBody"]))["widgets"]
        for x in range(widget["x"], widget["x"] + widget["width"])
        for y in range(widget["y"], widget["y"] + widget["height"])
    ]
    assert len(set(cells)) == len(cells) and {x for x, _ in cells} == set(range(24))


def runbook(first_column: str) -> list[list[str]]:
    """Returns the rows of a table in the section on alarms of docs/operations.md."""
    operations = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
    section = operations.split("### Alarms\n", 1)[1].split("\n#", 1)[0]
    (table,) = (block for block in section.split("\n\n") if block.lstrip().startswith(f"| {first_column} |"))
    return [line.split("|")[1:-1] for line in table.strip().splitlines()[2:]]


def test_every_alarm_has_its_line_in_the_runbook():
    rows = runbook("alarm")
    listed = [name for first, _, _ in rows for name in re.findall(r"`([^`]+)`", first)]
    names = [resolve(alarm["AlarmName"]) for alarm in stack.of_type("AWS::CloudWatch::Alarm").values()]
    assert sorted(f"{STACK}-{name}" for name in listed) == sorted(names)
    assert all(meaning.strip() and action.strip() for _, meaning, action in rows)
