"""The build works on a new machine: from an empty Cargo home, and offline after `cargo fetch`.

A build downloads only the crates that it compiles. A build script that starts Cargo, or reads the sources
of another crate, works only on machines where the tests or the linters have run before.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from lake import ROOT

# In seconds. The build takes less than one minute on two idle cores.
BUILD_PATIENCE = 1800
# The build scripts of the workspace, by the test that runs them. Add a new one to one of the two tests.
RUN_BY_CARGO = {"crates/explorer/page/build.rs"}
RUN_ALONE = {"crates/pregao/build.rs"}


@pytest.fixture(scope="module")
def clone(tmp_path_factory) -> Path:
    """A copy of the repository with its uncommitted changes."""
    folder = tmp_path_factory.mktemp("clone")
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, check=True).stdout.decode().split("\0")
    for name in filter(None, names):
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, folder / name)
    return folder


@pytest.fixture(scope="module")
def empty_cargo_home() -> Iterator[Path]:
    """A Cargo home with only the settings of the real one, such as a mirror of crates.io."""
    real = Path(os.environ.get("CARGO_HOME", Path.home() / ".cargo"))
    # Deleted afterwards: it may contain credentials of a registry, and grows to hundreds of megabytes.
    with tempfile.TemporaryDirectory(prefix="cargo-home-") as folder:
        for name in ("config.toml", "config", "credentials.toml", "credentials"):
            if (real / name).is_file():
                shutil.copy(real / name, folder)
        yield Path(folder)


def cargo(clone: Path, home: Path, *arguments: str) -> None:
    """Runs Cargo in the copy, with its own target directory: another Cargo home would invalidate the shared one."""
    environment = {**os.environ, "CARGO_HOME": str(home), "CARGO_TARGET_DIR": str(clone / "target")}
    done = subprocess.run(
        ["cargo", *arguments],
        cwd=clone,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=BUILD_PATIENCE,
    )
    assert done.returncode == 0, done.stdout


def test_every_build_script_is_tested_here():
    scripts = {path.relative_to(ROOT).as_posix() for path in ROOT.glob("*/**/build.rs") if "target" not in path.parts}
    assert scripts == RUN_BY_CARGO | RUN_ALONE


def test_it_builds_from_an_empty_cargo_home_and_then_offline(clone: Path, empty_cargo_home: Path):
    # The smallest package that runs the build script.
    page = ("build", "--release", "--locked", "--package=explorer-page")
    cargo(clone, empty_cargo_home, *page)
    # Downloads every crate of the lock file, for offline work.
    cargo(clone, empty_cargo_home, "fetch", "--locked")
    # Makes the build script run again.
    (clone / "crates/explorer/web/app.js").open("a").write("\n")
    cargo(clone, empty_cargo_home, *page, "--offline")


def test_the_build_script_of_the_program_needs_neither_cargo_nor_git(clone: Path, tmp_path: Path):
    [name] = RUN_ALONE
    script = tmp_path / "build-script"
    subprocess.run(["rustc", "--edition=2024", "-o", script, clone / name], check=True, timeout=BUILD_PATIENCE)
    done = subprocess.run(
        [script],
        cwd=(clone / name).parent,
        env={"PATH": str(tmp_path), "CARGO_PKG_VERSION": "1.2.3", "TARGET": "a", "HOST": "b"},
        capture_output=True,
        text=True,
        timeout=BUILD_PATIENCE,
    )
    assert done.returncode == 0, done.stderr
    # Without a repository the version has no commit, not even that of a parent folder's repository.
    assert "cargo::rustc-env=PREGAO_VERSION=1.2.3\n" in done.stdout
