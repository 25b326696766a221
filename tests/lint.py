"""Runs the linters of everything except Rust code: `python3 tests/lint.py`, or with `--fix` to format.

ruff checks Python and the notebook, biome checks the explorer's page, cargo-deny checks the lock files of Cargo,
cargo-shear finds dependencies that no code uses, and check-jsonschema and zizmor check the files for GitHub.
They are installed in cargo's target directory, as pinned in `tests/tools`. All of them run, even if one fails. For Rust
use `cargo fmt` and `cargo clippy`.

cargo-deny reads the crates of a lock file; Cargo downloads missing ones.
`--advisories` checks for known vulnerabilities instead; their list comes from a repository on GitHub.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
from pathlib import Path

import run

PAGE = "crates/explorer/web"
LOCKED = [Path("Cargo.toml"), Path("model/Cargo.toml"), Path("tests/browser/Cargo.toml")]
# The manifests with more than one dependency.
USED = [Path("Cargo.toml"), Path("tests/browser/Cargo.toml")]
# The files for GitHub, by the name of their schema.
SCHEMAS = {
    "github-workflows": ".github/workflows/*.yml",
    "dependabot": ".github/dependabot.yml",
    "github-issue-config": ".github/ISSUE_TEMPLATE/config.yml",
    # The other files of the folder.
    "github-issue-forms": ".github/ISSUE_TEMPLATE/*.yml",
}


def main() -> int:
    arguments = parse_arguments()
    failed: list[run.Failure] = []
    try:
        if not shutil.which("cargo"):
            raise run.Failure("cargo is not on the PATH: install Rust first, then run this again")
        target = run.target_directory()
        node = run.prepare_aws(target)
        modules, lint = run.prepare_linters(target, node)
        steps = commands(target, arguments)
    except run.Failure as failure:
        run.say(f"FAILED: {failure}")
        return 1
    path = {"PATH": os.pathsep.join([str(modules), str(lint), str(node), os.environ["PATH"]])}
    for name, command in steps:
        # An absolute path, because the PATH of the caller may have another version.
        program = str((modules if command[0] == "biome" else lint) / command[0])
        try:
            run.step(name, [program, *command[1:]], path)
        except run.Failure as failure:
            failed.append(failure)
    for failure in failed:
        run.say(f"FAILED: {failure}")
    return 1 if failed else 0


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Lint everything but Rust.")
    parser.add_argument("--fix", action="store_true", help="first format, and apply the safe fixes")
    parser.add_argument("--advisories", action="store_true", help="check the crates for known vulnerabilities instead")
    return parser.parse_args()


def commands(target: Path, arguments: argparse.Namespace) -> list[tuple[str, list[str]]]:
    """Returns the steps in order: title, program, arguments."""
    if arguments.advisories:
        return [(f"advisories for {manifest}", cargo_deny(manifest, "advisories")) for manifest in LOCKED]
    cache = f"--cache-dir={target / 'ruff'}"
    fixes = [
        ("fixes of Python", ["ruff", "check", "--fix", "--exit-zero", "--silent", cache, "."]),
        ("formatting of Python", ["ruff", "format", cache, "."]),
        ("formatting of the page", ["biome", "format", "--write", PAGE]),
    ]
    checks = [
        ("lints of Python", ["ruff", "check", cache, "."]),
        ("format of Python", ["ruff", "format", "--diff", cache, "."]),
        ("lints and format of the page", ["biome", "check", "--error-on-warnings", "--max-diagnostics=100", PAGE]),
        *((f"crates of {manifest}", cargo_deny(manifest, "licenses", "bans", "sources")) for manifest in LOCKED),
        *((f"unused dependencies of {manifest}", cargo_shear(manifest)) for manifest in USED),
        *((f"schema of {files}", schema(name, files)) for name, files in SCHEMAS.items()),
        ("security of the workflows", ["zizmor", "--offline", "--no-progress", ".github"]),
    ]
    return [*(fixes if arguments.fix else []), *checks]


def cargo_deny(manifest: Path, *checks: str) -> list[str]:
    """Returns the command. Warnings are errors: they report exceptions that are no longer needed."""
    where = [f"--manifest-path={manifest}", f"--config={manifest.parent / 'deny.toml'}"]
    return ["cargo-deny", "--locked", *where, "check", "--deny=warnings", *checks]


def cargo_shear(manifest: Path) -> list[str]:
    """Returns the command. Warnings are errors: they report obsolete exceptions, and misplaced dependencies of tests."""
    return ["cargo-shear", "--locked", "--deny-warnings", str(manifest.parent)]


def schema(name: str, files: str) -> list[str]:
    others = set(SCHEMAS.values()) - {files}
    paths = sorted(str(path.relative_to(run.ROOT)) for path in run.ROOT.glob(files))
    found = [path for path in paths if path not in others]
    if not found:
        raise run.Failure(f"there is no {files}")
    return ["check-jsonschema", f"--builtin-schema=vendor.{name}", *found]


if __name__ == "__main__":
    sys.exit(main())
