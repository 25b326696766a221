"""Runs moto, an independent implementation of AWS, in this process: functions use it over HTTP, and tests inspect its state.

A small application in front of it

- records every call: each function has an access key of its own, as it has a role of its own on AWS;
- returns the rows that a test sets for a query of Athena, and applies DDL to Glue (moto executes no
  SQL);
- cancels EMR steps and evaluates the conditions of S3 copies, which moto does not support;
- passes function invocations of moto's Step Functions to the test;
- fails calls that a test selects.
"""

from __future__ import annotations

import contextlib
import datetime
import io
import json
import re
import ssl
import threading
import uuid
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple
from urllib.parse import parse_qs, unquote
from xml.etree import ElementTree

import pytest
from moto.athena.models import QueryResults, athena_backends
from moto.core import DEFAULT_ACCOUNT_ID
from moto.core.config import default_user_config
from moto.emr.models import ElasticMapReduceBackend, emr_backends
from moto.emrserverless.models import EMRServerlessBackend, emrserverless_backends
from moto.glue.exceptions import AlreadyExistsException, EntityNotFoundException
from moto.glue.models import GlueBackend, glue_backends
from moto.s3.models import S3Backend, s3_backends
from moto.server import DomainDispatcherApplication, create_backend_app
from moto.stepfunctions.models import stepfunctions_backends
from moto.stepfunctions.parser.models import stepfunctions_parser_backends
from werkzeug.serving import WSGIRequestHandler, make_server

from lake import client

REGION, ACCOUNT = "us-east-1", DEFAULT_ACCOUNT_ID
CREDENTIAL = re.compile(r"Credential=([^/]+)/[^/]+/([^/]+)/([^/]+)/aws4_request")
INVOKE = re.compile(r"/2015-03-31/functions/([^/]+)/invocations")
# The headers of an S3 request that change its meaning, and therefore its permissions.
CONDITIONS = ["if-match", "if-none-match", "x-amz-copy-source", "x-amz-copy-source-if-match", "range"]
RESET = [
    *(s3_backends, emr_backends, emrserverless_backends, athena_backends, glue_backends),
    *(stepfunctions_backends, stepfunctions_parser_backends),
]

CREATE_DATABASE = re.compile(r"CREATE DATABASE IF NOT EXISTS `(\w+)`")
CREATE_TABLE = re.compile(
    r"CREATE EXTERNAL TABLE IF NOT EXISTS `(\w+)`\.`(\w+)` \((.*)\)\s*PARTITIONED BY \((.*)\)\s*"
    r"STORED AS PARQUET\s*LOCATION '([^']*)'",
    re.DOTALL,
)
ADD_COLUMNS = re.compile(r"ALTER TABLE `(\w+)`\.`(\w+)` ADD COLUMNS \((.*)\)$")
DROP_TABLE = re.compile(r"DROP TABLE IF EXISTS `(\w+)`")
COLUMN = re.compile(r"`(\w+)` (\w+)")
PARQUET = "org.apache.hadoop.hive.ql.io.parquet."


class Call(NamedTuple):
    """One request, with everything that a policy may depend on."""

    caller: str  # the access key
    service: str  # as credentials name it: s3, elasticmapreduce, athena, glue, states
    operation: str
    parameters: dict  # the body; of S3 bucket, key or keys, prefix and the headers in CONDITIONS
    status: int
    about: dict  # state of the account: tags, the workgroup of a query, missing folders


# The key under which the tests of the functions store their calls for the test of the roles.
RECORDED = pytest.StashKey[list[Call]]()


class Fault(NamedTuple):
    """A response that replaces that of moto."""

    operation: str
    status: int
    code: str
    message: str
    answer: dict | bytes | None = None  # the body of a response with status 200; bytes for S3


Rows = list  # of lists of cells; None is NULL
# Returns the response to an invocation: a status, and a payload or an error of the service.
Invoke = Callable[[str, dict], "Invoked"]


class Invoked(NamedTuple):
    """The response to an Invoke: a payload, an error of the function, or an error of Lambda."""

    payload: dict
    is_error: bool = False
    refused: str | None = None  # the service's error code
    status: int = 200


class Moto:
    """The server, its backends, and the recorded calls."""

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        self.calls: list[Call] = []
        self.answers: list[tuple[re.Pattern, list[str], Rows]] = []
        self.faults: list[Fault] = []
        self.invoke: Invoke | None = None
        self._moto = DomainDispatcherApplication(create_backend_app)
        self._lock = threading.Lock()
        self._clients: dict = {}
        self._server = make_server(
            "127.0.0.1", 0, self._front, threaded=True, request_handler=QuietHandler, ssl_context=tls
        )
        self.url = f"{'https' if tls else 'http'}://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()

    @classmethod
    @contextlib.contextmanager
    def interpreting(cls, patch: pytest.MonkeyPatch) -> Iterator[Moto]:
        """Starts a server whose Step Functions execute state machines and call its own services."""
        moto = cls()
        patch.setitem(default_user_config, "stepfunctions", {"execute_state_machine": True})
        patch.setenv("MOTO_PORT", moto.url.rsplit(":", 1)[1])
        try:
            yield moto
        finally:
            moto.close()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def reset(self) -> None:
        """Empties the account."""
        for backends in RESET:
            backends.reset()
        self.calls, self.answers, self.faults, self.invoke = [], [], [], None

    def client(self, service: str):
        """Returns a client of the account, from a cache, because its creation takes longer than most tests."""
        if service not in self._clients:
            self._clients[service] = client(self.url, service)
        return self._clients[service]

    # --- settings of a test ---

    def answer(self, pattern: str, columns: Iterable[str], rows: Rows) -> None:
        """Sets the rows for a query whose text matches. The last matching setting applies."""
        self.answers.append((re.compile(pattern), list(columns), rows))

    @contextlib.contextmanager
    def failing(self, operation: str, status: int, code: str, message: str = "in a test") -> Iterator[None]:
        with self._with_fault(Fault(operation, status, code, message)):
            yield

    @contextlib.contextmanager
    def answering(self, operation: str, answer: dict | bytes) -> Iterator[None]:
        """Sets the response to each call of an operation."""
        with self._with_fault(Fault(operation, 200, "", "", answer)):
            yield

    @contextlib.contextmanager
    def _with_fault(self, fault: Fault) -> Iterator[None]:
        self.faults.append(fault)
        yield
        self.faults.remove(fault)

    # --- state for a test ---

    @property
    def emr(self) -> ElasticMapReduceBackend:
        return emr_backends[ACCOUNT][REGION]

    @property
    def emr_serverless(self) -> EMRServerlessBackend:
        return emrserverless_backends[ACCOUNT][REGION]

    @property
    def glue(self) -> GlueBackend:
        return glue_backends[ACCOUNT][REGION]

    @property
    def statements(self) -> list[str]:
        """Returns the statements that Athena received, in order."""
        return [execution.query for execution in athena_backends[ACCOUNT][REGION].executions.values()]

    def objects(self, bucket: str) -> dict[str, bytes]:
        keys = self._s3.buckets[bucket].keys
        return {name: keys[name].value for name in sorted(keys)}

    def made(self, operation: str) -> list[Call]:
        """Returns the calls of one operation."""
        return [call for call in self.calls if call.operation == operation]

    # --- the application in front of moto ---

    def _front(self, environ: dict, start_response: Callable) -> Iterable[bytes]:
        body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        environ["wsgi.input"] = io.BytesIO(body)
        # Clients that use this server as a proxy send another host; moto would parse a bucket from it.
        environ["HTTP_HOST"] = self.url.split("//")[1]
        invoked = INVOKE.fullmatch(environ["PATH_INFO"])
        if invoked and self.invoke:
            return _lambda_response(self.invoke(unquote(invoked[1]), json.loads(body or b"{}")), start_response)
        credential = CREDENTIAL.search(environ.get("HTTP_AUTHORIZATION", ""))
        if not credential:
            return self._moto(environ, start_response)
        caller, _, service = credential.groups()
        read = {"s3": s3_request, "emr-serverless": emr_serverless_request}.get(service, json_request)
        operation, parameters = read(environ, body)
        about = self._about(service, operation, parameters)
        fault = next((fault for fault in self.faults if fault.operation == operation), None)
        if operation == "CopyObject" and self._is_unmet(parameters):
            fault = Fault(operation, 412, "PreconditionFailed", "At least one of the pre-conditions did not hold")
        if fault:
            status, headers, answer = _fault_response(service, fault)
        elif operation == "CancelSteps":
            status, headers, answer = "200 OK", [], json.dumps(self._cancel_steps(parameters)).encode()
        else:
            status, headers, answer = self._call_moto(environ)
        if operation == "StartQueryExecution" and status.startswith("200"):
            self._answer_query(json.loads(answer)["QueryExecutionId"], parameters["QueryString"])
            self._apply_ddl(parameters["QueryString"], parameters.get("QueryExecutionContext", {}).get("Database"))
        call = Call(caller, service, operation, parameters, int(status.split()[0]), about)
        with self._lock:
            self.calls.append(call)
        start_response(status, headers)
        return [answer]

    def _call_moto(self, environ: dict) -> tuple[str, list, bytes]:
        head: list = []
        answer = self._moto(environ, lambda status, headers, exc_info=None: head.extend([status, headers]))
        try:
            return head[0], head[1], b"".join(answer)
        finally:
            if hasattr(answer, "close"):
                answer.close()

    def _answer_query(self, id: str, statement: str) -> None:
        """Sets the result of a query to the rows of the last matching setting, or to no rows."""
        columns, rows = [], []
        for pattern, names, values in self.answers:
            if pattern.search(statement):
                columns, rows = names, values
        # As on AWS, the rows of a query begin with the names of its columns, and those of other statements do not.
        is_query = statement.lstrip().upper().startswith(("SELECT", "WITH"))
        table = [columns, *rows] if is_query else rows
        cells = [{"Data": [{} if cell is None else {"VarCharValue": str(cell)} for cell in row]} for row in table]
        info = [{"Name": name, "Type": "varchar"} for name in columns]
        athena_backends[ACCOUNT][REGION].query_results[id] = QueryResults(cells, info)

    def _apply_ddl(self, statement: str, database: str | None) -> None:
        """Applies Athena's DDL to Glue."""
        if found := CREATE_DATABASE.match(statement):
            with contextlib.suppress(AlreadyExistsException):
                self.glue.create_database(found[1], {"Name": found[1]})
        elif found := CREATE_TABLE.match(statement):
            with contextlib.suppress(AlreadyExistsException):
                self.glue.create_table(found[1], found[2], table_input(*found.groups()[1:]))
        elif found := ADD_COLUMNS.match(statement):
            table = self.glue.get_table(found[1], found[2]).as_dict()
            columns = [dict(zip(("Name", "Type"), column, strict=True)) for column in COLUMN.findall(found[3])]
            # Not in place: the partitions share the list.
            table["StorageDescriptor"]["Columns"] = [*table["StorageDescriptor"]["Columns"], *columns]
            self.glue.update_table(found[1], found[2], table)
        elif found := DROP_TABLE.match(statement):
            with contextlib.suppress(EntityNotFoundException):
                self.glue.delete_table(database, found[1])

    def _about(self, service: str, operation: str, parameters: dict) -> dict:
        """Returns the state that a policy may depend on and that the request does not contain."""
        if service == "elasticmapreduce":
            named = [parameters.get("ClusterId"), parameters.get("JobFlowId"), *parameters.get("JobFlowIds", [])]
            clusters = [self.emr.clusters[id] for id in named if id in self.emr.clusters]
            return {"tags": {tag["Key"]: tag["Value"] for cluster in clusters for tag in cluster.tags}}
        if operation == "CopyObject":
            bucket, _, key = unquote(parameters["x-amz-copy-source"]).partition("/")
            source = self._s3.get_object(bucket, key) if bucket in self._s3.buckets else None
            return {"tags": self._s3.tagger.get_tag_dict_for_resource(source.arn) if source else {}}
        query = athena_backends[ACCOUNT][REGION].executions.get(parameters.get("QueryExecutionId", ""))
        if query:
            return {"workgroup": query.workgroup.name}
        if operation == "StartQueryExecution":
            locations = re.findall(r"LOCATION 's3://([^/']+)/([^']*)'", parameters["QueryString"])
            return {"missing": [f"{bucket}/{folder}" for bucket, folder in locations if not self._has(bucket, folder)]}
        return {}

    def _is_unmet(self, parameters: dict) -> bool:
        """Returns whether a condition of a copy does not hold. The source or the target may be missing."""
        source = self._etag(*unquote(parameters["x-amz-copy-source"]).split("/", 1))
        target = self._etag(parameters["Bucket"], parameters["Key"])
        return (
            (source is not None and parameters.get("x-amz-copy-source-if-match", source) != source)
            or ("if-match" in parameters and parameters["if-match"] != target)
            or (parameters.get("if-none-match") == "*" and target is not None)
        )

    def age(self, bucket: str, key: str, by: datetime.timedelta) -> None:
        """Makes an object older by `by`."""
        self._s3.get_object(bucket, key).last_modified -= by

    def _etag(self, bucket: str, key: str) -> str | None:
        found = self._s3.get_object(bucket, key) if bucket in self._s3.buckets else None
        return found.etag if found else None

    def _has(self, bucket: str, folder: str) -> bool:
        return any(key.startswith(folder) for key in self.objects(bucket))

    @property
    def _s3(self) -> S3Backend:
        return s3_backends[ACCOUNT]["aws"]

    def _cancel_steps(self, parameters: dict) -> dict:
        steps = {step.id: step for step in self.emr.clusters[parameters["ClusterId"]].steps}
        results = []
        for id in parameters["StepIds"]:
            pending = steps[id].state in ("PENDING", "RUNNING")
            if pending:
                steps[id].state = "CANCELLED"
            results.append({"StepId": id, "Status": "SUBMITTED" if pending else "FAILED"})
        return {"CancelStepsInfoList": results}


def table_input(name: str, columns: str, keys: str, location: str) -> dict:
    """Returns the TableInput that Athena sends to Glue, from the parts of the DDL."""
    columns_of = {
        part: [{"Name": name, "Type": type} for name, type in COLUMN.findall(part)] for part in (columns, keys)
    }
    return {
        "Name": name,
        "TableType": "EXTERNAL_TABLE",
        "Parameters": {"EXTERNAL": "TRUE"},
        "PartitionKeys": columns_of[keys],
        "StorageDescriptor": {
            "Columns": columns_of[columns],
            "Location": location,
            "InputFormat": f"{PARQUET}MapredParquetInputFormat",
            "OutputFormat": f"{PARQUET}MapredParquetOutputFormat",
            "SerdeInfo": {
                "SerializationLibrary": f"{PARQUET}serde.ParquetHiveSerDe",
                "Parameters": {"serialization.format": "1"},
            },
            "Compressed": False,
            "NumberOfBuckets": -1,
            "StoredAsSubDirectories": False,
        },
    }


class QuietHandler(WSGIRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_request(self, *_: object) -> None:
        """Does nothing: `Moto.calls` has the calls."""


def json_request(environ: dict, body: bytes) -> tuple[str, dict]:
    return environ["HTTP_X_AMZ_TARGET"].split(".")[-1], json.loads(body or b"{}")


def emr_serverless_request(environ: dict, body: bytes) -> tuple[str, dict]:
    """Returns the operation of a request of EMR Serverless: those of the functions."""
    names = ["applicationId", "jobRunId"]
    _, _, *ids = environ["PATH_INFO"].replace("/jobruns", "").split("/")
    parameters = {**dict(zip(names, ids, strict=False)), **json.loads(body or b"{}")}
    operation = {
        ("POST", 1): "StartJobRun",
        ("GET", 1): "ListJobRuns",
        ("GET", 2): "GetJobRun",
        ("DELETE", 2): "CancelJobRun",
    }
    return operation[environ["REQUEST_METHOD"], len(ids)], parameters


def s3_request(environ: dict, body: bytes) -> tuple[str, dict]:
    """Returns the operation of an S3 request. It supports only the operations of the functions; add others as needed."""
    method, query = environ["REQUEST_METHOD"], parse_qs(environ.get("QUERY_STRING", ""), keep_blank_values=True)
    bucket, _, key = environ["PATH_INFO"].lstrip("/").encode("latin-1").decode().partition("/")
    sent = {name: environ.get(f"HTTP_{name.upper().replace('-', '_')}") for name in CONDITIONS}
    headers = {name: value for name, value in sent.items() if value is not None}
    parameters = {"Bucket": bucket, **({"Key": key} if key else {}), **headers}
    if not key and method == "GET" and query.get("list-type") == ["2"]:
        return "ListObjectsV2", {**parameters, "Prefix": query.get("prefix", [""])[0]}
    if not key and method == "GET" and "uploads" in query:
        return "ListMultipartUploads", parameters
    if not key and method == "POST" and "delete" in query:
        keys = [key.text for key in ElementTree.fromstring(body).iterfind("{*}Object/{*}Key")]
        return "DeleteObjects", {**parameters, "Keys": keys}
    if key and method == "DELETE" and "uploadId" in query:
        return "AbortMultipartUpload", parameters
    if key and method == "POST" and "uploads" in query:
        return "CreateMultipartUpload", parameters
    if key and method == "PUT" and "partNumber" in query and "x-amz-copy-source" not in headers:
        return "UploadPart", parameters
    if key and method == "POST" and "uploadId" in query:
        return "CompleteMultipartUpload", parameters
    subresources = set(query) - {"x-id", "list-type", "prefix"}
    names = {"GET": "GetObject", "HEAD": "HeadObject", "DELETE": "DeleteObject", "PUT": "PutObject"}
    if key and not subresources and method in names:
        return "CopyObject" if "x-amz-copy-source" in headers else names[method], parameters
    return f"{method} {sorted(query)}", parameters


def _fault_response(service: str, fault: Fault) -> tuple[str, list, bytes]:
    status = f"{fault.status} In a test"
    if isinstance(fault.answer, bytes):
        return status, [("Content-Type", "application/xml")], fault.answer
    if fault.answer is not None:
        return status, [("Content-Type", "application/x-amz-json-1.1")], json.dumps(fault.answer).encode()
    if service == "s3":
        text = f"<Error><Code>{fault.code}</Code><Message>{fault.message}</Message></Error>"
        return status, [("Content-Type", "application/xml")], text.encode()
    text = json.dumps({"__type": fault.code, "message": fault.message})
    # The services with a REST interface have the code in a header.
    return status, [("Content-Type", "application/x-amz-json-1.1"), ("x-amzn-ErrorType", fault.code)], text.encode()


def _lambda_response(invoked: Invoked, start_response: Callable) -> Iterable[bytes]:
    headers = [("Content-Type", "application/json"), ("x-amzn-RequestId", str(uuid.uuid4()))]
    if invoked.is_error:
        headers.append(("X-Amz-Function-Error", "Unhandled"))
    if invoked.refused:
        headers.append(("x-amzn-ErrorType", invoked.refused))
    start_response(f"{invoked.status} Invoked", headers)
    return [json.dumps(invoked.payload).encode()]
