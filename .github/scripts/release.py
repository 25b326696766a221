"""The steps of the release workflow, which can be run and tested without a tag.

    release.py check TAG                                   checks that Cargo.toml and CHANGELOG.md have the version of the tag
    release.py notes TAG                                   prints that version's section of CHANGELOG.md
    release.py archive --binary B --target T --out DIR     writes pregao-VERSION-T.tar.gz

An archive holds the binary, LICENSE, README.md, CHANGELOG.md, the completions of three shells and the man pages.
"""

from __future__ import annotations

import argparse
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SHELLS = ("bash", "zsh", "fish")
DOCUMENTS = ("LICENSE", "README.md", "CHANGELOG.md")


def main() -> int:
    arguments = parse_arguments()
    try:
        if arguments.action == "check":
            check(arguments.tag)
        elif arguments.action == "notes":
            print(notes(arguments.tag.removeprefix("v")))
        else:
            print(archive(arguments.binary, arguments.target, arguments.out))
    except (ValueError, subprocess.CalledProcessError) as error:
        print(f"release.py: {error}", file=sys.stderr)
        return 1
    return 0


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="The steps of a release.")
    actions = parser.add_subparsers(dest="action", required=True)
    for name in ("check", "notes"):
        actions.add_parser(name).add_argument("tag")
    of_archive = actions.add_parser("archive")
    of_archive.add_argument("--binary", type=Path, required=True)
    of_archive.add_argument("--target", required=True)
    of_archive.add_argument("--out", type=Path, required=True)
    return parser.parse_args()


def version() -> str:
    """Returns `workspace.package.version` of Cargo.toml."""
    text = (ROOT / "Cargo.toml").read_text(encoding="utf-8")
    section = re.search(r"^\[workspace\.package\]\n(.*?)(?=^\[|\Z)", text, re.DOTALL | re.MULTILINE)
    found = re.search(r'^version = "([^"]+)"$', section.group(1), re.MULTILINE) if section else None
    if not found:
        raise ValueError("Cargo.toml has no version in [workspace.package]")
    return found.group(1)


def check(tag: str) -> None:
    if tag != f"v{version()}":
        raise ValueError(f"the tag is {tag}, but Cargo.toml has {version()}: the tag has to be v{version()}")
    notes(version())


def notes(number: str) -> str:
    """Returns the section `## [VERSION] - DATE` of the change log, without its heading."""
    text = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    heading = rf"^## \[{re.escape(number)}\] - \d{{4}}-\d{{2}}-\d{{2}}\n"
    found = re.search(heading + r"(.*?)(?=^## |^\[[^\]]+\]: |\Z)", text, re.DOTALL | re.MULTILINE)
    if not found or not found.group(1).strip():
        raise ValueError(f"CHANGELOG.md has no section '## [{number}] - YYYY-MM-DD' with text in it")
    return found.group(1).strip()


def archive(binary: Path, target: str, out: Path) -> Path:
    name = f"pregao-{version()}-{target}"
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / name
        (folder / "completions").mkdir(parents=True)
        (folder / "man").mkdir()
        shutil.copy(binary, folder / "pregao")
        (folder / "pregao").chmod(0o755)
        for document in DOCUMENTS:
            shutil.copy(ROOT / document, folder)
        for shell in SHELLS:
            done = subprocess.run([folder / "pregao", "completions", shell], check=True, stdout=subprocess.PIPE)
            (folder / "completions" / f"pregao.{shell}").write_bytes(done.stdout)
        subprocess.run([folder / "pregao", "man", "--out", folder / "man"], check=True)
        path = out / f"{name}.tar.gz"
        with tarfile.open(path, "w:gz") as packed:
            packed.add(folder, name, filter=owned_by_root)
    return path


def owned_by_root(member: tarfile.TarInfo) -> tarfile.TarInfo:
    """Removes the account that created the archive from a member."""
    member.uid = member.gid = 0
    member.uname = member.gname = "root"
    return member


if __name__ == "__main__":
    sys.exit(main())
