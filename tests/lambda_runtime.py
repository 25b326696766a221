"""An emulation of Lambda: runs an unmodified function binary on the Lambda Runtime API, and invokes it.

A function process starts at the first invocation, and again after it has ended or was killed, as in Lambda. Errors of a
function that dies or hangs have the names that Lambda uses.

    with LambdaFunction(path_to_binary, {"AWS_ENDPOINT_URL": url}) as function:
        response = function.invoke({"date": "2020-04-01"})       # or FunctionError
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

API = "/2018-06-01/runtime"
REGION, ACCOUNT = "us-east-1", "000000000000"
# The size limit of a function's response, in bytes.
RESPONSE_LIMIT = 6 * 1024 * 1024


class FunctionError(Exception):
    """The error of an invocation: `errorType` and `errorMessage`."""

    def __init__(self, error_type: str, message: str, logs: str = ""):
        super().__init__(f"{error_type}: {message}" + (f"\n--- its logs\n{logs}" if logs else ""))
        self.error_type = error_type
        self.message = message

    @property
    def payload(self) -> dict[str, str]:
        """Returns it in the form of the Invoke API."""
        return {"errorType": self.error_type, "errorMessage": self.message}


class LambdaFunction:
    """A function: its name, its binary, and the environment that it is deployed with."""

    def __init__(self, binary: Path, environment: dict[str, str], timeout: float = 60):
        self.name = binary.name
        self.binary = binary
        self.environment = environment
        self.timeout = timeout
        self.starts = 0
        self._sandbox: _Sandbox | None = None
        # An execution environment of Lambda handles one invocation at a time.
        self._invoking = threading.Lock()

    def invoke(self, event: object) -> object:
        """Invokes the function with an event. Returns its result."""
        with self._invoking:
            if self._sandbox is None:
                self.starts += 1
                self._sandbox = _Sandbox(self.binary, self.environment)
            sandbox = self._sandbox
            try:
                return sandbox.invoke(event, self.timeout)
            finally:
                if sandbox.has_ended:
                    self.close()

    def logs(self) -> str:
        """Returns the output of the process so far."""
        return self._sandbox.logs() if self._sandbox else ""

    @property
    def process_id(self) -> int | None:
        """The process that handles the invocations, if there is one."""
        return self._sandbox.process.pid if self._sandbox else None

    def close(self) -> None:
        """Kills the process; the next invocation starts a new one."""
        if self._sandbox is not None:
            self._sandbox.close()
            self._sandbox = None

    def __enter__(self) -> LambdaFunction:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class _Invocation:
    """An event in progress, and its response."""

    def __init__(self, event: object, timeout: float):
        self.id = str(uuid.uuid4())
        self.body = json.dumps(event).encode()
        self.deadline = time.time() + timeout
        self.is_delivered = False
        self.response: bytes | None = None
        self.error: FunctionError | None = None

    @property
    def is_settled(self) -> bool:
        return self.response is not None or self.error is not None


class _Sandbox:
    """One process of a function, and its own Runtime API."""

    def __init__(self, binary: Path, environment: dict[str, str]):
        self.name = binary.name
        self.changed = threading.Condition()
        self.invocation: _Invocation | None = None
        self.init_error: FunctionError | None = None
        self.exit_code: int | None = None
        self.closed = False
        self.server = _Server(self)
        # Stays open while the process runs. `close` closes it.
        self.output = tempfile.TemporaryFile()  # noqa: SIM115
        address = f"127.0.0.1:{self.server.server_port}"
        self.process = subprocess.Popen(
            [str(binary)],
            stdin=subprocess.DEVNULL,
            stdout=self.output,
            stderr=subprocess.STDOUT,
            env={**_environment(self.name, address), **environment},
        )
        threading.Thread(target=self._watch, daemon=True).start()

    @property
    def arn(self) -> str:
        return f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:{self.name}"

    @property
    def has_ended(self) -> bool:
        return self.exit_code is not None

    def invoke(self, event: object, timeout: float) -> object:
        invocation = _Invocation(event, timeout)
        with self.changed:
            self.invocation = invocation
            self.changed.notify_all()
            self.changed.wait_for(lambda: invocation.is_settled or self.has_ended, timeout)
            if not invocation.is_settled:
                invocation.error = self._failure(invocation, timeout)
            self.invocation = None
        if invocation.error:
            raise invocation.error
        return json.loads(invocation.response)

    def _failure(self, invocation: _Invocation, timeout: float) -> FunctionError:
        """Returns Lambda's error for a function that has died, or that exceeded its timeout and was killed."""
        if not self.has_ended:
            # Holds the lock: the watcher reports the end only afterwards.
            self.process.kill()
            self.exit_code = self.process.wait()
            text = f"RequestId: {invocation.id} Error: Task timed out after {timeout:.2f} seconds"
            return FunctionError("Sandbox.Timedout", text, self.logs())
        if self.init_error:
            return self.init_error
        reason = f"exit status {self.exit_code}"
        if self.exit_code < 0:
            reason = f"signal: {signal.Signals(-self.exit_code).name}"
        text = f"RequestId: {invocation.id} Error: Runtime exited with error: {reason}"
        if self.exit_code == 0:
            text = f"RequestId: {invocation.id} Error: Runtime exited without providing a reason"
        return FunctionError("Runtime.ExitError", text, self.logs())

    def next(self) -> _Invocation | None:
        """Waits for the next event. Returns None after the end of the sandbox."""
        with self.changed:
            self.changed.wait_for(lambda: self.closed or (self.invocation and not self.invocation.is_delivered))
            if self.closed:
                return None
            self.invocation.is_delivered = True
            return self.invocation

    def settle(self, id: str, response: bytes | None = None, error: FunctionError | None = None) -> str:
        """Accepts the response to an event. Returns the error code of the Runtime API, or an empty text."""
        with self.changed:
            invocation = self.invocation
            if invocation is None or invocation.id != id or not invocation.is_delivered:
                return "InvalidRequestID"
            if invocation.is_settled:
                return "InvalidStateTransition"
            invocation.response, invocation.error = response, error
            self.changed.notify_all()
            return ""

    def logs(self) -> str:
        # The process shares the position of this file, so it must not be moved.
        descriptor = self.output.fileno()
        return os.pread(descriptor, os.fstat(descriptor).st_size, 0).decode(errors="replace")

    def close(self) -> None:
        with self.changed:
            self.closed = True
            self.changed.notify_all()
        self.process.kill()
        self.process.wait()
        self.server.shutdown()
        self.server.server_close()
        self.output.close()

    def _watch(self) -> None:
        code = self.process.wait()
        with self.changed:
            self.exit_code = code
            self.changed.notify_all()


def _environment(name: str, address: str) -> dict[str, str]:
    """Returns the environment variables that Lambda sets, without those of the user who runs the tests."""
    return {
        "PATH": os.defpath,
        "TZ": ":UTC",
        "LANG": "en_US.UTF-8",
        "AWS_LAMBDA_RUNTIME_API": address,
        "AWS_LAMBDA_FUNCTION_NAME": name,
        "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "256",
        "AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand",
        "AWS_LAMBDA_LOG_GROUP_NAME": f"/aws/lambda/{name}",
        "AWS_LAMBDA_LOG_STREAM_NAME": "2020/04/01/[$LATEST]0",
        "_HANDLER": "bootstrap",
        "AWS_REGION": REGION,
        "AWS_DEFAULT_REGION": REGION,
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
    }


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def __init__(self, sandbox: _Sandbox):
        super().__init__(("127.0.0.1", 0), _Api)
        self.sandbox = sandbox
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()

    def handle_error(self, *connection: object) -> None:
        """Does nothing if the function was killed while its connection was open."""
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(*connection)


class _Api(BaseHTTPRequestHandler):
    """The API of https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html."""

    protocol_version = "HTTP/1.1"
    # Headers and body are two small writes, which Nagle's algorithm would delay.
    disable_nagle_algorithm = True
    server: _Server

    def do_GET(self) -> None:
        if self.path != f"{API}/invocation/next":
            return self._reply(404, {"errorType": "NotFound", "errorMessage": self.path})
        invocation = self.server.sandbox.next()
        if invocation is None:
            self.close_connection = True
            return None
        headers = {
            "Lambda-Runtime-Aws-Request-Id": invocation.id,
            "Lambda-Runtime-Deadline-Ms": str(int(invocation.deadline * 1000)),
            "Lambda-Runtime-Invoked-Function-Arn": self.server.sandbox.arn,
            "Lambda-Runtime-Trace-Id": "Root=1-5e840c40-000000000000000000000000;Parent=0000000000000000;Sampled=0",
        }
        self._reply(200, invocation.body, headers)

    def do_POST(self) -> None:
        body = self._body()
        sandbox = self.server.sandbox
        if self.path == f"{API}/init/error":
            sandbox.init_error = self._reported(body)
            return self._reply(202, {"status": "OK"})
        part, _, outcome = self.path[len(f"{API}/invocation/") :].partition("/")
        if not self.path.startswith(f"{API}/invocation/") or outcome not in ("response", "error"):
            return self._reply(404, {"errorType": "NotFound", "errorMessage": self.path})
        if outcome == "error":
            refusal = sandbox.settle(part, error=self._reported(body))
        elif len(body) > RESPONSE_LIMIT:
            text = f"Response payload size exceeded maximum allowed payload size ({RESPONSE_LIMIT} bytes)."
            sandbox.settle(part, error=FunctionError("Function.ResponseSizeTooLarge", text))
            return self._reply(413, {"errorType": "RequestEntityTooLarge", "errorMessage": text})
        else:
            refusal = sandbox.settle(part, response=body)
        if refusal:
            return self._reply(400, {"errorType": refusal, "errorMessage": part})
        self._reply(202, {"status": "OK"})

    def _reported(self, body: bytes) -> FunctionError:
        """Returns the function's error; the header replaces a body that is not valid."""
        with contextlib.suppress(ValueError, AttributeError):
            report = json.loads(body)
            return FunctionError(
                report.get("errorType", ""), report.get("errorMessage", ""), self.server.sandbox.logs()
            )
        return FunctionError(self.headers.get("Lambda-Runtime-Function-Error-Type", "Runtime.Unknown"), body.decode())

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding", "").lower() != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))
        pieces = []
        while size := int(self.rfile.readline().split(b";")[0], 16):
            pieces.append(self.rfile.read(size))
            self.rfile.readline()
        while self.rfile.readline().strip():
            pass
        return b"".join(pieces)

    def _reply(self, status: int, body: object, headers: dict[str, str] | None = None) -> None:
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(status)
        for name, value in {"Content-Type": "application/json", **(headers or {})}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        # The function may have been killed since the request.
        with contextlib.suppress(ConnectionError):
            self.wfile.write(data)

    def log_message(self, format: str, *arguments: object) -> None:
        """Does nothing: a function has logs of its own."""
