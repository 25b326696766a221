"""A lake in its own home, and its endpoint, for the sections that measure more than the engine."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import machine
from machine import Failed

# The sample has a day with implausible numbers on purpose; the limits of the audit are disabled here.
LENIENT = ["--set", "quality.max_reject_share=1", "--set", "quality.max_domain_share=1"]

RAW = "pregao-raw"


def client(url: str) -> dict[str, str]:
    """Returns the settings of an AWS client of the endpoint."""
    return {
        "AWS_ENDPOINT_URL": url,
        "AWS_ACCESS_KEY_ID": "bench",
        "AWS_SECRET_ACCESS_KEY": "bench",
        "AWS_DEFAULT_REGION": "us-east-1",
    }


def environment(home: Path, **more: str) -> dict[str, str]:
    """Returns an environment without settings of the user: no profile, no keys, no proxy."""
    kept = {name: os.environ[name] for name in ("PATH", "TMPDIR") if name in os.environ}
    return {
        **kept,
        "HOME": str(home.parent),
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        **more,
    }


@contextlib.contextmanager
def endpoint(pregao: Path, home: Path, settings: list[str] = (), on_upload: str = "never") -> Iterator[str]:
    """Starts `pregao local` on the same cores as its clients."""
    process = subprocess.Popen(
        machine.pinned([pregao, "--home", home, *settings, "--set", f"schedule.on_upload={on_upload}", "local"]),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=environment(home),
        cwd=home.parent,
    )
    try:
        lines = []
        for line in process.stdout:
            lines.append(line)
            if "http://" in line:
                break
        else:
            raise Failed("pregao local did not start:\n" + "".join(lines))
        yield json.loads((home / "endpoint.json").read_text())["url"]
    finally:
        process.terminate()
        process.wait()
