"""`kill -9` at any moment: published data stays readable, and the next run completes.

The lake of these tests has two days, published from the snapshots of the morning. Those of the
afternoon are uploaded and not yet published, so a run changes the rows of each day. Each test kills a process in a copy of
that lake.
"""

from __future__ import annotations

import random
import shutil
import time
from pathlib import Path
from typing import NamedTuple

import pytest

import oracle
import rawfiles
from lake import RAW, Lake, assert_same_rows

DAYS = ["20200401", "20200402"]
RUN = ["run", "--from", "2020-04-01", "--to", "2020-04-02"]


class Afternoon(NamedTuple):
    """A lake in which the morning is published and the afternoon is not."""

    home: Path
    morning: oracle.Expected
    whole: oracle.Expected
    duration: float  # of an undisturbed run, in seconds
    states: int  # that it prints

    def copy(self, folder: Path) -> Lake:
        shutil.copytree(self.home, folder)
        return Lake(folder)


@pytest.fixture(scope="module")
def afternoon(tmp_path_factory: pytest.TempPathFactory) -> Afternoon:
    folder = tmp_path_factory.mktemp("crash")
    rawfiles.write_market(folder / "whole", seed=13, days=DAYS)
    for day in DAYS:
        for feed in oracle.FEEDS.values():
            snapshots = sorted((folder / "whole").rglob(f"{day}*_{feed.suffix}.csv*"))
            for path in snapshots[:2]:
                shutil.copy(path, _folder(folder / "morning") / path.name)
    lake = Lake(folder / "home")
    lake.upload(folder / "morning")
    lake.run(*RUN)
    lake.upload(folder / "whole")

    shutil.copytree(folder / "home", folder / "undisturbed")
    started = time.monotonic()
    with Lake(folder / "undisturbed").started(*RUN) as process:
        assert process.wait() == 0, process
        duration, states = time.monotonic() - started, len(process.lines_of_states())
    return Afternoon(
        folder / "home",
        oracle.read_folder(folder / "morning"),
        oracle.read_folder(folder / "whole"),
        duration,
        states,
    )


def _folder(path: Path) -> Path:
    path.mkdir(parents=True, exist_ok=True)
    return path


def assert_each_day_is_whole(lake: Lake, afternoon: Afternoon, when: str) -> None:
    """Asserts that every day of every table has the rows from before the run, or those from after it."""
    for table in oracle.TABLES:
        rows = lake.query(f"SELECT * FROM {table}")
        for day in (1, 2):
            found = [row for row in rows if row["day"] == day]
            old, new = afternoon.morning.day(table, 2020, 4, day), afternoon.whole.day(table, 2020, 4, day)
            try:
                assert_same_rows(table, found, old if len(found) == len(old) else new)
            except AssertionError as difference:
                raise AssertionError(
                    f"{when}, day {day} is neither as before the run nor as after it: {difference}"
                ) from None


def assert_a_second_run_completes(lake: Lake, afternoon: Afternoon, when: str) -> None:
    second = lake.run(*RUN, check=False)
    assert second.code == 0, f"{when}, the next run did not complete:\n{second}"
    for table in oracle.TABLES:
        assert_same_rows(table, lake.query(f"SELECT * FROM {table}"), afternoon.whole.rows[table])
    assert "RUNNING" not in lake.run("runs").out, f"{when}, a dead run is still reported as running"


def test_killed_after_each_state(afternoon: Afternoon, tmp_path: Path):
    for number in range(afternoon.states):
        lake = afternoon.copy(tmp_path / f"state-{number}")
        with lake.started(*RUN) as process:
            process.wait_for_state(number)
            process.kill()
        when = f"killed after {process.lines_of_states()[number]!r}"
        assert_each_day_is_whole(lake, afternoon, when)
        assert_a_second_run_completes(lake, afternoon, when)
        shutil.rmtree(lake.home)


def test_killed_at_random_moments(afternoon: Afternoon, tmp_path: Path):
    random_ = random.Random(20200401)
    for number in range(8):
        moment = random_.uniform(0, afternoon.duration)
        lake = afternoon.copy(tmp_path / f"moment-{number}")
        with lake.started(*RUN) as process:
            time.sleep(moment)
            process.kill()
        when = f"killed {moment:.3f} s after its start"
        assert_each_day_is_whole(lake, afternoon, when)
        assert_a_second_run_completes(lake, afternoon, when)
        shutil.rmtree(lake.home)


def test_killed_again_and_again_in_one_lake(afternoon: Afternoon, tmp_path: Path):
    """The remains of a crash must not break the next run, nor the crash of that run."""
    random_ = random.Random(20200402)
    lake = afternoon.copy(tmp_path / "home")
    for _ in range(5):
        moment = random_.uniform(0, afternoon.duration)
        with lake.started(*RUN) as process:
            time.sleep(moment)
            process.kill()
        assert_each_day_is_whole(lake, afternoon, f"killed {moment:.3f} s after its start")
    assert_a_second_run_completes(lake, afternoon, "killed five times")


def test_a_reader_never_reads_a_part_of_a_day(afternoon: Afternoon, tmp_path: Path):
    """One process owns the lake; while it executes a run, another process queries the same days in a loop."""
    lake = afternoon.copy(tmp_path / "home")
    counts = {
        day: tuple(len(truth.day("quotes", 2020, 4, day)) for truth in (afternoon.morning, afternoon.whole))
        for day in (1, 2)
    }
    counted = {day: [] for day in counts}
    with lake.endpoint(), lake.started(*RUN) as process:
        while True:
            ended = process.popen.poll() is not None
            for row in lake.query("SELECT day, count(*) AS n FROM quotes GROUP BY day"):
                counted[row["day"]].append(row["n"])
            if ended:
                break
        assert process.wait() == 0, process
    for day, (old, new) in counts.items():
        assert set(counted[day]) <= {old, new}, f"day {day} had {set(counted[day]) - {old, new}} rows for a while"
        assert counted[day] == sorted(counted[day]) and counted[day][-1] == new, (
            "no query returns older rows than an earlier one"
        )


def test_the_owner_of_the_lake_killed_during_the_run_of_another(afternoon: Afternoon, tmp_path: Path):
    for attempt in range(20):
        lake = afternoon.copy(tmp_path / f"home-{attempt}")
        with lake.endpoint() as endpoint, lake.started(*RUN) as run:
            run.wait_for_state(1)
            endpoint.process.kill()
            # On a busy machine the run may have ended before the kill.
            if run.wait() != 0:
                break
    else:
        raise AssertionError(f"no run was interrupted by the kill of the owner, or it continued without it:\n{run}")
    assert_each_day_is_whole(lake, afternoon, "the owner was killed")
    assert_a_second_run_completes(lake, afternoon, "the owner was killed")


def test_an_upload_killed_at_random_moments_loses_nothing(tmp_path: Path):
    rawfiles.write_market(tmp_path / "raw", seed=14, days=DAYS)
    given = {path.name: path.read_bytes() for path in (tmp_path / "raw").rglob("*.csv*")}
    started = time.monotonic()
    Lake(tmp_path / "undisturbed").upload(tmp_path / "raw")
    duration = time.monotonic() - started

    random_ = random.Random(20200403)
    for number in range(6):
        lake = Lake(tmp_path / f"home-{number}")
        with lake.started("upload", tmp_path / "raw") as process:
            time.sleep(random_.uniform(0, duration))
            process.kill()
        lake.upload(tmp_path / "raw")
        stored = {Path(key).name: data for key, data in lake.objects(RAW).items()}
        assert stored == given
