"""The cases of the search: the call that fails, its fault, and the command that makes it."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

# A line of the endpoint's log for each call, and for each fault.
CALL = re.compile(
    r'local_aws::faults: a (?P<what>call|fault) call=\d+ service="(?P<service>[^"]*)" '
    r'operation="?(?P<operation>[^" ]*)"? key="?(?P<key>[^" ]*)"?'
)
# Values that differ between runs: the names of runs, ids of queries, clusters and steps.
CHANGING = re.compile(
    r"\d{4}-\d\d-\d\d(?:_\d{4}-\d\d-\d\d)?_\d{8}T\d{6}-\d{6}|[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"
    r"|\b[js]-[A-Z0-9]{13}\b"
)
READ = re.compile(r"(Get|List|Head|Describe|BatchGet)")

# Faults that a retry must hide.
TRANSIENT = ["throttle", "error", "reset", "lost", "truncate", "reorder", "late", "late=5", "delay=50ms"]
# All faults of a call that changes something.
WRITE_KINDS = [*TRANSIENT, "deny", "abort", "abort-after"]
# For a read-only call, `lost` and `late` are equivalent to `reset`, and dying after it is equivalent to dying before the
# next call.
READ_KINDS = ["throttle", "error", "reset", "truncate", "deny", "abort"]

# The commands: an upload, a run by EMR, a run by the function transform, and an upload that starts such a run.
UPLOAD, RUN, RUN_LAMBDA, WATCH = "upload", "run", "run-lambda", "watch"


@dataclass(frozen=True, order=True)
class Fault:
    """One rule of a plan, in one command."""

    command: str
    service: str
    operation: str
    key: str
    number: int
    kind: str

    @property
    def rule(self) -> str:
        key = f"&key={self.key}" if self.key else ""
        return f"service={self.service}&op={self.operation}{key}&n={self.number}:{self.kind}"


@dataclass(frozen=True)
class Case:
    faults: tuple[Fault, ...]

    def __str__(self) -> str:
        return "+".join(f"{fault.command}/{fault.rule}" for fault in self.faults)

    def plan(self, command: str) -> str:
        return ",".join(fault.rule for fault in self.faults if fault.command == command)

    @property
    def starts_with_upload(self) -> bool:
        return any(fault.command in (UPLOAD, WATCH) for fault in self.faults)

    @property
    def commands(self) -> list[str]:
        """Returns the commands of the case, in order: an upload if it has faults, then a run; or the one that does both."""
        named = {fault.command for fault in self.faults}
        if WATCH in named:
            return [WATCH]
        return [UPLOAD] * (UPLOAD in named) + [RUN_LAMBDA if RUN_LAMBDA in named else RUN]

    @property
    def is_transient(self) -> bool:
        return all(fault.kind in TRANSIENT for fault in self.faults)

    @staticmethod
    def parse(text: str) -> Case:
        """Parses the name of a case in a violation."""
        form = re.compile(r"(upload|run|run-lambda|watch)/service=([^&]*)&op=([^&]*)(?:&key=([^&]*))?&n=(\d+):(.*)")
        faults = []
        for part in text.split("+"):
            match = form.fullmatch(part)
            if not match:
                raise SystemExit(f"{part} is not a case: use the form in which a violation names it")
            command, service, operation, key, number, kind = match.groups()
            faults.append(Fault(command, service, operation, key or "", int(number), kind))
        return Case(tuple(faults))


def calls(log: str) -> list[tuple[str, str, str]]:
    """Returns service, operation and key of each call in a log; in the key, `*` replaces what differs between runs."""
    found = (match.groupdict() for match in CALL.finditer(log))
    return [(call["service"], call["operation"], CHANGING.sub("*", call["key"])) for call in found]


def is_call(line: str) -> bool:
    match = CALL.search(line)
    return match is not None and match["what"] == "call"


def faults_in(log: str) -> int:
    return sum(match["what"] == "fault" for match in CALL.finditer(log))


def singles(
    command: str, recorded: Iterable[tuple[str, str, str]], others: Iterable[tuple[str, str, str]] = ()
) -> Iterator[Case]:
    """Returns a case for each call of a command and each fault, except for calls that the `others` make as often."""
    elsewhere = Counter(others)
    for call, count in sorted(Counter(recorded).items()):
        service, operation, key = call
        kinds = READ_KINDS if READ.match(operation) else WRITE_KINDS
        for number in range(elsewhere[call] + 1, count + 1):
            for kind in kinds:
                yield Case((Fault(command, service, operation, key, number, kind),))
