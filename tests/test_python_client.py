"""The Python package reads exactly what is published: judged by DuckDB by hand, by the program, and by PyAthena."""

from __future__ import annotations

import contextlib
import datetime
import decimal
import inspect
import json
import re
import subprocess
import sys
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import botocore.stub
import duckdb
import pandas
import polars
import pyarrow
import pyathena
import pytest

import oracle
import pregao
import rawfiles
from conftest import Published
from fewer_columns import make_older
from lake import DATABASE, LAKE, PATIENCE, ROOT, Endpoint, Lake, assert_same_rows, binary, environment
from old_layout import make_old
from pregao import _days, _records, _stores
from records import age, moment

pytestmark = pytest.mark.filterwarnings("error::pregao.PregaoWarning")

DAY, OTHER = "2020-04-01", "2020-04-02"
ABSENT = datetime.date(2020, 4, 8)
KEY = "year=2020/month=4/day=1"
RECORD = f"published/{KEY}.json"


def opened(lake: Lake, **options) -> pregao.Lake:
    return pregao.connect(lake.home, **{"missing": "ignore", **options})


@pytest.fixture(scope="module")
def client(published: Published) -> pregao.Lake:
    return opened(published.lake)


@pytest.fixture
def on_s3(endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch) -> None:
    """The settings of boto3 for the embedded endpoint, and no others."""
    for name, value in {**environment(endpoint.folder), **endpoint.settings}.items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def twice(lake: Lake, tmp_path: Path) -> Lake:
    """A lake whose first day was published, and again with a late file."""
    raw = rawfiles.write_market_and_late(tmp_path / "given", seed=14, days=["20200401", "20200402"], snapshots=4)
    lake.upload(raw)
    lake.publish(DAY, OTHER)
    lake.upload(raw.parent / "late")
    lake.publish(DAY)
    return lake


def rows(frame: polars.DataFrame) -> list[dict]:
    return frame.rows(named=True)


def by_hand(lake: Lake, table: str, sql: str) -> list[dict]:
    """Returns the answer of DuckDB over the files that the program lists. FILES stands for them."""
    files = lake.run("files", table, "--paths").out.splitlines()
    answer = duckdb.connect().sql(sql.replace("FILES", f"read_parquet({files})")).to_arrow_table()
    return answer.to_pylist()


def history(lake: Lake) -> list[dict]:
    return json.loads(lake.run("history", DAY, "--format", "json").out)["records"]


def stored(lake: Lake, key: str = RECORD) -> dict:
    return json.loads(lake.objects(LAKE, key)[key])


def write(lake: Lake, document: dict | bytes, key: str = RECORD) -> None:
    """Replaces an object behind the back of the endpoint."""
    body = document if isinstance(document, bytes) else json.dumps(document).encode()
    (lake.files / "s3" / LAKE / key).write_bytes(body)


# --- all rows, bit for bit ----------------------------------------------------------------------


@pytest.mark.parametrize("table", oracle.TABLES)
def test_its_rows_are_those_of_the_raw_files(client: pregao.Lake, published: Published, table: str):
    frame = client.sql(f"SELECT * EXCLUDE (time) FROM {table}")
    assert_same_rows(table, rows(frame), published.expected.rows[table])
    assert_same_rows(table, rows(frame), published.lake.query(f"SELECT * FROM {table}"))


@pytest.mark.parametrize("table", oracle.TABLES)
def test_its_columns_are_those_of_the_tables(client: pregao.Lake, table: str):
    frame = {"quotes": client.quotes, "options": client.options, "rejects": client.rejects}[table]()
    names = [column.name for column in oracle.TABLES[table]]
    assert frame.columns == ["time", *names]
    types = {"bigint": polars.Int64, "int": polars.Int32, "double": polars.Float64, "string": polars.String}
    assert [frame.schema[column.name] for column in oracle.TABLES[table]] == [
        types[column.type] for column in oracle.TABLES[table]
    ]
    assert client.sql(f"SELECT * FROM {table}").columns == [*frame.columns, *oracle.PARTITION]
    times = {f"{time:%Y%m%d%H%M}" for time in frame["time"]}
    assert times == {str(number) for number in frame["intdate"]}


def test_the_tables_of_pyathena_are_the_same(client: pregao.Lake, endpoint: Endpoint, on_s3: None):
    connection = pyathena.connect(schema_name=DATABASE, poll_interval=0.05, work_group="primary")
    sql = "SELECT ticker, count(*) AS n, sum(qty_bid) AS bids, max(last) AS highest FROM quotes GROUP BY 1 ORDER BY 1"
    theirs = connection.cursor().execute(sql).fetchall()
    assert client.sql(sql).rows() == [(*row[:2], decimal.Decimal(row[2]) if row[2] else None, row[3]) for row in theirs]


def test_all_forms_have_the_same_values(client: pregao.Lake):
    sql = "SELECT *, 1.50::DECIMAL(9, 2) AS exact, sum(qty_bid) OVER () AS total, true AS yes FROM quotes ORDER BY ALL"
    sql = sql.replace(
        "*,", "* REPLACE (nullif(qty_bid, 671500) AS qty_bid, nullif(bid, 9.4) AS bid),", 1
    )  # Some are missing.
    ours = client.sql(sql)
    assert ours["qty_bid"].null_count() > 0
    arrow, frame = client.using("arrow").sql(sql), client.using("pandas").sql(sql)
    assert isinstance(arrow, pyarrow.Table) and isinstance(frame, pandas.DataFrame)
    assert polars.from_arrow(arrow).equals(ours)
    assert set(frame["exact"]) == {decimal.Decimal("1.50")}, "a decimal stays one"
    assert isinstance(frame["total"][0], decimal.Decimal), "a sum of integers is exact"
    assert str(frame["qty_bid"].dtype) == "Int64" and frame["qty_bid"].isna().sum() == ours["qty_bid"].null_count()
    assert [None if pandas.isna(value) else value for value in frame["bid"]] == ours["bid"].to_list()
    assert ours["bid"].null_count() > 0
    with pytest.raises(ValueError, match="numpy"):
        pregao.connect(client.where, frame="numpy")


# --- what is asked ------------------------------------------------------------------------------


def test_quotes_are_those_of_duckdb_by_hand(client: pregao.Lake, published: Published):
    found = client.quotes(["PETR4", "VALE3"], "2020-04-02", "2020-04-06", columns=["intdate", "ticker", "bid"])
    expected = by_hand(
        published.lake,
        "quotes",
        """SELECT intdate, ticker, bid FROM FILES WHERE ticker IN ('PETR4', 'VALE3')
        AND intdate BETWEEN 202004020000 AND 202004062359 ORDER BY intdate, ticker""",
    )
    assert len(expected) > 20 and rows(found) == expected
    assert client.quotes("PETR4", on=OTHER).equals(client.quotes(["PETR4"], OTHER, datetime.date(2020, 4, 2)))
    with pytest.raises(duckdb.BinderException, match="bids"):
        client.quotes("PETR4", columns=["bids"])
    with pytest.raises(ValueError, match="no name of a column"):
        client.quotes("PETR4", columns=['bid" FROM x --'])


def test_options_are_those_of_duckdb_by_hand(client: pregao.Lake, published: Published):
    found = client.options(
        "PETR4", on="2020-04", type="CALL", strike=(10, 16), expiry="2020", columns=["ticker", "intdate"]
    )
    expected = by_hand(
        published.lake,
        "options",
        """SELECT ticker, intdate FROM FILES WHERE optn_ua = 'PETR4' AND optn_tp = 'CALL'
        AND optn_strike BETWEEN 10 AND 16 AND optn_expn_date LIKE '2020-%'""",
    )
    assert expected and sorted(found.rows()) == sorted(tuple(row.values()) for row in expected)
    assert client.options("PETR4", type="PUT").equals(client.options("PETR4", type="PUTT"))
    assert client.options(strike=(None, None)).height == client.options().height
    one = client.options().row(0, named=True)["ticker"]
    assert set(client.options(tickers=one)["ticker"]) == {one}


def test_a_value_is_never_a_part_of_the_statement(client: pregao.Lake):
    for name in ("x' OR true --", "PETR4'; DROP TABLE x", "$p0", "%"):
        with pytest.warns(pregao.NoRowsWarning, match="no rows of"):
            assert client.quotes(name).is_empty()


def test_an_instrument_without_rows_is_named(client: pregao.Lake):
    with pytest.warns(pregao.NoRowsWarning, match=r"no rows of PETR5, X in quotes on 2020-04-01") as caught:
        assert set(client.quotes(["PETR4", "PETR5", "X"], on=DAY)["ticker"]) == {"PETR4"}
    assert caught[0].filename == __file__, "it points at the line that asked"
    with pytest.warns(pregao.NoRowsWarning):
        client.bars("PETR5", on=DAY)
    with pytest.warns(pregao.NoRowsWarning):
        client.options("PETR5", on=DAY)


def test_only_the_files_of_the_days_are_read(
    client: pregao.Lake, published: Published, monkeypatch: pytest.MonkeyPatch
):
    checked = []
    monkeypatch.setattr(_stores, "check", lambda store, files: checked.extend(files))
    client.quotes("PETR4", OTHER, "2020-04-03")
    assert [str(file.day) for file in checked] == [OTHER, "2020-04-03"] and {file.table for file in checked} == {
        "quotes"
    }
    listed = published.lake.run("files", "quotes").out.splitlines()
    assert [file.uri for file in client.files()] == listed


@pytest.mark.parametrize(
    ("first", "last", "on", "expected"),
    [
        ("2020-01", "2020-03", None, ("2020-01-01", "2020-03-31")),
        ("2020", "2020-02", None, ("2020-01-01", "2020-02-29")),
        (None, 2019, None, (None, "2019-12-31")),
        ("2020-12", None, None, ("2020-12-01", None)),
        (None, None, "2020-12", ("2020-12-01", "2020-12-31")),
        (None, None, datetime.date(2020, 4, 1), ("2020-04-01", "2020-04-01")),
        (datetime.datetime(2020, 4, 1), None, None, ("2020-04-01", None)),
        (None, None, None, (None, None)),
    ],
)
def test_days_months_and_years(first, last, on, expected: tuple):
    assert tuple(day and str(day) for day in _days.days(first, last, on)) == expected


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("2020-13", None, None), "no date"),
        (("2020-02-30", None, None), "no date"),
        (("2020-1", None, None), "is not a day"),
        (("01/04/2020", None, None), "is not a day"),
        (("2020-05", "2020-04", None), "is after"),
        (("2020", None, "2020"), "either on"),
        ((datetime.datetime(2020, 4, 1, 10), None, None), "is a time"),
    ],
)
def test_what_is_no_day_is_refused(arguments: tuple, message: str):
    with pytest.raises(ValueError, match=message):
        _days.days(*arguments)


def test_its_business_days_are_those_of_the_program(lake: Lake):
    listed = json.loads(lake.run("status", "--from", "1990-01-01", "--to", "2045-12-31", "--format", "json").out)
    expected = [day["day"] for day in listed if day["business_day"]]
    ours = _days.business_days(datetime.date(1990, 1, 1), datetime.date(2045, 12, 31))
    assert len(expected) > 13_000 and [*map(str, ours)] == expected


# --- bars and the as-of join --------------------------------------------------------------------


def last_of(quotes: list[dict]) -> dict[int, dict]:
    """Returns one row for each time: the one with more trades."""
    in_order = sorted(quotes, key=lambda row: (row["intdate"], row["num_trades"] or -1))
    return {row["intdate"]: row for row in in_order}


def test_bars_are_those_of_python_by_hand(client: pregao.Lake, published: Published):
    quotes = [row for row in published.expected.rows["quotes"] if row["ticker"] == "PETR4"]
    expected, before = [], None
    slots: dict[str, list[dict]] = {}
    for row in last_of(quotes).values():
        slots.setdefault(str(row["intdate"])[:10], []).append(row)
    for hour, inside in slots.items():
        start = datetime.datetime.strptime(hour, "%Y%m%d%H")
        prices = [row["last"] for row in inside if row["last"] is not None]
        counted = [row for row in inside if None not in (row["num_trades"], row["qty_total"], row["total_volume"])]
        if before and str(before["intdate"])[:8] != hour[:8]:
            before = None
        since = before and datetime.datetime.strptime(str(before["intdate"]), "%Y%m%d%H%M")
        traded = {"volume": "total_volume", "quantity": "qty_total", "trades": "num_trades"}
        expected.append(
            {
                "time": start,
                "ticker": "PETR4",
                "open": prices[0] if prices else None,
                "high": max(prices, default=None),
                "low": min(prices, default=None),
                "close": prices[-1] if prices else None,
                **{
                    name: counted[-1][total] - (before[total] if before else 0) if counted else None
                    for name, total in traded.items()
                },
                "snapshots": len(inside),
                "since": since,
                "gap": bool(counted) and (start - datetime.timedelta(hours=1) > since if since else start.hour > 10),
            }
        )
        before = counted[-1] if counted else before
    found = client.bars("PETR4", every="1h")
    assert len(expected) > 15 and rows(found) == expected
    assert any(bar["gap"] for bar in expected) and not all(bar["gap"] for bar in expected)


def test_bars_hold_what_was_traded_on_the_day_and_say_where_a_gap_is(lake: Lake, tmp_path: Path):
    given = [("1000", "10,00", "1k"), ("1005", "11,00", "2k"), ("1020", "9,00", "5k"), ("1110", "12,00", "9k")]
    for time, last, total in given:
        volume = f"{total[:-1]}0k"  # At an average price of 10.
        record = rawfiles.quote("PETR4", Ult=last, QTot=total, VolTot=volume, NNeg="7.0", Max="12,00", Min="9,00")
        rawfiles.write(tmp_path / "raw", "quotes", f"20200401{time}", [record])
    lake.upload(tmp_path / "raw")
    lake.publish(DAY)
    found = opened(lake).bars("PETR4", every="10m").select("time", "open", "high", "close", "quantity", "since", "gap")
    at = lambda hour, minute: datetime.datetime(2020, 4, 1, hour, minute)  # noqa: E731
    assert found.rows() == [
        (at(10, 0), 10.0, 11.0, 11.0, 2000.0, None, False),
        (at(10, 20), 9.0, 9.0, 9.0, 3000.0, at(10, 5), True),
        (at(11, 10), 12.0, 12.0, 12.0, 4000.0, at(10, 20), True),
    ]
    empty = opened(lake).bars("PETR4", every="10m", gaps="null")
    assert empty["quantity"].to_list() == [2000.0, None, None] and empty["close"].null_count() == 0
    day = opened(lake).bars("PETR4", every="1d")
    assert day.select("open", "high", "low", "close", "quantity", "snapshots", "gap").rows() == [
        (10.0, 12.0, 9.0, 12.0, 9000.0, 4, False)
    ]
    assert opened(lake).bars("PETR4", every="10m", opening="09:30")["gap"][0]
    for wrong in ({"every": "7m"}, {"every": "0m"}, {"every": "x"}, {"gaps": "zero"}, {"opening": "10"}):
        with pytest.raises(ValueError):
            opened(lake).bars("PETR4", **wrong)


def test_ash_wednesday_opens_later():
    days = [_days.ash_wednesday(year) for year in (2019, 2020, 2026)]
    assert [*map(str, days)] == ["2019-03-06", "2020-02-26", "2026-02-18"]


def frame_of(kind: str, **columns: list) -> object:
    made = polars.DataFrame(columns)
    return {"polars": made, "pandas": made.to_pandas(), "arrow": made.to_arrow(), "lazy": made.lazy()}[kind]


@pytest.mark.parametrize("kind", ["polars", "pandas", "arrow", "lazy"])
def test_an_as_of_join_takes_the_quote_before(client: pregao.Lake, kind: str):
    options = frame_of(
        kind,
        intdate=[202004011021, 202004011022, 202004011022, 202004011040, 202004021001],
        ticker=["A", "A", "B", "A", "A"],
        optn_ua=["PETR4", "PETR4", "VALE3", "PETR4", "PETR4"],
    )
    quotes = frame_of(
        kind,
        intdate=[202004011010, 202004011021, 202004011021, 202004011023, 202004011655],
        ticker=["PETR4"] * 5,
        bid=[1.0, 2.0, 2.5, 3.0, 4.0],
        num_trades=[1.0, 9.0, 8.0, 10.0, 11.0],
    )
    with pytest.warns(pregao.UnmatchedWarning, match="3 of 5 rows of options have no quote"):
        found = client.asof(options, quotes)
    names = ("quote_intdate", "quote_bid", "quote_age")
    assert found.columns == [
        "intdate",
        "ticker",
        "optn_ua",
        "quote_intdate",
        "quote_bid",
        "quote_num_trades",
        "quote_age",
    ]
    assert found.select(names).rows() == [(202004011021, 2.0, 0), (202004011021, 2.0, 1), *[(None, None, None)] * 3]
    with pytest.warns(pregao.UnmatchedWarning):
        assert client.asof(options, quotes, how="inner").height == 2
    with pytest.warns(pregao.UnmatchedWarning, match="2 of 5"):
        wide = client.asof(options, quotes, tolerance="17m")
    assert wide["quote_age"].to_list() == [0, 1, None, 17, None]
    with pytest.warns(pregao.UnmatchedWarning):
        near = client.asof(options, quotes, tolerance="2m", direction="nearest")
    assert near["quote_age"].to_list() == [0, 1, None, None, None], "of two as near, the earlier one"


def test_an_as_of_join_finds_what_equal_times_lose(client: pregao.Lake):
    minute = polars.col("intdate")
    options = (
        client.options("PETR4").drop("time").with_columns(minute + minute // 100 % 2)
    )  # In odd hours a minute later.
    quotes = client.quotes("PETR4").drop("time").filter(minute > 202004020000)
    with pytest.warns(pregao.UnmatchedWarning):
        found = client.asof(options, quotes, tolerance="30m")
    as_time = lambda number: datetime.datetime.strptime(str(number), "%Y%m%d%H%M")  # noqa: E731
    times = [(time, as_time(time)) for time in sorted(set(quotes["intdate"]))]
    expected = {}
    for number in set(options["intdate"]):
        ages = [(time, (as_time(number) - at).total_seconds() // 60) for time, at in times if time <= number]
        expected[number] = ages[-1] if ages and ages[-1][1] <= 30 else (None, None)
    assert [(row["quote_intdate"], row["quote_age"]) for row in rows(found)] == [
        expected[number] for number in options["intdate"]
    ]
    assert found.select(options.columns).equals(options), "each row of options once, in its order"
    equal = options.join(quotes, on="intdate", how="inner").height
    assert 0 < equal < found["quote_bid"].count() < options.height


def test_an_as_of_join_of_other_frames_is_refused(client: pregao.Lake):
    quotes = client.quotes("PETR4")
    with pytest.raises(ValueError, match="the frame of options has no column optn_ua"):
        client.asof(quotes, quotes)
    with pytest.raises(TypeError, match="a list is no frame"):
        client.asof([], quotes)
    with pytest.raises(ValueError, match="forward"):
        client.asof(client.options(on=DAY), quotes, direction="forward")


# --- SQL ----------------------------------------------------------------------------------------


def test_sql_has_the_tables_parameters_and_frames(client: pregao.Lake):
    found = client.sql(
        "SELECT q.ticker, count(*) AS n FROM quotes q JOIN mine USING (ticker) WHERE intdate > $after GROUP BY 1 ORDER BY 1",
        OTHER,
        params={"after": 202004030000},
        tables={"mine": polars.DataFrame({"ticker": ["PETR4", "VALE3"]})},
    )
    assert found["ticker"].to_list() == ["PETR4", "VALE3"] and found["n"].min() > 5
    per_day = client.sql("SELECT make_date(year, month, day) AS day, count(*) AS n FROM QUOTES GROUP BY 1 ORDER BY 1")
    assert per_day["day"].to_list() == client.days()
    joined = client.sql("SELECT p.quotes_rows, p.run FROM published p ORDER BY day")
    assert joined["quotes_rows"].to_list() == per_day["n"].to_list()


def test_sql_reads_and_nothing_else(client: pregao.Lake, tmp_path: Path):
    there = polars.DataFrame({"a": [1]})  # No name of a table.
    for statement in (
        "CREATE TABLE x (a int)",
        f"COPY (SELECT 1) TO '{tmp_path}/x'",
        "SELECT 1; SELECT 2",
        "INSTALL httpfs",
        "",
    ):
        with pytest.raises((ValueError, duckdb.Error)):
            client.sql(statement)
    with pytest.raises(duckdb.CatalogException, match="there"):
        client.sql("SELECT * FROM there")
    assert there.height == 1 and not [*tmp_path.iterdir()]


def test_a_statement_without_tables_reads_no_days(tmp_path: Path, lake: Lake):
    (lake.home / "s3" / LAKE).mkdir(parents=True)
    assert opened(lake, missing="error").sql("SELECT 'quotes' AS a").rows() == [("quotes",)]


# --- days that are not there --------------------------------------------------------------------


def test_days_that_are_not_published_are_named(published: Published):
    lake = opened(published.lake, missing="warn")
    with pytest.warns(
        pregao.MissingDaysWarning, match=r"1 business day .* not published in quotes: 2020-04-08\. pregao status"
    ):
        lake.quotes("PETR4")
    with pytest.warns(pregao.MissingDaysWarning, match="2020-03-30, 2020-03-31, 2020-04-08"):
        lake.bars("PETR4", "2020-03-30")
    with pytest.warns(pregao.MissingDaysWarning, match=r"\d+ business days .* and \d+ more"):
        lake.sql("SELECT count(*) FROM options", on=2020)
    lake.quotes("PETR4", DAY, "2020-04-07")  # Does not warn.
    lake.quotes("PETR4", "2020-04-09", "2020-04-12")  # Good Friday and a weekend.
    strict = opened(published.lake, missing="error")
    with pytest.raises(pregao.MissingDaysError, match="2020-04-08"):
        strict.options("PETR4", "2020-04-07", "2020-04-09")
    assert strict.options("PETR4", "2020-04-03", "2020-04-07").height > 0
    with pytest.raises(ValueError, match="missing="):
        opened(published.lake, missing="no")


def test_a_range_of_which_nothing_is_published_is_an_error(client: pregao.Lake, lake: Lake):
    with pytest.raises(
        pregao.NotPublishedError, match=r"on 2020-04-08 .*Published are 6 days, from 2020-04-01 to 2020-04-09"
    ):
        client.quotes("PETR4", on=ABSENT)
    with pytest.raises(pregao.NotPublishedError, match="B3 did not trade on 2020-04-10"):
        client.bars("PETR4", on="2020-04-10")
    with pytest.raises(pregao.NotPublishedError):
        client.sql("SELECT * FROM rejects", "2021")
    lake.run("runs")
    (lake.home / "s3" / LAKE).mkdir(parents=True, exist_ok=True)
    with pytest.raises(pregao.NotPublishedError, match="pregao upload DIR"):
        opened(lake).quotes("PETR4")


def test_a_day_without_a_table_is_a_hole(twice: Lake):
    record = stored(twice)
    del record["published"]["tables"]["options"]
    write(twice, record)
    with pytest.warns(pregao.MissingDaysWarning, match="not published in options: 2020-04-01"):
        found = opened(twice, missing="warn").options("PETR4", DAY, OTHER)
    assert {str(time.date()) for time in found["time"]} == {OTHER}
    assert len(opened(twice).days()) == 2 and len(opened(twice).days(table="options")) == 1


def test_a_day_whose_table_has_no_rows_is_no_hole(lake: Lake, tmp_path: Path):
    rawfiles.write(tmp_path / "raw", "quotes", "202004011000", [rawfiles.quote("PETR4")])
    rawfiles.write(tmp_path / "raw", "options", "202004011000", [rawfiles.option("PETRF152")])
    lake.upload(tmp_path / "raw")
    lake.publish(DAY)
    found = opened(lake, missing="error").rejects(on=DAY)
    assert found.is_empty() and found.columns == ["time", *(column.name for column in oracle.TABLES["rejects"])]
    assert found.schema["intdate"] == polars.Int64


def test_days_that_a_migration_left_out_are_named(twice: Lake):
    write(
        twice,
        {"at": "2020-05-01T00:00:00Z", "days": 2, "left_out": {"2020-04-03": "a report is missing"}},
        _records.MIGRATED,
    )
    with pytest.warns(pregao.MissingDaysWarning, match=r"2020-04-03 \(2020-04-03: a report is missing\)"):
        opened(twice, missing="warn").quotes("PETR4", DAY, "2020-04-03")


# --- only published files, all of them ----------------------------------------------------------


def test_runs_that_are_not_published_are_not_read(twice: Lake, tmp_path: Path):
    """The lake has a replaced run, one whose audit failed, and a file that nobody knows."""
    rawfiles.write(tmp_path / "bad", "quotes", "202004011659", [rawfiles.quote("X", QTot="1k2k")] * 30)
    twice.upload(tmp_path / "bad")
    twice.fails("run", "--from", DAY)
    for path in twice.parquet_files("quotes"):
        (path.parent / "stranger.parquet").write_bytes(path.read_bytes())
    everything = len(twice.stored_rows("quotes"))
    found = opened(twice).sql("SELECT * EXCLUDE (time) FROM quotes")
    assert found.height < everything / 2
    assert_same_rows("quotes", rows(found), by_hand_with_partition(twice))


def by_hand_with_partition(lake: Lake) -> list[dict]:
    files = lake.run("files", "quotes", "--paths").out.splitlines()
    source = f"read_parquet({files}, hive_partitioning = true, hive_types = {{'year': INT, 'month': INT, 'day': INT}})"
    return duckdb.connect().sql(f"SELECT * EXCLUDE (run) FROM {source}").to_arrow_table().to_pylist()


@pytest.mark.parametrize("damage", ["missing", "shorter", "longer"])
def test_a_published_file_that_differs_is_an_error(twice: Lake, damage: str):
    (path,) = {file.key for file in opened(twice).files(on=DAY)}
    path = twice.files / "s3" / LAKE / path
    whole = path.read_bytes()
    if damage == "missing":
        path.unlink()
    else:
        path.write_bytes(whole[:-1] if damage == "shorter" else whole + b"x")
    expected = (
        rf"{path.name} (is missing|has \d[\d,]* bytes, and its record says \d[\d,]*)\. It is published of {DAY} by"
    )
    for ask in (
        lambda lake: lake.quotes("PETR4"),
        lambda lake: lake.bars("PETR4"),
        lambda lake: lake.sql("SELECT count(*) FROM quotes"),
        lambda lake: lake.files(),
    ):
        with pytest.raises(pregao.PublishedFileError, match=expected) as raised:
            ask(opened(twice))
        assert f"pregao run --from {DAY}" in str(raised.value)
    assert opened(twice).options("PETR4").height and opened(twice).quotes("PETR4", on=OTHER).height
    path.write_bytes(whole)
    assert opened(twice).quotes("PETR4").height


def test_a_file_that_goes_while_it_is_read_is_an_error(twice: Lake, monkeypatch: pytest.MonkeyPatch):
    lake = opened(twice)
    (file,) = lake.files(on=DAY)
    check = _stores.check

    def then_remove(store: _stores.HomeStore, files: list[pregao.PublishedFile]) -> None:
        check(store, files)
        store.path(file).unlink()

    monkeypatch.setattr(_stores, "check", lambda *given: (monkeypatch.undo(), then_remove(*given)))
    with pytest.raises(pregao.PublishedFileError, match="is missing"):
        lake.quotes("PETR4")


def test_a_damaged_file_is_an_error(twice: Lake):
    (file,) = opened(twice).files(on=DAY)
    path = twice.files / "s3" / LAKE / file.key
    path.write_bytes(b"x" * file.bytes)
    with pytest.raises((pregao.PublishedFileError, duckdb.Error)) as raised:
        opened(twice).quotes("PETR4")
    assert path.name in str(raised.value)


DAMAGES: dict[str, Callable[[dict], object]] = {
    "a version": lambda record: record.update(version=2),
    "a day": lambda record: record.update(day=OTHER),
    "rows": lambda record: record["published"]["tables"]["quotes"].update(rows=1),
    "bytes": lambda record: record["published"]["tables"]["quotes"]["files"][0].update(bytes=1),
    "no location": lambda record: record["published"]["tables"]["quotes"].pop("location"),
    "another folder": lambda record: record["published"]["tables"]["quotes"].update(location="s3://x/../"),
    "a path": lambda record: record["published"]["tables"]["quotes"]["files"][0].update(name="../p.parquet"),
    "a time": lambda record: record.update(written_at="yesterday"),
    "no tables": lambda record: record["published"].update(tables=None),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_record_is_an_error_and_no_absent_day(twice: Lake, damage: str):
    record = stored(twice)
    DAMAGES[damage](record)
    write(twice, record)
    with pytest.raises(pregao.RecordError, match=r"day=1\.json"):
        opened(twice).quotes("PETR4")
    assert opened(twice).quotes("PETR4", on=OTHER).height


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"null", b"\xff"])
def test_a_record_that_is_no_json_is_an_error(twice: Lake, body: bytes):
    write(twice, body)
    with pytest.raises(pregao.RecordError, match=r"day=1\.json"):
        opened(twice).quotes("PETR4")


def test_days_without_an_added_column_have_null_there(twice: Lake):
    make_older(twice, {"quotes": 1})
    found = opened(twice).quotes("PETR4")
    assert found.columns[-1] == "total_volume" and found["total_volume"].null_count() == found.height > 0
    twice.publish(OTHER)
    days = opened(twice).sql("SELECT day, count(total_volume) > 0 AS there FROM quotes GROUP BY 1 ORDER BY 1")
    assert days.rows() == [(1, False), (2, True)]


def test_a_lake_of_the_old_layout_is_read(twice: Lake):
    expected = opened(twice).quotes()
    make_old(twice)
    with pytest.raises(pregao.NotPublishedError, match="older version"):
        opened(twice).quotes()
    twice.run("status")
    assert sorted(opened(twice).quotes().rows(), key=str) == sorted(expected.rows(), key=str)


def test_a_record_that_changes_is_read_again(twice: Lake, tmp_path: Path):
    lake = opened(twice)
    before = lake.quotes().height
    rawfiles.write(tmp_path / "raw", "quotes", "202004011659", [rawfiles.quote("NEWS3")])
    twice.upload(tmp_path / "raw")
    twice.publish(DAY)
    assert lake.quotes().height > before
    twice.run("rollback", DAY)
    assert lake.quotes().height == before
    assert lake.published(on=DAY)["held"].to_list() == [True]


# --- as of a moment -----------------------------------------------------------------------------


def as_the_program(lake: Lake, as_of: str) -> list[dict]:
    return lake.run("query", "--as-of", as_of, "SELECT * FROM quotes", "--format", "json").out


def test_the_tables_of_a_moment_are_those_of_the_program(twice: Lake):
    age(twice, 30)
    old, new = history(twice)
    for written, after in ((old, 0), (new, -1), (new, 0), (old, 60_000)):
        then = moment(written["written_at"], datetime.timedelta(milliseconds=after))
        found = opened(twice, as_of=then).sql("SELECT * EXCLUDE (time) FROM quotes")
        expected = json.loads(as_the_program(twice, then))
        assert_same_rows("quotes", rows(found), expected)
        assert opened(twice).at(then).quotes().height == len(expected)
    assert opened(twice, as_of=old["written_at"]).published(on=DAY)["run"].to_list() == [old["run"]]
    assert opened(twice, as_of=new["written_at"]).at(None).published(on=DAY)["run"].to_list() == [new["run"]]
    with pytest.raises(pregao.NotPublishedError, match="is published on any day at "):
        opened(twice, as_of="2020-05-01").quotes()
    # A day is its last millisecond in UTC.
    day = old["written_at"][:10]
    assert (
        opened(twice, as_of=day).quotes().height
        == opened(twice, as_of=datetime.date.fromisoformat(day)).quotes().height
    )


def test_a_rollback_is_part_of_the_history(twice: Lake):
    age(twice, 30)
    _, new = history(twice)
    now = opened(twice).quotes().height
    twice.run("rollback", DAY)
    assert opened(twice).quotes().height < now
    assert opened(twice, as_of=new["written_at"]).quotes().height == now


def test_what_a_vacuum_removed_is_an_error(twice: Lake):
    age(twice, 60)
    old, new = history(twice)
    then = opened(twice, as_of=old["written_at"])
    files = then.files(on=DAY)
    assert then.quotes().height
    done = subprocess.run(
        twice.command("vacuum", "--keep-days", "0"),
        env={**environment(twice.home.parent), "PREGAO_VACUUM_FLOOR_SECONDS": "0"},
        cwd=twice.home.parent,
        capture_output=True,
        timeout=PATIENCE,
    )
    # The other day of the run is still published.
    assert done.returncode == 0 and not (twice.files / "s3" / LAKE / files[0].key).exists(), done.stderr
    for lake in (then, opened(twice, as_of=old["written_at"])):
        with pytest.raises(pregao.RecordError, match=f"the run {old['run']} was published of {DAY}, and a vacuum"):
            lake.quotes()
    assert opened(twice).quotes().height and opened(twice, as_of=new["written_at"]).quotes().height


def test_a_gap_in_the_history_is_an_error(twice: Lake):
    age(twice, 30)
    old, _ = history(twice)
    (twice.files / "s3" / LAKE / f"published/{KEY}/history/1.json").unlink()
    with pytest.raises(pregao.RecordError, match=r"history/1\.json is missing: the history of 2020-04-01 has a gap"):
        opened(twice, as_of=old["written_at"]).quotes()
    assert opened(twice).quotes().height


def test_a_moment_needs_an_offset_and_must_have_passed(twice: Lake):
    for wrong, message in (
        ("2026-11-20T09:00:00", "no offset"),
        (datetime.datetime(2026, 11, 20, 9), "no offset"),
        ("2026-11", "no moment"),
        ("yesterday", "no time"),
        ("2999-01-01", "not come yet"),
    ):
        with pytest.raises(ValueError, match=message):
            opened(twice, as_of=wrong)
    just_now = datetime.datetime.now(datetime.timezone.utc)
    with pytest.warns(pregao.RecentMomentWarning, match="only just passed"):
        assert opened(twice, as_of=just_now).quotes().height == opened(twice).quotes().height
    for text in ("2026-11-20T09:00:00.1234567-03:00", "2026-11-20T12:00:00.123456Z"):
        assert _days.moment(text) == datetime.datetime(2026, 11, 20, 12, 0, 0, 123456, datetime.timezone.utc)


# --- where the lake is --------------------------------------------------------------------------


def program_finds(folder: Path, variables: dict[str, str]) -> list[str]:
    """Returns the paths of the published files of the lake that the program finds in a folder."""
    done = subprocess.run(
        [str(binary()), "files", "quotes", "--paths"],
        cwd=folder,
        env={**environment(folder), **variables},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


def test_the_home_is_found(published: Published, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("PREGAO_HOME", raising=False)
    below = tmp_path / "market" / "notebooks"
    below.mkdir(parents=True)
    monkeypatch.chdir(below)
    with pytest.raises(pregao.NoLakeError, match=r"there is no \.pregao in"):
        pregao.connect()
    (tmp_path / "market" / ".pregao").symlink_to(published.lake.home)
    assert pregao.connect().where == str(tmp_path / "market" / ".pregao")
    found = program_finds(below, {})
    assert found and all(Path(path).is_relative_to(tmp_path / "market" / ".pregao") for path in found)
    assert len(found) == len(pregao.connect(missing="ignore").files())
    elsewhere = program_finds(tmp_path, {"PREGAO_HOME": str(published.lake.home)})
    assert len(elsewhere) == len(found) and all(path.startswith(f"{published.lake.home}/") for path in elsewhere)
    monkeypatch.setenv("PREGAO_HOME", str(published.lake.home))
    assert pregao.connect().where == str(published.lake.home)
    assert repr(pregao.connect()) == f"pregao.connect(home={str(published.lake.home)!r}, frame='polars')"
    for home in (tmp_path, tmp_path / "no", tmp_path / "a=b"):
        with pytest.raises(pregao.NoLakeError):
            pregao.connect(home)
    with pytest.raises(pregao.NoLakeError, match="the home has pregao-lake: name it with bucket="):
        pregao.connect(published.lake.home, bucket="acme-lake")


def test_a_home_with_odd_names_is_read(published: Published, tmp_path: Path):
    odd = tmp_path / "it's a [home]* of {x}?"
    odd.symlink_to(published.lake.home)
    expected = opened(published.lake).quotes("PETR4")
    assert pregao.connect(odd, missing="ignore").quotes("PETR4").equals(expected)


def test_the_lake_on_s3_is_the_same(client: pregao.Lake, on_s3: None):
    lake = pregao.connect(bucket=LAKE, missing="ignore")
    assert lake.where == f"s3://{LAKE}/"
    for ask in (
        lambda lake: lake.quotes(["PETR4", "VALE3"]),
        lambda lake: lake.quotes(on=OTHER).sort("intdate", "ticker", "bid"),
        lambda lake: lake.options("PETR4").sort("intdate", "ticker", "optn_mkt_bid"),
        lambda lake: lake.rejects(on=DAY).sort("source_file", "ticker", "column_name", "text"),
        lambda lake: lake.bars("PETR4", every="1h"),
        lambda lake: lake.published(),
        lambda lake: lake.sql(
            "SELECT year, month, day, count(*) AS n FROM quotes WHERE day < 3 GROUP BY ALL ORDER BY ALL"
        ),
    ):
        assert ask(lake).equals(ask(client))
    assert [file.uri for file in lake.files()] == [file.uri for file in client.files()]
    with pytest.warns(pregao.MissingDaysWarning, match="2020-04-08"):
        pregao.connect(bucket=LAKE).bars("PETR4")
    with pytest.raises(pregao.NoLakeError, match="no-lake"):
        pregao.connect(bucket="no-lake")


def test_many_records_on_s3_are_read_from_their_copies(
    client: pregao.Lake, endpoint: Endpoint, on_s3: None, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(_records, "_MANY", 2)
    lake = pregao.connect(bucket=LAKE, missing="ignore")
    asked: list[str] = []
    read = lake._store.read
    monkeypatch.setattr(lake._store, "read", lambda keys: asked.extend(keys) or read(keys))
    assert lake.published().equals(client.published())
    assert asked == ["catalog/records/year=2020.json"]
    # A copy of another version of the record counts for nothing.
    monkeypatch.setattr(_records, "_MANY", 10_000)
    other = pregao.connect(bucket=LAKE, missing="ignore")
    assert other.published().equals(client.published())


@contextlib.contextmanager
def served(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> Iterator[Endpoint]:
    with lake.endpoint() as endpoint:
        for name, value in {**environment(endpoint.folder), **endpoint.settings}.items():
            monkeypatch.setenv(name, value)
        yield endpoint


def test_files_on_s3_that_differ_are_errors_and_a_moment_is_read(twice: Lake, monkeypatch: pytest.MonkeyPatch):
    age(twice, 30)
    old, new = history(twice)
    expected = {record["run"]: opened(twice, as_of=record["written_at"]).quotes("PETR4") for record in (old, new)}
    with served(twice, monkeypatch) as endpoint:
        for record in (old, new):
            lake = pregao.connect(bucket=LAKE, endpoint_url=endpoint.url, missing="ignore", as_of=record["written_at"])
            assert lake.quotes("PETR4").equals(expected[record["run"]])
        lake = pregao.connect(bucket=LAKE, missing="ignore")
        (file,) = lake.files(on=DAY)
        s3 = endpoint.client("s3")
        whole = s3.get_object(Bucket=LAKE, Key=file.key)["Body"].read()
        s3.put_object(Bucket=LAKE, Key=file.key, Body=bytes([whole[0] ^ 1]) + whole[1:])
        with pytest.raises(pregao.PublishedFileError, match=r"has the ETag .* pregao --aws verify"):
            lake.quotes("PETR4")
        s3.delete_object(Bucket=LAKE, Key=file.key)
        with pytest.raises(pregao.PublishedFileError, match=rf"{file.uri} is missing"):
            lake.quotes("PETR4")
        assert lake.quotes("PETR4", on=OTHER).height


def test_a_stack_names_its_bucket(on_s3: None, monkeypatch: pytest.MonkeyPatch, endpoint: Endpoint):
    """The outputs are those of infra/template.yaml; the endpoint has no CloudFormation."""
    assert "Resources:\n    Description: Names of the stack's resources" in (ROOT / "infra/template.yaml").read_text()
    session = _stores.require("boto3", "aws").Session()
    cloudformation = session.client("cloudformation")
    monkeypatch.setattr(session, "client", lambda name, **_: cloudformation)
    resources = {"aws": {"stack": "acme"}, "buckets": {"raw": "acme-raw", "lake": LAKE, "results": "r"}}

    def described(*outputs: tuple[str, str]) -> dict:
        found = [{"OutputKey": key, "OutputValue": value} for key, value in outputs]
        stack = {"StackName": "acme", "CreationTime": "2026-01-01T00:00:00Z", "StackStatus": "CREATE_COMPLETE"}
        return {"Stacks": [{**stack, "Outputs": found}]}

    with botocore.stub.Stubber(cloudformation) as stub:
        stub.add_response("describe_stacks", described(("Resources", json.dumps(resources))), {"StackName": "acme"})
        assert _stores.find_bucket(session, "acme") == LAKE
        stub.add_response("describe_stacks", described(("Other", "x")))
        with pytest.raises(pregao.NoLakeError, match="no output Resources"):
            _stores.find_bucket(session, "acme")
        stub.add_client_error("describe_stacks", "ValidationError", "Stack with id acme does not exist")
        with pytest.raises(pregao.NoLakeError, match="does not exist"):
            _stores.find_bucket(session, "acme")
    monkeypatch.setattr(_stores, "find_bucket", lambda session, stack: {"acme": LAKE}[stack])
    assert pregao.connect(stack="acme", missing="ignore").days()
    for wrong in ({"home": "x", "stack": "y"}, {"stack": "y", "bucket": "z"}, {"home": "x", "region": "r"}):
        with pytest.raises(ValueError):
            pregao.connect(**wrong)


# --- the package --------------------------------------------------------------------------------


def test_it_reads_while_the_program_holds_the_home(published: Published, endpoint: Endpoint):
    assert opened(published.lake).quotes("PETR4").height


def test_missing_packages_are_named_with_their_extra(tmp_path: Path):
    """In an interpreter without any package, as `pip install pregao` leaves it."""
    for call, package, extra in (
        ("pregao.connect(home)", "duckdb", "polars"),
        ("pregao.connect(home, frame='pandas')", "duckdb", "pandas"),
        ("pregao.connect(bucket='b')", "boto3", "aws"),
    ):
        code = f"import pregao; home = {str(tmp_path / 'home')!r}; {call}"
        (tmp_path / "home" / "s3" / LAKE).mkdir(parents=True, exist_ok=True)
        command = [sys.executable, "-S", "-c", code]
        done = subprocess.run(command, env={"PYTHONPATH": str(ROOT / "python")}, capture_output=True, text=True)
        expected = f"ImportError: {package} is not installed, and pregao needs it here: pip install 'pregao[{extra}]'"
        assert done.stderr.splitlines()[-1] == expected, done.stderr


def test_only_one_module_knows_the_format_of_records():
    sources = {path.name: path.read_text() for path in (ROOT / "python" / "pregao").glob("*.py")}
    words = ("removed_runs", '"tables"', '"published"]', "history/", '"etag"')
    knowing = {name for name, text in sources.items() for word in words if word in text}
    assert knowing == {"_records.py"}


# --- docs/python.md -----------------------------------------------------------------------------


def test_the_recipes_of_the_page_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """On three days at the real size of the market."""
    lake = Lake(tmp_path / ".pregao")
    lake.run("sample", "--out", tmp_path / "raw", "--days", "3")
    lake.upload(tmp_path / "raw")
    lake.publish(DAY, "2020-04-03")
    monkeypatch.delenv("PREGAO_HOME", raising=False)
    monkeypatch.chdir(tmp_path)
    found: dict = {}
    blocks = re.findall(r"^```python\n(.*?)^```", (ROOT / "docs" / "python.md").read_text(), re.DOTALL | re.MULTILINE)
    assert len(blocks) >= 13
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", pregao.PregaoWarning)
        for block in blocks:
            exec(block, found)
    frames = {name: value for name, value in found.items() if isinstance(value, polars.DataFrame)}
    assert (
        len(frames) >= 14 and [name for name, frame in frames.items() if frame.is_empty() and name != "adjusted"] == []
    )
    assert polars.read_parquet("petr4.parquet").equals(found["everything"])
    assert found["joined"]["quote_bid"].count() > 0.7 * found["joined"].height
    assert found["clean"].height == found["clean"].select("intdate", "ticker").n_unique()
    assert found["bad"]["len"].sum() == lake.query("SELECT count(*) AS n FROM rejects")[0]["n"]


def test_the_page_names_each_method_error_and_option():
    page = (ROOT / "docs" / "python.md").read_text()
    methods = [name for name in vars(pregao.Lake) if not name.startswith("_") and name != "where"]
    options = inspect.signature(pregao.connect).parameters
    assert [name for name in (*methods, *options) if not re.search(rf"\b{name}\b", page)] == []
    raised = {name for name in pregao.__all__ if name.endswith(("Error", "Warning"))}
    named = {name for name in raised if name in page}
    assert raised - named == {"PregaoError", "PregaoWarning", "NoLakeError", "MissingDaysError"}
