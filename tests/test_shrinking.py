"""No run silently publishes fewer rows: a loss fails the run and is named in the error, unless an operator accepts it."""

from __future__ import annotations

import json
import random
import shutil
from pathlib import Path

import pytest

import oracle
import rawfiles
from lake import LAKE, RAW, Lake, Result, assert_published
from rawfiles import Form, option, quote

DAY = "2020-04-01"
TIMES = ["202004011000", "202004011010", "202004011020"]
TICKERS = [f"T{number:03}3" for number in range(50)]


def write_day(folder: Path, tickers: list[str] = TICKERS, form: Form = Form()) -> Path:
    for time in TIMES:
        rawfiles.write(folder, "quotes", time, [quote(ticker) for ticker in tickers], form)
        rawfiles.write(folder, "options", time, [option(f"{ticker[:4]}D15") for ticker in tickers[:20]], form)
    return folder


def upload_and_publish(lake: Lake, folder: Path) -> None:
    lake.upload(folder)
    lake.publish(DAY)


def refused(lake: Lake, check: str, *options: str) -> Result:
    failed = lake.fails(*options, "run", "--from", DAY)
    assert "QualityError" in failed.output and f"{check}: " in failed.output and DAY in failed.output, failed
    return failed


def check_of(lake: Lake, table: str, name: str) -> dict:
    return next(check for check in lake.quality_report(table)["checks"] if check["name"] == name)


@pytest.mark.parametrize("feed", ["quotes", "options"])
@pytest.mark.parametrize("change", [lambda line: line + b",;", lambda line: line.replace(b",", b"").replace(b";", b"")])
def test_records_that_cannot_be_read_do_not_empty_a_table(lake: Lake, tmp_path: Path, feed: str, change):
    """Every record has one field too many or too few."""
    good = write_day(tmp_path / "good")
    upload_and_publish(lake, good)
    for path in (tmp_path / "good").glob(f"*_{oracle.FEEDS[feed].suffix}.csv"):
        header, *records = path.read_bytes().splitlines()
        bad = tmp_path / "bad" / path.name
        bad.parent.mkdir(exist_ok=True)
        bad.write_bytes(b"\n".join([header, *map(change, records)]) + b"\n")
    lake.upload(tmp_path / "bad")
    for option_ in ([], ["--set", "quality.max_reject_share=1"]):
        failed = refused(lake, "empty_days", *option_)
        assert feed in failed.output
    assert_published(lake, good)


def test_a_bad_day_among_good_ones_fails(lake: Lake, tmp_path: Path):
    """Three bad records of a hundred on one of thirty days are 0.1% of all records, and too many on that day."""
    days = [f"2020{month:02}{day:02}" for month in (3, 4) for day in range(1, 16)]
    tickers = [f"T{number:03}3" for number in range(100)]
    for day in days:
        rawfiles.write(tmp_path / "raw", "quotes", f"{day}1000", [quote(ticker) for ticker in tickers])
    lake.upload(tmp_path / "raw")
    lake.publish("2020-03-01", "2020-04-15")
    before = lake.query("SELECT count(*) AS n FROM quotes")
    rows = [[*quote(ticker), "1"] if number < 3 else quote(ticker) for number, ticker in enumerate(tickers)]
    rawfiles.write(tmp_path / "bad", "quotes", "202004071000", rows)
    lake.upload(tmp_path / "bad")
    failed = lake.fails("run", "--from", "2020-03-01", "--to", "2020-04-15")
    assert "rejected_records: 3 of 100 records fail (3%, at most 1%) on 2020-04-07" in failed.output, failed
    assert lake.query("SELECT count(*) AS n FROM quotes") == before


@pytest.mark.parametrize("feed", ["quotes", "options"])
def test_a_missing_raw_file_fails_the_run_and_is_named(lake: Lake, tmp_path: Path, feed: str):
    good = write_day(tmp_path / "good")
    upload_and_publish(lake, good)
    gone = rawfiles.file_name(feed, TIMES[1])
    with lake.endpoint() as endpoint:
        endpoint.client("s3").delete_object(Bucket=RAW, Key=f"{feed}/date={DAY}/{gone}")
    # Rows of other files do not compensate for it.
    rawfiles.write(
        tmp_path / "more", feed, "202004011030", [quote(t) if feed == "quotes" else option(t) for t in TICKERS]
    )
    lake.upload(tmp_path / "more")
    failed = refused(lake, "lost_rows")
    assert gone in failed.output and "quality.accept_lost_rows=true" in failed.output
    assert_published(lake, good)

    done = lake.publish(DAY, None, "--set", "quality.accept_lost_rows=true")
    assert "lost_rows" in done.out, "what was accepted is reported"
    assert check_of(lake, feed, "lost_rows")["failing"] > 0
    lake.publish(DAY)


def test_the_outcome_of_an_audit_names_the_days_that_passed(lake: Lake, tmp_path: Path):
    """Publication relies on audit.json as the outcome of the audit."""

    def passed() -> list[list[str]]:
        outcomes = sorted(
            (lake.files / "s3" / LAKE / "runs").glob("run=*/audit.json"), key=lambda file: file.stat().st_mtime
        )
        return [list(json.loads(outcome.read_text())["records"]) for outcome in outcomes]

    upload_and_publish(lake, write_day(tmp_path / "good"))
    assert passed() == [[DAY]]
    with lake.endpoint() as endpoint:
        key = f"quotes/date={DAY}/{rawfiles.file_name('quotes', TIMES[1])}"
        endpoint.client("s3").delete_object(Bucket=RAW, Key=key)
    refused(lake, "lost_rows")
    assert passed() == [[DAY], []]


def test_a_shorter_file_is_accepted_and_named(lake: Lake, tmp_path: Path):
    upload_and_publish(lake, write_day(tmp_path / "raw"))
    shorter = rawfiles.write(tmp_path / "raw", "quotes", TIMES[1], [quote(ticker) for ticker in TICKERS[:40]])
    lake.upload(tmp_path / "raw")
    done = lake.publish(DAY)
    assert "shorter_files" in done.out, done
    check = check_of(lake, "quotes", "shorter_files")
    assert check["examples"] == [f"{shorter.name} was replaced by a shorter file: 50 records before, 40 now"]
    assert_published(lake, tmp_path / "raw")


def test_more_rejects_are_no_reason_for_fewer_rows(lake: Lake, tmp_path: Path):
    good = write_day(tmp_path / "good")
    upload_and_publish(lake, good)
    rows = [[*quote(ticker), "1"] if number < 1 else quote(ticker) for number, ticker in enumerate(TICKERS)]
    rawfiles.write(tmp_path / "bad", "quotes", TIMES[1], rows)
    lake.upload(tmp_path / "bad")
    failed = refused(lake, "lost_rows", "--set", "quality.max_reject_share=1")
    assert f"{TIMES[1]}_flashpanel.csv: 50 rows are published, and 49 of its 50 records would be" in failed.output
    assert_published(lake, good)


def test_a_file_of_its_header_alone_does_not_replace_rows(lake: Lake, tmp_path: Path):
    good = tmp_path / "good"
    rawfiles.write(good, "quotes", TIMES[0], [quote(ticker) for ticker in TICKERS])
    upload_and_publish(lake, good)
    rawfiles.write(tmp_path / "bad", "quotes", TIMES[0], [])
    lake.upload(tmp_path / "bad")
    refused(lake, "empty_days", "--set", "quality.accept_lost_rows=true")
    assert_published(lake, good)


@pytest.mark.parametrize("number", ["", "0"])
def test_a_snapshot_without_a_number_fails(lake: Lake, tmp_path: Path, number: str):
    good = write_day(tmp_path / "good")
    upload_and_publish(lake, good)
    numbers = [name for name in oracle.FEEDS["quotes"].header if name not in ("Nome", "Grupo")]
    rows = [quote(ticker, **dict.fromkeys(numbers, number)) for ticker in TICKERS]
    rawfiles.write(tmp_path / "bad", "quotes", TIMES[1], rows)
    lake.upload(tmp_path / "bad")
    assert TIMES[1] in refused(lake, "empty_snapshots").output
    assert_published(lake, good)


def test_odd_files_are_reported(lake: Lake, tmp_path: Path):
    """A file has the header of another day and the records of another snapshot; another lacks most of its lines."""
    raw = write_day(tmp_path / "raw")
    first, second, third = (raw / f"{time}_flashpanel.csv" for time in TIMES)
    second.write_bytes(first.read_bytes().replace(b"202004011000", b"202004021010"))
    third.write_bytes(b"".join(third.read_bytes().splitlines(keepends=True)[:10]))
    lake.upload(raw)
    done = lake.publish(DAY)
    for name, path in [("other_day_files", second), ("repeated_files", second), ("short_files", third)]:
        assert name in done.out, done
        assert path.name in check_of(lake, "quotes", name)["examples"][0]
    refused(lake, "other_day_files", "--set", "quality.fail_on_other_day=true")


# --- a file without a final line end ------------------------------------------------------------------


def test_a_file_that_was_cut_within_its_last_number_is_not_published(lake: Lake, tmp_path: Path):
    raw = tmp_path / "raw"
    tickers = [f"T{number:03}3" for number in range(300)]
    whole = rawfiles.encode("quotes", TIMES[0], [quote(ticker, QTot="10000", VolTot="155000") for ticker in tickers])
    path = raw / f"{TIMES[0]}_flashpanel.csv"
    raw.mkdir()
    for cut in range(2, 8):
        path.write_bytes(whole[:-cut])
        done = lake.upload(raw)
        assert path.name in done.output and "line feed" in done.output, done
        failed = refused(lake, "unterminated_files")
        assert path.name in failed.output and tickers[-1] in failed.output, failed
    lake.fails("query", "SELECT * FROM quotes")
    path.write_bytes(whole[:-4])
    lake.upload(raw)
    lake.publish(DAY, None, "--set", "quality.accept_unterminated_files=true")
    assert_published(lake, raw)


def test_a_whole_file_without_a_final_line_end_is_published_and_named(lake: Lake, tmp_path: Path):
    raw = write_day(tmp_path / "raw", form=Form(last_newline=False))
    lake.upload(raw)
    done = lake.publish(DAY)
    assert f"{TIMES[0]}_flashpanel.csv" in done.out, done
    assert lake.quality_report("quotes")["unterminated_files"] == [f"{time}_flashpanel.csv" for time in TIMES]
    assert_published(lake, raw)


# --- an upload that is killed -------------------------------------------------------------------------


def test_a_landed_snapshot_keeps_a_run_from_publishing_without_it(lake: Lake, tmp_path: Path):
    good = write_day(tmp_path / "good")
    upload_and_publish(lake, good)
    late = rawfiles.write(tmp_path / "late", "quotes", "202004011030", [quote(ticker) for ticker in TICKERS])
    landing = lake.files / "s3" / RAW / "landing"
    with lake.endpoint() as endpoint:
        endpoint.client("s3").put_object(Bucket=RAW, Key=f"landing/a/{late.name}", Body=late.read_bytes())
    failed = lake.fails("run", "--from", DAY)
    for words in ("UploadPending", f"landing/a/{late.name}", "pregao upload"):
        assert words in failed.output, failed
    assert_published(lake, good)
    lake.run("run", "--from", "2020-04-02")
    lake.upload(tmp_path / "late")
    assert not [path for path in landing.rglob("*") if path.is_file()]
    lake.publish(DAY)
    assert lake.query("SELECT count(*) AS n FROM quotes") == [{"n": 200}]


def test_an_upload_that_is_killed_never_makes_a_day_shrink(lake: Lake, tmp_path: Path):
    """The same snapshots in the other form; the upload is killed at calls that are spread over its whole duration."""
    plain = write_day(tmp_path / "plain")
    packed = write_day(tmp_path / "packed", form=Form(compressed=True))
    upload_and_publish(lake, plain)
    random_ = random.Random(20200401)
    for number in range(12):
        copy = Lake(tmp_path / f"home-{number}")
        shutil.copytree(lake.home, copy.home)
        kill_upload(copy, packed, files=random_.randrange(0, 20))
        done = copy.run("run", "--from", DAY, check=False)
        assert done.code == 0 or "UploadPending" in done.output or "plain and compressed" in done.output, done
        assert_published(copy, plain)
        copy.upload(packed)
        copy.publish(DAY)
        assert_published(copy, packed)
        shutil.rmtree(copy.home)


def kill_upload(lake: Lake, folder: Path, files: int) -> None:
    """Kills an upload when this many files have arrived in landing, in their places or in quarantine."""
    root = lake.files / "s3" / RAW
    with lake.started("upload", folder) as process:
        process.wait_until(
            lambda: process.ended or sum(path.name.endswith((".gz", ".json")) for path in root.rglob("*")) >= files
        )
        process.kill()
