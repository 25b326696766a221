"""Records an upload and a run, and opens the home as a power failure could leave it at any of their steps."""

from __future__ import annotations

import hashlib
import random
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import rawfiles
from crash_images.disk import Disk, traced
from lake import Lake, Result, environment
from oracle import TABLES

DAYS = ["20200401", "20200402"]
RUN = ["run", "--from", "2020-04-01", "--to", "2020-04-02"]
# One image in this many is also tested with a further run, which takes longer than all other checks.
COMPLETED = 12

Hashes = dict[tuple[str, str], str]


@dataclass
class Summary:
    steps: int = 0
    images: int = 0
    completed: int = 0
    violations: list[str] = field(default_factory=list)

    def lines(self) -> list[str]:
        head = f"{self.images} images of {self.steps} steps, {self.completed} completed by a run: "
        return [head + f"{len(self.violations)} violations", *self.violations]


class Unreadable(Exception):
    """The tables of a home could not be read."""


def hashes(lake: Lake) -> Hashes:
    """Returns a digest of the rows of each table and day."""
    found: dict[tuple[str, str], list[str]] = {}
    for table in TABLES:
        result = lake.run("query", f"SELECT * FROM {table}", "--format", "csv", check=False)
        if result.code != 0:
            raise Unreadable(str(result))
        for row in result.out.splitlines()[1:]:
            found.setdefault((table, row.rsplit(",", 1)[1]), []).append(row)
    return {key: hashlib.sha256("\n".join(sorted(rows)).encode()).hexdigest() for key, rows in found.items()}


def search(folder: Path, images: int, seed: int, say: Callable[[str], None] = lambda _: None) -> Summary:
    """Checks this many images, spread over all steps. The same seed selects the same steps of the same recording."""
    if shutil.which("strace") is None:
        raise FileNotFoundError("strace is not installed: sudo apt-get install strace")
    rng = random.Random(seed)
    home, before = create_lake(folder)
    disk = Disk(home)
    recorded = []
    for name, command in (("upload", ["upload", folder / "whole"]), ("run", RUN)):
        trace = folder / f"{name}.strace"
        done = record(home, command, trace)
        if done.code != 0:
            raise RuntimeError(f"the recorded command failed:\n{done}")
        recorded.append((name, trace))
    after = hashes(Lake(home))
    assert before.keys() == after.keys() and all(before[key] != after[key] for key in before), "the days do not differ"

    summary = Summary()
    with open(recorded[0][1]) as upload, open(recorded[1][1]) as run:
        counting = Disk.__new__(Disk)
        counting.__dict__.update(Disk(folder / "start").__dict__, root=home)
        ends = [sum(1 for _ in counting.follow(upload)), sum(1 for _ in counting.follow(run))]
    summary.steps = sum(ends)
    # The last image is the state after the command has ended.
    steps = [*sorted(rng.choices(range(summary.steps), k=max(images - 1, 0))), summary.steps - 1]
    step = 0
    for name, trace in recorded:
        with open(trace) as lines:
            for call in disk.follow(lines):
                while steps and steps[0] == step:
                    steps.pop(0)
                    is_over = step == summary.steps - 1
                    when = f"step {step} ({name}, {call[:60]})"
                    allowed = [after] if is_over else [before] if name == "upload" else [before, after]
                    check_image(disk, folder / "image", rng, allowed, after if name == "run" else None, when, summary)
                    if summary.images % 50 == 0:
                        say(summary.lines()[0])
                step += 1
    return summary


def create_lake(folder: Path) -> tuple[Path, Hashes]:
    """Creates a lake with the first snapshot of each day published. Returns its home and the hashes of its tables."""
    rawfiles.write_market(folder / "whole", seed=13, days=DAYS, snapshots=2)
    (folder / "morning").mkdir()
    for path in sorted((folder / "whole").rglob("*.csv*")):
        siblings = sorted(path.parent.glob(path.name[:8] + "*" + path.name.split("_")[1].split(".")[0] + "*"))
        if path == siblings[0]:
            shutil.copy(path, folder / "morning" / path.name)
    lake = Lake(folder / "home")
    lake.upload(folder / "morning")
    lake.run(*RUN)
    before = hashes(lake)
    shutil.copytree(folder / "home", folder / "start")
    return folder / "home", before


def record(home: Path, command: list, trace: Path) -> Result:
    words = Lake(home).command(*command)
    done: subprocess.CompletedProcess = traced(words, trace, env=environment(home.parent), cwd=home.parent)
    return Result(words, done.returncode, done.stdout, done.stderr)


def check_image(
    disk: Disk,
    image: Path,
    rng: random.Random,
    allowed: list[Hashes],
    completed: Hashes | None,
    when: str,
    summary: Summary,
) -> None:
    shutil.rmtree(image, ignore_errors=True)
    disk.image(image, rng)
    summary.images += 1
    lake = Lake(image)
    try:
        found = hashes(lake)
        mixed = [key for key in allowed[0] if found.get(key) not in [state[key] for state in allowed]]
        if mixed or found.keys() != allowed[0].keys():
            summary.violations.append(f"{when}: {mixed or sorted(found)} neither from before nor from after")
        elif completed is not None and summary.images % COMPLETED == 0:
            summary.completed += 1
            again = lake.run(*RUN, check=False)
            if again.code != 0:
                summary.violations.append(f"{when}: the next run failed: {again}")
            elif hashes(lake) != completed:
                summary.violations.append(f"{when}: the next run published other rows")
    except Unreadable as error:
        summary.violations.append(f"{when}: {error}")
