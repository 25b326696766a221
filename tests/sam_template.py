"""infra/template.yaml as data, with its expressions resolved."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any, NamedTuple

import yaml

from lake import ROOT

TEMPLATE_FILE = ROOT / "infra" / "template.yaml"
STATE_MACHINES = ROOT / "statemachines"
FUNCTIONS = sorted(path.parent.name for path in (ROOT / "functions").glob("*/Cargo.toml"))
MACHINES = ["athena_update", "backfill", "create_datalake", "upload_raw_data"]

# Values that only a deployment defines.
STACK, ACCOUNT, REGION = "acme", "111122223333", "sa-east-1"
# An application of EMR Serverless.
APPLICATION = "00f1r05p2u2tlj09"
# With EMR Serverless the stack has more resources and permissions, and none less.
PARAMETERS = {"EmrKind": "serverless"}


# --- the template as data ---------------------------------------------------------------------------


class _Loader(yaml.SafeLoader):
    """A YAML loader that expands CloudFormation's short forms."""


def _short_form(loader: _Loader, tag: str, node: yaml.Node) -> dict:
    name = tag if tag in ("Ref", "Condition") else f"Fn::{tag}"
    if isinstance(node, yaml.ScalarNode):
        value: Any = loader.construct_scalar(node)
        return {name: value.split(".", 1) if tag == "GetAtt" else value}
    if isinstance(node, yaml.SequenceNode):
        return {name: loader.construct_sequence(node, deep=True)}
    return {name: loader.construct_mapping(node, deep=True)}


_Loader.add_multi_constructor("!", _short_form)


def _load() -> dict:
    template = yaml.load(TEMPLATE_FILE.read_text(encoding="utf-8"), _Loader)
    return {**template, "Resources": _expand(template["Resources"], {}, template["Mappings"])}


def _expand(value: Any, variables: dict[str, str], mappings: dict) -> Any:
    """Expands each `Fn::ForEach`, and resolves the expressions in its copies that depend on the loop variables alone."""
    if isinstance(value, list):
        return [_expand(item, variables, mappings) for item in value]
    if not isinstance(value, dict):
        return value
    expanded = {}
    for key, item in value.items():
        if key.startswith("Fn::ForEach::"):
            variable, collection, fragment = item
            for element in collection:
                expanded |= _expand(fragment, {**variables, variable: element}, mappings)
        else:
            expanded[_fill(key, variables)] = _expand(item, variables, mappings)
    return _resolve_variables(expanded, variables, mappings) if len(expanded) == 1 else expanded


def _resolve_variables(call: dict, variables: dict[str, str], mappings: dict) -> Any:
    """Resolves a call of an intrinsic function if the loop variables suffice."""
    ((name, argument),) = call.items()
    if name == "Ref" and argument in variables:
        return variables[argument]
    if name == "Fn::FindInMap":
        mapping, first, second = argument
        return mappings[mapping][first][second]
    if name == "Fn::Sub":
        text, own = (argument, {}) if isinstance(argument, str) else argument
        attributes = {
            key: f"${{{'.'.join(value['Fn::GetAtt'])}}}" for key, value in own.items() if isinstance(value, dict)
        }
        text = _fill(text, {**variables, **own, **attributes})
        return {name: text} if "${" in text else text
    return call


def _fill(text: str, variables: dict[str, str]) -> str:
    """Replaces each `${name}` that has a value."""
    return re.sub(r"\$\{(\w+)\}", lambda match: variables.get(match.group(1), match.group(0)), text)


TEMPLATE = _load()

# The value of a property, or of an item of a list, that is not there.
NO_VALUE = object()
RESOURCES: dict[str, dict] = TEMPLATE["Resources"]


def of_type(type: str) -> dict[str, dict]:
    """Returns the properties of all resources of a type, by logical name."""
    return {name: resource["Properties"] for name, resource in RESOURCES.items() if resource["Type"] == type}


def functions() -> dict[str, dict]:
    """Returns the properties of each function, by the name of its crate, with the global ones merged in."""
    common = TEMPLATE["Globals"]["Function"]
    found = of_type("AWS::Serverless::Function").values()
    return {resolve(properties["FunctionName"]).split("-", 1)[1]: {**common, **properties} for properties in found}


def machines() -> dict[str, dict]:
    """Returns the properties of each state machine, by the name of its definition."""
    found = of_type("AWS::Serverless::StateMachine").values()
    return {resolve(properties["Name"]).split("-", 1)[1]: properties for properties in found}


def resolve(value: Any) -> Any:
    """Resolves a value for a stack named acme with `PARAMETERS`."""
    if isinstance(value, list):
        return [resolved for item in value if (resolved := resolve(item)) is not NO_VALUE]
    if not isinstance(value, dict):
        return value
    if len(value) == 1:
        ((name, argument),) = value.items()
        if name == "Ref":
            return _reference(argument)
        if name == "Fn::GetAtt":
            return _attribute(*argument)
        if name == "Fn::Sub":
            text, own = (argument, {}) if isinstance(argument, str) else argument
            named = {name: resolve(item) for name, item in own.items()}
            return re.sub(r"\$\{([^}!]+)\}", lambda match: named.get(match.group(1)) or _named(match.group(1)), text)
        if name == "Fn::If":
            condition, yes, no = argument
            return resolve(yes if _holds(TEMPLATE["Conditions"][condition]) else no)
        assert not name.startswith("Fn::"), f"the tests do not support {name}"
    return {key: resolve(item) for key, item in value.items()}


def _named(name: str) -> str:
    return str(_attribute(*name.split(".", 1)) if "." in name else _reference(name))


def _holds(condition: dict) -> bool:
    ((name, argument),) = condition.items()
    if name == "Fn::Not":
        return not _holds(argument[0])
    assert name == "Fn::Equals", name
    return resolve(argument[0]) == resolve(argument[1])


def _reference(name: str) -> Any:
    pseudo = {
        "AWS::AccountId": ACCOUNT,
        "AWS::Partition": "aws",
        "AWS::Region": REGION,
        "AWS::StackName": STACK,
    }
    if name in pseudo:
        return pseudo[name]
    if name in PARAMETERS:
        return PARAMETERS[name]
    if name in TEMPLATE["Parameters"]:
        return TEMPLATE["Parameters"][name]["Default"]
    if name == "AWS::NoValue":
        return NO_VALUE
    if RESOURCES[name]["Type"] in ("AWS::IAM::ManagedPolicy", "AWS::Serverless::StateMachine", "AWS::SNS::Topic"):
        return _attribute(name, "Arn")
    return _name_of(name)


def _name_of(name: str) -> str:
    """Returns the name of the resource, from the template, or generated as CloudFormation does."""
    resource = RESOURCES[name]
    properties = resource["Properties"]
    by = {
        "AWS::Athena::WorkGroup": "Name",
        "AWS::Logs::LogGroup": "LogGroupName",
        "AWS::S3::Bucket": "BucketName",
        "AWS::SNS::Topic": "TopicName",
        "AWS::SQS::Queue": "QueueName",
        "AWS::Serverless::Function": "FunctionName",
        "AWS::Serverless::StateMachine": "Name",
    }.get(resource["Type"])
    if resource["Type"] == "AWS::EMRServerless::Application":
        return APPLICATION
    if resource["Type"] == "AWS::Glue::Database":
        return resolve(properties["DatabaseInput"]["Name"])
    return resolve(properties[by]) if by else f"{STACK}-{name}-made-up"


def _attribute(name: str, attribute: str) -> str:
    physical_name, type = _name_of(name), RESOURCES[name]["Type"]
    if attribute in ("Name", "QueueName"):
        return physical_name
    assert attribute == "Arn", f"the tests do not support {name}.{attribute}"
    here = f"{REGION}:{ACCOUNT}"
    return {
        "AWS::EMRServerless::Application": f"arn:aws:emr-serverless:{here}:/applications/{physical_name}",
        "AWS::Events::Rule": f"arn:aws:events:{here}:rule/{physical_name}",
        "AWS::IAM::InstanceProfile": f"arn:aws:iam::{ACCOUNT}:instance-profile/{physical_name}",
        "AWS::IAM::ManagedPolicy": f"arn:aws:iam::{ACCOUNT}:policy/{physical_name}",
        "AWS::IAM::Role": f"arn:aws:iam::{ACCOUNT}:role/{physical_name}",
        "AWS::KMS::Key": f"arn:aws:kms:{here}:key/{physical_name}",
        "AWS::Logs::LogGroup": f"arn:aws:logs:{here}:log-group:{physical_name}:*",
        "AWS::S3::Bucket": f"arn:aws:s3:::{physical_name}",
        "AWS::SNS::Topic": f"arn:aws:sns:{here}:{physical_name}",
        "AWS::SQS::Queue": f"arn:aws:sqs:{here}:{physical_name}",
        "AWS::Serverless::Function": f"arn:aws:lambda:{here}:function:{physical_name}",
        "AWS::Serverless::StateMachine": f"arn:aws:states:{here}:stateMachine:{physical_name}",
    }[type]


def definition(machine: str) -> str:
    """Returns the text of a definition with the substitutions of the template."""
    properties = machines()[machine]
    text = (TEMPLATE_FILE.parent / properties["DefinitionUri"]).read_text(encoding="utf-8")
    for name, value in properties["DefinitionSubstitutions"].items():
        text = text.replace(f"${{{name}}}", resolve(value))
    return text


def states(definition: dict) -> Iterator[tuple[str, dict]]:
    """Returns all states, including nested ones."""
    for name, state in definition["States"].items():
        yield name, state
        for part in [*state.get("Branches", []), state.get("ItemProcessor"), state.get("Iterator")]:
            if part:
                yield from states(part)


# --- policies ---------------------------------------------------------------------------------------


class Statement(NamedTuple):
    """One resolved statement of a policy."""

    owner: str  # The logical name of the resource that has it.
    sid: str
    effect: str
    actions: list[str]
    resources: list[str]
    condition: dict
    principal: Any


def statements(owner: str) -> list[Statement]:
    """Returns the statements of a role, or of the policy of a resource."""
    properties = RESOURCES[owner]["Properties"]
    documents = [policy["PolicyDocument"] for policy in properties.get("Policies", [])]
    documents += [properties[key] for key in ("PolicyDocument", "KeyPolicy") if key in properties]
    return [_statement(owner, raw) for document in documents for raw in document["Statement"]]


def _statement(owner: str, raw: dict) -> Statement:
    whole = resolve(raw)
    return Statement(
        owner,
        whole["Sid"],
        whole["Effect"],
        _listed(whole["Action"]),
        _listed(whole["Resource"]),
        whole.get("Condition", {}),
        whole.get("Principal"),
    )


def _listed(value: Any) -> list:
    return value if isinstance(value, list) else [value]


def role_of(properties: dict) -> str:
    """Returns the logical name of the role of a function, a state machine or a target."""
    role = properties.get("Role") or properties["RoleArn"]
    name, attribute = role["Fn::GetAtt"]
    assert attribute == "Arn"
    return name


def resources_text() -> dict:
    """Returns the names of the stack's resources that the functions receive."""
    return json.loads(resolve(TEMPLATE["Outputs"]["Resources"]["Value"]))
