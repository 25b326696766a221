"""`tests/lint.py` accepts the repository, and refuses faults of each kind.

Each linter also checks a broken copy: a linter that checks nothing would accept both.
"""

from __future__ import annotations

import argparse
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

import aws_tools as tools
import lint
from lake import ROOT

COPIED = [
    *(".github", "biome.jsonc", "ruff.toml"),
    *("Cargo.toml", "Cargo.lock", "deny.toml", "crates", "functions", "fuzz"),
    *("model/Cargo.toml", "model/Cargo.lock", "model/deny.toml", "model/src"),
    *("tests/browser/Cargo.toml", "tests/browser/Cargo.lock", "tests/browser/deny.toml", "tests/browser/src"),
    "tests/oracle.py",
]


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A copy of the files that the linters check, to be broken."""
    folder = tmp_path / "repository"
    for name in COPIED:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, folder / name)
        else:
            shutil.copy(ROOT / name, folder / name)
    return folder


def replace(old: str, new: str) -> Callable[[str], str]:
    def change(text: str) -> str:
        assert old in text
        return text.replace(old, new, 1)

    return change


class Broken(NamedTuple):
    step: str
    file: str
    change: Callable[[str], str]
    message: str  # the message of the linter


BROKEN = {
    "an unused import": Broken(
        "lints of Python", "tests/oracle.py", replace("import gzip\n", "import csv\nimport gzip\n"), "F401"
    ),
    "a name that does not exist": Broken(
        "lints of Python", "tests/oracle.py", lambda text: text + "\nmissing()\n", "F821"
    ),
    "Python with other quotes": Broken(
        "format of Python", "tests/oracle.py", lambda text: text + "\nNAME = 'x'\n", 'NAME = "x"'
    ),
    "an unused variable in JavaScript": Broken(
        "lints and format of the page",
        "crates/explorer/web/lib/csv.js",
        lambda text: text + "\nconst unused = 1;\n",
        "noUnusedVariables",
    ),
    "JavaScript in another format": Broken(
        "lints and format of the page",
        "crates/explorer/web/lib/csv.js",
        lambda text: text + "\nexport const x = {a : 1}\n",
        "format",
    ),
    "a property that CSS does not have": Broken(
        "lints and format of the page",
        "crates/explorer/web/style.css",
        lambda text: text + "\nbody {\n  colour: red;\n}\n",
        "noUnknownProperty",
    ),
    "a dependency on any version": Broken(
        "crates of Cargo.toml", "Cargo.toml", replace('strsim = "0.11"', 'strsim = "*"'), "wildcard"
    ),
    "a licence that is not allowed": Broken(
        "crates of Cargo.toml", "deny.toml", replace('"CC0-1.0", ', ""), "rejected"
    ),
    "a crate in two versions": Broken("crates of Cargo.toml", "deny.toml", replace('"nom@7"', '"nom@6"'), "duplicate"),
    "a dependency on any version in the browser tests": Broken(
        "crates of tests/browser/Cargo.toml", "tests/browser/Cargo.toml", replace('url = "2"', 'url = "*"'), "wildcard"
    ),
    "a dependency on any version in the model": Broken(
        "crates of model/Cargo.toml", "model/Cargo.toml", replace('stateright = "0.31"', 'stateright = "*"'), "wildcard"
    ),
    "a dependency that no code uses": Broken(
        "unused dependencies of Cargo.toml",
        "crates/asl/src/data/intrinsic/hash.rs",
        lambda text: text.replace("sha1", "other"),
        "sha1",
    ),
    "a dependency that no crate names": Broken(
        "unused dependencies of Cargo.toml",
        "Cargo.toml",
        replace('strsim = "0.11"', 'strsim = "0.11"\nrand = "0.10"'),
        "rand",
    ),
    "a dependency that no code of the browser tests uses": Broken(
        "unused dependencies of tests/browser/Cargo.toml",
        "tests/browser/src/main.rs",
        lambda text: text.replace("libtest_mimic", "other"),
        "libtest-mimic",
    ),
    "a key that workflows do not have": Broken(
        "schema of .github/workflows/*.yml",
        ".github/workflows/ci.yml",
        replace("timeout-minutes:", "timeout:"),
        "timeout",
    ),
    "a key that Dependabot does not have": Broken(
        "schema of .github/dependabot.yml", ".github/dependabot.yml", replace("cooldown:", "wait:"), "wait"
    ),
    "a field that forms do not have": Broken(
        "schema of .github/ISSUE_TEMPLATE/*.yml",
        ".github/ISSUE_TEMPLATE/bug.yml",
        replace("type: textarea", "type: text"),
        "text",
    ),
    "a key that the forms' settings do not have": Broken(
        "schema of .github/ISSUE_TEMPLATE/config.yml",
        ".github/ISSUE_TEMPLATE/config.yml",
        replace("blank_issues_enabled:", "blank_issues:"),
        "blank_issues",
    ),
    "untrusted text in a command": Broken(
        "security of the workflows",
        ".github/workflows/ci.yml",
        replace("- run: .ci/run", '- run: echo "${{ github.event.pull_request.title }}"'),
        "template-injection",
    ),
}


def commands(copy: Path) -> dict[str, list[str]]:
    return dict(lint.commands(copy.parent, argparse.Namespace(fix=False, advisories=False)))


def test_every_linter_accepts_the_copy(copy: Path):
    for command in commands(copy).values():
        tools.succeeds(*command, folder=copy)


def test_every_linter_is_broken_once(copy: Path):
    assert {broken.step for broken in BROKEN.values()} == set(commands(copy))


@pytest.mark.parametrize("what", BROKEN)
def test_linters_report_faults(what: str, copy: Path):
    broken = BROKEN[what]
    file = copy / broken.file
    file.write_text(broken.change(file.read_text(encoding="utf-8")), encoding="utf-8")
    output = tools.fails(*commands(copy)[broken.step], folder=copy)
    assert broken.message in output, output
