"""One state machine in two interpreters, ours and moto's, with the same results of the same functions.

Functions do not run here. A `Script` defines the result of each, and records their inputs.
"""

from __future__ import annotations

import contextlib
import json
import re
import subprocess
import time
import uuid
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import pytest
from moto.stepfunctions.parser.asl.component.common.error_name.custom_error_name import CustomErrorName
from moto.stepfunctions.parser.asl.component.common.error_name.error_name import ErrorName
from moto.stepfunctions.parser.asl.component.common.error_name.states_error_name import StatesErrorName
from moto.stepfunctions.parser.asl.component.common.error_name.states_error_name_type import StatesErrorNameType
from moto.stepfunctions.parser.asl.component.state.exec.state_parallel import branches_decl
from moto.stepfunctions.parser.asl.component.state.exec.state_task.service.state_task_service_sfn import (
    StateTaskServiceSfn,
)

from lake import PATIENCE, ROOT, binary
from moto_server import ACCOUNT, REGION, Invoked, Moto

LAMBDA, NESTED = "arn:aws:states:::lambda:invoke", "arn:aws:states:::states:startExecution.sync:2"
# Does not wait for the end of the execution.
STARTED = "arn:aws:states:::states:startExecution"
ROLE = f"arn:aws:iam::{ACCOUNT}:role/states"
RUN = "run-1"


class Reply(NamedTuple):
    """The result of a function, or an error of Lambda, after a delay of `after` seconds."""

    payload: dict
    is_error: bool = False
    refused: str | None = None
    after: float = 0

    def as_task(self) -> dict:
        """Returns it in the form of the Lambda integration."""
        if self.refused:
            return {"error": f"Lambda.{self.refused}", "cause": self.payload["Message"], "after": self.after}
        if self.is_error:
            return {"error": self.payload["errorType"], "cause": compact(self.payload), "after": self.after}
        result = {"ExecutedVersion": "$LATEST", "Payload": self.payload, "StatusCode": 200}
        return {"result": result, "after": self.after}

    def as_invoked(self) -> Invoked:
        """Returns it in the form of the Invoke API."""
        status = 429 if self.refused == "TooManyRequestsException" else 500 if self.refused else 200
        return Invoked(self.payload, self.is_error, self.refused, status)


def gives(after: int = 0, **payload: object) -> Reply:
    return Reply(payload, after=after)


def raises(name: str, message: str) -> Reply:
    return Reply({"errorType": name, "errorMessage": message}, is_error=True)


def refuses(name: str) -> Reply:
    return Reply({"Type": "User", "Message": "Rate Exceeded."}, refused=name)


def compact(value: object) -> str:
    return json.dumps(value, separators=(",", ":"))


class Script:
    """The results of the functions, in order, by function, stage, day, slice and chunk: `poll-step`, `validate-partitions raw`,
    `validate-partitions staged slice 1`, `validate-partitions raw of chunk 2`. The first slice is not named.
    """

    def __init__(self, answers: dict[str, list[Reply]]):
        self.answers = {task: list(replies) for task, replies in answers.items()}
        self.calls: dict[str, list[dict | list]] = defaultdict(list)

    def reply(self, function: str, payload: dict | list) -> Reply:
        fields = payload if isinstance(payload, dict) else {}
        parts = [function.split(":")[-1].split("--")[-1], *(fields.get(name) for name in ("stage", "table", "day"))]
        slice_ = f"slice {fields['slice']}" if fields.get("slice") else None
        run = re.search(r"_(\d{3})$", fields.get("run") or "")
        number = fields["chunk"]["number"] if "chunk" in fields else int(run.group(1)) if run else None
        chunk = f"of chunk {number}" if number else None
        task = " ".join(part for part in [*parts, slice_, chunk] if isinstance(part, str))
        self.calls[task].append(payload)
        assert self.answers.get(task), f"there is no result left for {task}, which is called with {payload}"
        return self.answers[task].pop(0)


@dataclass
class Outcome:
    """The outcome of an execution."""

    status: str
    output: dict | None = None
    error: str | None = None
    cause: str | None = None
    states: list[str] = field(default_factory=list)
    # Of nested executions, by their table, or by their name.
    nested: dict[str, Outcome] = field(default_factory=dict)
    # The inputs of the executions that were started and not waited for.
    started: list[dict] = field(default_factory=list)

    @property
    def words(self) -> object:
        """Returns the cause: the message of a function, or the end of a nested execution."""
        with contextlib.suppress(ValueError, TypeError):
            cause = json.loads(self.cause)
            if "errorMessage" in cause:
                return cause["errorMessage"]
            return {name: cause.get(name) for name in ("Status", "Error", "Cause")}
        return self.cause


def definition(machine: str, label: str) -> dict:
    """Returns a definition with its substitutions filled in: functions and machines that belong to `label` alone."""
    text = (ROOT / "statemachines" / f"{machine}.asl.json").read_text()
    functions = ["Ingest", "LaunchEmrStep", "PollStep", "Transform", "CreateAthenaTable", "ValidatePartitions"]
    for function in functions:
        name = "".join(f"-{letter.lower()}" if letter.isupper() else letter for letter in function).lstrip("-")
        arn = f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:{label}--{name}"
        text = text.replace(f"${{{function}FunctionArn}}", arn)
    for machine in ("AthenaUpdate", "CreateDatalake"):
        name = "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in machine).lstrip("_")
        text = text.replace(f"${{{machine}StateMachineArn}}", machine_arn(f"{label}--{name}"))
    assert "${" not in text, text[text.index("${") :][:60]
    return json.loads(text)


def machine_arn(name: str) -> str:
    return f"arn:aws:states:{REGION}:{ACCOUNT}:stateMachine:{name}"


# --- ours -------------------------------------------------------------------------------------------


def run_ours(
    definitions: dict[str, dict], machine: str, input: dict, script: Script, folder: Path, name: str = RUN
) -> Outcome:
    """Runs an execution in `crates/asl` through its example `execute`, which requests the result of each task."""
    program = binary().parent / "examples" / "execute"
    if not program.exists():
        raise FileNotFoundError(f"{program} is not built: run `cargo build --release --workspace --examples`")
    path = folder / f"{machine}.asl.json"
    path.write_text(json.dumps(definitions[machine]))
    execution = subprocess.Popen(
        [str(program), str(path), json.dumps(input), name],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    outcome = Outcome("NONE")
    with execution:
        for line in execution.stdout:
            event = json.loads(line)
            if "entered" in event:
                outcome.states.append(event["entered"])
            elif "task" in event:
                answer = _answer(definitions, event, script, outcome, folder)
                execution.stdin.write(json.dumps(answer) + "\n")
                execution.stdin.flush()
            else:
                outcome.status, outcome.output = event["status"], event.get("output")
                outcome.error, outcome.cause = event.get("error"), event.get("cause")
        assert execution.wait(PATIENCE) == 0, execution.stderr.read()
    return outcome


def _answer(definitions: dict[str, dict], task: dict, script: Script, outcome: Outcome, folder: Path) -> dict:
    if task["resource"] == LAMBDA:
        return script.reply(task["input"]["FunctionName"], task["input"]["Payload"]).as_task()
    assert task["resource"] in (NESTED, STARTED), task
    input = task["input"]["Input"]
    if task["resource"] == STARTED:
        outcome.started.append(input)
        execution = f"{task['input']['StateMachineArn'].replace(':stateMachine:', ':execution:')}:{uuid.uuid4()}"
        return {"result": {"ExecutionArn": execution, "StartDate": 1.7e9}}
    machine = task["input"]["StateMachineArn"].split("--")[-1]
    name = task["input"].get("Name")
    child = run_ours(definitions, machine, input, script, folder, name or RUN)
    outcome.nested[name or input.get("table") or input["from"]] = child
    # The delay lets the other branches begin before the first one ends.
    if child.status == "SUCCEEDED":
        return {"result": {"Status": child.status, "Input": input, "Output": child.output}, "after": 1}
    cause = {"Status": child.status, "Error": child.error, "Cause": child.cause}
    return {"error": "States.TaskFailed", "cause": json.dumps(cause), "after": 1}


# --- moto's -----------------------------------------------------------------------------------------


def nested_executions(patch: pytest.MonkeyPatch) -> None:
    """Lets moto start executions from executions, and a branch fail with one.

    Its interpreter passes parameters to services in the form of their APIs (`stateMachineArn`), not of definitions
    (`StateMachineArn`); it does not convert between the two.
    """
    to_input_text = StateTaskServiceSfn._normalise_parameters

    def error_name(error_name: str) -> ErrorName:
        """Returns the error name of a failed branch. moto has a type of its own for the names of the specification."""
        standard = (kind for kind in StatesErrorNameType if kind.to_name() == error_name)
        return next(map(StatesErrorName, standard), None) or CustomErrorName(error_name)

    def parameters(self: StateTaskServiceSfn, parameters: dict, **names: object) -> None:
        to_input_text(self, parameters, **names)
        renamed = {name[0].lower() + name[1:]: parameters.pop(name) for name in list(parameters)}
        # AWS generates a missing name; moto would name all of them None.
        parameters.update({"name": str(uuid.uuid4()), **renamed})

    def response(self: StateTaskServiceSfn, response: dict, **_: object) -> None:
        renamed = {name[0].upper() + name[1:]: response.pop(name) for name in list(response)}
        response.update(renamed)

    patch.setattr(StateTaskServiceSfn, "_normalise_parameters", parameters)
    patch.setattr(StateTaskServiceSfn, "_normalise_response", response)
    patch.setattr(branches_decl, "CustomErrorName", error_name)


class MotoExecutions:
    """Concurrent executions in moto's interpreter, where waits take real time."""

    def __init__(self, moto: Moto, patch: pytest.MonkeyPatch):
        nested_executions(patch)
        self.client = moto.client("stepfunctions")
        self.scripts: dict[str, Script] = {}
        moto.invoke = self._invoke

    def _invoke(self, function: str, payload: dict) -> Invoked:
        label = function.split(":")[-1].split("--")[0]
        reply = self.scripts[label].reply(function, payload)
        time.sleep(reply.after)
        return reply.as_invoked()

    def create(self, label: str, definitions: dict[str, dict]) -> None:
        """Creates state machines that belong to `label`."""
        for name, text in definitions.items():
            self.client.create_state_machine(name=f"{label}--{name}", definition=json.dumps(text), roleArn=ROLE)

    def start(self, label: str, machine: str, input: dict, name: str = RUN) -> str:
        """Starts an execution. Returns its ARN."""
        arn = machine_arn(f"{label}--{machine}")
        return self.client.start_execution(stateMachineArn=arn, name=name, input=json.dumps(input))["executionArn"]

    def wait(self, execution: str) -> Outcome:
        deadline = time.monotonic() + PATIENCE
        while (described := self.client.describe_execution(executionArn=execution))["status"] == "RUNNING":
            assert time.monotonic() < deadline, f"{execution} still runs after {PATIENCE} s"
            time.sleep(0.05)
        events = self.client.get_execution_history(executionArn=execution)["events"]
        entered = [
            event["stateEnteredEventDetails"]["name"] for event in events if event["type"].endswith("StateEntered")
        ]
        output = json.loads(described["output"]) if "output" in described else None
        return Outcome(described["status"], output, described.get("error"), described.get("cause"), entered)

    def nested(self, label: str) -> dict[str, Outcome]:
        """Returns the executions of `athena_update`, by their table."""
        found = self.client.list_executions(stateMachineArn=machine_arn(f"{label}--athena_update"))["executions"]
        described = [self.client.describe_execution(executionArn=execution["executionArn"]) for execution in found]
        return {json.loads(one["input"])["table"]: self.wait(one["executionArn"]) for one in described}

    def started(self, label: str) -> list[dict]:
        """Returns the inputs of the executions of `create_datalake`, sorted by their first day."""
        found = self.client.list_executions(stateMachineArn=machine_arn(f"{label}--create_datalake"))["executions"]
        described = [self.client.describe_execution(executionArn=one["executionArn"]) for one in found]
        return sorted((json.loads(one["input"]) for one in described), key=lambda input: input["from"])

    def chunks(self, label: str) -> dict[str, Outcome]:
        """Returns the executions of `create_datalake`, by their names."""
        found = self.client.list_executions(stateMachineArn=machine_arn(f"{label}--create_datalake"))["executions"]
        return {one["name"]: self.wait(one["executionArn"]) for one in found}
