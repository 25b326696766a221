"""`pregao watch`: what a recorder saves into a folder is uploaded when it is complete, and published."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

import oracle
import rawfiles
from lake import RAW, TABLES, Lake, assert_published, eventually

# Each file is complete when it has not changed for this time.
WATCH = ["watch", "--settle", "0.2"]


@pytest.fixture
def saved(tmp_path: Path) -> list[Path]:
    """The raw files of a day, in the order in which a recorder saves them."""
    rawfiles.write_market(tmp_path / "given", seed=8, days=["20200401"], snapshots=3)
    return sorted((tmp_path / "given").rglob("*.csv*"), key=lambda path: path.name)


def raw_files(lake: Lake) -> dict[str, bytes]:
    """Returns the accepted raw files, by name."""
    objects = {**lake.objects(RAW, "quotes/"), **lake.objects(RAW, "options/")}
    return {key.rsplit("/", 1)[1]: body for key, body in objects.items()}


def rows(lake: Lake) -> int:
    """Returns the number of rows of all tables."""
    counts = " + ".join(f"(SELECT count(*) FROM {table})" for table in TABLES)
    [row] = lake.query(f"SELECT {counts} AS n")
    return row["n"]


def test_snapshots_are_uploaded_and_published_as_they_are_saved(lake: Lake, saved: list[Path], tmp_path: Path):
    folder = tmp_path / "recorder"
    (folder / "2020").mkdir(parents=True)
    # What was saved before is uploaded first.
    (folder / saved[0].name).write_bytes(saved[0].read_bytes())
    with lake.started(*WATCH, folder) as process:
        eventually("the first file to be published", lambda: lake.published_raw_files() == 1 or None)
        for number, path in enumerate(saved[1:], start=2):
            # In a folder that is made while it is watched, and in one that was there.
            place = folder / ("new" if number % 2 else "2020")
            place.mkdir(exist_ok=True)
            (place / path.name).write_bytes(path.read_bytes())
            eventually(
                f"{path.name} to be published", lambda number=number: lake.published_raw_files() == number or None
            )
        # A signal in the middle of a run, whose day is published and not in the catalog. The next start completes it.
        process.popen.send_signal(signal.SIGTERM)
        assert process.wait() == 0, process
    assert raw_files(lake) == {path.name: path.read_bytes() for path in saved}
    assert not lake.objects(RAW, "landing/") and not lake.objects(RAW, "quarantine/")
    # A second start finds everything there.
    with lake.started(*WATCH, folder) as process:
        expected = sum(len(rows) for rows in oracle.read_folder(tmp_path / "given").rows.values())
        eventually("all rows in the tables", lambda: rows(lake) == expected or None)
        process.wait_for_line(lambda line: line.startswith("uploaded "))
        process.kill()
        sent = [line for line in process.lines if line.startswith("uploaded ")]
        assert sent and all(line.startswith("uploaded 0 files") for line in sent), sent
    assert_published(lake, tmp_path / "given")


def test_a_file_that_is_being_written_is_not_uploaded(lake: Lake, saved: list[Path], tmp_path: Path):
    folder = tmp_path / "recorder"
    folder.mkdir()
    whole = saved[0].read_bytes()
    assert not saved[0].name.endswith(".gz") and whole.endswith(b"\n")
    with lake.started("--set", "schedule.on_upload=never", "watch", "--settle", "1", folder) as process:
        process.wait_for_line(lambda line: "watching" in line)
        # Under another name, then by parts without the end of the last record, each later than the settle time.
        (folder / f"{saved[1].name}.part").write_bytes(saved[1].read_bytes())
        with open(folder / saved[0].name, "wb", buffering=0) as file:
            parts = [whole[: len(whole) // 3], whole[len(whole) // 3 : -2], whole[-2:]]
            for number, part in enumerate(parts[:2]):
                assert not part.endswith(b"\n")
                file.write(part)
                # A file that is complete arrives later, and is uploaded before.
                mark = folder / f"20200402100{number}_flashpanel.csv"
                mark.write_bytes(rawfiles.encode("quotes", mark.name[:12], [rawfiles.quote("PETR4")]))
                eventually(f"{mark.name} to be accepted", lambda mark=mark: mark.name in raw_files(lake) or None)
                assert saved[0].name not in raw_files(lake)
            file.write(parts[2])
        os.rename(folder / f"{saved[1].name}.part", folder / saved[1].name)
        wanted = {saved[0].name, saved[1].name}
        eventually("both files to be accepted", lambda: wanted <= set(raw_files(lake)) or None)
    assert raw_files(lake)[saved[0].name] == whole
    assert not lake.objects(RAW, "quarantine/"), "nothing incomplete was uploaded"


def test_a_file_that_is_saved_again_replaces_the_first_one(lake: Lake, saved: list[Path], tmp_path: Path):
    folder = tmp_path / "recorder"
    folder.mkdir()
    name, whole = saved[0].name, saved[0].read_bytes()
    with lake.started("--set", "schedule.on_upload=never", *WATCH, folder):
        for body in (whole[: whole.rindex(b"\n", 0, -1) + 1], whole):
            (folder / name).write_bytes(body)
            eventually("the file to be accepted", lambda body=body: raw_files(lake).get(name) == body or None)
    assert len([key for key in lake.objects(RAW, "quarantine/") if not key.endswith(".json")]) == 1


def test_uploads_go_on_at_whatever_process_serves_the_home(lake: Lake, saved: list[Path], tmp_path: Path):
    """The command uses the endpoint of another process, and serves the home itself when that process has ended."""
    folder = tmp_path / "recorder"
    folder.mkdir()
    save = lambda path: (folder / path.name).write_bytes(path.read_bytes())  # noqa: E731
    with lake.started("local") as owner:
        owner.wait_for_line(lambda line: "http://" in line)
        with lake.started("--set", "schedule.on_upload=never", *WATCH, folder) as watching:
            watching.wait_for_line(lambda line: "watching" in line)
            save(saved[0])
            eventually("the first file to be accepted", lambda: saved[0].name in raw_files(lake) or None)
            owner.kill()
            save(saved[1])
            eventually("the second file to be accepted", lambda: saved[1].name in raw_files(lake) or None)
            assert lake.run("runs").code == 0


def test_a_folder_that_cannot_be_watched_is_an_error(lake: Lake, tmp_path: Path):
    for arguments, words in [
        ([tmp_path / "nowhere"], "cannot read the folder"),
        ([tmp_path, "--settle", "0"], "not a number of seconds above zero"),
    ]:
        assert words in lake.fails("watch", *arguments).err
