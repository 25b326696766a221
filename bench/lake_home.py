"""A lake in a home of its own, and its endpoint, for the sections that measure the product around the engine."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import machine
from machine import Failed

# A sample has a day whose figures are odd on purpose; here nobody asks whether it should be published.
LENIENT = ["--set", "quality.max_reject_share=1", "--set", "quality.max_domain_share=1"]


def environment(home: Path, **more: str) -> dict[str, str]:
    """Nothing of the person who measures: no profile, no keys, no proxy."""
    kept = {name: os.environ[name] for name in ("PATH", "TMPDIR") if name in os.environ}
    return {
        **kept,
        "HOME": str(home.parent),
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        **more,
    }


@contextlib.contextmanager
def endpoint(pregao: Path, home: Path) -> Iterator[str]:
    """`pregao local`, ready to answer, on the same cores as who asks it."""
    process = subprocess.Popen(
        machine.pinned([pregao, "--home", home, "local"]),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=environment(home),
        cwd=home.parent,
    )
    try:
        said = []
        for line in process.stdout:
            said.append(line)
            if "http://" in line:
                break
        else:
            raise Failed("pregao local did not start:\n" + "".join(said))
        yield json.loads((home / "endpoint.json").read_text())["url"]
    finally:
        process.terminate()
        process.wait()
