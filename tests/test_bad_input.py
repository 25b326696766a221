"""Bad input of any kind is an error that names the file and the reason, and nothing is lost."""

from __future__ import annotations

import gzip
import json
import random
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

import oracle
import rawfiles
from conftest import Published
from lake import RAW, Lake, Result, assert_same_rows
from rawfiles import encode, option, quote

QUOTES = "202004011320_flashpanel.csv"
GOOD = encode("quotes", "202004011320", [quote("PETR4"), quote("VALE3")])

# The uploaded bytes by name, and a word that the reason must contain.
BAD_FILES = {
    "an empty file": (QUOTES, b"", "empty"),
    "a file of only a byte-order mark": (QUOTES, b"\xef\xbb\xbf", "header"),
    "a wrong header": (QUOTES, GOOD.replace(b"Fec", b"Fex"), "header"),
    "a header that lacks a column": (QUOTES, GOOD.replace(b",Fec", b""), "header"),
    "a name that is not that of a snapshot": ("foo.csv", GOOD, "name"),
    "a name with an impossible date": ("202013011320_flashpanel.csv", GOOD, "name"),
    "a truncated gzip": (QUOTES + ".gz", gzip.compress(GOOD * 50)[:-20], "gzip"),
    "an empty gzip file": (QUOTES + ".gz", b"", "empty"),
    "a gzip of an empty file": (QUOTES + ".gz", gzip.compress(b""), "empty"),
    "plain text under the name of a gzip": (QUOTES + ".gz", GOOD, "gzip"),
    "a gzip under the name of plain text": (QUOTES, gzip.compress(GOOD), ""),
    "options under quotes": (QUOTES, encode("options", "202004011320", [option()]), "options"),
    "quotes under options": ("202004011320_options.csv", GOOD, "quotes"),
    "bytes that are not text": (QUOTES, random.Random(1).randbytes(4000), ""),
    "no text after a good header": (QUOTES, GOOD + random.Random(2).randbytes(4000), "text"),
    "a picture": (QUOTES, b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + bytes(100), ""),
}


@pytest.mark.parametrize("what", BAD_FILES)
def test_an_invalid_file_is_quarantined_with_a_reason(lake: Lake, tmp_path: Path, what: str):
    name, data, word = BAD_FILES[what]
    good = rawfiles.write(tmp_path / "raw", "quotes", "202004011330", [quote("PETR4")])
    (tmp_path / "raw" / name).write_bytes(data)
    done = lake.fails("upload", tmp_path / "raw")

    assert name in done.output, f"the bad file is not named:\n{done}"
    stored = lake.objects(RAW)
    assert stored.get(f"quarantine/{name}") == data, f"its bytes are not in quarantine; the bucket has {list(stored)}"
    reason = json.loads(stored[f"quarantine/{name}.reason.json"])
    assert word in json.dumps(reason).lower(), reason
    assert stored[f"quotes/date=2020-04-01/{good.name}"] == good.read_bytes(), (
        "the good file beside it must be accepted"
    )
    assert not [key for key in stored if key.startswith("landing/")]

    lake.publish("2020-04-01")
    assert lake.query("SELECT ticker FROM quotes") == [{"ticker": "PETR4"}]


def test_two_bad_files_of_one_name_are_both_kept(lake: Lake, tmp_path: Path):
    for number in (1, 2):
        (tmp_path / str(number)).mkdir()
        (tmp_path / str(number) / "foo.csv").write_bytes(b"%d" % number)
        lake.fails("upload", tmp_path / str(number))
    kept = [
        data for key, data in lake.objects(RAW).items() if key.startswith("quarantine/") and not key.endswith(".json")
    ]
    assert sorted(kept) == [b"1", b"2"]


def test_a_missing_folder_is_an_error(lake: Lake, tmp_path: Path):
    for command in (
        ["upload", tmp_path / "no-such-folder"],
        ["etl", "--raw", tmp_path / "no-such-folder", "--out", tmp_path / "out"],
    ):
        assert "no-such-folder" in lake.fails(*command).err


def test_a_folder_without_a_file_is_an_error(lake: Lake, tmp_path: Path):
    (tmp_path / "empty").mkdir()
    assert "empty" in lake.fails("upload", tmp_path / "empty").err


def test_reversed_ranges_and_invalid_dates_are_errors(published: Published):
    lake = published.lake
    reversed_ = lake.fails("run", "--from", "2020-04-09", "--to", "2020-04-01")
    assert "2020-04-09" in reversed_.err and "2020-04-01" in reversed_.err
    for date in ("2020-02-30", "yesterday", "01/04/2020", ""):
        failed = lake.fails("run", "--from", date)
        assert date in failed.err and "--from" in failed.err


@pytest.mark.parametrize(
    "sql, word",
    [
        ("SELEC * FROM quotes", "SELEC"),
        ("SELECT * FROM quotes WHERE", ""),
        ("SELECT 'open FROM quotes", ""),
        ("SELECT no_such_column FROM quotes", "no_such_column"),
        ("SELECT * FROM no_such_table", "no_such_table"),
        ("", ""),
        ("DROP DATABASE", ""),
    ],
)
def test_invalid_sql_is_an_error(published: Published, sql: str, word: str):
    failed = published.lake.fails("query", sql)
    assert word in failed.err
    assert not failed.out.strip(), "stdout must be empty, because a program would read any output there as a result"


def test_a_run_of_days_without_files_publishes_nothing_and_reports_it(published: Published):
    before = published.lake.query(
        "SELECT year, month, day, count(*) AS n FROM quotes GROUP BY year, month, day ORDER BY day"
    )
    done = published.lake.run("run", "--from", "2020-05-04", "--to", "2020-05-05")
    assert "nothing" in done.output.lower(), done
    after = published.lake.query(
        "SELECT year, month, day, count(*) AS n FROM quotes GROUP BY year, month, day ORDER BY day"
    )
    assert after == before


def test_an_invalid_configuration_is_an_error(lake: Lake):
    failed = lake.fails("--set", "quality.no_such_key=1", "query", "SELECT 1")
    assert "no_such_key" in failed.err
    failed = lake.fails("--set", "quality.max_reject_share=much", "query", "SELECT 1")
    assert "max_reject_share" in failed.err


# --- a full disk ------------------------------------------------------------------------------------


class SmallDisk:
    """A file system of a few megabytes in a mount namespace of its own, which needs no privileges."""

    def __init__(self, folder: Path):
        folder.mkdir()
        self.folder = folder
        script = f'mount -t tmpfs -o size=16m tmpfs "{folder}" && echo mounted && exec sleep infinity'
        command = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", script]
        self.holder = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        line = self.holder.stdout.readline()
        assert line == "mounted\n", (
            f"this test needs a small file system and could not mount one: {line}{self.holder.stdout.read()}"
            "If user namespaces are disabled, enable them: sudo sysctl kernel.unprivileged_userns_clone=1"
        )
        pid = str(self.holder.pid)
        self.inside = ["nsenter", "--target", pid, "--user", "--mount", "--preserve-credentials", "--"]
        self.outer_path = Path(f"/proc/{pid}/root") / folder.relative_to("/")

    def fill(self, leave: int) -> None:
        """Fills the disk except `leave` bytes."""
        free = shutil.disk_usage(self.outer_path).free
        (self.outer_path / "ballast").write_bytes(bytes(max(free - leave, 0)))

    def empty(self) -> None:
        """Frees the space that `fill` took."""
        (self.outer_path / "ballast").unlink()

    def close(self) -> None:
        self.holder.kill()
        self.holder.wait()
        self.holder.stdout.close()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[SmallDisk]:
    disk = SmallDisk(tmp_path / "disk")
    yield disk
    disk.close()


@pytest.fixture
def lake_on_small_disk(small_disk: SmallDisk) -> Lake:
    lake = Lake(small_disk.folder / "home", small_disk.inside)
    lake.files = small_disk.outer_path / "home"
    return lake


# Too little space to open the databases, and enough for some writes before the disk is full.
@pytest.fixture(params=[64 * 1024, 1024 * 1024], ids=["full", "nearly full"])
def free_bytes(request: pytest.FixtureRequest) -> int:
    return request.param


def test_a_full_disk_during_a_run(lake_on_small_disk: Lake, small_disk: SmallDisk, free_bytes: int, tmp_path: Path):
    lake = lake_on_small_disk
    rawfiles.write_market(tmp_path / "raw", seed=15, days=["20200401", "20200402"], snapshots=40)
    expected = oracle.read_folder(tmp_path / "raw")
    lake.upload(tmp_path / "raw")
    lake.publish("2020-04-01")

    small_disk.fill(free_bytes)
    assert_fails_for_lack_of_space(lake.fails("run", "--from", "2020-04-02"))
    small_disk.empty()

    for table in oracle.TABLES:
        assert_same_rows(table, lake.query(f"SELECT * FROM {table}"), expected.day(table, 2020, 4, 1))
    lake.publish("2020-04-02")
    for table in oracle.TABLES:
        assert_same_rows(table, lake.query(f"SELECT * FROM {table}"), expected.rows[table])


def test_a_full_disk_during_an_upload(lake_on_small_disk: Lake, small_disk: SmallDisk, free_bytes: int, tmp_path: Path):
    lake = lake_on_small_disk
    rawfiles.write_market(tmp_path / "first", seed=16, days=["20200401"])
    rawfiles.write_market(tmp_path / "second", seed=17, days=["20200402"], snapshots=40)
    lake.upload(tmp_path / "first")
    stored = lake.objects(RAW)

    small_disk.fill(free_bytes)
    assert_fails_for_lack_of_space(lake.fails("upload", tmp_path / "second"))
    small_disk.empty()
    assert {key: data for key, data in lake.objects(RAW).items() if key in stored} == stored

    lake.upload(tmp_path / "second")
    given = {path.name: path.read_bytes() for part in ("first", "second") for path in (tmp_path / part).rglob("*.csv*")}
    assert {Path(key).name: data for key, data in lake.objects(RAW).items()} == given


def assert_fails_for_lack_of_space(failed: Result) -> None:
    words = failed.output.lower()
    assert "space" in words or "disk is full" in words, f"the output does not report that the disk is full:\n{failed}"


def test_a_full_disk_leaves_no_partial_file_of_the_engine(
    small_disk: SmallDisk, lake_on_small_disk: Lake, tmp_path: Path
):
    rawfiles.write_market(tmp_path / "raw", seed=18, days=["20200401"])
    small_disk.fill(leave=8 * 1024)
    out = small_disk.folder / "out"
    failed = lake_on_small_disk.fails("etl", "--raw", tmp_path / "raw", "--out", out)
    assert_fails_for_lack_of_space(failed)
    files = [path for path in (small_disk.outer_path / "out").rglob("*.parquet") if not path.name.startswith(".")]
    for path in files:
        assert path.read_bytes()[-4:] == b"PAR1", f"{path} is an incomplete file under its final name"
