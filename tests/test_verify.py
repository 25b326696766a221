"""`pregao verify` names the faults of a lake, and the command that repairs each.

One test flips single bits of databases, Parquet and raw files, at positions that a seed selects: 12 bits, or the number
in `--flips N`.
"""

from __future__ import annotations

import json
import random
import shutil
import subprocess
from pathlib import Path
from typing import NamedTuple

import jsonschema
import pytest

import rawfiles
from lake import Lake, binary
from rawfiles import option, quote

DAYS = ("2020-04-01", "2020-04-02")
SCHEMA = Path(__file__).resolve().parent.parent / "docs" / "schemas" / "verify.json"
TICKERS = [f"TST{letter}3" for letter in "ABCDEFGHIJ"]


@pytest.fixture(scope="module")
def raw(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two days, each with four small snapshots."""
    folder = tmp_path_factory.mktemp("verify") / "raw"
    for day in DAYS:
        for time in ("1000", "1010", "1020", "1030"):
            write(folder, day, time)
    return folder


def write(folder: Path, day: str, time: str, **cells: str) -> Path:
    rawfiles.write(folder, "options", day.replace("-", "") + time, [option(f"{ticker[:4]}D15") for ticker in TICKERS])
    return rawfiles.write(
        folder, "quotes", day.replace("-", "") + time, [quote(ticker, **cells) for ticker in [*TICKERS, "BAD3"]]
    )


@pytest.fixture(scope="module")
def sound(raw: Path) -> Lake:
    """A published lake without faults, to be copied."""
    lake = Lake(raw.parent / "sound")
    lake.upload(raw)
    lake.publish(*DAYS)
    return lake


@pytest.fixture
def lake(sound: Lake, tmp_path: Path) -> Lake:
    """A copy of the lake without faults."""
    shutil.copytree(sound.home, tmp_path / "home")
    return Lake(tmp_path / "home")


class Verification(NamedTuple):
    code: int
    document: dict

    @property
    def problems(self) -> list[dict]:
        return self.document["problems"]

    @property
    def kinds(self) -> set[str]:
        return {problem["kind"] for problem in self.problems}

    def names(self, file: str) -> bool:
        return any(file in problem["file"] for problem in self.problems)


def verify(lake: Lake, *options: str) -> Verification:
    result = lake.run("verify", "--format", "json", *options, check=False)
    verified = Verification(result.code, json.loads(result.out))
    jsonschema.validate(verified.document, json.loads(SCHEMA.read_text()), jsonschema.Draft7Validator)
    assert (verified.code == 0) == (not verified.problems), result
    for problem in verified.problems:
        assert all(problem[field] for field in ("file", "expected", "found", "repair")), problem
    return verified


def repair(lake: Lake, command: str) -> None:
    """Runs the repair command of a finding, in a shell in which `pregao` is the binary under test."""
    shell = f'pregao() {{ "{binary()}" "$@"; }}; {command}'
    done = subprocess.run(["bash", "-c", shell], capture_output=True, text=True, cwd=lake.home.parent)
    assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"


def published(lake: Lake) -> list[Path]:
    return [file for table in ("quotes", "options", "rejects") for file in lake.parquet_files(table)]


def raw_files(lake: Lake) -> list[Path]:
    return sorted((lake.home / "s3" / "pregao-raw").rglob("date=*/*.csv"))


def flip(file: Path, at: int, bit: int) -> None:
    with file.open("r+b") as opened:
        opened.seek(at)
        byte = opened.read(1)[0]
        opened.seek(at)
        opened.write(bytes([byte ^ 1 << bit]))


def test_a_sound_lake_has_no_problems(lake: Lake):
    for options in ([], ["--deep"], ["--deep", "--from", DAYS[0], "--to", DAYS[0]]):
        verified = verify(lake, *options)
        assert verified.code == 0, verified
    assert verified.document["checked"]["partitions"] in (2, 3)
    with lake.endpoint():
        assert verify(lake, "--deep").code == 0, "through the process that owns the home"


def test_every_flipped_bit_is_found(lake: Lake, request: pytest.FixtureRequest):
    flips = request.config.getoption("--flips")
    seed = random.randrange(1 << 32)
    print(f"seed {seed}")
    rng = random.Random(seed)
    missed = []
    for number in range(flips):
        file = [
            lambda: rng.choice(published(lake)),
            lambda: lake.home / "catalog.db",
            lambda: lake.home / "state.db",
            lambda: rng.choice(raw_files(lake)),
        ][number % 4]()
        at, bit = rng.randrange(file.stat().st_size), rng.randrange(8)
        flip(file, at, bit)
        verified = verify(lake, "--deep")
        if verified.code != 1 or not verified.names(file.name):
            missed.append((str(file), at, bit, verified))
        flip(file, at, bit)
    assert not missed, f"{len(missed)} of {flips} flips were not found: {missed[:3]}"
    assert verify(lake, "--deep").code == 0, "the restored lake has no fault"


def test_missing_truncated_and_added_files_are_named(lake: Lake):
    lost, short, added = published(lake)[:3]
    lost.unlink()
    short.write_bytes(short.read_bytes()[:-1])
    (added.parent / "part-more.parquet").write_bytes(added.read_bytes())
    verified = verify(lake)
    assert verified.code == 1 and {"object"} <= verified.kinds, verified
    for file in (lost, short, added.parent / "part-more.parquet"):
        assert verified.names(file.name), (file, verified)


def test_a_missing_report_and_an_invalid_manifest_are_named(lake: Lake):
    with lake.endpoint() as endpoint:
        s3 = endpoint.client("s3")
        keys = [each["Key"] for each in s3.list_objects_v2(Bucket="pregao-lake")["Contents"]]
        report = next(key for key in keys if key.startswith("quality/") and key.endswith("/quotes.json"))
        file = next(key for key in keys if "/options/" in key and key.endswith(".parquet"))
        manifest = f"{file.rpartition('/')[0]}/_manifest.json"
        s3.delete_object(Bucket="pregao-lake", Key=report)
        s3.put_object(Bucket="pregao-lake", Key=manifest, Body=b"{}")
    verified = verify(lake)
    assert {"report", "manifest"} <= verified.kinds, verified
    assert verified.names(report) and verified.names(manifest)
    for command in {problem["repair"] for problem in verified.problems}:
        repair(lake, command)
    assert verify(lake, "--deep").code == 0


def test_raw_files_that_changed_make_a_day_stale(lake: Lake, raw: Path, tmp_path: Path):
    write(tmp_path / "more", DAYS[0], "1040")
    replaced = write(tmp_path / "more", DAYS[1], "1010", Ult="15,33")
    lake.upload(tmp_path / "more")
    with lake.endpoint() as endpoint:
        removed = "quotes/date=2020-04-02/202004021020_flashpanel.csv"
        endpoint.client("s3").delete_object(Bucket="pregao-raw", Key=removed)
    verified = verify(lake, "--deep")
    assert verified.code == 1 and verified.kinds == {"stale"}, verified
    for name in ("202004011040_flashpanel.csv", replaced.name, "202004021020_flashpanel.csv"):
        assert verified.names(name), (name, verified)
    assert verify(lake, "--from", DAYS[1]).code == 1 and not verify(lake, "--from", DAYS[1]).names("20200401")


def test_files_in_landing_are_named(lake: Lake):
    with lake.endpoint() as endpoint:
        endpoint.client("s3").put_object(Bucket="pregao-raw", Key="landing/202004031000_flashpanel.csv", Body=b"x")
    verified = verify(lake)
    assert verified.kinds == {"landing"} and verified.names("landing/202004031000_flashpanel.csv"), verified


def test_superseded_runs_are_only_noted(lake: Lake):
    lake.publish(*DAYS)
    verified = verify(lake, "--deep")
    assert verified.code == 0 and any("does not point to" in note["text"] for note in verified.document["notes"]), (
        verified
    )


@pytest.mark.parametrize("database", ["catalog.db", "state.db"])
def test_a_database_that_does_not_open_hides_no_other_problem(lake: Lake, database: str):
    file = published(lake)[0]
    flip(file, file.stat().st_size // 2, 3)
    data = (lake.home / database).read_bytes()
    (lake.home / database).write_bytes(b"\0" * 4096 + data[4096:])
    verified = verify(lake, "--deep")
    assert verified.names(database), verified
    # The index with the checksums of all objects is in state.db.
    assert database == "state.db" or verified.names(file.name), verified
    assert not verified.document["complete"]
    (repair_of,) = (
        each["repair"] for each in verified.problems if each["kind"] == "database" and database in each["file"]
    )
    flip(file, file.stat().st_size // 2, 3)
    repair(lake, repair_of)
    verified = verify(lake, "--deep")
    assert verified.code == 0, verified
    assert lake.query("SELECT count(*) AS n FROM quotes") == [{"n": 2 * 4 * 11}]


def test_a_missing_home_is_an_error(tmp_path: Path):
    failed = Lake(tmp_path / "nothing").fails("verify")
    assert "there is no home" in failed.output, failed
    assert not (tmp_path / "nothing").exists()
