"""The scripts of the release workflow: versions agree, release notes exist, an archive has the expected files."""

from __future__ import annotations

import importlib.util
import subprocess
import tarfile
from pathlib import Path

import pytest

from lake import ROOT, binary

SCRIPT = ROOT / ".github" / "scripts" / "release.py"
spec = importlib.util.spec_from_file_location("release", SCRIPT)
release = importlib.util.module_from_spec(spec)
spec.loader.exec_module(release)


def test_the_tag_has_to_match_the_version():
    release.check(f"v{release.version()}")
    for tag in (release.version(), f"v{release.version()}.1", "v0.0.9", "main"):
        with pytest.raises(ValueError, match=r"Cargo\.toml has"):
            release.check(tag)


def test_notes_are_the_section_of_the_change_log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    log = "# Changelog\n\n## [Unreleased]\n\n- later\n\n## [0.2.0] - 2026-12-01\n\n### Fixed\n\n- a fault\n\n## [0.1.0] - 2026-11-26\n\n"
    (tmp_path / "CHANGELOG.md").write_text(log, encoding="utf-8")
    monkeypatch.setattr(release, "ROOT", tmp_path)
    assert release.notes("0.2.0") == "### Fixed\n\n- a fault"
    for without in ("0.1.0", "0.3.0", "Unreleased", "0.2"):
        with pytest.raises(ValueError, match=r"has no section"):
            release.notes(without)


def test_an_archive_holds_the_program_and_its_documents(tmp_path: Path):
    target = "x86_64-unknown-linux-gnu"
    command = ["archive", "--binary", str(binary()), "--target", target, "--out", str(tmp_path / "dist")]
    done = subprocess.run(["python3", str(SCRIPT), *command], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    name = f"pregao-{release.version()}-{target}"
    path = tmp_path / "dist" / f"{name}.tar.gz"
    assert done.stdout.splitlines()[-1] == str(path)
    with tarfile.open(path) as packed:
        members = {member.name.removeprefix(f"{name}/"): member for member in packed if member.isfile()}
        assert all(member.name.startswith(f"{name}/") for member in members.values())
        assert {(member.uid, member.uname) for member in members.values()} == {(0, "root")}
        assert members["pregao"].mode == 0o755
        assert packed.extractfile(members["pregao"]).read() == binary().read_bytes()
        for document in ("LICENSE", "README.md", "CHANGELOG.md"):
            assert packed.extractfile(members[document]).read() == (ROOT / document).read_bytes()
        for shell in ("bash", "zsh", "fish"):
            assert b"pregao" in packed.extractfile(members[f"completions/pregao.{shell}"]).read()
        pages = [member for member in members if member.startswith("man/")]
        assert "man/pregao.1" in pages
        assert b".TH" in packed.extractfile(members["man/pregao.1"]).read()


def test_a_failure_is_reported(tmp_path: Path):
    done = subprocess.run(["python3", str(SCRIPT), "check", "v9.9.9"], capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    assert done.stderr.startswith("release.py: the tag is v9.9.9")
