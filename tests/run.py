"""The test command of the project: `python3 tests/run.py`.

One command for a new machine. It creates a virtual environment in cargo's target directory,
installs the packages of `tests/requirements*.txt` and `notebooks/requirements.txt`, builds the binary,
runs the Rust tests, and then the end-to-end tests against that binary. The first failure ends it, and
the last line names that failure.

Options after `--` go to pytest: `python3 tests/run.py -- -k pipeline -x`.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

OLDEST_PYTHON = (3, 10)
ROOT = Path(__file__).resolve().parent.parent
REQUIREMENTS = [*sorted((ROOT / "tests").glob("requirements*.txt")), ROOT / "notebooks" / "requirements.txt"]
TOOLS = ROOT / "tests" / "tools"
# The browser for the tests of the web application and its driver: programs and their Debian packages.
BROWSER = ("chromium", "chromedriver")
BROWSER_PACKAGES = ("chromium", "chromium-driver", "fonts-dejavu-core")
# The tracer of system calls: a program, and the package of the same name.
TRACER = ("strace",)

# Seconds after which a step has failed. The slowest, the end-to-end tests, take half of it on two busy cores.
LONGEST_STEP = 2700


class Failure(Exception):
    """A step failed. The message names the remedy."""


def main() -> int:
    arguments = parse_arguments()
    started = time.monotonic()
    try:
        if sys.version_info < OLDEST_PYTHON:
            oldest = ".".join(map(str, OLDEST_PYTHON))
            raise Failure(f"Python {oldest} or newer is needed, this is {sys.version.split()[0]}")
        if not shutil.which("cargo"):
            raise Failure("cargo is not on the PATH: install Rust first, then run this again")
        target = target_directory()
        python = prepare_environment(target / "test-venv")
        tools = prepare_tools(target)
        prepare_browser()
        prepare_tracer()
        # One profile for everything, so that a new machine compiles the large dependencies once.
        step("build", ["cargo", "build", "--release", "--workspace", "--locked"])
        step("Rust tests", ["cargo", "test", "--release", "--workspace", "--locked"])
        step(
            "model of the publication protocol",
            [
                *("cargo", "test", "--release", "--locked", f"--manifest-path={ROOT / 'model' / 'Cargo.toml'}"),
                # Prints the explored and the rejected scenarios.
                *("--", "--nocapture"),
            ],
            {"CARGO_TARGET_DIR": str(target / "model")},
        )
        step(
            "browser tests",
            ["cargo", "run", "--release", "--locked", f"--manifest-path={ROOT / 'tests' / 'browser' / 'Cargo.toml'}"],
            {
                "CARGO_TARGET_DIR": str(target / "browser-tests"),
                "PREGAO": str(binary(target)),
                "BROWSER_TESTS": str(target / "browser-tests"),
            },
        )
        step(
            "end-to-end tests",
            [str(python), "-m", "pytest", *arguments.pytest],
            {"PREGAO": str(binary(target)), "PREGAO_TOOLS": os.pathsep.join(map(str, tools))},
            ROOT / "tests",
        )
    except Failure as failure:
        say(f"FAILED: {failure}")
        return 1
    except KeyboardInterrupt:
        say("FAILED: interrupted")
        return 130
    say(f"all tests passed in {time.monotonic() - started:.0f} s")
    return 0


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description="Build pregao and run all of its tests.",
        epilog="Options after -- go to pytest, e.g. `-- -k pipeline -x`.",
    )
    parser.add_argument("pytest", nargs="*", metavar="-- PYTEST-OPTION")
    return parser.parse_args()


def say(line: str) -> None:
    """Prints a line with the name of the started script: this one, or one that imports it."""
    script = Path(sys.argv[0]).resolve()
    print(f"{script.relative_to(ROOT) if script.is_relative_to(ROOT) else script.name}: {line}", flush=True)


def step(name: str, command: list[str], environment: dict[str, str] | None = None, folder: Path = ROOT) -> None:
    """Runs one command, which shares standard output and error."""
    say(f"{name}: {shlex.join(command)}")
    started = time.monotonic()
    # A group of its own: what hangs is mostly a program that the command has started.
    process = subprocess.Popen(command, cwd=folder, env={**os.environ, **(environment or {})}, start_new_session=True)
    try:
        status = process.wait(LONGEST_STEP)
    except subprocess.TimeoutExpired:
        raise Failure(f"{name}: not finished after {LONGEST_STEP} s; the last line above tells where") from None
    finally:
        if process.returncode is None:
            os.killpg(process.pid, signal.SIGTERM)
    if status != 0:
        raise Failure(f"{name} (status {status}); to repeat only this step: cd {folder} && {shlex.join(command)}")
    say(f"{name}: passed in {time.monotonic() - started:.0f} s")


def target_directory() -> Path:
    """Returns cargo's target directory, which depends on environment and configuration files."""
    command = ["cargo", "metadata", "--format-version", "1", "--no-deps"]
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE)
    if done.returncode != 0:
        raise Failure(f"the workspace does not load: {shlex.join(command)}")
    return Path(json.loads(done.stdout)["target_directory"])


def search(script: Path, prepare: Callable[[], None] = lambda: None) -> NoReturn:
    """Runs a search of `tests/` again in the virtual environment, with `PREGAO`, which it builds if it is not set.

    `script` is the folder of the search, which is started with the additional option `--prepared`. `prepare` installs
    further tools.
    """
    try:
        target = target_directory()
        python = prepare_environment(target / "test-venv")
        prepare()
        program = os.environ.get("PREGAO")
        if not program:
            step("build", ["cargo", "build", "--release", "--locked", "-p", "pregao"])
            program = str(binary(target))
    except Failure as failure:
        sys.exit(f"tests/{script.name}: FAILED: {failure}")
    command = [str(python), str(script), *sys.argv[1:], "--prepared"]
    os.execve(command[0], command, {**os.environ, "PREGAO": str(Path(program).resolve())})


def search_folder(name: str) -> tempfile.TemporaryDirectory[str]:
    """Returns a temporary folder for the lakes of a search, on a memory file system if there is one."""
    memory = Path("/dev/shm")
    return tempfile.TemporaryDirectory(prefix=f"pregao-{name}-", dir=memory if memory.is_dir() else None)


def binary(target: Path) -> Path:
    return target / "release" / ("pregao.exe" if os.name == "nt" else "pregao")


def prepare_environment(folder: Path, requirements: list[Path] = REQUIREMENTS) -> Path:
    """Returns the Python of a virtual environment with exactly the pinned packages.

    A stamp records the packages and the Python version. A second run then does not query the package
    index, and does not reuse an incomplete or outdated environment.
    """
    python = folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    stamp = folder / "installed"
    pinned = b"".join(path.read_bytes() for path in requirements)
    wanted = hashlib.sha256(sys.version.encode() + pinned).hexdigest()
    if python.exists() and stamp.exists() and stamp.read_text() == wanted:
        say(f"Python packages: already in {folder}")
        return python
    shutil.rmtree(folder, ignore_errors=True)
    folder.parent.mkdir(parents=True, exist_ok=True)
    create_environment(folder)
    install = [str(python), "-m", "pip", "install", "--disable-pip-version-check", "--quiet"]
    step("Python packages", [*install, *(f"--requirement={path}" for path in requirements)])
    stamp.write_text(wanted)
    return python


def prepare_tools(target: Path) -> list[Path]:
    """Returns the folders of the programs that check, build and deploy the AWS stack, in the order of PATH."""
    aws = prepare_aws(target)
    ministack = prepare_environment(target / "test-tools-ministack", [TOOLS / "ministack.txt"]).parent
    checkov = prepare_environment(target / "test-tools-checkov", [TOOLS / "checkov.txt"]).parent
    clients = prepare_environment(target / "test-tools-data-clients", [TOOLS / "data-clients.txt"]).parent
    return [aws, ministack, checkov, clients, *prepare_linters(target, aws)]


def prepare_aws(target: Path) -> Path:
    """Returns the folder of the AWS tools, which also contains Node.js."""
    return prepare_environment(target / "test-tools-aws", [TOOLS / "aws.txt"]).parent


def prepare_linters(target: Path, node: Path) -> list[Path]:
    """Installs the programs of tests/lint.py with the Node.js in the folder `node`. Returns their folders."""
    lint = prepare_environment(target / "test-tools-lint", [TOOLS / "lint.txt"]).parent
    return [prepare_node_modules(target / "test-tools-node", node), lint]


def prepare_node_modules(folder: Path, node: Path) -> Path:
    """Installs the packages of `tests/tools/package-lock.json` with the Node.js in the folder `node`."""
    programs, stamp = folder / "node_modules" / ".bin", folder / "installed"
    wanted = hashlib.sha256((TOOLS / "package-lock.json").read_bytes()).hexdigest()
    if stamp.exists() and stamp.read_text() == wanted:
        say(f"Node.js packages: already in {folder}")
        return programs
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for name in ("package.json", "package-lock.json"):
        shutil.copy(TOOLS / name, folder)
    path = os.pathsep.join([str(node), os.environ.get("PATH", "")])
    step("Node.js packages", [str(node / "npm"), "ci", "--no-audit", "--no-fund", "--silent"], {"PATH": path}, folder)
    stamp.write_text(wanted)
    return programs


def prepare_browser() -> None:
    """Ensures that the browser is on the PATH."""
    prepare_programs("browser", BROWSER, BROWSER_PACKAGES)


def prepare_tracer() -> None:
    """Ensures that strace is on the PATH."""
    prepare_programs("strace", TRACER, TRACER)


def prepare_programs(name: str, programs: tuple[str, ...], packages: tuple[str, ...]) -> None:
    """Ensures that programs are on the PATH: installs them if no password is needed, else fails with the command."""
    missing = [program for program in programs if not shutil.which(program)]
    if not missing:
        return
    install = ["apt-get", "install", "--yes", "--quiet", "--no-install-recommends", *packages]
    by_hand = f"this installs them: sudo {shlex.join(install)}"
    if not shutil.which("apt-get"):
        raise Failure(f"{' and '.join(missing)} are not on the PATH; on Debian {by_hand}")
    sudo = [] if os.geteuid() == 0 else ["sudo", "--non-interactive"]
    if sudo and subprocess.call([*sudo, "true"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) != 0:
        raise Failure(f"{' and '.join(missing)} are not on the PATH; {by_hand}")
    quiet = {"DEBIAN_FRONTEND": "noninteractive"}
    step("package lists", [*sudo, "apt-get", "update", "--quiet"], quiet)
    step(name, [*sudo, *install], quiet)


def create_environment(folder: Path) -> None:
    command = [sys.executable, "-m", "venv", str(folder)]
    say(f"virtual environment: {shlex.join(command)}")
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if done.returncode != 0:
        # Debian and Ubuntu package Python without the modules for virtual environments.
        shutil.rmtree(folder, ignore_errors=True)
        package = f"python{sys.version_info.major}.{sys.version_info.minor}-venv"
        raise Failure(
            f"the virtual environment could not be created:\n{done.stdout.strip()}\n"
            f"On Debian or Ubuntu, this installs the missing package: sudo apt-get install {package}"
        )


if __name__ == "__main__":
    sys.exit(main())
