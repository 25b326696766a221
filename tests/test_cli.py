"""The command line as a user and a script meet it."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

import oracle
import rawfiles
from conftest import Published
from lake import Lake, assert_same_rows, environment, parquet_rows

PARTITION_PATH = re.compile(r"(quotes|options|rejects)/year=2020/month=4/day=[1-9]/[^./][^/]*\.parquet")


def engine_rows(out: Path, table: str) -> list[dict]:
    return [row for path in sorted((out / table).rglob("*.parquet")) for row in parquet_rows(path)]


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("write", [rawfiles.write_market, rawfiles.write_adversarial], ids=["market", "adversarial"])
def test_the_engine_alone_gives_every_row(lake: Lake, tmp_path: Path, write, threads: int):
    write(tmp_path / "raw", seed=21 + threads)
    expected = oracle.read_folder(tmp_path / "raw")
    lake.run("etl", "--raw", tmp_path / "raw", "--out", tmp_path / "out", "--threads", threads)
    for table in oracle.TABLES:
        assert_same_rows(table, engine_rows(tmp_path / "out", table), expected.rows[table])
    files = [path.relative_to(tmp_path / "out").as_posix() for path in (tmp_path / "out").rglob("*") if path.is_file()]
    assert [name for name in files if not PARTITION_PATH.fullmatch(name)] == []
    for table in oracle.TABLES:
        days = {tuple(int(part) for part in re.findall(r"=(\d+)", name)) for name in files if name.startswith(table)}
        assert days == expected.days[table]


def test_the_engine_writes_the_same_files_however_many_threads(lake: Lake, tmp_path: Path):
    rawfiles.write_market(tmp_path / "raw", seed=25, days=["20200401", "20200402"])
    outputs = []
    for threads in (1, 2, 5):
        out = tmp_path / f"out-{threads}"
        lake.run("etl", "--raw", tmp_path / "raw", "--out", out, "--threads", threads)
        outputs.append({path.relative_to(out): path.read_bytes() for path in out.rglob("*.parquet")})
    assert outputs[0] == outputs[1] == outputs[2] != {}


def test_the_engine_names_the_file_that_it_cannot_read(lake: Lake, tmp_path: Path):
    rawfiles.write(tmp_path / "raw", "quotes", "202004011000", [rawfiles.quote()])
    (tmp_path / "raw" / "202004011010_flashpanel.csv").write_bytes(b"no,header\n")
    failed = lake.fails("etl", "--raw", tmp_path / "raw", "--out", tmp_path / "out")
    assert "202004011010_flashpanel.csv" in failed.err and "header" in failed.err


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["no-such-command"],
        ["run", "--to", "2020-04-01"],
        ["query"],
        ["run", "--from", "2020-04-01", "--no-such-option"],
        ["query", "SELECT 1", "--format", "xml"],
    ],
    ids=" ".join,
)
def test_a_wrong_call_is_refused_with_the_usage(lake: Lake, arguments: list):
    failed = lake.fails(*arguments)
    assert failed.code == 2
    assert "Usage" in failed.err or "possible values" in failed.err
    assert not lake.home.exists(), "a call that is wrong leaves nothing behind"


SQL = "SELECT ticker, max(max) AS top, count(*) AS n FROM quotes WHERE day = 1 GROUP BY ticker ORDER BY ticker LIMIT 3"


def test_a_query_answers_in_each_format(published: Published):
    lake = published.lake
    answer = lake.query(SQL)
    assert len(answer) == 3 and [list(row) for row in answer] == [["ticker", "top", "n"]] * 3
    lines = lake.run("query", SQL, "--format", "csv").out.splitlines()
    assert lines[0] in ("ticker,top,n", '"ticker","top","n"') and len(lines) == 4
    table = lake.run("query", SQL).out
    for row in answer:
        assert row["ticker"] in table and str(row["n"]) in table


def test_json_is_exact_about_nulls_text_and_doubles(published: Published):
    sql = """SELECT CAST(NULL AS varchar) AS nothing, 'a "b", ç' AS text, true AS truth, 1e0 / 3e0 AS third"""
    assert published.lake.query(sql) == [{"nothing": None, "text": 'a "b", ç', "truth": True, "third": 1 / 3}]
    assert published.lake.query("SELECT ticker FROM quotes WHERE day = 31") == []


def test_a_reader_that_goes_away_is_no_crash(published: Published):
    """`pregao query ... | head -1`: the pipe closes while rows are still coming."""
    lake = published.lake
    process = subprocess.Popen(
        lake.command(
            "query", "SELECT a.* FROM options a CROSS JOIN (SELECT ticker FROM quotes LIMIT 20) b", "--format", "csv"
        ),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment(lake.home.parent),
    )
    assert process.stdout.readline()
    process.stdout.close()
    said = process.stderr.read().decode()
    process.stderr.close()
    process.wait()
    assert "panicked" not in said, said


def test_runs_lists_what_ran_and_shows_one_in_full(published: Published):
    lake = published.lake
    # Other tests start executions on this lake too.
    listed = lake.run("runs", "--limit", "1000").out
    (run,) = lake.stored_runs()
    assert run in listed
    shown = lake.run("runs", run).out
    for state in ("PlanRun", "LaunchEmrStep", "ValidateStaged", "Publish"):
        assert state in shown
    assert "no-such-run" in lake.fails("runs", "no-such-run").err


def test_the_command_line_is_a_client_while_another_process_owns_the_home(lake: Lake, tmp_path: Path):
    rawfiles.write_market(tmp_path / "raw", seed=27, days=["20200401"])
    expected = oracle.read_folder(tmp_path / "raw")
    with lake.endpoint():
        lake.upload(tmp_path / "raw")
        lake.publish("2020-04-01")
        assert_same_rows("quotes", lake.query("SELECT * FROM quotes"), expected.rows["quotes"])
        second = lake.fails("local")
        assert lake.url() in second.err, "who owns the home has to be said"
    assert_same_rows("quotes", lake.query("SELECT * FROM quotes"), expected.rows["quotes"])


def test_a_home_can_be_moved(tmp_path: Path):
    rawfiles.write_market(tmp_path / "raw", seed=28, days=["20200401"])
    lake = Lake(tmp_path / "first")
    lake.upload(tmp_path / "raw")
    lake.publish("2020-04-01")
    answer = lake.query(SQL)
    lake.home.rename(tmp_path / "second")
    assert Lake(tmp_path / "second").query(SQL) == answer != []


# --- pregao sample ----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sample")
    Lake(folder / "home").run("sample", "--out", folder / "raw", "--from", "2020-04-01", "--seed", "7")
    return folder / "raw"


def files_of(folder: Path) -> dict[str, Path]:
    return {path.name: path for path in folder.rglob("*") if path.is_file()}


def test_a_sample_is_the_same_for_the_same_seed_only(sample: Path, lake: Lake, tmp_path: Path):
    for name, seed in (("same", 7), ("other", 8)):
        lake.run("sample", "--out", tmp_path / name, "--from", "2020-04-01", "--seed", seed)
    first = {name: path.read_bytes() for name, path in files_of(sample).items()}
    assert {name: path.read_bytes() for name, path in files_of(tmp_path / "same").items()} == first
    assert {name: path.read_bytes() for name, path in files_of(tmp_path / "other").items()} != first


def test_a_sample_is_a_plausible_day_in_all_the_mess_of_the_sources(sample: Path, tmp_path: Path):
    """Read by the oracle: three of its snapshots in full, the sizes of all of them."""
    files = files_of(sample)
    assert all(oracle.NAME.match(name) for name in files), list(files)
    by_feed = {
        feed.name: sorted(name for name in files if f"_{feed.suffix}." in name) for feed in oracle.FEEDS.values()
    }
    # A snapshot every ten minutes from 10:00 to 17:00 or 18:00 would be more: some are missing.
    assert all(20 <= len(names) <= 35 for names in by_feed.values())

    expected = oracle.Expected()
    for names in by_feed.values():
        for name in (names[0], names[len(names) // 2], names[-1]):
            oracle.read_file(name, files[name].read_bytes(), expected)
    quotes, options = expected.rows["quotes"], expected.rows["options"]
    assert 4000 <= len(quotes) / 3 <= 7000 and 2500 <= len(options) / 3 <= 5000

    def share_wrong(rows, columns, holds):
        known = [row for row in rows if all(row[column] is not None for column in columns)]
        assert len(known) > len(rows) / 10, f"hardly a row has {columns}"
        return sum(not holds(*(row[column] for column in columns)) for row in known) / len(known)

    assert share_wrong(quotes, ["bid", "ask"], lambda bid, ask: bid <= ask) < 0.01
    assert share_wrong(quotes, ["min", "last", "max"], lambda low, last, high: low <= last <= high) < 0.01
    average = lambda low, high, quantity, volume: not quantity or low * 0.999 <= volume / quantity <= high * 1.001  # noqa: E731
    assert share_wrong(quotes, ["min", "max", "qty_total", "total_volume"], average) < 0.01

    total: dict = {}
    falls = 0
    for row in sorted(quotes, key=lambda row: row["intdate"]):
        if row["qty_total"] is not None:
            falls += row["qty_total"] < total.get(row["ticker"], 0)
            total[row["ticker"]] = row["qty_total"]
    assert falls < len(quotes) / 100
    assert sum(total.values()) > 0

    for what in ("blank_ticker", "header_repeat", "ragged"):
        assert expected.total("quotes", what) + expected.total("options", what) > 0, f"no {what}"
    rejected = sum(file.rejected_cells for file in expected.files.values())
    assert 0 < rejected < 0.01 * (len(quotes) * 12 + len(options) * 16)

    everything = b"\n".join(path.read_bytes() for name, path in files.items() if not name.endswith(".gz"))
    for style in (
        rb'"\d+,\d+"',
        rb"\d+k\d",
        rb"\d+m\d",
        rb"\d+b\d",
        rb",\d+\.0,",
        rb"\d\.\d{3}[,;]",
        rb"Abe",
        rb"\d[eE][+-]?\d",
    ):
        assert re.search(style, everything.split(b"\n", 1)[1]), f"the style {style} does not occur"
    with pytest.raises(UnicodeDecodeError):
        everything.decode("utf-8")
    tickers = {row["ticker"] for row in quotes}
    assert any(ticker.endswith("F") and ticker[:-1] in tickers for ticker in tickers), (
        "no fractional lot beside its stock"
    )


def test_an_answer_of_many_rows_is_whole_and_in_order(published: Published):
    """Athena gives a thousand rows at a time; the rest of a long answer is read from the object that it keeps."""
    text = "IF(b.n % 7 = 0, NULL, IF(b.n % 5 = 0, '', 'a \"b\", c'))"
    rows = published.lake.query(
        f"SELECT a.n * 100 + b.n AS n, {text} AS t FROM UNNEST(sequence(0, 120)) AS a(n) "
        "CROSS JOIN UNNEST(sequence(0, 99)) AS b(n) ORDER BY 1"
    )
    texts = [None if n % 7 == 0 else "" if n % 5 == 0 else 'a "b", c' for n in range(100)]
    assert rows == [{"n": n, "t": texts[n % 100]} for n in range(12_100)]
