"""The wheel: installed into an empty virtual environment, in an empty folder, it runs the demo and serves the explorer.

Its Python package is there too, needs nothing to be imported, and names the extra that it lacks.
"""

from __future__ import annotations

import gzip
import os
import subprocess
import sys
import urllib.request
import zipfile
from email.parser import Parser
from pathlib import Path

import pytest
from packaging.requirements import Requirement

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


def test_the_wheel_has_the_package_and_what_it_needs_is_optional(wheel: Path):
    with zipfile.ZipFile(wheel) as archive:
        names = {name for name in archive.namelist() if name.startswith("pregao/")}
        [metadata] = [name for name in archive.namelist() if name.endswith(".dist-info/METADATA")]
        fields = Parser().parsestr(archive.read(metadata).decode())
    here = {path.relative_to(ROOT / "python").as_posix() for path in (ROOT / "python" / "pregao").iterdir()}
    assert names == {name for name in here if "__pycache__" not in name} and "pregao/py.typed" in names
    needs = [Requirement(line) for line in fields.get_all("Requires-Dist")]
    assert all("extra ==" in str(need.marker) for need in needs), "pip install pregao installs nothing else"
    assert all([clause.operator for clause in need.specifier] == [">="] for need in needs)
    extras = fields.get_all("Provides-Extra")
    of = {extra: {need.name for need in needs if need.marker.evaluate({"extra": extra})} for extra in extras}
    reader = {"duckdb", "pyarrow"}
    assert of == {
        "arrow": reader,
        "polars": reader | {"polars"},
        "pandas": reader | {"pandas"},
        "aws": reader | {"boto3"},
    }
    assert fields["Requires-Python"] == ">=3.10"


def test_the_package_is_imported_without_the_extras_and_names_them(installed: Path, tmp_path: Path):
    python = installed.parent / "python"
    code = "import pregao, sys; print(sorted(set(sys.modules) & {'duckdb', 'pyarrow', 'polars', 'pandas', 'boto3'}))"
    assert run([python, "-c", code], tmp_path).stdout == "[]\n"
    (tmp_path / ".pregao" / "s3" / "pregao-lake").mkdir(parents=True)
    failed = run([python, "-c", "import pregao; pregao.connect(frame='pandas')"], tmp_path)
    assert failed.stderr.endswith("needs it here: pip install 'pregao[pandas]'\n"), failed.stderr


def test_the_package_reads_a_lake_of_the_program(installed: Path, tmp_path: Path):
    """With the packages of this environment, which has no pregao of its own."""
    assert run([installed, "--home", ".pregao", "demo"], tmp_path).returncode == 0
    packages = os.pathsep.join(path for path in sys.path if path.endswith("site-packages"))
    code = "import pregao; lake = pregao.connect(); print(pregao.__file__, lake.quotes('PETR4').height, lake.days())"
    read = run([installed.parent / "python", "-c", code], tmp_path, PYTHONPATH=packages)
    assert read.stdout.startswith(str(installed.parent.parent)), read.stdout + read.stderr
    assert read.stdout.endswith(" 27 [datetime.date(2020, 4, 1)]\n"), read.stdout


def run(command: list, folder: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*map(str, command)],
        cwd=folder,
        env={**environment(folder), **variables},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )


def test_an_installed_program_runs_the_demo_and_serves_the_explorer(installed: Path, tmp_path: Path):
    demo = run([installed, "demo"], tmp_path)
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
