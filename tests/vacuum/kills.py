"""Kills a vacuum: afterwards every published file exists, and the next vacuum removes the rest.

The lake of the cases has two days, each published several times, a run whose audit failed, and one that published one
day and not the other. Half of the cases are killed by SIGKILL at a random time, the others before or after a call of
a service, so that even short steps are covered.
"""

from __future__ import annotations

import json
import random
import shutil
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import rawfiles
from faults import small_lake
from lake import LAKE, PATIENCE, Lake, environment

FIRST, SECOND = "2020-04-01", "2020-04-02"
# Removes everything that may be removed, without the waiting time of an hour.
VACUUM = ["vacuum", "--keep-days", "0", "--format", "json"]
NO_FLOOR = {"PREGAO_VACUUM_FLOOR_SECONDS": "0"}


@dataclass
class Template:
    """A home that the cases copy and never change, and its published content."""

    home: Path
    content: small_lake.Content
    # The runs that records name, and all runs with files.
    published: set[str]
    all: set[str]
    # The duration of an undisturbed vacuum, and the number of its service calls.
    seconds: float
    calls: int


@dataclass
class Case:
    """The steps of a case, and its violations."""

    seed: int
    how: str = ""
    killed: bool = False
    # Whether it had deleted files when it was killed.
    begun: bool = False
    violations: list[str] = field(default_factory=list)


def make(folder: Path) -> Template:
    small = small_lake.make(folder / "small")
    home = folder / "template"
    shutil.copytree(small.accepted, home)
    lake = Lake(home)
    small_lake.succeed(lake, *small_lake.RUN)
    small_lake.succeed(lake, "run", "--from", FIRST)
    small_lake.succeed(lake, "run", "--from", SECOND)
    # A run that fails its audit leaves files that were never published.
    rawfiles.write(folder / "bad", "quotes", "202004031000", [rawfiles.quote("PETR4", QTot="1k2k")])
    small_lake.succeed(lake, "upload", folder / "bad")
    assert small_lake.command(lake, "", "run", "--from", "2020-04-03").code == 1, "its audit must fail"
    runs = lake.stored_runs()
    records = (home / "s3" / LAKE / "published").rglob("day=?.json")
    published = {json.loads(path.read_text())["published"]["run"] for path in records}
    assert published < runs and len(published) == 2, (published, runs)
    begun = time.monotonic()
    assert vacuum(small_lake.copy(home, folder / "timed")).returncode == 0
    seconds = time.monotonic() - begun
    counted = vacuum(small_lake.copy(home, folder / "counted"), log="local_aws::faults=debug")
    calls = counted.stderr.count("service=")
    assert counted.returncode == 0 and calls > 10, counted.stderr
    return Template(home, small_lake.content(lake), published, runs, seconds, calls)


def vacuum(
    lake: Lake, faults: str = small_lake.SPEED, kill_after: float | None = None, log: str = ""
) -> subprocess.CompletedProcess[str]:
    """Runs a vacuum to its end or until it is killed. Faults apply to the process that owns the home."""
    settings = {"PREGAO_FAULTS": faults, "PREGAO_LOG": log}
    env = {**environment(lake.home.parent), **NO_FLOOR, **{name: value for name, value in settings.items() if value}}
    process = subprocess.Popen(
        lake.command(*VACUUM),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=env,
        cwd=lake.home.parent,
    )
    try:
        out, err = process.communicate(timeout=PATIENCE if kill_after is None else kill_after)
    except subprocess.TimeoutExpired:
        process.kill()
        out, err = process.communicate()
    return subprocess.CompletedProcess(process.args, process.returncode, out, err)


class Search:
    """Runs cases concurrently, one per seed."""

    def __init__(self, folder: Path, jobs: int, say: Callable[[str], None] = lambda line: None):
        self.folder = folder
        self.jobs = jobs
        self.say = say
        self.template = make(folder)
        self.cases: list[Case] = []
        self.seconds = 0.0

    def run(self, seeds: Iterable[int]) -> None:
        begun = time.monotonic()
        with ThreadPoolExecutor(self.jobs) as pool:
            list(pool.map(self.one, seeds))
        self.seconds += time.monotonic() - begun

    def one(self, seed: int) -> Case:
        case = Case(seed)
        home = self.folder / f"case-{seed}"
        try:
            self._go(case, small_lake.copy(self.template.home, home))
        except Exception as error:  # any exception is a violation of this case
            case.violations.append(f"{type(error).__name__}: {error}")
        shutil.rmtree(home, ignore_errors=True)
        self.cases.append(case)
        for violation in case.violations:
            self.say(
                f"VIOLATION in case {seed} ({case.how}): {violation}\n  repeat: python3 tests/vacuum --kills 1 --seed {seed}"
            )
        return case

    def _go(self, case: Case, lake: Lake) -> None:
        rng = random.Random(case.seed)
        before = len(list(lake.objects(LAKE)))
        if rng.random() < 0.5:
            moment = rng.uniform(0, self.template.seconds)
            case.how = f"after {moment:.3f} s"
            ended = vacuum(lake, kill_after=moment)
        else:
            fault = f"n={rng.randint(1, self.template.calls)}:{rng.choice(['abort', 'abort-after'])}"
            case.how = fault
            ended = vacuum(lake, f"{small_lake.SPEED},{fault}")
        case.killed = ended.returncode < 0
        if not case.killed and ended.returncode != 0:
            case.violations.append(f"it ended with {ended.returncode}: {ended.stderr}")
        case.begun = case.killed and len(list(lake.objects(LAKE))) < before
        self._intact(case, lake, "after the kill")
        again = vacuum(lake)
        if again.returncode != 0:
            case.violations.append(f"the second vacuum ended with {again.returncode}: {again.stderr}")
        self._intact(case, lake, "after the second vacuum")
        if (left := lake.stored_runs()) != self.template.published:
            case.violations.append(
                f"the runs {sorted(left)} are left, and {sorted(self.template.published)} are published"
            )
        third = vacuum(lake)
        if third.returncode != 0 or (freed := json.loads(third.stdout))["objects"] or freed["runs"]:
            case.violations.append(f"a third vacuum removed more: {third.stdout}{third.stderr}")

    def _intact(self, case: Case, lake: Lake, when: str) -> None:
        """Records a violation if published files are missing or cannot be queried."""
        if small_lake.content(lake) != self.template.content:
            case.violations.append(f"the tables differ {when}")
        verified = small_lake.command(lake, "", "verify", "--deep", "--to", SECOND)
        if verified.code != 0:
            case.violations.append(f"verify --deep finds problems {when}: {verified}")

    @property
    def violations(self) -> list[Case]:
        return [case for case in self.cases if case.violations]

    def summary(self) -> Iterator[str]:
        killed = Counter((case.killed, case.begun) for case in self.cases)
        yield f"{len(self.cases)} cases in {self.seconds:.0f} s: {len(self.violations)} with a violation"
        yield f"a vacuum makes {self.template.calls} calls and takes {self.template.seconds:.2f} s"
        yield (
            f"{killed[True, False]} were killed before anything was deleted, {killed[True, True]} after the first deletion, "
            f"{killed[False, False]} had ended before"
        )
