"""The home itself: damaged databases, a read-only disk, and an owner that does not answer."""

from __future__ import annotations

import fcntl
import random
import shutil
import signal
import subprocess
from pathlib import Path

import pytest

import rawfiles
from lake import Lake

COUNT = "SELECT count(*) AS n FROM quotes"


@pytest.fixture(scope="module")
def closed(tmp_path_factory: pytest.TempPathFactory) -> Lake:
    """A published lake that no process has open."""
    folder = tmp_path_factory.mktemp("closed")
    rawfiles.write_market(folder / "raw", seed=3, days=["20200401"], snapshots=2)
    lake = Lake(folder / "home")
    lake.upload(folder / "raw")
    lake.publish("2020-04-01")
    return lake


def copy(lake: Lake, folder: Path) -> Lake:
    shutil.copytree(lake.home, folder)
    return Lake(folder)


@pytest.mark.parametrize("database", ["catalog.db", "state.db"])
def test_a_flipped_bit_of_a_database_never_changes_a_result(closed: Lake, tmp_path: Path, database: str):
    lake = copy(closed, tmp_path / "home")
    file = lake.home / database
    whole = file.read_bytes()
    rng = random.Random(4)
    for bit in rng.sample(range(len(whole) * 8), 12):
        flipped = bytearray(whole)
        flipped[bit // 8] ^= 1 << (bit % 8)
        file.write_bytes(flipped)
        failed = lake.fails("query", COUNT)
        assert f"{database} was changed or damaged since it was closed" in failed.err, f"bit {bit}: {failed}"
        assert "pregao run" in failed.err, failed
        file.write_bytes(whole)
    assert lake.query(COUNT) == closed.query(COUNT), "the home has no damage after the bit is restored"


def test_a_database_that_is_damaged_after_a_kill_is_refused(closed: Lake, tmp_path: Path):
    lake = copy(closed, tmp_path / "home")
    with lake.endpoint() as endpoint:
        endpoint.process.kill()
    assert not (lake.home / "state.db.sum").exists(), "a process that may write keeps no checksum of the old state"
    file = lake.home / "catalog.db"
    (lake.home / "catalog.db.sum").unlink()
    data = bytearray(file.read_bytes())
    data[4096 : 4096 + 64] = bytes(64)
    file.write_bytes(data)
    assert "catalog.db" in lake.fails("query", COUNT).err


def test_a_query_keeps_the_checksum_of_the_catalog_and_a_change_removes_it(closed: Lake, tmp_path: Path):
    lake = copy(closed, tmp_path / "home")
    checksum = lake.home / "catalog.db.sum"
    with lake.endpoint():
        lake.query(COUNT)
        assert checksum.exists()
        lake.run("query", "CREATE DATABASE other")
        assert not checksum.exists(), "a database that is open for writing has no checksum"
    with lake.endpoint():
        lake.run("query", "CREATE DATABASE another")
    assert lake.query("SHOW DATABASES")


def test_an_object_without_its_file_is_an_error_and_no_empty_day(closed: Lake, tmp_path: Path):
    lake = copy(closed, tmp_path / "home")
    for path in (lake.home / "s3" / "pregao-lake").rglob("part-quotes-*.parquet"):
        path.unlink()
    assert "HIVE_CANNOT_OPEN_SPLIT" in lake.fails("query", COUNT).err
    with lake.endpoint() as endpoint:
        s3 = endpoint.client("s3")
        listed = s3.list_objects_v2(Bucket="pregao-lake", Prefix="runs/").get("Contents", [])
        keys = [entry["Key"] for entry in listed if "/part-quotes-" in entry["Key"]]
        assert keys, "the object is still listed"
        with pytest.raises(s3.exceptions.ClientError) as refused:
            s3.get_object(Bucket="pregao-lake", Key=keys[0])
    assert refused.value.response["Error"]["Code"] == "InternalError"
    assert "is missing" in refused.value.response["Error"]["Message"]


def test_a_read_only_home_is_an_error(closed: Lake, tmp_path: Path):
    script = 'mount --bind "$1" "$1" && mount -o remount,bind,ro "$1" && shift && exec "$@"'
    prefix = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", script, "sh"]
    home = copy(closed, tmp_path / "home").home
    for command in (["query", COUNT], ["local"]):
        failed = Lake(home, [*prefix, str(home)]).fails(*command)
        assert f"{home} cannot be written" in failed.err, failed
        assert "--home" in failed.err, failed


def test_an_owner_that_is_stopped_is_named(closed: Lake, tmp_path: Path):
    lake = copy(closed, tmp_path / "home")
    with lake.endpoint() as endpoint:
        pid = endpoint.process.pid
        signal_to(pid, signal.SIGSTOP)
        try:
            with lake.started("query", COUNT) as asking:
                line = asking.wait_for_line(lambda line: "does not answer" in line)
                assert f"pid {pid}" in line and endpoint.url in line, line
                signal_to(pid, signal.SIGCONT)
                assert asking.wait() == 0, asking
        finally:
            signal_to(pid, signal.SIGCONT)


def signal_to(pid: int, number: signal.Signals) -> None:
    subprocess.run(["kill", f"-{number.name.removeprefix('SIG')}", str(pid)], check=True)


def test_a_run_that_waits_for_another_command_prints_it(closed: Lake, tmp_path: Path):
    lake = copy(closed, tmp_path / "home")
    with open(lake.home / "turn", "w") as turn:
        fcntl.flock(turn, fcntl.LOCK_EX)
        with lake.started("run", "--from", "2020-04-01") as waiting:
            line = waiting.wait_for_line(lambda line: "waiting for another command" in line)
            assert str(lake.home) in line
            fcntl.flock(turn, fcntl.LOCK_UN)
            assert waiting.wait() == 0, waiting
