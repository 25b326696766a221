"""Measures the binary of each function on the Lambda Runtime API: time to the first and to later responses, and zip size.

The function refuses the event (`InvalidInput`), so the measurement covers the process, its configuration, its AWS clients and
the Runtime API, and not the services that the function would call.
"""

from __future__ import annotations

import io
import json
import os
import re
import selectors
import socket
import statistics
import subprocess
import time
import zipfile
from pathlib import Path

import machine
import run

FUNCTIONS = [
    "ingest",
    "launch-emr-step",
    "poll-step",
    "stop-emr-step",
    "transform",
    "create-athena-table",
    "validate-partitions",
]
EVENT = json.dumps({"no": "event of this function"}).encode()


def measure(bench) -> dict:
    folder = bench.options.functions or build(bench)
    functions = []
    for name in FUNCTIONS:
        binary = folder / name / "bootstrap"
        if not binary.exists():
            raise machine.Failed(f"there is no {binary}: remove {folder}, or give --functions another folder")
        cold, warm, peak = [], [], []
        for _ in range(10 * bench.rounds):
            one = invoke(binary, warm=50)
            cold.append(one["cold"])
            warm += one["warm"]
            peak.append(one["peak"])
        functions.append({
            "name": name,
            "cold": statistics.median(cold),
            "cold_95": sorted(cold)[int(0.95 * (len(cold) - 1))],
            "warm": statistics.median(warm),
            "peak": statistics.median(peak),
            "binary": binary.stat().st_size,
            "zip": zipped(binary),
        })  # fmt: skip
        last = functions[-1]
        times = f"cold {1000 * last['cold']:.1f} ms, warm {1000 * last['warm']:.2f} ms"
        bench.say(f"{name}: {times}, zip {last['zip'] / 1e6:.2f} MB")
    return {"functions": functions}


def build(bench) -> Path:
    """Builds the functions as `sam build` does, with cargo-lambda, in the folder that the tests also use."""
    tools = run.prepare_environment(bench.target / "test-tools-aws", [run.TOOLS / "aws.txt"]).parent
    processor = "--x86-64" if os.uname().machine == "x86_64" else "--arm64"
    packages = [option for name in FUNCTIONS for option in ("--package", name)]
    command = [str(tools / "cargo-lambda"), "lambda", "build", "--release", "--locked", processor, *packages]
    run.step("functions", command, {"PATH": os.pathsep.join([str(tools), os.environ["PATH"]])})
    return bench.target / "lambda"


def zipped(binary: Path) -> int:
    """Returns the size of the uploaded zip: the binary alone, with the best compression."""
    memory = io.BytesIO()
    with zipfile.ZipFile(memory, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        archive.write(binary, "bootstrap")
    return len(memory.getvalue())


def invoke(binary: Path, warm: int) -> dict:
    """Runs one process with `1 + warm` events. A minimal loop on sockets adds almost nothing to the measurement."""
    with socket.create_server(("127.0.0.1", 0)) as server, machine.own_cores():
        environment = {
            "PATH": os.defpath,
            "AWS_LAMBDA_RUNTIME_API": f"127.0.0.1:{server.getsockname()[1]}",
            "AWS_LAMBDA_FUNCTION_NAME": binary.parent.name,
            "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
            "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "256",
            "AWS_LAMBDA_LOG_GROUP_NAME": "bench",
            "AWS_LAMBDA_LOG_STREAM_NAME": "bench",
            "AWS_REGION": "us-east-1",
            "AWS_ACCESS_KEY_ID": "bench",
            "AWS_SECRET_ACCESS_KEY": "bench",
            # Nothing listens on this port, so a function that calls a service fails and is not measured with it.
            "AWS_ENDPOINT_URL": "http://127.0.0.1:9",
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        }
        # The function has the first core, this loop the second. A child inherits the affinity of its parent.
        function_core, own_core = machine.cores()
        os.sched_setaffinity(0, {function_core})
        started = time.perf_counter()
        process = subprocess.Popen(
            [binary], env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        os.sched_setaffinity(0, {own_core})
        try:
            latencies, connections = serve(server, 1 + warm, started)
            # The function ends when its connections are closed.
            peak = peak_memory(process.pid)
            for connection in connections:
                connection.close()
        except (TimeoutError, ConnectionError) as error:
            raise machine.Failed(f"{binary} does not answer on the Runtime API: {error}") from error
        finally:
            process.kill()
            process.wait()
    return {"cold": latencies[0], "warm": latencies[1:], "peak": peak}


def peak_memory(pid: int) -> int:
    status = Path(f"/proc/{pid}/status").read_text()
    return 1024 * int(re.search(r"VmHWM:\s+([0-9]+) kB", status)[1])


def serve(server: socket.socket, count: int, started: float) -> tuple[list[float], list[socket.socket]]:
    """Serves `count` events. Returns seconds from spawn, then from event to response. Keeps the connections open."""
    latencies: list[float] = []
    connections: list[socket.socket] = []
    sent = 0
    with selectors.DefaultSelector() as selector:
        selector.register(server, selectors.EVENT_READ, None)
        while len(latencies) < count:
            ready = selector.select(10)
            if not ready:
                raise TimeoutError("no request for 10 s")
            for key, _ in ready:
                if key.fileobj is server:
                    connection, _ = server.accept()
                    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                    connections.append(connection)
                    selector.register(connection, selectors.EVENT_READ, bytearray())
                    continue
                received = key.fileobj.recv(65536)
                if not received:
                    selector.unregister(key.fileobj)
                    continue
                key.data.extend(received)
                request = complete(key.data)
                if request is None:
                    continue
                if request.startswith(b"GET /2018-06-01/runtime/invocation/next "):
                    sent += 1
                    begun = started if sent == 1 else time.perf_counter()
                    key.fileobj.sendall(event(sent))
                    continue
                latencies.append(time.perf_counter() - begun)
                if b"/invocation/" not in request or b"InvalidInput" not in request:
                    raise ConnectionError(f"this is not the expected error response: {bytes(request[:600])!r}")
                key.fileobj.sendall(
                    b"HTTP/1.1 202 Accepted\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"
                )
    return latencies, connections


def event(number: int) -> bytes:
    deadline = int(1000 * (time.time() + 60))
    return (
        f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(EVENT)}\r\n"
        f"Lambda-Runtime-Aws-Request-Id: 8476a536-e9f4-11e8-9739-{number:012d}\r\nLambda-Runtime-Deadline-Ms: {deadline}\r\n"
        "Lambda-Runtime-Invoked-Function-Arn: arn:aws:lambda:us-east-1:000000000000:function:bench\r\n"
        "Lambda-Runtime-Trace-Id: Root=1-5e840c40-000000000000000000000000;Parent=0000000000000000;Sampled=0\r\n\r\n"
    ).encode() + EVENT


def complete(buffer: bytearray):
    """Removes a complete request from the buffer and returns it; returns None while a part is missing."""
    head, end, body = bytes(buffer).partition(b"\r\n\r\n")
    if not end:
        return None
    headers = {
        name.strip().lower(): value.strip()
        for name, _, value in (line.partition(b":") for line in head.split(b"\r\n")[1:])
    }
    if headers.get(b"transfer-encoding", b"").lower() == b"chunked":
        if not body.endswith(b"0\r\n\r\n"):
            return None
    elif len(body) < int(headers.get(b"content-length", 0)):
        return None
    request = bytes(buffer)
    buffer.clear()
    return request
