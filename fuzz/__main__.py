"""Runs the fuzz targets for longer than the tests do: `python3 fuzz`, or `python3 fuzz csv --minutes 1 --seed 7`.

Builds them and runs each for ten minutes, one per core at a time. Prints the cases, the rate and the seed of each target,
and for a failure the input and the command that repeats it. The exit code is 1 if any target failed.
"""

from __future__ import annotations

import argparse
import concurrent.futures
import json
import os
import secrets
import shlex
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TARGETS = sorted(path.stem for path in (ROOT / "fuzz" / "tests").glob("*.rs"))


def main() -> int:
    arguments = parse_arguments()
    targets = arguments.targets or TARGETS
    try:
        programs = build(targets)
    except subprocess.CalledProcessError as error:
        say(f"FAILED: {shlex.join(map(str, error.cmd))} (status {error.returncode})")
        return 1
    seed = arguments.seed if arguments.seed is not None else secrets.randbelow(2**32)
    environment = {"FUZZ_SEED": str(seed), "FUZZ_FAILURES": str(arguments.failures.resolve())}
    if arguments.case is not None:
        environment["FUZZ_CASE"] = str(arguments.case)
    else:
        environment["FUZZ_SECONDS"] = str(round(arguments.minutes * 60))
    say(f"seed {seed}: {', '.join(targets)}")
    with concurrent.futures.ThreadPoolExecutor(arguments.jobs) as pool:
        runs = [pool.submit(run, target, programs[target], environment) for target in targets]
        failed = [target for target, ended in zip(targets, runs, strict=True) if not ended.result()]
    if failed:
        say(f"FAILED: {', '.join(failed)}")
        return 1
    say("clean")
    return 0


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python3 fuzz", description="Run the fuzz targets.")
    parser.add_argument(
        "targets", nargs="*", metavar="TARGET", help=f"the targets (default: all): {', '.join(TARGETS)}"
    )
    parser.add_argument("--minutes", type=float, default=10, help="duration of each target (default: 10)")
    parser.add_argument("--seed", type=int, help="seed of the cases (default: a random one)")
    parser.add_argument("--case", type=int, help="run only this case of the seed")
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), help="concurrent targets (default: one per core)")
    parser.add_argument(
        "--failures",
        type=Path,
        default=ROOT / "target" / "fuzz",
        help="folder for inputs that fail (default: target/fuzz)",
    )
    arguments = parser.parse_args()
    for target in arguments.targets:
        if target not in TARGETS:
            parser.error(f"{target} is not a target: choose from {', '.join(TARGETS)}")
    if arguments.case is not None and arguments.seed is None:
        parser.error("--case needs --seed")
    if arguments.minutes <= 0 or (arguments.jobs or 1) < 1:
        parser.error("--minutes and --jobs have to be more than 0")
    return arguments


def build(targets: list[str]) -> dict[str, Path]:
    """Builds the targets. Returns their test programs."""
    # For the whole workspace, so that crates have the same features as in `tests/run.py`, and nothing is compiled
    # again.
    command = ["cargo", "test", "--release", "--locked", "--workspace", "--no-run", "--message-format=json"]
    command += [f"--test={target}" for target in targets]
    built = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, check=True, text=True)
    programs = {}
    for line in built.stdout.splitlines():
        message = json.loads(line)
        if message.get("executable") and "/fuzz#" in message["package_id"] and message["target"]["kind"] == ["test"]:
            programs[message["target"]["name"]] = Path(message["executable"])
    return programs


def run(target: str, program: Path, environment: dict[str, str]) -> bool:
    """Runs one target to its end. Returns whether it passed."""
    started = time.monotonic()
    # The tests of the file run one after another; each gets the full time.
    command = [str(program), "--test-threads=1"]
    ended = subprocess.run(
        command, cwd=ROOT / "fuzz", env={**os.environ, **environment}, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    text = ended.stdout.decode(errors="replace")
    if ended.returncode != 0:
        print(text, flush=True)
        say(f"{target}: FAILED after {time.monotonic() - started:.0f} s")
        return False
    for line in text.splitlines():
        # The name of the test precedes its output.
        result = line[line.find("fuzz ") :]
        if "cases in" in result:
            say(f"{result.removeprefix('fuzz ')}, clean")
    return True


def say(line: str) -> None:
    print(f"fuzz: {line}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
