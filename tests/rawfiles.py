"""Raw files for tests, from a generator that shares no code with `pregao sample`.

Three entry points, from plausible to hostile:

    encode("quotes", "202004011000", [quote("PETR4"), quote("VALE3", Ofc="46,01")])   one file by hand
    write_market(folder, seed=1)                days of a plausible market, with the usual errors
    write_adversarial(folder, seed=1, ...)      every number in every column, and files malformed in every way

The same seed gives the same bytes.
"""

from __future__ import annotations

import csv
import gzip
import random
from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache
from pathlib import Path

from oracle import FEEDS

# The days of the data set from which the contract was derived: they span two weekends, and 2020-04-08 is a
# business day without a file.
DAYS = ["20200401", "20200402", "20200403", "20200406", "20200407", "20200409"]
VECTORS = Path(__file__).parent.parent / "crates" / "market" / "tests" / "number_vectors.csv"

Row = list  # of cells, as text

# --- one file by hand -------------------------------------------------------------------------------


def quote(ticker: str = "PETR4", **cells: str) -> Row:
    """Returns a plausible record of a quotes file. `cells` replaces cells, by raw name."""
    defaults = dict(
        Abe="15,00", Ajuste="-", Fec="14,90", Max="16,00", Min="14,50", Ofc="15,20", Ofv="15,30",
        QOfc="1k", QOfv="2k5", QUlt="100", Ult="15,25", Grupo="01", NNeg="1391.0", Nome="PETROBRAS PN",
        QTot="379k1", Strike="-", VCTO="-", VolTot="5m762",
    )  # fmt: skip
    return _record("quotes", ticker, defaults, cells)


def option(ticker: str = "PETRF152", **cells: str) -> Row:
    """Returns a plausible record of an options file. `cells` replaces cells, by raw name."""
    defaults = dict(
        Du="50", ExrcPric="15.2", OptnStyle="EURO", OptnTp="CALL", TradgEndDt="2020-06-15", Underlying="PETR4",
        bid_opton="1.84", bid_undly="15.2", ask_opton="1.97", ask_undly="15.3", sector="Petroleo", bs_ask="1.95",
        bs_bid="1.86", my_ask="1.97", my_bid="1.84", bid_vol_imp="0.612", ask_vol_imp="0.668",
        bid_vol_cone="0.589", ask_vol_cone="0.691", bs_delta="0.5321", new_bid_vol_imp="0.61", new_ask_vol_imp="0.67",
    )  # fmt: skip
    return _record("options", ticker, defaults, cells)


def _record(feed: str, ticker: str, defaults: dict, cells: dict) -> Row:
    unknown = set(cells) - set(defaults)
    if unknown:
        raise KeyError(f"{feed} has no column {sorted(unknown)}")
    return [ticker] + [{**defaults, **cells}[name] for name in FEEDS[feed].header]


@dataclass(frozen=True)
class Form:
    """The encoding of a file, independent of its content."""

    encoding: str = "utf-8"
    newline: str = "\n"
    last_newline: bool = True
    mark: bool = False  # a byte-order mark
    compressed: bool = False


def file_name(feed: str, time: str, form: Form = Form()) -> str:
    return f"{time}_{FEEDS[feed].suffix}.csv" + (".gz" if form.compressed else "")


def header(feed: str, time: str, added: Iterable[str] = ()) -> Row:
    """Returns the header of a snapshot whose source has added columns behind those of the feed."""
    if feed == "quotes":
        return [time, *FEEDS[feed].header, *added]
    time = f"{time[:4]}-{time[4:6]}-{time[6:8]} {time[8:10]}:{time[10:12]}:41.017496"
    return [time, *FEEDS[feed].header, *added]


def encode(feed: str, time: str, rows: Iterable[Row], form: Form = Form(), added: Iterable[str] = ()) -> bytes:
    """Returns the bytes of a snapshot, with cells quoted where necessary."""
    return encode_lines(feed, time, (join(row, FEEDS[feed].separator) for row in rows), form, added)


def encode_lines(feed: str, time: str, lines: Iterable[str], form: Form = Form(), added: Iterable[str] = ()) -> bytes:
    """Returns the bytes of a snapshot from its literal lines."""
    text = form.newline.join([join(header(feed, time, added), FEEDS[feed].separator), *lines])
    text += form.newline if form.last_newline else ""
    data = text.encode(form.encoding)
    data = (b"\xef\xbb\xbf" if form.mark else b"") + data
    return gzip.compress(data, mtime=0) if form.compressed else data


def join(cells: Row, separator: str) -> str:
    return separator.join(quoted(cell) if separator in cell or '"' in cell else cell for cell in cells)


def quoted(cell: str) -> str:
    return '"' + cell.replace('"', '""') + '"'


def write(folder: Path, feed: str, time: str, rows: Iterable[Row], form: Form = Form()) -> Path:
    return _put(folder / file_name(feed, time, form), encode(feed, time, rows, form))


def _put(path: Path, data: bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


# --- numbers, in every style of the sources ---------------------------------------------------------


def decimal_styles(value: Decimal) -> list[str]:
    """Returns every way to write a number in a decimal column."""
    plain = f"{value:f}"
    sign, digits = ("-", plain[1:]) if plain.startswith("-") else ("", plain)
    whole, _, part = digits.partition(".")
    styles = [plain, plain.replace(".", ",")]
    if part:
        styles += [f"{sign}{whole},{part}000", f"{sign}{whole}.{part.rstrip('0') or '0'}"]
        if whole == "0" and part.strip("0"):
            styles.append(f"{sign}.{part}")
        if len(whole) > 3:
            styles += [f"{sign}{grouped(whole, '.')},{part}", f"{sign}{grouped(whole, ',')}.{part}"]
    if value:
        styles.append(f"{value:e}")
    return styles


def quantity_styles(value: int) -> list[str]:
    """Returns every way to write a number in a quantity column, or a whole number in an amount column."""
    digits = str(value)
    styles = [digits, f"{digits}.0", f"{digits},00"]
    if value >= 1000:
        styles += [grouped(digits, "."), grouped(digits, ","), f"{grouped(digits, '.')},0"]
        styles.append(f"{Decimal(value):.{len(digits) - 1}e}")
    for suffix, power in (("k", 3), ("m", 6), ("b", 9)):
        whole, part = divmod(value, 10**power)
        decimals = f"{part:0{power}}".rstrip("0")
        if len(decimals) <= 3:
            styles += [f"{whole}{suffix}{decimals}", f"{whole}{suffix.upper()}{decimals}"]
        if decimals:
            styles += [f"{whole},{decimals}{suffix}", f"{whole}.{decimals}{suffix}"]
    return styles


def amount_styles(value: Decimal) -> list[str]:
    """Returns every way to write a number with cents in an amount column."""
    if value == value.to_integral_value():
        return quantity_styles(int(value))
    whole, part = f"{value:.2f}".split(".")
    styles = [f"{whole}.{part}", f"{whole},{part}", f"{whole}.{part.rstrip('0')}", f"{value:e}"]
    if len(whole) > 3:
        styles += [f"{grouped(whole, '.')},{part}", f"{grouped(whole, ',')}.{part}"]
    return styles


def grouped(digits: str, separator: str) -> str:
    return f"{int(digits):,}".replace(",", separator)


# --- a plausible market -----------------------------------------------------------------------------

NOTHING = ["", "-", "--", "nan", "NaN", "null", "None", "N/D", "n/a", "Abe"]
COMPANIES = [
    ("PETR4", "PETROBRAS PN", 1573), ("VALE3", "VALE ON", 4601), ("ITUB4", "ITAÚ UNIBANCO PN", 2325),
    ("GOAU4", "METALÚRGICA GERDAU", 455), ("CPLE6", 'COPEL "PNB", CIA', 5650), ("AALR3", "ALLIAR ON", 950),
    ("ALSO3", "ALIANSCE, SONAE", 2649), ("CMIG4", "CEMIG PN", 921), ("PRIO3", "PETRÓLEO RIO", 1240),
    ("WEGE3", "WEG ON", 3311), ("BOVA11", "ISHARES BOVESPA ÍNDICE", 68900), ("RANI3", "IRANI ON", 233),
]  # fmt: skip


def write_market(folder: Path, seed: int, days: Iterable[str] = DAYS, snapshots: int = 5) -> None:
    """Writes days that pass every check of the audit: bid < ask, min <= last <= max, totals that only grow.

    Each file has some of the usual errors. One record per feed and day is ragged: the checks tolerate no more in a day of this
    size.
    """
    random_ = random.Random(f"market {seed}")
    companies = [_Company(random_, *company) for company in COMPANIES]
    for day in days:
        for company in companies:
            company.new_day()
        times = _times(random_, day, snapshots)
        for time in times:
            for company in companies:
                company.trade()
            records = {
                "quotes": [row for company in companies for row in company.quotes(random_)],
                "options": [row for company in companies for row in company.options(random_, day)],
            }
            for feed, rows in records.items():
                form = random_form(random_)
                lines = _messy(random_, feed, time, rows, last=time == times[-1])
                path = folder / day[:6] / feed / file_name(feed, time, form)
                _put(path, encode_lines(feed, time, lines, form))


def write_market_and_late(
    folder: Path, seed: int, days: list[str], snapshots: int, late_day: str | None = None
) -> Path:
    """Writes a market to `raw/`, except the last quotes snapshot of `late_day` (default: the first), which goes to `late/`.

    Returns `raw/`.
    """
    raw, late = folder / "raw", folder / "late"
    write_market(raw, seed=seed, days=days, snapshots=snapshots)
    late.mkdir()
    path = max(raw.rglob(f"{late_day or days[0]}*_flashpanel.csv*"))
    path.rename(late / path.name)
    return raw


def _times(random_: random.Random, day: str, count: int) -> list[str]:
    every = [f"{day}{hour:02}{minute:02}" for hour in range(10, 17) for minute in range(0, 60, 10)]
    return sorted(random_.sample(every, count))


def random_form(random_: random.Random) -> Form:
    # A byte-order mark means UTF-8: the sources do not write it before Windows-1252.
    encoding = random_.choice(["utf-8", "cp1252"])
    return Form(
        encoding=encoding,
        newline=random_.choice(["\n", "\r\n"]),
        last_newline=random_.random() < 0.7,
        mark=encoding == "utf-8" and random_.random() < 0.3,
        compressed=random_.random() < 0.3,
    )


def _messy(random_: random.Random, feed: str, time: str, rows: list[Row], last: bool) -> list[str]:
    """Returns the records of a snapshot as lines, with one cell that is not a number, and some dropped records."""
    separator = FEEDS[feed].separator
    bad = random_.randrange(len(rows))
    column = 1 + FEEDS[feed].header.index("Ult" if feed == "quotes" else "my_bid")
    rows[bad] = [*rows[bad][:column], random_.choice(["R$ 5", "12a", "1.23.456"]), *rows[bad][column + 1 :]]
    lines = [join(row, separator) for row in rows]
    dropped = list(dropped_lines(random_, feed, time, rows[0]))
    ragged = list(ragged_lines(random_, feed, rows[0]))
    for line in [*dropped, *([random_.choice(ragged)] if last else [])]:
        lines.insert(random_.randrange(len(lines) + 1), line)
    return lines


def dropped_lines(random_: random.Random, feed: str, time: str, row: Row) -> Iterable[str]:
    """Returns an empty line, and records that are dropped and only counted."""
    separator = FEEDS[feed].separator
    yield join(header(feed, time), separator)
    yield join([random_.choice(["", " ", "\u00a0", "\t "]), *row[1:]], separator)
    yield ""


def ragged_lines(random_: random.Random, feed: str, row: Row) -> Iterable[str]:
    """Returns variants of the record that have more or fewer fields than the header, or an unclosed quote."""
    separator = FEEDS[feed].separator
    yield join(row[: random_.randrange(1, len(row))], separator)
    yield join([*row, random_.choice(["", "0", "x"])], separator)
    yield join(row[:-1], separator) + separator + '"' + row[-1]


class _Company:
    """A stock, its fractional lot and its options, over all days."""

    def __init__(self, random_: random.Random, ticker: str, name: str, cents: int):
        self.random = random_
        self.name = name
        self.close = cents
        self.lots = [_Session(random_, ticker, 100), _Session(random_, f"{ticker}F", 1)]
        root = ticker[:4]
        self.series = [f"{root}{month}{100 + number}" for month in "DEFPQR" for number in range(3)]

    def new_day(self) -> None:
        self.close = self.lots[0].last or self.close
        for lot in self.lots:
            lot.open_day(self.close)

    def trade(self) -> None:
        for lot in self.lots:
            lot.trade()

    def quotes(self, random_: random.Random) -> Iterable[Row]:
        for lot in self.lots:
            yield lot.record(random_, self.name)

    def options(self, random_: random.Random, day: str) -> Iterable[Row]:
        spot = self.lots[0].price
        for number, ticker in enumerate(self.series):
            strike = spot * (90 + 10 * (number % 3)) // 100
            call = ticker[4] < "M"
            worth = max(spot - strike if call else strike - spot, 0) + spot // 20
            bid, ask = worth - 1 - number % 3, worth + 1 + number % 4
            text = lambda cents: random_.choice(decimal_styles(_reais(cents)))  # noqa: E731
            small = lambda low, high: _program(random_, random_.uniform(low, high))  # noqa: E731
            quiet = random_.random() < 0.3
            yield option(
                ticker,
                Du=random_.choice(quantity_styles(number * 7 + 1)),
                ExrcPric=text(strike),
                OptnStyle=random_.choice(["EURO", "AMER"]),
                OptnTp="CALL" if call else "PUTT",
                TradgEndDt=f"{day[:4]}-{['04', '05', '06'][number % 3]}-15",
                Underlying=self.lots[0].ticker,
                bid_opton=random_.choice(NOTHING) if quiet else text(bid),
                ask_opton=random_.choice(NOTHING) if quiet else text(ask),
                bid_undly=text(spot - 1),
                ask_undly=text(spot + 1),
                sector="Petróleo, Gás e Biocombustíveis",
                bs_bid=text(bid),
                bs_ask=text(ask),
                my_bid=text(bid),
                my_ask=text(ask),
                bid_vol_imp=small(0.2, 0.5),
                ask_vol_imp=small(0.5, 0.9),
                bid_vol_cone=small(0.2, 0.5),
                ask_vol_cone=small(0.5, 0.9),
                bs_delta=small(0.01, 1) if call else small(-1, -0.01),
            )


class _Session:
    """One instrument during one day. Prices are in cents, so that all sums are exact."""

    def __init__(self, random_: random.Random, ticker: str, lot: int):
        self.random, self.ticker, self.lot = random_, ticker, lot
        self.open_day(1000)

    def open_day(self, close: int) -> None:
        self.close = self.price = close
        self.open = self.min = self.max = self.last = None
        self.trades = self.quantity = self.volume = 0

    def trade(self) -> None:
        for _ in range(self.random.randrange(0, 6)):
            self.price = max(20, self.price + self.random.randrange(-10, 11))
            quantity = self.lot * self.random.randrange(1, 40_000)
            self.open = self.open or self.price
            self.last = self.price
            self.min = min(self.min or self.price, self.price)
            self.max = max(self.max or self.price, self.price)
            self.trades += self.random.randrange(1, 500)
            self.quantity += quantity
            self.volume += quantity * self.price

    def record(self, random_: random.Random, name: str) -> Row:
        def price(cents: int | None) -> str:
            if cents is None:
                return random_.choice(NOTHING)
            text = random_.choice(decimal_styles(_reais(cents)))
            return random_.choice(["\u00a0{} ", " {}\u00a0\t"]).format(text) if random_.random() < 0.02 else text

        bid = self.price - random_.randrange(1, 5)
        return quote(
            self.ticker,
            Fec=price(self.close),
            Abe=price(self.open),
            Max=price(self.max),
            Min=price(self.min),
            Ult=price(self.last),
            Ofc=price(bid),
            Ofv=price(bid + random_.randrange(1, 9)),
            QOfc=random_.choice(quantity_styles(self.lot * random_.randrange(1, 9000))),
            QOfv=random_.choice(quantity_styles(self.lot * random_.randrange(1, 9000))),
            NNeg=random_.choice(quantity_styles(self.trades)),
            QTot=random_.choice(quantity_styles(self.quantity)),
            VolTot=random_.choice(amount_styles(_reais(self.volume))),
            Nome=name,
        )


def _reais(cents: int) -> Decimal:
    return Decimal(cents).scaleb(-2)


def _program(random_: random.Random, value: float) -> str:
    """Formats a number as a program does: shortest digits, rounded, or with an exponent."""
    return random_.choice([repr(value), repr(round(value, 4)), f"{value:e}", repr(round(value, 3)).replace(".", ",")])


# --- adversarial files ------------------------------------------------------------------------------

NASTY = [
    "0", "-0", "00012", "1,", ",1", ".", ",", "+", "-", "1.2,3", "1,234.5", "1.234,5", "12.34,5", "1e5", "1E-3",
    "1.5e+3", "1,5e3", "1.2.3e4", "e5", "1e", "1e+", "9223372036854775807", "9223372036854775808", "2147483647",
    "2147483648", "1e308", "1e309", "4.9e-324", "1e-400", "0.1", "179769313486231570000000000000000000000",
    "0.30000000000000004", "123456789012345678", "9007199254740993", "9b223", "9223372036b854", "5k", "K5", "5k5k",
    "1.5k", "1,5555m", "1.234m", "1.234.567k", "k5", "5 k", "½", "１２", "٣", "1_000", "0x10", "1d", "infinity", "Inf",
    "+nan", "-nan", "1'000", "(5)", "5%", "US$5", "12,345,67", "0.000", "00.000", "1234.567", "1234,567", "168407.000",
    "1.000000", "1.0000", "12.10", "1,10", "3,0000", "0,123", "123.", "999.999.999", "999,999.999", "5-", "5+", "+-5",
]  # fmt: skip


@lru_cache(maxsize=1)
def vectors() -> list[str]:
    """Returns the texts of the test cases of the number contract."""
    with open(VECTORS, newline="", encoding="utf-8") as file:
        return list(dict.fromkeys(row["text"] for row in csv.DictReader(file)))


def write_adversarial(folder: Path, seed: int, days: Iterable[str] = DAYS, records: int = 300) -> None:
    """Writes files of both feeds in which most cells and many records are wrong.

    Each day has a file with every number of the contract in every column, and one with records that
    are completely random. Each has one to whose header columns were added. The last day also has files with only a header.
    """
    random_ = random.Random(f"adversarial {seed}")
    days = list(days)
    for day in days:
        for feed in FEEDS:
            _write_lines(random_, folder / day, feed, f"{day}1000", _every_number(feed))
            lines = [line for _ in range(records) for line in _hostile_lines(random_, feed, f"{day}1010")]
            _write_lines(random_, folder / day / "deeper" / feed, feed, f"{day}1010", lines)
            added = added_columns(random_)
            lines = _drifted_lines(random_, feed, f"{day}1020", added, records // 3)
            _write_lines(random_, folder / day, feed, f"{day}1020", lines, added)
    for feed in FEEDS:
        _write_lines(random_, folder, feed, f"{days[-1]}1630", [])


def write_drifted(folder: Path, seed: int, days: Iterable[str] = DAYS, snapshots: int = 6, records: int = 60) -> None:
    """Writes files of both feeds whose source has added columns, a different number from file to file; some have none."""
    random_ = random.Random(f"drifted {seed}")
    for day in days:
        for number in range(snapshots):
            for feed in FEEDS:
                time = f"{day}10{number}0"
                added = added_columns(random_) if random_.random() < 0.8 else []
                lines = _drifted_lines(random_, feed, time, added, records)
                _write_lines(random_, folder / day, feed, time, lines, added)


def added_columns(random_: random.Random) -> list[str]:
    """Returns the names of one to three columns that a source could add."""
    names = ["Vwap", "Preço médio", "a,b", "a;b", '"', "vol\u00a0tot", "VolTot2", "abe", "15,73", " Lote "]
    return random_.sample(names, random_.randrange(1, 4))


def _drifted_lines(random_: random.Random, feed: str, time: str, added: list[str], records: int) -> Iterable[str]:
    """Returns records with as many cells as the header, and some with the cells of another header."""
    separator = FEEDS[feed].separator
    for _ in range(records):
        row = [_ticker(random_)] + [_hostile_cell(random_) for _ in [*FEEDS[feed].header, *added]]
        choice = random_.random()
        if choice < 0.7:
            yield join(row, separator)
        elif choice < 0.8:
            yield _misquoted(random_, row, separator)
        elif choice < 0.9:
            cells = len(FEEDS[feed].header) + 1 + random_.randrange(0, len(added) + 2)
            yield join([*row, *row][:cells], separator)
        else:
            # Its own header, and those of files with fewer and with other columns.
            names = random_.choice([added, added[:-1], [], [*added, "more"], [name.upper() for name in added]])
            yield join([random_.choice(["h", ""]), *FEEDS[feed].header, *names], separator)


def _write_lines(
    random_: random.Random, folder: Path, feed: str, time: str, lines: Iterable[str], added: Iterable[str] = ()
) -> None:
    form = random_form(random_)
    form_of_text = Form(**{**form.__dict__, "encoding": "utf-8", "compressed": False})
    data = encode_lines(feed, time, lines, form_of_text, added)
    if form.encoding == "cp1252":
        data = b"\n".join(_some_windows_1252(random_, line) for line in data.split(b"\n"))
    if form.compressed:
        data = gzip.compress(data, mtime=0)
    _put(folder / file_name(feed, time, form), data)


def _some_windows_1252(random_: random.Random, line: bytes) -> bytes:
    """Re-encodes most lines as Windows-1252, so that a file has lines of both encodings."""
    try:
        return line if random_.random() < 0.3 else line.decode("utf-8").encode("cp1252")
    except UnicodeEncodeError:
        return line


def _every_number(feed: str) -> Iterable[str]:
    build = quote if feed == "quotes" else option
    texts = {"Nome", "Grupo", "OptnStyle", "OptnTp", "TradgEndDt", "Underlying", "sector"}
    numeric = [name for name in FEEDS[feed].header if name not in texts]
    for number, text in enumerate([*vectors(), *NASTY]):
        yield join(build(f"VECT{number}", **dict.fromkeys(numeric, text)), FEEDS[feed].separator)


def _hostile_lines(random_: random.Random, feed: str, time: str) -> Iterable[str]:
    row = [_ticker(random_)] + [_hostile_cell(random_) for _ in FEEDS[feed].header]
    choice = random_.random()
    if choice < 0.15:
        yield from dropped_lines(random_, feed, time, row)
        yield from ragged_lines(random_, feed, row)
    elif choice < 0.3:
        yield _misquoted(random_, row, FEEDS[feed].separator)
    else:
        yield join(row, FEEDS[feed].separator)


def _ticker(random_: random.Random) -> str:
    return random_.choice(
        ["PETR4", "petr4", " VALE3 ", "\u00a0B3SA3", "AÇÃO3", '"X"', "A;B", "A,B", "0", "-", "nan", "Abe"]
    )


def _hostile_cell(random_: random.Random) -> str:
    choice = random_.random()
    if choice < 0.4:
        value = random_.choice([random_.randrange(0, 10 ** random_.randrange(1, 12)), random_.randrange(0, 2000)])
        styles = [quantity_styles(value), decimal_styles(_reais(value)), amount_styles(_reais(value))]
        return random_.choice(random_.choice(styles))
    if choice < 0.6:
        return random_.choice(vectors() if random_.random() < 0.5 else NASTY)
    if choice < 0.7:
        return random_.choice(NOTHING)
    return _mutated(random_, random_.choice(["15,73", "1.234,56", "10k12", "3b375", "168407.0", "2.966e+09", "1.684"]))


def _mutated(random_: random.Random, text: str) -> str:
    for _ in range(random_.randrange(1, 4)):
        at = random_.randrange(0, len(text) + 1)
        new = random_.choice("0123456789.,kmbKMBeE+- \u00a0\tax\u00e7")
        keep = random_.choice([at, at + 1])
        text = text[:at] + random_.choice([new, ""]) + text[keep:]
    return text


def _misquoted(random_: random.Random, row: Row, separator: str) -> str:
    """Returns a record with quotes at positions where a CSV writer does not put them."""
    variants = [
        lambda cell: f'"{cell}"',
        lambda cell: f'"{cell}',
        lambda cell: f'{cell}"',
        lambda cell: f'"{cell}"x',
        lambda cell: f'"{cell}" ',
        lambda cell: f' "{cell}"',
        lambda cell: f'"{cell}"""',
        lambda cell: f'""{cell}""',
        lambda cell: f'{cell[:1]}"{cell[1:]}',
        lambda cell: f'"{cell}{separator}"',
    ]
    cells = [quoted(cell) if separator in cell or '"' in cell else cell for cell in row]
    for _ in range(random_.randrange(1, 3)):
        at = random_.randrange(0, len(cells))
        cells[at] = random_.choice(variants)(row[at])
    return separator.join(cells)
