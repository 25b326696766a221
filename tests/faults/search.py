"""Runs cases and checks invariants.

After every command that published or failed, and after the commands that recover:

a. each table and day has the rows from before or the rows from after;
b. none has fewer rows than before;
c. raw, quarantine and landing have every byte of every uploaded file;
d. the upload and the run that follow exit with 0, and the tables have the rows from after;
e. a run after an accepted upload exits with 0 only if the tables have the rows from after;
f. nothing hangs, panics, or fails without a message.
"""

from __future__ import annotations

import random
import resource
import shutil
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from faults import small_lake
from faults.cases import RUN, RUN_LAMBDA, UPLOAD, WATCH, Case, calls, faults_in, is_call, singles
from faults.rounds import one_round
from faults.small_lake import SmallLake, Unreadable
from lake import Lake, Result


@dataclass
class CaseResult:
    """The outcome of a case."""

    case: Case
    violations: list[str] = field(default_factory=list)
    # Whether the call occurred. It may not, because the number of polls varies.
    met: bool = False
    # Whether the commands succeeded without a recovery.
    unaided: bool = False


class Search:
    def __init__(self, folder: Path, seed: int, jobs: int, say: Callable[[str], None] = lambda line: None):
        self.folder, self.seed, self.jobs, self.say = folder, seed, jobs, say
        self.lake: SmallLake = small_lake.make(folder / "templates")
        self.recorded = self._record()
        self.results: list[CaseResult] = []
        self.violations: list[tuple[str, str]] = []
        self.seconds = 0.0
        self.lock = threading.Lock()
        self.numbers = 0

    def _record(self) -> dict[str, list[tuple[str, str, str]]]:
        """Records the calls of each command when nothing disturbs it."""
        recorded = {}
        for command, template, arguments in [
            (UPLOAD, self.lake.published, ("upload", self.lake.newer)),
            (RUN, self.lake.accepted, small_lake.RUN),
            (RUN_LAMBDA, self.lake.accepted, small_lake.RUN_LAMBDA),
        ]:
            lake = small_lake.copy(template, self.folder / f"recorded-{command}")
            result = small_lake.command(lake, "", *arguments, log="local_aws::faults=debug")
            assert result.code == 0, str(result)
            recorded[command] = calls(result.err)
        lake = small_lake.copy(self.lake.published, self.folder / f"recorded-{WATCH}")
        result = small_lake.watch(lake, "", self.lake.newer)
        assert result.code == 0 and small_lake.content(lake) == self.lake.after, str(result)
        recorded[WATCH] = calls(result.err)
        assert all(recorded.values()), f"a log has no calls: {recorded}"
        return recorded

    # --- selecting cases ---

    def singles(self, only: str | None = None) -> list[Case]:
        """Returns the cases of one fault, of all commands or of one."""
        commands = [only] if only else self.recorded
        return [case for command in commands for case in self._singles(command)]

    def _singles(self, command: str) -> list[Case]:
        # An upload that starts a run makes the calls of both; the cases of the other commands have those.
        others = self.recorded[UPLOAD] + self.recorded[RUN_LAMBDA] if command == WATCH else []
        return list(singles(command, self.recorded[command], others))

    def sample(self, count: int, only: str | None = None) -> list[Case]:
        """Selects cases by the seed, about equally many for each kind of fault in each command."""
        random_ = random.Random(self.seed)
        groups: dict[tuple[str, str], list[Case]] = {}
        for case in self.singles(only):
            groups.setdefault((case.faults[0].command, case.faults[0].kind), []).append(case)
        shuffled = [random_.sample(group, len(group)) for _, group in sorted(groups.items())]
        in_turn = [group[at] for at in range(max(map(len, shuffled))) for group in shuffled if at < len(group)]
        return in_turn[:count]

    def pairs(self, count: int) -> list[Case]:
        """Returns cases with two faults, in one command or in an upload and the run that follows it."""
        random_ = random.Random(self.seed)
        by_command = {command: self._singles(command) for command in self.recorded}
        pools = [by_command[UPLOAD] + by_command[run] for run in (RUN, RUN_LAMBDA)]
        pairs = (random_.sample(random_.choice(pools), 2) for _ in range(count))
        return [Case(tuple(sorted(first.faults + second.faults))) for first, second in pairs]

    def parse(self, names: Iterable[str]) -> list[Case]:
        return [Case.parse(name) for name in names]

    # --- running cases ---

    def run(self, cases: list[Case]) -> None:
        counts = ", ".join(f"{command} {len(recorded)}" for command, recorded in self.recorded.items())
        self.say(f"{len(cases)} cases; the calls of undisturbed commands: {counts}")
        started = time.monotonic()
        with ThreadPoolExecutor(self.jobs) as pool:
            for done, result in enumerate(pool.map(self.attempt, cases), 1):
                self.results.append(result)
                for violation in result.violations:
                    self.violations.append((str(result.case), violation))
                    self.say(f"VIOLATION: {violation}\n  python3 tests/faults --case '{result.case}'")
                if done % 200 == 0:
                    self.say(f"{done} cases, {len(self.violations)} violations, {time.monotonic() - started:.0f} s")
        self.seconds += time.monotonic() - started

    def attempt(self, case: Case) -> CaseResult:
        with self.lock:
            self.numbers += 1
            folder = self.folder / f"case-{self.numbers}"
        result = CaseResult(case)
        template = self.lake.published if case.starts_with_upload else self.lake.accepted
        try:
            Attempt(self.lake, small_lake.copy(template, folder), result).go()
        except Unreadable as error:
            result.violations.append(f"the tables cannot be read: {error}")
        finally:
            shutil.rmtree(folder, ignore_errors=True)
        return result

    def rounds(self, count: int) -> None:
        """Runs concurrent clients on an endpoint with random faults."""
        started = time.monotonic()
        for number in range(self.seed, self.seed + count):
            home = self.folder / f"round-{number}"
            for violation in one_round(self.lake, home, number):
                self.violations.append((f"round {number}", violation))
                self.say(f"VIOLATION: {violation}\n  python3 tests/faults --clients 1 --seed {number}")
            shutil.rmtree(home)
        self.say(f"{count} rounds of clients in {time.monotonic() - started:.0f} s")

    # --- results ---

    def summary(self) -> Iterator[str]:
        met = [result for result in self.results if result.met]
        children = resource.getrusage(resource.RUSAGE_CHILDREN)
        yield (
            f"{len(self.results)} cases in {self.seconds:.0f} s with {self.jobs} at once, "
            f"{children.ru_utime + children.ru_stime:.0f} s of CPU, seed {self.seed}"
        )
        yield f"{len(self.results) - len(met)} of them met no call: a status was polled less often"
        yield f"{len({case for case, _ in self.violations})} cases violated an invariant"
        transient = [result for result in met if result.case.is_transient]
        failed = [result for result in transient if not result.unaided]
        yield f"{len(transient)} faults were transient; {len(failed)} commands failed because of them"
        kinds = Counter(
            f"{fault.command} {fault.service} {fault.operation}: {fault.kind}"
            for result in failed
            for fault in result.case.faults
        )
        for kind, count in kinds.most_common():
            yield f"  {count} x {kind}"


class Attempt:
    """One case in its own home."""

    def __init__(self, truth: SmallLake, lake: Lake, result: CaseResult):
        self.truth, self.lake, self.result = truth, lake, result
        # Whether a command ended by a signal.
        self.died = False

    def go(self) -> None:
        are_accepted = True
        for name in self.result.case.commands:
            are_accepted &= self.command(name).code == 0
            if not self.truth.uploaded_before <= small_lake.kept(self.lake):
                self.violate(f"raw bytes were lost by {name}")
        is_after = self.check_tables("after the fault", must_be_after=are_accepted)
        is_clean = small_lake.kept(self.lake) >= self.truth.uploaded_files and not small_lake.landed(self.lake)
        self.result.unaided = are_accepted
        if self.result.unaided and is_after and is_clean:
            # The state is already that after an undisturbed upload and run.
            return
        for result in self.recover():
            if result.code != 0:
                self.violate(f"the recovery failed: {result}")
        self.check_tables("after the recovery", must_be_after=True)
        if not small_lake.kept(self.lake) >= self.truth.uploaded_files:
            self.violate("raw bytes are missing after the recovery")
        if landed := small_lake.landed(self.lake):
            self.violate(f"files are left in landing after the recovery: {landed}")

    def command(self, name: str) -> Result:
        """Runs a command under the faults of the case."""
        plan = self.result.case.plan(name)
        if name == WATCH:
            result = small_lake.watch(self.lake, plan, self.truth.newer)
        else:
            upload = ["upload", self.truth.newer]
            arguments = {UPLOAD: upload, RUN: small_lake.RUN, RUN_LAMBDA: small_lake.RUN_LAMBDA}[name]
            result = small_lake.command(self.lake, plan, *arguments)
        self.result.met |= faults_in(result.err) > 0
        died = result.code is not None and result.code < 0
        self.died |= died
        if died and "abort" not in plan:
            self.violate(f"it died by signal {-result.code}: {result}")
        self.check_ending(result)
        return result

    def recover(self) -> Iterator[Result]:
        """Repeats the commands without a fault. A `watch` that died is started again, which completes what it had begun."""
        if self.died and self.result.case.commands == [WATCH]:
            results = [small_lake.watch(self.lake, "", self.truth.newer)]
        else:
            arguments = [["upload", self.truth.newer], small_lake.RUN]
            results = (small_lake.command(self.lake, "", *line) for line in arguments)
        for result in results:
            self.check_ending(result)
            yield result

    def check_ending(self, result: Result) -> None:
        if result.code is None:
            self.violate(f"it hung for {small_lake.PATIENCE} s: {result}")
        if "panicked" in result.output:
            self.violate(f"it panicked: {result}")
        if result.code not in (0, None) and not result.err.strip():
            self.violate(f"it failed without a message: {result}")

    def check_tables(self, when: str, must_be_after: bool) -> bool:
        """Compares the tables with those from before and from after. Returns whether they are those from after."""
        content = small_lake.content(self.lake)
        for key, (digest, rows) in content.items():
            before, after = self.truth.before[key], self.truth.after[key]
            if rows < before[1]:
                self.violate(f"{when}, {key} has {rows} rows and had {before[1]}")
            elif digest not in (before[0], after[0]):
                self.violate(f"{when}, {key} has neither the rows from before nor those from after")
        is_after = content == self.truth.after
        if must_be_after and not is_after:
            keys = [key for key, found in content.items() if found != self.truth.after[key]]
            self.violate(f"{when}, the exit codes are 0 and {keys} are not those from after")
        return is_after

    def violate(self, violation: str) -> None:
        lines = violation.splitlines()
        # The log of the calls hides what a command says.
        self.result.violations.append("\n".join(line for line in lines if not is_call(line)))
