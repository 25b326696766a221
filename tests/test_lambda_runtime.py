"""The emulated Runtime API of the tests detects each kind of failure of a function."""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path

import pytest

from lambda_runtime import FunctionError, LambdaFunction

# A function that performs what its event requests, with the protocol of the Lambda Runtime API.
FUNCTION = f"""#!{sys.executable}
import http.client, json, os, signal, sys, time

api = http.client.HTTPConnection(os.environ["AWS_LAMBDA_RUNTIME_API"])

def call(method, path, body=None, headers={{}}):
    api.request(method, "/2018-06-01/runtime/" + path, body, headers)
    response = api.getresponse()
    return response, response.read()

if os.environ.get("INIT") == "error":
    call("POST", "init/error", json.dumps({{"errorType": "Config.Broken", "errorMessage": "no bucket"}}))
    sys.exit(1)
if os.environ.get("INIT") == "exit":
    print("before the first event")
    sys.exit(3)
while True:
    response, body = call("GET", "invocation/next")
    id, event = response.headers["Lambda-Runtime-Aws-Request-Id"], json.loads(body)
    if "exit" in event:
        print("these are the last words", flush=True)
        os._exit(event["exit"])
    if "signal" in event:
        os.kill(os.getpid(), event["signal"])
    if "sleep" in event:
        time.sleep(event["sleep"])
    if "error" in event:
        call("POST", f"invocation/{{id}}/error", json.dumps(event["error"]))
    elif "chunks" in event:
        call("POST", f"invocation/{{id}}/response", (piece.encode() for piece in event["chunks"]))
    elif "bytes" in event:
        call("POST", f"invocation/{{id}}/response", json.dumps("x" * event["bytes"]))
    else:
        wrong, _ = call("POST", "invocation/another/response", "{{}}")
        call("POST", f"invocation/{{id}}/response", json.dumps({{
            "event": event, "pid": os.getpid(), "wrong": wrong.status, "name": os.environ["AWS_LAMBDA_FUNCTION_NAME"],
            "arn": response.headers["Lambda-Runtime-Invoked-Function-Arn"], "home": os.environ.get("HOME"),
            "deadline": int(response.headers["Lambda-Runtime-Deadline-Ms"]) / 1000,
        }}))
        again, _ = call("POST", f"invocation/{{id}}/response", "{{}}")
        assert again.status == 400, again.status
"""


@pytest.fixture
def binary(tmp_path: Path) -> Path:
    path = tmp_path / "scripted"
    path.write_text(FUNCTION)
    path.chmod(0o700)
    return path


def error_of(function: LambdaFunction, event: object) -> FunctionError:
    with pytest.raises(FunctionError) as caught:
        function.invoke(event)
    return caught.value


def test_one_process_handles_all_events(binary: Path):
    with LambdaFunction(binary, {}, timeout=30) as function:
        before = time.time()
        answers = [function.invoke({"n": number}) for number in range(3)]
        after = time.time()
        assert [answer["event"] for answer in answers] == [{"n": 0}, {"n": 1}, {"n": 2}]
        assert len({answer["pid"] for answer in answers}) == 1 and function.starts == 1
        assert answers[0]["name"] == "scripted" and answers[0]["arn"].endswith(":function:scripted")
        assert answers[0]["wrong"] == 400, "a response to another invocation is refused"
        deadlines = [answer["deadline"] for answer in answers]
        # In whole milliseconds.
        assert before + 30 - 0.001 <= deadlines[0] <= deadlines[1] <= deadlines[2] <= after + 30
        assert answers[0]["home"] is None
    with pytest.raises(ProcessLookupError):
        os.kill(answers[0]["pid"], 0)


def test_a_response_may_be_chunked_and_has_a_size_limit(binary: Path):
    with LambdaFunction(binary, {}) as function:
        assert function.invoke({"chunks": ['{"a": ', "1}"]}) == {"a": 1}
        assert error_of(function, {"bytes": 6 * 1024 * 1024}).error_type == "Function.ResponseSizeTooLarge"
        assert function.invoke({"bytes": 10}) == "x" * 10


def test_the_error_of_a_function_is_returned_unchanged(binary: Path):
    with LambdaFunction(binary, {}) as function:
        error = error_of(function, {"error": {"errorType": "QualityError", "errorMessage": "12% of bids"}})
        assert error.payload == {"errorType": "QualityError", "errorMessage": "12% of bids"}
        assert function.invoke({})["event"] == {} and function.starts == 1, "an error does not end the process"


@pytest.mark.parametrize(
    "event, words",
    [
        ({"exit": 101}, "Runtime exited with error: exit status 101"),
        ({"exit": 0}, "Runtime exited without providing a reason"),
        ({"signal": 9}, "Runtime exited with error: signal: SIGKILL"),
    ],
)
def test_a_process_that_dies_is_reported_and_replaced(binary: Path, event: dict, words: str):
    with LambdaFunction(binary, {}) as function:
        error = error_of(function, event)
        assert error.error_type == "Runtime.ExitError" and error.message.endswith(words)
        assert ("these are the last words" in str(error)) == ("exit" in event)
        assert function.invoke({})["event"] == {} and function.starts == 2


def test_an_invocation_that_times_out_is_ended(binary: Path):
    with LambdaFunction(binary, {}, timeout=30) as function:
        function.invoke({})
        function.timeout = 0.5
        error = error_of(function, {"sleep": 60})
        assert error.error_type == "Sandbox.Timedout" and error.message.endswith("timed out after 0.50 seconds")
        function.timeout = 30
        assert function.invoke({})["event"] == {} and function.starts == 2


def test_the_error_of_a_function_that_does_not_start_has_the_reason(binary: Path):
    with LambdaFunction(binary, {"INIT": "error"}) as function:
        assert error_of(function, {}).payload == {"errorType": "Config.Broken", "errorMessage": "no bucket"}
    with LambdaFunction(binary, {"INIT": "exit"}) as function:
        error = error_of(function, {})
        assert error.error_type == "Runtime.ExitError" and "exit status 3" in error.message
        assert "before the first event" in str(error)
    assert json.loads(json.dumps(error.payload))["errorType"] == "Runtime.ExitError"
