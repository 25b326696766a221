"""The lake: what is published of it, as frames."""

from __future__ import annotations

import contextlib
import datetime
import os
import re
import sys
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Generic, Literal, TypeVar, overload

from . import _bars, _frames, _join, _records, _stores, _tables
from ._days import Day, Days, Moment, business_days, days, is_business_day, moment
from ._errors import (
    MissingDaysError,
    MissingDaysWarning,
    NoRowsWarning,
    NotPublishedError,
    PublishedFileError,
    RecentMomentWarning,
    UnmatchedWarning,
)
from ._optional import require
from ._records import PublishedFile, Record, Records

if TYPE_CHECKING:
    import duckdb
    import pandas
    import polars
    import pyarrow

Frame = TypeVar("Frame")
Other = TypeVar("Other")
Form = Literal["polars", "pandas", "arrow"]
Missing = Literal["warn", "error", "ignore"]
Names = str | Iterable[str]

_SHOWN = 8


class Lake(Generic[Frame]):
    """A lake. `pregao.connect` opens one.

    Each call reads the records of its days, and then exactly the files that they name. All tables in one call are of the
    same records.
    """

    def __init__(
        self, store: _stores.Store, frame: str, as_of: Moment | None = None, missing: Missing = "warn"
    ) -> None:
        if missing not in ("warn", "error", "ignore"):
            raise ValueError(f"missing={missing!r}: warn, error or ignore")
        self._store, self._records = store, Records(store)
        self._frame, self._missing = _frames.checked(frame), missing
        self._moment = None if as_of is None else _past(as_of)
        # No extension is ever downloaded, and a name in SQL is a table, never a variable of the caller.
        config = {"autoinstall_known_extensions": "false", "python_enable_replacements": "false"}
        self._database: duckdb.DuckDBPyConnection = require("duckdb", frame).connect(config=config)

    def __repr__(self) -> str:
        as_of = f", as_of={self._moment.isoformat()!r}" if self._moment else ""
        return f"pregao.connect({self._store!r}, frame={self._frame!r}{as_of})"

    @property
    def where(self) -> str:
        """Where the lake is: the path of its home, or the URI of its bucket."""
        home = getattr(self._store, "home", None)
        return self._store.name("") if home is None else str(home)

    # --- the same lake, otherwise ---

    @overload
    def using(self, frame: Literal["polars"]) -> Lake[polars.DataFrame]: ...
    @overload
    def using(self, frame: Literal["pandas"]) -> Lake[pandas.DataFrame]: ...
    @overload
    def using(self, frame: Literal["arrow"]) -> Lake[pyarrow.Table]: ...
    def using(self, frame: Form) -> Lake[Any]:
        """Returns the same lake with answers in another form."""
        return self._again(frame, self._moment)

    def at(self, as_of: Moment | None) -> Lake[Frame]:
        """Returns the same lake as it was published at a moment; None: as it is published now."""
        return self._again(self._frame, None if as_of is None else moment(as_of))

    def _again(self, frame: str, as_of: Moment | None) -> Lake[Any]:
        other: Lake[Any] = Lake(self._store, frame, as_of, self._missing)
        other._records = self._records
        return other

    # --- what is published ---

    def days(
        self, start: Day | None = None, end: Day | None = None, *, on: Day | None = None, table: str = "quotes"
    ) -> list[datetime.date]:
        """Returns the published days of a table, in order."""
        return list(_records.published_tables(self._read(days(start, end, on)).values(), _known(table)))

    def files(
        self, start: Day | None = None, end: Day | None = None, *, on: Day | None = None, table: str = "quotes"
    ) -> list[PublishedFile]:
        """Returns the published files of a table, by day and name, after a check that they are there."""
        return self._view(days(start, end, on)).files(_known(table))

    def published(self, start: Day | None = None, end: Day | None = None, *, on: Day | None = None) -> Frame:
        """Returns what is published of each day: the run, since when, from how many raw files, and how many rows."""
        return self._convert(_published(self._read(days(start, end, on)).values()))

    # --- rows ---

    def quotes(
        self,
        tickers: Names | None = None,
        start: Day | None = None,
        end: Day | None = None,
        *,
        on: Day | None = None,
        columns: Sequence[str] | None = None,
        latest: bool = False,
    ) -> Frame:
        """Returns quotes of instruments, or of all of them, by time and ticker.

        `latest`: of rows with the same time and ticker only the later one, the one with more trades.
        """
        view, conditions = self._view(days(start, end, on)), Conditions()
        conditions.one_of("ticker", tickers)
        source = view.table("quotes")
        if latest:
            source = _latest(source, conditions)
        order = "" if tickers is None else "intdate, ticker"
        return self._rows(view, "quotes", source, conditions, columns, order, ("ticker", tickers))

    def options(
        self,
        underlying: Names | None = None,
        start: Day | None = None,
        end: Day | None = None,
        *,
        on: Day | None = None,
        tickers: Names | None = None,
        type: Literal["CALL", "PUTT", "PUT"] | None = None,
        style: Literal["EURO", "AMER"] | None = None,
        expiry: Day | None = None,
        strike: tuple[float | None, float | None] | None = None,
        columns: Sequence[str] | None = None,
    ) -> Frame:
        """Returns options, of underlyings or of all, by day; within a day in the order of the files, by ticker and time.

        `expiry`: a day, month or year. `strike`: the lowest and the highest, both included.
        """
        view, conditions = self._view(days(start, end, on)), Conditions()
        conditions.one_of("optn_ua", underlying)
        conditions.one_of("ticker", tickers)
        conditions.one_of("optn_tp", "PUTT" if type == "PUT" else type)
        conditions.one_of("optn_style", style)
        if expiry is not None:
            first, last = days(None, None, expiry)
            conditions.add("optn_expn_date >= {}", str(first))
            conditions.add("optn_expn_date <= {}", str(last))
        lowest, highest = strike or (None, None)
        conditions.add("optn_strike >= {}", lowest)
        conditions.add("optn_strike <= {}", highest)
        asked = ("ticker", tickers) if underlying is None else ("optn_ua", underlying)
        return self._rows(view, "options", view.table("options"), conditions, columns, "", asked)

    def rejects(
        self,
        start: Day | None = None,
        end: Day | None = None,
        *,
        on: Day | None = None,
        columns: Sequence[str] | None = None,
    ) -> Frame:
        """Returns the cells and records that could not be read, each with its text and the reason."""
        view = self._view(days(start, end, on))
        return self._rows(view, "rejects", view.table("rejects"), Conditions(), columns, "", ("ticker", None))

    def bars(
        self,
        tickers: Names,
        start: Day | None = None,
        end: Day | None = None,
        *,
        on: Day | None = None,
        every: str = "30m",
        gaps: Literal["span", "null"] = "span",
        opening: str = "10:00",
    ) -> Frame:
        """Returns bars of instruments: open, high, low and close by `last`, and what was traded.

        A bar is of the snapshots from `time` to `time` + `every`; a slot without a snapshot has no bar. `volume` (BRL),
        `quantity` and `trades` are the totals of the day at the last snapshot of the bar less those at `since`, the last
        snapshot before the bar that has totals; `since` is null in the first bar of a day, which holds what was traded
        since the opening. `gap`: the slot before has no totals, so that the bar also holds what was traded in it.
        `gaps="null"` leaves the three null there.
        """
        view, conditions = self._view(days(start, end, on)), Conditions()
        conditions.one_of("ticker", tickers)
        source = _latest(view.table("quotes"), conditions)
        years = sorted({file.day.year for file in view.files("quotes")})
        sql = _bars.sql(source, every, gaps, opening, years)
        answer = view.ask(sql, conditions.parameters)
        self._warn_of_none(answer, ("ticker", tickers), "quotes", view.days)
        return self._convert(answer)

    def asof(
        self,
        options: Any,
        quotes: Any,
        *,
        tolerance: str = "10m",
        direction: Literal["backward", "nearest"] = "backward",
        how: Literal["left", "inner"] = "left",
    ) -> Frame:
        """Returns options, each with the quote of its underlying as of its time.

        The two feeds are saved at different minutes (10:21 and 10:22), so that equal times lose rows. Here each row of
        `options` gets the last quote at or before its time that is at most `tolerance` older: nothing that came later.
        `nearest` also takes a later one where that is nearer. The columns of the quote begin with `quote_`, and
        `quote_age` is its age in minutes, negative for a later one. A row without such a quote keeps nulls, or is left
        out by `how="inner"`; a warning has the number of them.

        Both are frames of this package, or of their columns: `intdate` and `optn_ua`, `intdate` and `ticker`.
        """
        left, right = _frames.to_arrow(options), _frames.to_arrow(quotes)
        sql = _join.sql(left.column_names, right.column_names, tolerance, direction, how)
        with self._database.cursor() as connection:
            connection.register("options_given", left)
            connection.register("quotes_given", right)
            answer = connection.sql(sql).to_arrow_table()
        alone = left.num_rows - answer.num_rows if how == "inner" else answer.column("quote_age").null_count
        if alone:
            self._warn(
                f"{alone:,} of {left.num_rows:,} rows of options have no quote of their underlying within {tolerance}"
                f"{'' if direction == 'nearest' else ' before'}",
                UnmatchedWarning,
            )
        return self._convert(answer)

    def sql(
        self,
        query: str,
        start: Day | None = None,
        end: Day | None = None,
        *,
        on: Day | None = None,
        params: Mapping[str, Any] | None = None,
        tables: Mapping[str, Any] | None = None,
    ) -> Frame:
        """Returns the answer to a SELECT of DuckDB's SQL.

        It has the tables `quotes`, `options` and `rejects`, with `time`, `year`, `month` and `day` beside their columns, and
        `published`; and the frames in `tables`, by name. `$name` stands for a value of `params`. Only the files of the range
        are read, so name it where it is known.
        """
        view = self._view(days(start, end, on))
        frames = {name.lower(): _frames.to_arrow(given) for name, given in (tables or {}).items()}
        for name, given in frames.items():
            view.connection.register(name, given)
        for name in self._names(query, frames) - set(frames):
            if name in _tables.COLUMNS:
                view.name(name)
            elif name == "published":
                view.connection.register(name, _published(view.records.values()))
        return self._convert(view.ask(query, dict(params or {})))

    # --- inside ---

    def _read(self, within: Days) -> dict[datetime.date, Record]:
        """Returns the records of the published days of a range."""
        if self._moment is None:
            records = self._records.current(within)
            return {day: record for day, record in records.items() if record.published is not None}
        if datetime.datetime.now(datetime.timezone.utc) - self._moment < _records.SETTLED:
            self._warn(
                f"{self._moment.isoformat()} has only just passed: a record with an earlier time may still be written, and "
                "the same question may then have another answer",
                RecentMomentWarning,
            )
        return self._records.at(within, self._moment)

    def _view(self, within: Days) -> View:
        return View(self, within, self._read(within), self._database.cursor())

    def _names(self, query: str, frames: Mapping[str, pyarrow.Table]) -> set[str]:
        """Returns the tables in a statement. Refuses what is not one statement that reads."""
        duckdb = require("duckdb", "arrow")
        known = (*_tables.COLUMNS, "published")
        # A connection of its own, as the statement is planned over tables without rows.
        with self._database.cursor() as connection:
            statements = [statement.type for statement in connection.extract_statements(query)]
            if statements not in ([duckdb.StatementType.SELECT], [duckdb.StatementType.EXPLAIN]):
                raise ValueError("one statement that reads is expected: SELECT")
            for table in known:
                connection.sql(f"CREATE TEMP TABLE {table} AS {_tables.empty(table, time=True)}")
            for name, frame in frames.items():
                if name not in known:
                    connection.register(name, frame)
            try:
                # It knows no parameters. What is replaced in a text does not change the tables.
                return {name.lower() for name in connection.get_table_names(re.sub(r"\$[A-Za-z_]\w*", "NULL", query))}
            except duckdb.Error:
                return {name for name in known if re.search(rf"\b{name}\b", query, re.IGNORECASE)}

    def _rows(
        self,
        view: View,
        table: str,
        source: str,
        conditions: Conditions,
        columns: Sequence[str] | None,
        order: str,
        asked: tuple[str, Names | None],
    ) -> Frame:
        named = f"{_tables.TIME} AS time, * EXCLUDE (year, month, day)"
        if columns is not None:
            named = ", ".join(_column(name) for name in columns)
        sql = f"SELECT {named} FROM {source}{conditions.where()}{' ORDER BY ' + order if order else ''}"
        answer = view.ask(sql, conditions.parameters)
        self._warn_of_none(answer, asked, table, view.days)
        return self._convert(answer)

    def _convert(self, answer: pyarrow.Table) -> Frame:
        converted: Frame = _frames.convert(answer, self._frame)
        return converted

    def _check_days(self, table: str, within: Days, there: Iterable[datetime.date]) -> None:
        """Reports business days of a range that are not published. Raises NotPublishedError if none is."""
        published = sorted(there)
        then = f" at {self._moment.isoformat()}" if self._moment else ""
        if not published:
            raise NotPublishedError(
                f"nothing of {table} is published {within}{then} in {self.where}. {self._instead(table, within)}"
            )
        if self._missing == "ignore":
            return
        yesterday = datetime.date.today() - datetime.timedelta(days=1)
        first, last = within.first or published[0], within.last or published[-1]
        left_out = {day: why for day, why in self._records.left_out().items() if day in within}
        absent = sorted({*business_days(first, min(last, yesterday)), *left_out} - set(published))
        if not absent:
            return
        shown = ", ".join(map(str, absent[:_SHOWN])) + (
            f" and {len(absent) - _SHOWN:,} more" if len(absent) > _SHOWN else ""
        )
        why = next((f" ({day}: {reason})" for day, reason in left_out.items() if day in absent), "")
        text = (
            f"{len(absent):,} business day{'s' if len(absent) > 1 else ''} {within} not published in {table}{then}: {shown}{why}. "
            "pregao status tells what each needs"
        )
        if self._missing == "error":
            raise MissingDaysError(text)
        self._warn(text, MissingDaysWarning)

    def _instead(self, table: str, within: Days) -> str:
        """Returns what there is instead of days that are not published."""
        if within.first and within.first == within.last and not is_business_day(within.first):
            return f"B3 did not trade on {within.first}"
        other = list(_records.published_tables(self._read(Days(None, None)).values(), table))
        if other:
            return f"Published are {len(other):,} days, from {other[0]} to {other[-1]}"
        return "No day is: pregao upload DIR, then pregao run --from DAY. In the lake of an older version, pregao status first"

    def _warn_of_none(self, answer: pyarrow.Table, asked: tuple[str, Names | None], table: str, within: Days) -> None:
        column, names = asked
        if names is None:
            return
        names = [names] if isinstance(names, str) else list(names)
        there = set(names) if answer.num_rows and column not in answer.column_names else set()
        if answer.num_rows and column in answer.column_names:
            there = set(answer.column(column).unique().to_pylist())
        lacking = [name for name in names if name not in there]
        if lacking:
            self._warn(
                f"no rows of {', '.join(lacking)} in {table} {within}: is the name right, as in PETR4?", NoRowsWarning
            )

    @staticmethod
    def _warn(text: str, kind: type[Warning]) -> None:
        """Warns at the line outside of this package that asked."""
        depth, frame = 1, sys._getframe(0)
        while frame.f_back is not None and frame.f_globals.get("__package__") == __package__:
            depth, frame = depth + 1, frame.f_back
        warnings.warn(text, kind, stacklevel=depth)


class View:
    """The published files of a range of days, by one reading of its records, and a connection of DuckDB for one answer."""

    def __init__(
        self, lake: Lake[Any], within: Days, records: dict[datetime.date, Record], connection: duckdb.DuckDBPyConnection
    ) -> None:
        self._lake, self.days, self.records, self.connection = lake, within, records, connection
        self._files: dict[str, list[PublishedFile]] = {}

    def files(self, table: str) -> list[PublishedFile]:
        """Returns the files of a table, after a check that all are there."""
        if table not in self._files:
            by_day = _records.published_tables(self.records.values(), table)
            self._lake._check_days(table, self.days, by_day)
            self._files[table] = [file for files in by_day.values() for file in files]
            _stores.check(self._lake._store, self._files[table])
        return self._files[table]

    def table(self, table: str) -> str:
        """Returns SQL that reads a table."""
        files = self.files(table)
        if not files:
            return f"({_tables.empty(table)})"
        with self._reading():
            return self._lake._store.source(self.connection, f"{table}_files", files)

    def name(self, table: str) -> None:
        """Creates the view by which SQL names a table."""
        source = self.table(table)
        with self._reading():
            self.connection.sql(f"CREATE TEMP VIEW {table} AS SELECT {_tables.TIME} AS time, * FROM {source}")

    def ask(self, sql: str, parameters: Mapping[str, object]) -> pyarrow.Table:
        """Returns an answer."""
        with self._reading(), self.connection:
            return self.connection.sql(sql, params=dict(parameters) or None).to_arrow_table()

    @contextlib.contextmanager
    def _reading(self) -> Iterator[None]:
        """Turns the error of a file that has gone meanwhile, or cannot be read, into one that names it."""
        duckdb = require("duckdb", "arrow")
        try:
            yield
        except (duckdb.Error, OSError) as failed:
            for files in self._files.values():
                _stores.check(self._lake._store, files)
            if isinstance(failed, (duckdb.IOException, OSError)):
                raise PublishedFileError(f"a published file cannot be read: {failed}") from failed
            raise


class Conditions:
    """The conditions of a statement, and the values of its parameters."""

    def __init__(self) -> None:
        self.parameters: dict[str, object] = {}
        self._all: list[str] = []

    def one_of(self, column: str, values: Names | None) -> None:
        """Adds that a column is one of the values; None: any."""
        if values is not None:
            names = [values] if isinstance(values, str) else list(values)
            self._all.append(_tables.one_of(column, names, self.parameters))

    def add(self, condition: str, value: object | None) -> None:
        """Adds a condition with a value in the place of `{}`; None: no condition."""
        if value is not None:
            name = f"p{len(self.parameters)}"
            self.parameters[name] = value
            self._all.append(condition.format(f"${name}"))

    def where(self) -> str:
        """Returns the clause."""
        return f" WHERE {' AND '.join(self._all)}" if self._all else ""


@overload
def connect(
    home: str | os.PathLike[str] | None = ...,
    *,
    stack: str | None = ...,
    bucket: str | None = ...,
    region: str | None = ...,
    profile: str | None = ...,
    endpoint_url: str | None = ...,
    frame: Literal["polars"] = ...,
    as_of: Moment | None = ...,
    missing: Missing = ...,
) -> Lake[polars.DataFrame]: ...
@overload
def connect(
    home: str | os.PathLike[str] | None = ...,
    *,
    stack: str | None = ...,
    bucket: str | None = ...,
    region: str | None = ...,
    profile: str | None = ...,
    endpoint_url: str | None = ...,
    frame: Literal["pandas"],
    as_of: Moment | None = ...,
    missing: Missing = ...,
) -> Lake[pandas.DataFrame]: ...
@overload
def connect(
    home: str | os.PathLike[str] | None = ...,
    *,
    stack: str | None = ...,
    bucket: str | None = ...,
    region: str | None = ...,
    profile: str | None = ...,
    endpoint_url: str | None = ...,
    frame: Literal["arrow"],
    as_of: Moment | None = ...,
    missing: Missing = ...,
) -> Lake[pyarrow.Table]: ...
def connect(
    home: str | os.PathLike[str] | None = None,
    *,
    stack: str | None = None,
    bucket: str | None = None,
    region: str | None = None,
    profile: str | None = None,
    endpoint_url: str | None = None,
    frame: Form = "polars",
    as_of: Moment | None = None,
    missing: Missing = "warn",
) -> Lake[Any]:
    """Opens a lake to read what is published of it.

    On a machine: `home`, else PREGAO_HOME, else `.pregao` of this folder or the nearest one above. It needs no program that
    runs. On AWS: `stack`, the name of the CloudFormation stack, or `bucket`, its lake bucket, with the credentials, region
    and endpoint that boto3 finds; `bucket` beside a home is the name of its lake bucket.

    `frame`: the form of the answers. `as_of`: the tables as they were published at that moment. `missing`: what a business
    day that is not published does to a call, a warning, an error or nothing.
    """
    on_aws = stack is not None or (bucket is not None and home is None)
    if not on_aws:
        if region or profile or endpoint_url:
            raise ValueError("region, profile and endpoint_url are for a stack= or bucket= on AWS")
        store: _stores.Store = _stores.HomeStore(_stores.find_home(home), bucket or _stores.BUCKET)
        return Lake(store, frame, as_of, missing)
    if home is not None or (stack is not None and bucket is not None):
        raise ValueError("give one of home, stack and bucket")
    session = require("boto3", "aws").Session(profile_name=profile, region_name=region)
    name = bucket if stack is None else _stores.find_bucket(session, stack)
    return Lake(_stores.BucketStore(session, str(name), endpoint_url), frame, as_of, missing)


def _past(as_of: Moment) -> datetime.datetime:
    found = moment(as_of)
    if found > datetime.datetime.now(datetime.timezone.utc):
        raise ValueError(f"{found.isoformat()} has not come yet: what will be published is not known")
    return found


def _known(table: str) -> str:
    if table not in _tables.COLUMNS:
        raise ValueError(f"{table!r} is no table: {', '.join(_tables.COLUMNS)}")
    return table


def _column(name: str) -> str:
    if not re.fullmatch(r"[A-Za-z_][A-Za-z_0-9]*", name):
        raise ValueError(f"{name!r} is no name of a column")
    return f"{_tables.TIME} AS time" if name == "time" else f'"{name}"'


def _latest(source: str, conditions: Conditions) -> str:
    """Returns SQL of quotes with one row for each time and ticker."""
    within = f"SELECT * FROM {source}{conditions.where()}"
    return f"({within} QUALIFY row_number() OVER (PARTITION BY intdate, ticker ORDER BY {_tables.LATEST}) = 1)"


def _published(records: Iterable[Record]) -> pyarrow.Table:
    arrow = require("pyarrow", "arrow")
    types = {
        "DATE": arrow.date32(),
        "VARCHAR": arrow.string(),
        "BIGINT": arrow.int64(),
        "TIMESTAMP": arrow.timestamp("ms", "UTC"),
        "BOOLEAN": arrow.bool_(),
    }
    rows = [
        {
            "day": record.day,
            "run": record.published.run,
            "number": record.number,
            "published_at": record.published.published_at,
            **{f"{table}_rows": record.published.rows.get(table) for table in _records.TABLES},
            "raw_files": record.published.raw_files,
            "raw_bytes": record.published.raw_bytes,
            "held": record.held,
        }
        for record in records
        if record.published is not None
    ]
    return arrow.Table.from_pylist(
        rows, schema=arrow.schema([(name, types[of]) for name, of in _tables.PUBLISHED.items()])
    )
