"""The programs that check, build and deploy the AWS stack. tests/run.py installs them."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
from pathlib import Path
from typing import Any

from lake import ROOT


def find(name: str) -> str:
    folders = os.environ.get("PREGAO_TOOLS")
    assert folders, (
        "PREGAO_TOOLS is not set: start the tests by `python3 tests/run.py`, which installs the tools and sets it"
    )
    found = shutil.which(name, path=folders)
    assert found, f"there is no {name} in {folders}: remove these folders and start `python3 tests/run.py`"
    return found


def environment(**settings: str) -> dict[str, str]:
    """Returns the environment of the tools: their own folders, and no AWS account of the user who runs the tests."""
    own = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "SAM_", "CARGO_LAMBDA_"))}
    folders = os.environ["PREGAO_TOOLS"]
    return {
        **own,
        "PATH": os.pathsep.join([folders, os.environ["PATH"]]),
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        # The settings folder of the SAM CLI, which is otherwise in the user's home.
        "__SAM_CLI_APP_DIR": str(Path(folders.split(os.pathsep)[0]).parent / "sam"),
        "SAM_CLI_TELEMETRY": "0",
        "NO_COLOR": "1",
        "CI": "1",
        **settings,
    }


def run(name: str, *arguments: object, folder: Path = ROOT, patience: int = 120, **settings: str):
    """Runs a tool to its end. Returns its result. `settings` are environment variables."""
    return subprocess.run(
        [find(name), *map(str, arguments)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=patience,
        cwd=folder,
        env=environment(**settings),
    )


def succeeds(name: str, *arguments: object, **options: Any) -> str:
    """Returns the output of the tool, which must succeed."""
    done = run(name, *arguments, **options)
    assert done.returncode == 0, f"$ {shlex.join(done.args)}\n(status {done.returncode})\n{done.stdout}"
    return done.stdout


def fails(name: str, *arguments: object, **options: Any) -> str:
    """Returns the output of the tool, which must fail."""
    done = run(name, *arguments, **options)
    assert done.returncode != 0, f"this must fail: $ {shlex.join(done.args)}\n{done.stdout}"
    return done.stdout
