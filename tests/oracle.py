"""Computes the expected tables for a folder of raw files by the data contract alone.

An independent implementation to compare the engine with: plain Python, no shared code, not optimised. Numbers stay text
until the last step, in which `float` and `int` convert them exactly, so no arithmetic can have the same error as the
engine's.

    day = read_folder("raw")
    day.rows["quotes"]      # list of dicts, one per published row
    day.files["202004011320_flashpanel.csv"].counts
"""

from __future__ import annotations

import gzip
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

# --- tables -----------------------------------------------------------------------------------------

PARTITION = ["year", "month", "day"]


class Column(NamedTuple):
    name: str
    type: str  # the Athena type
    raw: str  # the name in the raw header; empty if the value is not in a cell
    kind: str  # how the cell is read: text, decimal, quantity, amount


def _columns(text: str) -> list[Column]:
    rows = [line.split() for line in text.strip().splitlines()]
    columns = [Column(name, type, "" if raw == "=" else raw, kind) for name, type, raw, kind in rows]
    return [Column("intdate", "bigint", "", ""), *columns]


# "1st" is the first cell of a record, whose header cell is a time and not a name.
QUOTES = _columns("""
    ticker       string 1st    text
    last_close   double Fec    decimal
    open         double Abe    decimal
    max          double Max    decimal
    min          double Min    decimal
    last         double Ult    decimal
    qty_bid      bigint QOfc   quantity
    bid          double Ofc    decimal
    ask          double Ofv    decimal
    qty_ask      bigint QOfv   quantity
    num_trades   double NNeg   quantity
    qty_total    double QTot   quantity
    total_volume double VolTot amount
""")

OPTIONS = _columns("""
    ticker         string 1st          text
    optn_ua        string Underlying   text
    optn_style     string OptnStyle    text
    optn_tp        string OptnTp       text
    optn_expn_days int    Du           quantity
    optn_expn_date string TradgEndDt   text
    optn_strike    double ExrcPric     decimal
    optn_bs_delta  double bs_delta     decimal
    optn_mkt_bid   double bid_opton    decimal
    optn_bs_bid    double bs_bid       decimal
    optn_mktbs_bid double my_bid       decimal
    ua_mkt_bid     double bid_undly    decimal
    optn_mkt_ask   double ask_opton    decimal
    optn_bs_ask    double bs_ask       decimal
    optn_mktbs_ask double my_ask       decimal
    ua_mkt_ask     double ask_undly    decimal
    bid_volimp     double bid_vol_imp  decimal
    bid_volcone    double bid_vol_cone decimal
    ask_volimp     double ask_vol_imp  decimal
    ask_volcone    double ask_vol_cone decimal
""")

REJECTS = [
    Column("intdate", "bigint", "", ""),
    *(
        Column(name, "string", "", "")
        for name in ("source_file", "table_name", "ticker", "column_name", "text", "reason")
    ),
]

TABLES = {"quotes": QUOTES, "options": OPTIONS, "rejects": REJECTS}


@dataclass(frozen=True)
class Feed:
    """One of the two kinds of raw file."""

    name: str
    suffix: str
    separator: str
    header: tuple[str, ...]  # the names of the 2nd to the last column; the first is a time
    columns: list[Column]


def _names(text: str) -> tuple[str, ...]:
    return tuple(text.split())


FEEDS = {
    "quotes": Feed(
        "quotes",
        "flashpanel",
        ",",
        _names("Abe Ajuste Fec Max Min Ofc Ofv QOfc QOfv QUlt Ult Grupo NNeg Nome QTot Strike VCTO VolTot"),
        QUOTES,
    ),
    "options": Feed(
        "options",
        "options",
        ";",
        _names("""
            Du ExrcPric OptnStyle OptnTp TradgEndDt Underlying bid_opton bid_undly ask_opton ask_undly sector
            bs_ask bs_bid my_ask my_bid bid_vol_imp ask_vol_imp bid_vol_cone ask_vol_cone bs_delta
            new_bid_vol_imp new_ask_vol_imp
        """),
        OPTIONS,
    ),
}

# --- numbers ----------------------------------------------------------------------------------------

BLANK = " \t\n\r\x0b\x0c\u00a0"
NULL_TOKENS = {"", "-", "--", "nan", "null", "none", "n/d", "n/a", "abe"}
POWERS = {"k": 3, "m": 6, "b": 9}
LIMITS = {"bigint": 2**63 - 1, "int": 2**31 - 1, "double": 2**63 - 1}

INSIDE = re.compile(r"([0-9]+)([kKmMbB])([0-9]{0,3})\Z")
AT_END = re.compile(r"([0-9]+)[.,]([0-9]+)([kKmMbB])\Z")
EXPONENT = re.compile(r"([0-9]*)(?:[.,]([0-9]*))?[eE]([+-]?[0-9]+)\Z")
PLAIN = re.compile(r"[0-9]*\Z")
GROUPED = re.compile(r"[0-9]{1,3}(?:[.,][0-9]{3})+\Z")


class Rejected(Exception):
    """The cell is not a number of its kind; the argument is the reason in `rejects`."""


class Digits(NamedTuple):
    """A number as its digits: `whole`.`part` times ten to the `power`."""

    negative: bool
    whole: str
    part: str
    power: int

    def is_zero(self) -> bool:
        return not (self.whole + self.part).strip("0")

    def as_float(self) -> float:
        sign = "-" if self.negative else ""
        return float(f"{sign}{self.whole or '0'}.{self.part or '0'}e{self.power}")

    def as_int(self, limit: int) -> int:
        """Returns the whole number; raises `Rejected` if it is not whole or too large."""
        if self.is_zero():
            return 0
        digits = (self.whole + self.part).lstrip("0")
        power = self.power - len(self.part)
        significant = digits.rstrip("0")
        power += len(digits) - len(significant)
        if power < 0:
            raise Rejected("not_whole")
        if len(significant) + power > 20:  # also keeps a huge exponent from being written out
            raise Rejected("out_of_range")
        number = int(significant) * 10**power
        if number > limit:
            raise Rejected("out_of_range")
        return number


def parse_digits(text: str, kind: str) -> Digits:
    """Parses a number: the forms of the number contract, in the order of its table."""
    negative = text.startswith("-")
    body = text[1:] if text[:1] in ("+", "-") else text

    if found := INSIDE.match(body):
        whole, suffix, part = found.groups()
        return Digits(negative, whole, part, POWERS[suffix.lower()])
    if found := AT_END.match(body):
        whole, part, suffix = found.groups()
        return Digits(negative, whole, part, POWERS[suffix.lower()])
    if found := EXPONENT.match(body):
        whole, part, power = found.groups()
        if not whole + (part or ""):
            raise Rejected("not_a_number")
        return Digits(negative, whole, part or "", int(power))

    separators = re.findall(r"[.,]", body)
    if not separators:
        if not body or not PLAIN.match(body):
            raise Rejected("not_a_number")
        return Digits(negative, body, "", 0)
    if len(separators) == 1:
        return one_separator(negative, body, separators[0], kind)
    if len(set(separators)) == 1:
        return Digits(negative, groups(body), "", 0)
    mark = separators[-1]
    if separators.count(mark) != 1:
        raise Rejected("not_a_number")
    whole, part = body.split(mark)
    if not PLAIN.match(part):
        raise Rejected("not_a_number")
    return Digits(negative, groups(whole), part, 0)


def groups(text: str) -> str:
    """Returns the digits of a number with separators of thousands."""
    if not GROUPED.match(text):
        raise Rejected("not_a_number")
    return re.sub("[.,]", "", text)


def one_separator(negative: bool, body: str, separator: str, kind: str) -> Digits:
    whole, part = body.split(separator)
    if not PLAIN.match(whole) or not PLAIN.match(part) or not whole + part:
        raise Rejected("not_a_number")
    if kind != "decimal" and len(part) == 3:
        return Digits(negative, groups(body), "", 0)
    return Digits(negative, whole, part, 0)


def parse_number(text: str, kind: str, type: str) -> int | float | None:
    """Returns the value of a cell, or None for a null token. Raises `Rejected`."""
    trimmed = text.strip(BLANK)
    if trimmed.lower() in NULL_TOKENS:
        return None
    digits = parse_digits(trimmed, kind)
    if kind != "decimal" and digits.negative and not digits.is_zero():
        raise Rejected("negative")
    if kind == "quantity":
        number = digits.as_int(LIMITS[type])
        return float(number) if type == "double" else number
    value = digits.as_float()
    if value in (float("inf"), float("-inf")):
        raise Rejected("out_of_range")
    return value


# --- files and records ------------------------------------------------------------------------------

NAME = re.compile(r"([0-9]{12})_(flashpanel|options)\.csv(\.gz)?\Z")
# The five bytes that Windows-1252 does not define are decoded as the control characters of the same number.
WINDOWS_1252 = {byte: bytes([byte]).decode("cp1252", "ignore") or chr(byte) for byte in range(256)}


def decode(line: bytes) -> str:
    try:
        return line.decode("utf-8")
    except UnicodeDecodeError:
        return "".join(WINDOWS_1252[byte] for byte in line)


def lines(data: bytes) -> Iterator[str]:
    """Returns the lines of a file without their ends. Empty lines are not records."""
    for line in data[3:].split(b"\n") if data.startswith(b"\xef\xbb\xbf") else data.split(b"\n"):
        line = line[:-1] if line.endswith(b"\r") else line
        if line:
            yield decode(line)


def fields(line: str, separator: str) -> tuple[list[str], bool]:
    """Returns the cells of a record, and whether its last quote was closed.

    A quote has a meaning only at the beginning of a field; inside, two quotes mean one. Text between a closing
    quote and the separator belongs to the field unchanged.
    """
    cells, at = [], 0
    while True:
        cell = ""
        if line[at : at + 1] == '"':
            at += 1
            while True:
                end = line.find('"', at)
                if end < 0:
                    return [*cells, cell + line[at:]], False
                cell += line[at:end]
                at = end + 1
                if line[at : at + 1] != '"':
                    break
                cell += '"'
                at += 1
        end = line.find(separator, at)
        if end < 0:
            return [*cells, cell + line[at:]], True
        cells.append(cell + line[at:end])
        at = end + 1


@dataclass
class File:
    """The result of one raw file."""

    name: str
    counts: Counter = field(default_factory=Counter)
    rejected_cells: int = 0


@dataclass
class Expected:
    """The expected content of the lake: rows by table, counts by file, days by table."""

    rows: dict[str, list[dict]] = field(default_factory=lambda: {name: [] for name in TABLES})
    files: dict[str, File] = field(default_factory=dict)
    days: dict[str, set] = field(default_factory=lambda: {name: set() for name in TABLES})

    def total(self, feed: str, outcome: str) -> int:
        suffix = FEEDS[feed].suffix
        return sum(file.counts[outcome] for name, file in self.files.items() if f"_{suffix}.csv" in name)

    def rejected_cells(self, feed: str) -> int:
        suffix = FEEDS[feed].suffix
        return sum(file.rejected_cells for name, file in self.files.items() if f"_{suffix}.csv" in name)

    def day(self, table: str, year: int, month: int, day: int) -> list[dict]:
        return [row for row in self.rows[table] if (row["year"], row["month"], row["day"]) == (year, month, day)]


def read_folder(folder: str | Path) -> Expected:
    """Reads every raw file below `folder`, at any depth."""
    expected = Expected()
    for path in sorted(Path(folder).rglob("*")):
        if path.is_file() and NAME.match(path.name):
            read_file(path.name, path.read_bytes(), expected)
    return expected


def read_file(name: str, data: bytes, expected: Expected) -> None:
    """Adds the result of one raw file."""
    found = NAME.match(name)
    if not found:
        raise ValueError(f"{name} is not the name of a raw file")
    time, suffix, compressed = found.groups()
    feed = next(feed for feed in FEEDS.values() if feed.suffix == suffix)
    reader = _Reader(name, feed, time, expected)
    records = lines(gzip.decompress(data) if compressed else data)
    header, _ = fields(next(records, ""), feed.separator)
    reader.header = tuple(cell.strip(BLANK) for cell in header[1:])
    if reason := drift(reader.header, feed):
        raise ValueError(f"{name}: this is not the header of {feed.name}: {reason}: {header}")
    for line in records:
        reader.record(line)


def drift(header: tuple[str, ...], feed: Feed) -> str:
    """Returns why a file with this header cannot be read; an empty text if it can.

    The columns of the feed have to stand in their places. Columns behind them are ignored, if it is certain that they
    were added: each has a name, which no other column has.
    """
    if header[: len(feed.header)] != feed.header:
        return "a column was moved, renamed or removed"
    if "" in header:
        return "an added column has no name"
    if len(set(header)) < len(header):
        return "an added column has the name of another"
    return ""


class _Reader:
    def __init__(self, name: str, feed: Feed, time: str, expected: Expected):
        self.feed = feed
        self.header = feed.header  # of the file: the columns of the feed, and those that were added
        self.expected = expected
        self.file = expected.files.setdefault(name, File(name))
        self.partition = {"year": int(time[:4]), "month": int(time[4:6]), "day": int(time[6:8])}
        self.intdate = int(time)
        self.at = {raw: index for index, raw in enumerate(("1st", *feed.header))}
        for table in (feed.name, "rejects"):
            expected.days[table].add(tuple(self.partition.values()))

    def record(self, line: str) -> None:
        cells, closed = fields(line, self.feed.separator)
        self.file.counts["records"] += 1
        ticker = text_cell(cells[0])
        if ticker is None:
            self.file.counts["blank_ticker"] += 1
        elif tuple(cell.strip(BLANK) for cell in cells[1:]) == self.header:
            self.file.counts["header_repeat"] += 1
        elif not closed or len(cells) != len(self.header) + 1:
            self.file.counts["ragged"] += 1
            self.reject(ticker, "", line, "field_count" if closed else "unclosed_quote")
        else:
            self.file.counts["published"] += 1
            self.publish(ticker, cells)

    def publish(self, ticker: str, cells: list[str]) -> None:
        row = {"intdate": self.intdate}
        for column in self.feed.columns[1:]:
            cell = cells[self.at[column.raw]]
            try:
                row[column.name] = read_cell(cell, column)
            except Rejected as reason:
                row[column.name] = None
                self.file.rejected_cells += 1
                self.reject(ticker, column.raw, cell, str(reason))
        self.expected.rows[self.feed.name].append({**row, **self.partition})

    def reject(self, ticker: str, column: str, text: str, reason: str) -> None:
        self.expected.rows["rejects"].append(
            {
                "intdate": self.intdate,
                "source_file": self.file.name,
                "table_name": self.feed.name,
                "ticker": ticker,
                "column_name": column,
                "text": text,
                "reason": reason,
                **self.partition,
            }
        )


def text_cell(cell: str) -> str | None:
    return cell.strip(BLANK) or None


def read_cell(cell: str, column: Column) -> str | int | float | None:
    if column.kind == "text":
        return text_cell(cell)
    return parse_number(cell, column.kind, column.type)
