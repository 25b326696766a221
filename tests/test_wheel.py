"""The wheel: installed into an empty virtual environment, in an empty folder, it runs the demo and serves the explorer."""

from __future__ import annotations

import gzip
import os
import subprocess
import sys
import urllib.request
import zipfile
from pathlib import Path

import pytest

from lake import PATIENCE, ROOT, Process, binary, environment

# The limits of the program and of its download, in bytes.
LARGEST_PROGRAM = 80_000_000
LARGEST_WHEEL = 30_000_000
# In seconds. The program is already built: packing takes a few seconds, and a possible relink less than a minute.
BUILD_PATIENCE = 1200


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    """The wheel, built by the script in the README."""
    out = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, str(ROOT / "scripts" / "wheel.py"), "--out", str(out)]
    # In the target directory of the tested program, so that it is not compiled again.
    target = {"CARGO_TARGET_DIR": str(binary().parent.parent)}
    subprocess.run(command, env={**os.environ, **target}, timeout=BUILD_PATIENCE, check=True)
    [wheel] = out.iterdir()
    return wheel


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory) -> Path:
    """The program that pip installs from the wheel, without a package index."""
    folder = tmp_path_factory.mktemp("venv")
    subprocess.run([sys.executable, "-m", "venv", str(folder)], timeout=PATIENCE, check=True)
    install = [str(folder / "bin" / "python"), "-m", "pip", "install", "--quiet", "--no-index", str(wheel)]
    subprocess.run(install, timeout=PATIENCE, check=True)
    return folder / "bin" / "pregao"


def test_the_program_and_the_wheel_are_small(wheel: Path):
    assert wheel.stat().st_size < LARGEST_WHEEL
    with zipfile.ZipFile(wheel) as archive:
        [program] = [entry for entry in archive.infolist() if entry.filename.endswith("/scripts/pregao")]
    assert program.file_size < LARGEST_PROGRAM


def test_an_installed_program_runs_the_demo_and_serves_the_explorer(installed: Path, tmp_path: Path):
    demo = subprocess.run(
        [str(installed), "demo"],
        cwd=tmp_path,
        env=environment(tmp_path),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )
    assert demo.returncode == 0, demo.stdout + demo.stderr
    assert "PETR4" in demo.stdout, demo.stdout

    process = Process([str(installed), "explore", "--port", "0"], environment(tmp_path), tmp_path)
    try:
        line = process.wait_for_line(lambda line: "http://" in line)
        url = next(word for word in line.split() if word.startswith("http://")).rstrip("/.,")
        request = urllib.request.Request(f"{url}/assets/echarts.js", headers={"Accept-Encoding": "gzip"})
        with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
            script = gzip.decompress(answer.read()).decode()
        assert 'version="5.5.1"' in script
    finally:
        process.kill()
