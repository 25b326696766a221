"""The publication records: which files of a day are published. The only module that knows their format.

docs/records.md describes it. The records are the source of truth, so this package reads them, and not the lists derived
from them. Only the copies of the records of a year are used, which name the version of the record that they were taken
from, and are valid for that version alone.
"""

from __future__ import annotations

import datetime
import json
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import partial
from typing import Any, TypeVar

from ._days import Days, parse_time
from ._errors import RecordError
from ._stores import Store

VERSION = 1
TABLES = ("quotes", "options", "rejects")
MIGRATED = "published/_migrated.json"
# A record with an earlier time may still be written for this long after a moment: the longest invocation of a function.
SETTLED = datetime.timedelta(minutes=15)
# From this many records on, the copies of their year are read, which takes one request.
_MANY = 40
_KEY = re.compile(r"published/year=([0-9]+)/month=([0-9]+)/day=([0-9]+)\.json")
_URI = re.compile(r"s3://([^/]+)/(.+)")

Value = TypeVar("Value")


@dataclass(frozen=True)
class PublishedFile:
    """A published Parquet file."""

    day: datetime.date
    table: str
    run: str
    bucket: str
    key: str
    rows: int
    bytes: int
    etag: str

    @property
    def uri(self) -> str:
        """The URI of the object."""
        return f"s3://{self.bucket}/{self.key}"


@dataclass(frozen=True)
class Publication:
    """The run that is published of a day, and its files by table."""

    run: str
    published_at: datetime.datetime
    tables: dict[str, list[PublishedFile]]
    rows: dict[str, int]
    raw_files: int
    raw_bytes: int


@dataclass(frozen=True)
class Record:
    """What is published of a day."""

    day: datetime.date
    number: int
    cause: str
    written_at: datetime.datetime
    published: Publication | None
    held: bool
    missing_accepted: bool
    removed_runs: frozenset[str] = field(default_factory=frozenset)

    @property
    def since(self) -> datetime.datetime:
        """The time since which this was published. A migration found what had been published before."""
        if self.cause == "migrated" and self.published:
            return min(self.published.published_at, self.written_at)
        return self.written_at


class Records:
    """The records of a lake. Those that have not changed are parsed once."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._parsed: dict[str, tuple[str, Record]] = {}

    def current(self, days: Days) -> dict[datetime.date, Record]:
        """Returns the current records of a range, by day in order."""
        keys = self._list(days)
        known = {
            key: kept[1] for key, version in keys.items() if (kept := self._parsed.get(key)) and kept[0] == version
        }
        wanted = [key for key in keys if key not in known]
        if self._store.remote and len(wanted) >= _MANY:
            known |= self._copies(keys, wanted)
            wanted = [key for key in wanted if key not in known]
        for key, body in self._store.read(wanted).items():
            # None: the day's record is there no longer, which nothing of pregao does.
            if body is not None:
                known[key] = self._parse(key, body, _day(key))
        self._parsed.update({key: (keys[key], record) for key, record in known.items()})
        return {record.day: record for record in sorted(known.values(), key=lambda record: record.day)}

    def at(self, days: Days, moment: datetime.datetime) -> dict[datetime.date, Record]:
        """Returns the records that were current at a moment. Days that were not published then are absent.

        Raises RecordError if the files of a run that was published then are removed.
        """
        current = self.current(days)
        found = {}
        for day, then in self._before(current, moment).items():
            if then.published is None:
                continue
            if then.published.run in current[day].removed_runs:
                raise RecordError(
                    f"at {moment.isoformat()} the run {then.published.run} was published of {day}, and a vacuum has "
                    "removed its files. Ask for another moment, or for days whose files are still there"
                )
            found[day] = then
        return found

    def left_out(self) -> dict[datetime.date, str]:
        """Returns the days of an older version that the migration could not read, with the reasons."""
        body = self._store.read([MIGRATED])[MIGRATED]
        if body is None:
            return {}
        return _checked(self._uri(MIGRATED), lambda: _left_out(json.loads(body)))

    def _before(self, current: dict[datetime.date, Record], moment: datetime.datetime) -> dict[datetime.date, Record]:
        """Returns the records that were current at a moment: goes back in the history, all days at once."""
        found = dict(current)
        while later := {day: record for day, record in found.items() if record.since > moment}:
            keys = {day: _history(record) for day, record in later.items() if record.number > 1}
            # A record in the history never changes.
            bodies = self._store.read([key for key in keys.values() if key not in self._parsed])
            for day in later:
                if day not in keys:
                    del found[day]
                    continue
                key = keys[day]
                if key not in self._parsed:
                    self._parsed[key] = ("", self._parse(key, self._there(key, bodies[key], day), day))
                found[day] = self._parsed[key][1]
        return found

    def _there(self, key: str, body: bytes | None, day: datetime.date) -> bytes:
        if body is None:
            raise RecordError(
                f"{self._uri(key)} is missing: the history of {day} has a gap, and what was published then is not known. "
                "Restore the object from an earlier version or a backup"
            )
        return body

    def _list(self, days: Days) -> dict[str, str]:
        """Returns the keys of the current records of a range, with their versions."""
        prefixes = ["published/"]
        if days.first and days.last:
            prefixes = [f"published/year={year}/" for year in range(days.first.year, days.last.year + 1)]
            if days.first.year == days.last.year:
                months = range(days.first.month, days.last.month + 1)
                prefixes = [f"published/year={days.first.year}/month={month}/" for month in months]
        found = {key: version for prefix in prefixes for key, version in self._store.versions(prefix).items()}
        return {key: version for key, version in found.items() if _KEY.fullmatch(key) and _day(key) in days}

    def _copies(self, keys: dict[str, str], wanted: list[str]) -> dict[str, Record]:
        """Returns the wanted records from the copies of their years, where these are of the version that is there."""
        years = sorted({_day(key).year for key in wanted})
        objects = [f"catalog/records/year={year}.json" for year in years]
        found = {}
        for name, body in self._store.read(objects).items():
            if body is None:
                continue
            uri = self._uri(name)
            for day, etag, record in _checked(uri, partial(_copies, _document(uri, body))):
                key = f"published/year={day.year}/month={day.month}/day={day.day}.json"
                if keys.get(key) == etag:
                    found[key] = self._record(uri, record, day)
        return {key: found[key] for key in wanted if key in found}

    def _parse(self, key: str, body: bytes, day: datetime.date) -> Record:
        return self._record(self._uri(key), _document(self._uri(key), body), day)

    def _record(self, uri: str, document: dict[str, Any], day: datetime.date) -> Record:
        if document.get("version") != VERSION:
            raise RecordError(
                f"{uri} has version {document.get('version')}, and this version of the package knows version {VERSION}: "
                "install the version of the package that belongs to the program, pip install --upgrade pregao"
            )
        record = _checked(uri, lambda: _read(document))
        if record.day != day:
            raise RecordError(f"{uri} is the record of {record.day}. {_RESTORE}")
        return record

    def _uri(self, key: str) -> str:
        return self._store.name(key)


_RESTORE = "Restore it from history/ beside it, or from an earlier version of the object"


def _history(record: Record) -> str:
    """Returns the key of the record before."""
    day = record.day
    return f"published/year={day.year}/month={day.month}/day={day.day}/history/{record.number - 1}.json"


def _day(key: str) -> datetime.date:
    match = _KEY.fullmatch(key)
    if not match:
        raise RecordError(f"{key} is not the key of a record")
    try:
        return datetime.date(*map(int, match.groups()))
    except ValueError as error:
        raise RecordError(f"{key} is not the key of a day's record: {error}") from error


def _document(uri: str, body: bytes) -> dict[str, Any]:
    document = _checked(uri, lambda: json.loads(body))
    if not isinstance(document, dict):
        raise RecordError(f"{uri} is not a JSON object. {_RESTORE}")
    return document


def _checked(uri: str, parse: Callable[[], Value]) -> Value:
    """Returns what `parse` returns; what is wrong with the document is a RecordError that names it."""
    try:
        return parse()
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise RecordError(f"{uri} is damaged ({type(error).__name__}: {error}). {_RESTORE}") from error


def _left_out(document: dict[str, Any]) -> dict[datetime.date, str]:
    return {datetime.date.fromisoformat(day): str(why) for day, why in document["left_out"].items()}


def _copies(document: dict[str, Any]) -> list[tuple[datetime.date, str, dict[str, Any]]]:
    """Returns the records of a year, each with its day and the ETag of its object."""
    return [
        (datetime.date.fromisoformat(copy["record"]["day"]), str(copy["etag"]), copy["record"])
        for copy in document["records"]
    ]


def _read(document: dict[str, Any]) -> Record:
    day = datetime.date.fromisoformat(document["day"])
    published = document.get("published")
    return Record(
        day=day,
        number=int(document["number"]),
        cause=str(document["cause"]),
        written_at=parse_time(document["written_at"]),
        published=None if published is None else _publication(day, published),
        held=document.get("held") is not None,
        missing_accepted=document.get("missing_accepted") is not None,
        removed_runs=frozenset(document.get("removed_runs", ())),
    )


def _publication(day: datetime.date, document: dict[str, Any]) -> Publication:
    run, tables = str(document["run"]), document["tables"]
    raw_files = document["raw_files"]
    return Publication(
        run=run,
        published_at=parse_time(document["published_at"]),
        tables={name: _files(day, name, run, table) for name, table in tables.items()},
        rows={name: int(table["rows"]) for name, table in tables.items()},
        raw_files=len(raw_files),
        raw_bytes=sum(int(file["bytes"]) for file in raw_files),
    )


def _files(day: datetime.date, name: str, run: str, table: dict[str, Any]) -> list[PublishedFile]:
    match = _URI.fullmatch(table["location"])
    if not match or not match[2].endswith("/") or {"", ".", ".."} & set(match[2][:-1].split("/")):
        raise ValueError(f"{table['location']!r} is no folder of S3")
    bucket, folder = match.groups()
    files = [
        PublishedFile(
            day=day,
            table=name,
            run=run,
            bucket=bucket,
            key=folder + _file_name(file["name"]),
            rows=int(file["rows"]),
            bytes=int(file["bytes"]),
            etag=str(file["etag"]),
        )
        for file in sorted(table["files"], key=lambda file: file["name"])
    ]
    if (sum(file.rows for file in files), sum(file.bytes for file in files)) != (table["rows"], table["bytes"]):
        raise ValueError(f"the files of {name} have not the rows and bytes of the table")
    return files


def _file_name(name: str) -> str:
    if "/" in name or name in ("", ".", ".."):
        raise ValueError(f"{name!r} is no file name")
    return name


def published_tables(records: Iterable[Record], table: str) -> dict[datetime.date, list[PublishedFile]]:
    """Returns the files of a table by day. A published day without the table is not in it."""
    return {
        record.day: record.published.tables[table]
        for record in records
        if record.published is not None and table in record.published.tables
    }
