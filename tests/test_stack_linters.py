"""The linters of AWS templates and of the Amazon States Language accept the stack.

Each linter also checks broken copies: a linter that checks nothing would accept them.
"""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

import pytest

import aws_tools as tools
import sam_template
from lake import ROOT
from sam_template import MACHINES, TEMPLATE_FILE, resolve

# --- the template -----------------------------------------------------------------------------------

# Any region: the user chooses the region of a deployment.
SAM_VALIDATE = ("validate", "--lint", "--language-extensions", "--region", "us-east-1", "--template")

BROKEN_TEMPLATES = {
    "a property that does not exist": ("      BucketEncryption: &", "      BucketEncrypted: &"),
    "a value that the property does not allow": (
        "              SSEAlgorithm: AES256\n",
        "              SSEAlgorithm: AES128\n",
    ),
    "a resource that does not exist": ("!GetAtt IngestRole.Arn", "!GetAtt IngestsRole.Arn"),
    "a parameter that does not exist": ("!Ref LogRetentionDays", "!Ref LogRetention"),
    "a resource of a loop that does not exist": ("Ref: !Sub ${Machine}StateMachine", "Ref: !Sub ${Machine}Machine"),
}


def test_cfn_lint_accepts_the_template():
    assert tools.succeeds("cfn-lint", TEMPLATE_FILE) == ""


def test_sam_accepts_the_template():
    assert "is a valid SAM Template" in tools.succeeds("sam", *SAM_VALIDATE, TEMPLATE_FILE)


@pytest.mark.parametrize("what", BROKEN_TEMPLATES)
def test_linters_of_templates_report_faults(what: str, tmp_path: Path):
    right, wrong = BROKEN_TEMPLATES[what]
    text = TEMPLATE_FILE.read_text(encoding="utf-8")
    assert right in text
    # In the folder of the definitions that it references.
    broken = tmp_path / "infra" / "template.yaml"
    broken.parent.mkdir()
    broken.write_text(text.replace(right, wrong, 1), encoding="utf-8")
    (tmp_path / "statemachines").symlink_to(sam_template.STATE_MACHINES)
    (tmp_path / "functions").symlink_to(TEMPLATE_FILE.parent.parent / "functions")
    output = tools.fails("cfn-lint", broken)
    assert any(line.startswith(("E", "W")) for line in output.splitlines()), output
    tools.fails("sam", *SAM_VALIDATE, broken)


# The checks of checkov that the template does not follow: the resources, and why.
FUNCTIONS = {name for name, resource in sam_template.RESOURCES.items() if resource["Type"].endswith("::Function")}
NOT_FOLLOWED = {
    # A dead-letter queue in the function: those that events invoke send their failures by EventInvokeConfig to the queue of
    # the stack (test_no_event_is_lost_in_silence). State machines wait for the others, and see their errors.
    "CKV_AWS_116": FUNCTIONS,
    # A function in a VPC: they call APIs of AWS only, by TLS, and accept no connections. A VPC would need an endpoint or a NAT
    # gateway for each of these services.
    "CKV_AWS_117": FUNCTIONS,
    # Versions of results: they can be created again, and expire.
    "CKV_AWS_21": {"ResultsBucket"},
    # A KMS key for queues: they are encrypted with SQS's own keys (SqsManagedSseEnabled), and hold keys of objects, no data.
    "CKV_AWS_27": {"LandingQueue", "DeadLetters"},
}


def findings(template: Path) -> dict[str, set[str]]:
    """Returns the resources that fail checks of checkov, by check."""
    options = ("--framework", "cloudformation", "--output", "json", "--quiet", "--compact", "--soft-fail")
    # Without this it asks a server for descriptions of its checks.
    output = tools.succeeds("checkov", "--file", template, *options, "--skip-download", LOG_LEVEL="CRITICAL")
    report = json.loads(output)
    assert report["summary"]["parsing_errors"] == 0 and report["summary"]["resource_count"] > 40, report["summary"]
    found: dict[str, set[str]] = defaultdict(set)
    for failed in report["results"]["failed_checks"]:
        found[failed["check_id"]].add(failed["resource"].split(".")[-1])
    return found


def test_checkov_finds_nothing_without_a_reason():
    assert findings(TEMPLATE_FILE) == NOT_FOLLOWED


def test_checkov_finds_a_public_bucket_and_a_key_that_is_not_rotated(tmp_path: Path):
    text = TEMPLATE_FILE.read_text(encoding="utf-8")
    changes = [
        ("BlockPublicAcls: true", "BlockPublicAcls: false"),
        ("EnableKeyRotation: true", "EnableKeyRotation: false"),
    ]
    for right, wrong in changes:
        assert text.count(right) == 1
        text = text.replace(right, wrong)
    broken = tmp_path / "template.yaml"
    broken.write_text(text, encoding="utf-8")
    found = findings(broken)
    assert found["CKV_AWS_53"] >= {"RawBucket"} and found["CKV_AWS_7"] == {"AlarmKey"}, found


# cfn-lint does not check the actions of policies in a SAM template, so the policies get a template of their own.
WITH_POLICIES = (
    "AWS::IAM::Role",
    "AWS::IAM::ManagedPolicy",
    "AWS::S3::BucketPolicy",
    "AWS::SQS::QueuePolicy",
    "AWS::SNS::TopicPolicy",
    "AWS::KMS::Key",
)


def policies_alone(path: Path, change: Callable[[str], str] = str) -> Path:
    found = {name: resource for name, resource in sam_template.RESOURCES.items() if resource["Type"] in WITH_POLICIES}
    assert len(found) > 15
    alone = {
        name: {"Type": resource["Type"], "Properties": resolve(resource["Properties"])}
        for name, resource in found.items()
    }
    path.write_text(change(json.dumps({"Resources": alone}, indent=1)), encoding="utf-8")
    return path


def test_cfn_lint_accepts_the_policies(tmp_path: Path):
    assert tools.succeeds("cfn-lint", policies_alone(tmp_path / "policies.json")) == ""


def test_cfn_lint_reports_an_unknown_action(tmp_path: Path):
    def change(text: str) -> str:
        assert "glue:DeleteTable" in text
        return text.replace("glue:DeleteTable", "glue:DropTable")

    assert "droptable" in tools.fails("cfn-lint", policies_alone(tmp_path / "policies.json", change)).lower()


# The cost tags, in the two forms of CloudFormation: a list of keys and values, or, for a few types, an object.
BY_KEY = {"project": "pregao", "stack": sam_template.STACK}
AS_LIST = [{"Key": key, "Value": value} for key, value in BY_KEY.items()]
# What CloudFormation cannot tag, by its schemas. A new type here is a resource without cost tags.
WITHOUT_TAGS = {
    *("AWS::Glue::Database", "AWS::IAM::InstanceProfile", "AWS::IAM::ManagedPolicy", "AWS::Lambda::Permission"),
    *("AWS::S3::BucketPolicy", "AWS::SNS::Subscription", "AWS::SNS::TopicPolicy", "AWS::SQS::QueuePolicy"),
    "AWS::Scheduler::Schedule",
}


def forms_of_tags(types: set[str]) -> dict[str, str | None]:
    """Returns the form of the tags of each type, by the schemas of CloudFormation in cfn-lint: `None` if it has none."""
    script = (
        "import json, sys\n"
        "from cfnlint.schema import PROVIDER_SCHEMA_MANAGER as schemas\n"
        "schema_of = {type: schemas.get_resource_schema('us-east-1', type).schema for type in sys.argv[1:]}\n"
        "def form(schema):\n"
        "    tags = schema['properties'].get('Tags', {})\n"
        "    while '$ref' in tags:\n"
        "        tags = schema['definitions'][tags['$ref'].rsplit('/', 1)[1]]\n"
        "    assert schema['tagging']['taggable'] == bool(tags), schema['typeName']\n"
        "    return tags.get('type')\n"
        "print(json.dumps({type: form(schema) for type, schema in schema_of.items()}))\n"
    )
    return json.loads(tools.succeeds("python3", "-c", script, *sorted(types)))


def test_everything_that_can_have_tags_has_both_cost_tags():
    types = {resource["Type"] for resource in sam_template.RESOURCES.values()}
    of_sam = {type for type in types if type.startswith("AWS::Serverless::")}
    forms = forms_of_tags(types - of_sam)
    assert {type for type, form in forms.items() if form is None} == WITHOUT_TAGS
    expected = {"array": AS_LIST, "object": BY_KEY, None: None}
    shared = resolve(sam_template.TEMPLATE["Globals"]["Function"]["Tags"])
    for name, resource in sam_template.RESOURCES.items():
        tags = resolve(resource["Properties"].get("Tags"))
        if resource["Type"] in of_sam:
            assert {**shared, **(tags or {})} == BY_KEY, name
            assert tags or resource["Type"] == "AWS::Serverless::Function", f"{name} has no tags"
        else:
            assert tags == expected[forms[resource["Type"]]], f"{name} has the tags {tags}"


def test_the_documented_role_may_make_the_roles_and_policies_of_the_stack():
    """Beside `PowerUserAccess`, CloudFormation needs what its schemas list for the resources of IAM."""
    script = (
        "import json, sys\n"
        "from cfnlint.schema import PROVIDER_SCHEMA_MANAGER as schemas\n"
        "found = [schemas.get_resource_schema('us-east-1', type).schema['handlers'] for type in sys.argv[1:]]\n"
        "print(json.dumps([action for handlers in found for name, handler in handlers.items() if name != 'list'"
        " for action in handler['permissions']]))\n"
    )
    types = {resource["Type"] for resource in sam_template.RESOURCES.values() if ":IAM:" in resource["Type"]}
    listed = set(json.loads(tools.succeeds("python3", "-c", script, *sorted(types))))
    # The policies are attached to nothing, and the roles have no boundary.
    needed = {action for action in listed if not re.search(r":(Attach|Detach)|PermissionsBoundary$", action)}
    page = (ROOT / "docs" / "aws.md").read_text(encoding="utf-8")
    section = page.split("\n## Deploy from GitHub\n", 1)[1].split("\n## ", 1)[0]
    _, policy = (json.loads(text) for text in re.findall(r"^```json\n(.*?)^```", section, re.DOTALL | re.MULTILINE))
    (statement,) = policy["Statement"]
    assert set(statement["Action"]) == needed
    kinds = {
        re.fullmatch(r"arn:aws:iam::ACCOUNT:([a-z-]+)/pregao-\*", resource)[1] for resource in statement["Resource"]
    }
    assert kinds == {"role", "policy", "instance-profile"}


# --- the state machines -----------------------------------------------------------------------------


def asl_validator(path: Path) -> tuple:
    return ("asl-validator", "--json-path", path)


def statelint(path: Path) -> tuple:
    # It supports only floats, and rejects every integer.
    return ("statelint", "--ignore=FLOAT", path)


DEFINITION_LINTERS = {"asl-validator": asl_validator, "statelint": statelint}


def first(definition: dict, type: str) -> dict:
    return next(state for _, state in sam_template.states(definition) if state["Type"] == type)


def point_to_a_missing_state(definition: dict) -> None:
    task = first(definition, "Task")
    task.pop("End", None)
    task["Next"] = "Nowhere"


BROKEN_DEFINITIONS: dict[str, Callable[[dict], object]] = {
    "a next state that does not exist": point_to_a_missing_state,
    "a start that does not exist": lambda definition: definition.update(StartAt="Nowhere"),
    "a choice without rules": lambda definition: first(definition, "Choice").pop("Choices"),
    "a wait without a time": lambda definition: first(definition, "Wait").pop("TimestampPath"),
    "an unreachable state": lambda definition: definition["States"].update(Lost={"Type": "Succeed"}),
    "a misspelt field": lambda definition: first(definition, "Task").update(OutPath="$.Payload"),
    "a state of an unknown type": lambda definition: first(definition, "Task").update(Type="Job"),
    "a retry without an error": lambda definition: first(definition, "Task").update(Retry=[{"MaxAttempts": 2}]),
}


@pytest.mark.parametrize("linter", DEFINITION_LINTERS)
@pytest.mark.parametrize("name", MACHINES)
def test_definitions_are_accepted_as_they_are_deployed(name: str, linter: str, tmp_path: Path):
    text = sam_template.definition(name)
    assert "${" not in text
    path = tmp_path / f"{name}.asl.json"
    path.write_text(text, encoding="utf-8")
    tools.succeeds(*DEFINITION_LINTERS[linter](path))


@pytest.mark.parametrize("linter", DEFINITION_LINTERS)
@pytest.mark.parametrize("what", BROKEN_DEFINITIONS)
def test_linters_of_definitions_report_faults(what: str, linter: str, tmp_path: Path):
    definition = json.loads(sam_template.definition("create_datalake"))
    BROKEN_DEFINITIONS[what](definition)
    path = tmp_path / "broken.asl.json"
    path.write_text(json.dumps(definition), encoding="utf-8")
    tools.fails(*DEFINITION_LINTERS[linter](path))
