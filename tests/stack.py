"""The stack of infra/template.yaml without deploying it: what its functions find in their environment and may do.

Parameters, pseudo parameters, conditions and the intrinsic functions that the template uses are resolved as
CloudFormation does; resources have the names that they would get. What is not known here is an error.
"""

from __future__ import annotations

import json
import re
from typing import Any, Callable, Optional

import yaml

from lake import ROOT

TEMPLATE = ROOT / "infra" / "template.yaml"
STACK, REGION, ACCOUNT = "pregao", "us-east-1", "123456789012"
# Whoever resolves to this is left out.
NO_VALUE = object()

# What Ref gives of a resource that is named by a property. Others get a name that CloudFormation makes up.
NAMED_BY = {
    "AWS::S3::Bucket": "BucketName",
    "AWS::IAM::Role": "RoleName",
    "AWS::IAM::InstanceProfile": "InstanceProfileName",
    "AWS::Athena::WorkGroup": "Name",
    "AWS::Glue::Database": ("DatabaseInput", "Name"),
    "AWS::Logs::LogGroup": "LogGroupName",
    "AWS::Serverless::Function": "FunctionName",
    "AWS::SQS::Queue": "QueueName",
}
ARN = {
    "AWS::S3::Bucket": "arn:aws:s3:::{name}",
    "AWS::IAM::Role": "arn:aws:iam::{account}:role/{name}",
    "AWS::Logs::LogGroup": "arn:aws:logs:{region}:{account}:log-group:{name}:*",
    "AWS::Serverless::Function": "arn:aws:lambda:{region}:{account}:function:{name}",
    "AWS::SQS::Queue": "arn:aws:sqs:{region}:{account}:{name}",
}


class _Loader(yaml.SafeLoader):
    """YAML with CloudFormation's short forms: `!Sub x` is `{"Fn::Sub": x}`."""


def _short_form(loader: _Loader, suffix: str, node: yaml.Node) -> dict:
    name = suffix if suffix in ("Ref", "Condition") else f"Fn::{suffix}"
    if isinstance(node, yaml.ScalarNode):
        value: Any = loader.construct_scalar(node)
        if suffix == "GetAtt":
            value = value.split(".", 1)
    elif isinstance(node, yaml.SequenceNode):
        value = loader.construct_sequence(node, deep=True)
    else:
        value = loader.construct_mapping(node, deep=True)
    return {name: value}


_Loader.add_multi_constructor("!", _short_form)


class Stack:
    """The template with parameters filled in."""

    def __init__(self, **parameters: str):
        self.template = yaml.load(TEMPLATE.read_text(), _Loader)
        declared = self.template["Parameters"]
        unknown = set(parameters) - set(declared)
        assert not unknown, f"the template has no parameter {sorted(unknown)}"
        self.parameters = {name: str(parameters.get(name, told["Default"])) for name, told in declared.items()}

    @property
    def functions(self) -> dict[str, str]:
        """The functions: the name of the binary, and the logical id."""
        found = self._of_type("AWS::Serverless::Function")
        return {told["Metadata"]["BuildProperties"]["Binary"]: id for id, told in found.items()}

    def environment(self, function: str) -> dict[str, str]:
        """The variables that a function is deployed with."""
        shared = self.template.get("Globals", {}).get("Function", {})
        own = self.template["Resources"][self.functions[function]]["Properties"]
        variables = {**_variables(shared), **_variables(own)}
        return {name: str(self.resolve(value)) for name, value in variables.items()}

    @property
    def resources(self) -> dict[str, dict]:
        """What functions are told of the stack, in the form of the configuration."""
        return json.loads(self.environment("ingest")["PREGAO_RESOURCES"])

    def policy(self, function: str) -> list[dict]:
        """The statements of the role of a function, resolved."""
        own = self.template["Resources"][self.functions[function]]["Properties"]
        role, attribute = own["Role"]["Fn::GetAtt"]
        assert attribute == "Arn" and "Policies" not in own, f"{function} has policies beside its role's"
        properties = self.template["Resources"][role]["Properties"]
        assert "ManagedPolicyArns" not in properties, f"{role} has policies that are not in the template"
        documents = [self.resolve(policy["PolicyDocument"]) for policy in properties["Policies"]]
        return [statement for document in documents for statement in document["Statement"]]

    # --- resolving ---

    def resolve(self, value: Any) -> Any:
        if isinstance(value, list):
            items = [self.resolve(item) for item in value]
            return [item for item in items if item is not NO_VALUE]
        if not isinstance(value, dict):
            return value
        if len(value) == 1:
            (name, argument), = value.items()
            if name == "Ref":
                return self._ref(argument)
            if name.startswith("Fn::"):
                return self._intrinsic(name[len("Fn::") :], argument)
        resolved = {name: self.resolve(item) for name, item in value.items()}
        return {name: item for name, item in resolved.items() if item is not NO_VALUE}

    def _intrinsic(self, name: str, argument: Any) -> Any:
        known: dict[str, Callable[[Any], Any]] = {
            "Sub": self._sub,
            "GetAtt": lambda path: self._attribute(*path),
            "If": lambda parts: self.resolve(parts[1] if self._condition(parts[0]) else parts[2]),
            "Join": lambda parts: parts[0].join(self.resolve(parts[1])),
        }
        if name not in known:
            raise NotImplementedError(f"Fn::{name} of {argument}")
        return known[name](argument)

    def _condition(self, name: str) -> bool:
        return self._holds(self.template["Conditions"][name])

    def _holds(self, told: dict) -> bool:
        (name, argument), = told.items()
        if name == "Fn::Equals":
            left, right = (self.resolve(side) for side in argument)
            return left == right
        if name == "Fn::Not":
            return not self._holds(argument[0])
        if name in ("Fn::And", "Fn::Or"):
            return (all if name == "Fn::And" else any)(self._holds(part) for part in argument)
        if name == "Condition":
            return self._condition(argument)
        raise NotImplementedError(f"the condition {told}")

    def _sub(self, argument: Any) -> str:
        text, values = (argument, {}) if isinstance(argument, str) else argument

        def filled(match: re.Match) -> str:
            name = match[1]
            if name.startswith("!"):
                return f"${{{name[1:]}}}"
            if name in values:
                return self.resolve(values[name])
            id, _, attribute = name.partition(".")
            return self._attribute(id, attribute) if attribute and "::" not in id else self._ref(name)

        return re.sub(r"\$\{([^}]+)\}", filled, text)

    def _ref(self, name: str) -> Any:
        pseudo = {
            "AWS::AccountId": ACCOUNT,
            "AWS::Region": REGION,
            "AWS::StackName": STACK,
            "AWS::Partition": "aws",
            "AWS::URLSuffix": "amazonaws.com",
            "AWS::NoValue": NO_VALUE,
        }
        if name in pseudo:
            return pseudo[name]
        if name in self.parameters:
            return self.parameters[name]
        return self._name(name)

    def _name(self, id: str) -> str:
        told = self.template["Resources"][id]
        path = NAMED_BY.get(told["Type"])
        if path is None:
            raise NotImplementedError(f"Ref of {id}, which is of type {told['Type']}")
        properties: Optional[Any] = told.get("Properties", {})
        for part in [path] if isinstance(path, str) else path:
            properties = (properties or {}).get(part)
        return f"{STACK}-{id}-1A2B3C4D5E6F" if properties is None else self.resolve(properties)

    def _attribute(self, id: str, attribute: str) -> str:
        kind = self.template["Resources"][id]["Type"]
        if attribute != "Arn" or kind not in ARN:
            raise NotImplementedError(f"{attribute} of {id}, which is of type {kind}")
        return ARN[kind].format(name=self._name(id), region=REGION, account=ACCOUNT)

    def _of_type(self, kind: str) -> dict[str, dict]:
        return {id: told for id, told in self.template["Resources"].items() if told["Type"] == kind}


def _variables(properties: dict) -> dict:
    return properties.get("Environment", {}).get("Variables", {})
