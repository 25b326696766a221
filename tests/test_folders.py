"""Folders of the user: entries that are not files, input and output folders that overlap, and the home of the demo."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

import rawfiles
from lake import PATIENCE, RAW, Lake, binary, environment
from rawfiles import quote

DAY = "2020-04-01"


def put(folder: Path, time: str = "202004011320", ticker: str = "PETR4") -> Path:
    return rawfiles.write(folder, "quotes", time, [quote(ticker)])


def test_broken_and_circular_links_are_skipped_and_named(lake: Lake, tmp_path: Path):
    raw = tmp_path / "raw"
    put(raw)
    elsewhere = put(tmp_path / "elsewhere", "202004011330")
    links = {".#202004011320_flashpanel.csv": "user@host.1234", "loop": ".", "deeper/up": "..", "itself": "itself"}
    (raw / "deeper").mkdir()
    for name, target in links.items():
        (raw / name).symlink_to(target)
    (raw / elsewhere.name).symlink_to(elsewhere)

    done = lake.upload(raw)
    assert "2 accepted" in done.out, done
    for name in links:
        assert f"{raw / name} is passed over: it is a link" in done.err, done
    assert len(lake.objects(RAW, "quotes/")) == 2

    done = lake.run("etl", "--raw", raw, "--out", tmp_path / "out")
    for name in links:
        assert f"{raw / name} is passed over" in done.err, done


def test_unreadable_entries_are_skipped_and_named(tmp_path: Path):
    raw = tmp_path / "raw"
    put(raw)
    closed = put(raw, "202004011330")
    (raw / "closed").mkdir()
    put(raw / "closed", "202004011340")
    closed.chmod(0)
    (raw / "closed").chmod(0)
    # root can read everything.
    unprivileged = {"user": 65534, "group": 65534, "extra_groups": []} if os.geteuid() == 0 else {}
    if unprivileged:
        for folder in [tmp_path, *tmp_path.parents][:3]:
            folder.chmod(folder.stat().st_mode | 0o777)
    command = [str(binary()), "--home", str(tmp_path / "home"), "upload", str(raw)]
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        env=environment(tmp_path),
        cwd=tmp_path,
        **unprivileged,
    )
    (raw / "closed").chmod(0o700)
    assert done.returncode == 1, done
    assert "1 accepted" in done.stdout and "2 items of the folder cannot be read" in done.stderr, done
    for path in (closed, raw / "closed"):
        assert f"{path} is passed over: it cannot be read" in done.stderr, done


@pytest.mark.parametrize(
    "raw, out",
    [("r", "r"), ("r", "r/tables"), ("r/deeper", "r"), ("r", "."), ("r", "link"), ("link", "r"), ("r", "r/../r/new")],
)
def test_tables_are_not_written_among_raw_files(lake: Lake, tmp_path: Path, raw: str, out: str):
    file = put(tmp_path / "r" / "deeper")
    (tmp_path / "link").symlink_to("r")
    before = sorted(tmp_path.rglob("*"))
    failed = lake.fails("etl", "--raw", tmp_path / raw, "--out", f"{tmp_path}/{out}")
    assert "--out" in failed.err and "--raw" in failed.err
    assert sorted(tmp_path.rglob("*")) == before and file.exists()


# --- the demo -----------------------------------------------------------------------------------------


def demo(folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    """Runs `pregao demo` in a folder that may contain a lake."""
    command = [str(binary()), *options, "demo"]
    return subprocess.run(
        command, capture_output=True, text=True, timeout=PATIENCE, env=environment(folder), cwd=folder
    )


def test_the_demo_does_not_use_a_real_lake(tmp_path: Path):
    lake = Lake(tmp_path / ".pregao")
    own = put(tmp_path / "raw", "202004011000", "MINE3")
    lake.upload(tmp_path / "raw")
    lake.publish(DAY)
    before = {path: path.read_bytes() for path in (lake.home / "s3").rglob("*") if path.is_file()}

    done = demo(tmp_path)
    assert done.returncode == 0, done.stderr
    assert "pregao --home .pregao-demo query" in done.stdout, "the next steps name the home"
    assert demo(tmp_path).returncode == 0, "the demo uses its own home again"
    for home in (".pregao", str(lake.home)):
        refused = demo(tmp_path, "--home", home)
        assert refused.returncode == 1 and home in refused.stderr, refused
    assert {path: path.read_bytes() for path in (lake.home / "s3").rglob("*") if path.is_file()} == before
    assert lake.query("SELECT ticker FROM quotes") == [{"ticker": "MINE3"}]

    # After a user has added files to the demo's home, the demo must not use it any more.
    theirs = Lake(tmp_path / ".pregao-demo")
    theirs.upload(own.parent)
    refused = demo(tmp_path)
    assert refused.returncode == 1 and own.name in refused.stderr, refused


def test_the_demo_refuses_a_configured_account(tmp_path: Path):
    refused = demo(tmp_path, "--set", "aws.always=true")
    assert refused.returncode == 1 and "aws.always" in refused.stderr, refused
    assert not (tmp_path / ".pregao-demo").exists()
