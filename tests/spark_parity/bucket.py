"""The raw bucket of the parity tests: the files of `rawfiles`, and cases that are difficult for another engine."""

from __future__ import annotations

import gzip
import random
import struct
import tempfile
from collections.abc import Iterable
from pathlib import Path

import rawfiles
from oracle import FEEDS, NAME
from rawfiles import Form, encode_lines, file_name, header, join, option, quote

BUILD = {"quotes": quote, "options": option}
NUMBERS = {
    "quotes": ["Fec", "Abe", "Max", "Min", "Ult", "QOfc", "Ofc", "Ofv", "QOfv", "NNeg", "QTot", "VolTot"],
    "options": ["Du", "ExrcPric", "bs_delta", "bid_opton", "my_bid", "bid_vol_imp"],
}


def fill(bucket: Path) -> None:
    """Writes four days with errors of every kind, and two ordinary days; no files of 2020-04-08."""
    with tempfile.TemporaryDirectory() as folder:
        scratch = Path(folder)
        for seed, day in enumerate(["20200401", "20200402", "20200403"]):
            rawfiles.write_adversarial(scratch / day, seed=100 + seed, days=[day], records=150)
        rawfiles.write_market(scratch / "market", seed=5, days=["20200406", "20200407"], snapshots=2)
        for path in sorted(scratch.rglob("*.csv*")):
            put(bucket, path.name, path.read_bytes())
    for feed in FEEDS:
        put_lines(bucket, feed, "202004091000", odd_lines(feed))
        put_lines(bucket, feed, "202004091010", odd_numbers(feed), Form(compressed=True))
        put_lines(bucket, feed, "202004091020", random_numbers(feed, seed=7, records=400), Form(newline="\r\n"))
        put(bucket, file_name(feed, "202004091030"), odd_bytes(feed, "202004091030"))
        put(bucket, file_name(feed, "202004091040", Form(compressed=True)), two_gzip_members(feed, "202004091040"))
        put_lines(bucket, feed, "202004091050", odd_headers(feed))
        for time, form in [("202004091100", Form()), ("202004091110", Form(compressed=True))]:
            put_lines(bucket, feed, time, [], form)


def put(bucket: Path, name: str, data: bytes) -> None:
    """Writes one snapshot to the path that ingest would give it."""
    time, suffix, _ = NAME.match(name).groups()
    feed = next(feed.name for feed in FEEDS.values() if feed.suffix == suffix)
    path = bucket / feed / f"date={time[:4]}-{time[4:6]}-{time[6:8]}" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)


def put_lines(bucket: Path, feed: str, time: str, lines: Iterable[str], form: Form = Form()) -> None:
    put(bucket, file_name(feed, time, form), encode_lines(feed, time, lines, form))


# --- lines ------------------------------------------------------------------------------------------


def odd_lines(feed: str) -> Iterable[str]:
    """Returns records with fields, quotes and blanks that a CSV writer does not produce."""
    build, separator = BUILD[feed], FEEDS[feed].separator
    tame = build("TAME")
    text = {"quotes": "Fec", "options": "Underlying"}[feed]
    for number, cell in enumerate(
        [
            '"', '""', '"""', '""""', '"""""', '" "', '"a', 'a"', '"a"', '"a""', '""a', '"a"b', '"a" "b"', '"a"""b"',
            '"a""b"', '"a""""b"', '"a"b""c"', 'a""b', f'"{separator}"', f'"{separator}', f'"a{separator}"b', "'a'", "\\",
            '\\"', '"\\"', '"1""5"', '"15,73"', '"15,73" ', ' "15', "$1", "\\1", "{a}", "%s", "\u2028", "\u0085", "\ufeff",
            "\ufffd", "\u0130", "\u212a", "\U0001f600", "a\rb", "\r", " \r ", "\x0b\x0c", "\x7f", "\u2003", "\u00a0\u00a0",
        ]
    ):  # fmt: skip
        row = build(f"ODD{number}")
        row[1 + FEEDS[feed].header.index(text)] = cell
        yield separator.join(row)
        yield separator.join([cell, *tame[1:]])
        yield separator.join([*tame[:-1], cell])
        yield cell
    for ticker in [" A ", "\u00a0A\t", "\x0bA\x0c", "\ufeffA", "a\u00a0b", '" A "', "\u2003A", "Ação", "\U0001f600"]:
        yield join([ticker, *tame[1:]], separator)
    # Enough quotes to overflow the stack of a regular expression that recurses.
    yield separator.join(['"' + '""' * 20_000 + '"', *tame[1:]])
    yield separator.join([*tame[:-1], '"' + 'x""' * 20_000])
    yield separator.join(tame) + separator * 3_000
    yield separator.join(["LONG" * 10_000, *tame[1:]])
    yield join(header(feed, "anything"), separator)
    yield join(["", *FEEDS[feed].header], separator)
    yield separator.join(['"h"', *(f'"{name}"' for name in FEEDS[feed].header)])
    yield separator.join(["h", *(name.lower() for name in FEEDS[feed].header)])
    yield separator.join(["h", *FEEDS[feed].header[:-1]])
    yield separator.join(["h", *FEEDS[feed].header, ""])


def odd_headers(feed: str) -> Iterable[str]:
    """Returns lines that may repeat the header: with blanks around the names, and with an unclosed quote."""
    separator, names = FEEDS[feed].separator, FEEDS[feed].header
    yield separator.join(["h", *(f" {name}\t" for name in names)])
    yield separator.join(["h", *names[:-1], '"' + names[-1]])


def odd_bytes(feed: str, time: str) -> bytes:
    """Returns a file with a byte-order mark, whose lines have different encodings and line ends."""
    separator = FEEDS[feed].separator.encode()
    # A byte-order mark, and a separator in a quoted header cell: the quotes count only after the mark is removed.
    first = separator.join([b'\xef\xbb\xbf"2020' + separator + b'04"', *(name.encode() for name in FEEDS[feed].header)])
    tame = separator.join(cell.encode() for cell in BUILD[feed]("X")[1:])
    tickers = [
        b"\xe7\xe3o", "ção".encode(), b"\xc3", b"\xc3\x28", b"\xe2\x82", "€".encode(), b"\x80\x85\x9f", b"\x81\x8d\x8f\x90\x9d",
        b"\xa0A\xa0", b"\xc2\xa0A\xc2\xa0", b"\xc2\xa0A\xe7", b"\xed\xa0\x80", b"\xed\xbf\xbf", b"\xf0\x9f\x98\x80",
        b"\xf4\x90\x80\x80", b"\xf8\x88\x80\x80\x80", b"\xc0\xaf", b"\xe0\x80\xaf", b"\xef\xbf\xbd", b"\xef\xbf\xbe",
        b"\xfe\xff", b"\xff", b"\xad", bytes(range(0xA1, 0x100)), bytes(range(0x80, 0xA0)),
    ]  # fmt: skip
    lines = [ticker + separator + tame for ticker in tickers]
    # Ragged records, whose whole text is a reject.
    lines += [ticker + separator + b"x" for ticker in tickers]
    ends = [b"\n", b"\r\n", b"\r\r\n", b"\n\n", b"\n\r\n", b" \n", b"\r\n\r\r\n"]
    body = b"".join(line + ends[number % len(ends)] for number, line in enumerate(lines))
    return first + b"\r\n" + body + b"LAST" + separator + tame + b"\r"


def two_gzip_members(feed: str, time: str) -> bytes:
    """Returns a gzip file of two members, as written by a recorder that appends to a compressed file."""
    data = encode_lines(feed, time, (join(BUILD[feed](f"GZ{n}"), FEEDS[feed].separator) for n in range(20)))
    half = len(data) // 2
    return gzip.compress(data[:half], mtime=0) + gzip.compress(data[half:], mtime=0)


# --- numbers ----------------------------------------------------------------------------------------


def rows_of(feed: str, cells: Iterable[str]) -> Iterable[str]:
    """Returns one record for each cell, with that cell in every number column."""
    for number, cell in enumerate(cells):
        yield join(BUILD[feed](f"N{number}", **dict.fromkeys(NUMBERS[feed], cell)), FEEDS[feed].separator)


def odd_numbers(feed: str) -> Iterable[str]:
    """Returns numbers that Java, Spark and the contract could read differently."""
    cells = [
        # Spark casts these to numbers; the contract does not.
        "NaN", "Infinity", "-Infinity", "+Inf", "infinity", "1d", "1D", "1f", "1F", "1L", "0x1p3", "0x10", "1_000", "1e5d",
        "1\x7f", "\u20031", "1\u2003", "\u06f3", "１", "1\u00a0", "\u00a01\u00a0", "\t1\x0b", "1 000", "1e 5", "true",
        "1.5 k", "1k ", "\u212a", "1\u212a", "5\u017f",
        # Long numbers.
        "9" * 400, "0" * 400 + "7", "1" + "0" * 400 + "e-400", "0." + "0" * 500 + "1e501", "1." + "0" * 400, "1" * 30 + "k",
        "0." + "3" * 400, "1e0000000000000000000000003", "1e-0000000000000000000000003", "1000e-0000000000000000000003",
        "1e99999999999999999999", "1e-99999999999999999999", "0e99999999999999999999", "0,0e-99999999999999999999",
        "1e9223372036854775807", "1e9223372036854775808", "1e-9223372036854775809", "1e4611686018427387904", "1e2147483648",
        "-0e99", "-0,000", "-0k", "-0.000", "+0", "-1e-400", "-1e999", "-0.0e5", "00,000", "0e-5", "0,0000000000e5",
        # At the limits of the types.
        "9223372036854775807", "9223372036854775808", "09223372036854775807", "9223372036854775807.0", "9,223372036854775807e18",
        "92233720368547758070e-1", "92233720368547758075e-1", "9223372036,854775807b", "9223372036b854", "9223372036b855",
        "18446744073709551615", "18446744073709551616", "100000000000000000000", "1e18", "1e19", "1e20", "2147483647",
        "2147483648", "2147483,647k", "2147483k648", "2,147483647e9", "2.147.483.647", "2,147,483,648", "-1", "-2147483649",
        # Rounding to doubles: ties, the smallest, the largest, and values beyond.
        "9007199254740993", "9007199254740992.9999999999", "9007199254740993.0000000001", "0.1", "1.1e-5", "123456789.123456789",
        "2.2250738585072014e-308", "2.2250738585072011e-308", "4.9e-324", "2.4703282292062327e-324", "2.4703282292062328e-324",
        "1.7976931348623157e308", "1.7976931348623158e308", "1.7976931348623159e308", "179769313486231580793e289",
        "8.41e21", "9.5e-3", "5e-324", "1e23", "6.02214076e23", "7.2057594037927933e16", "3b375", "10k12", "0,0004k", "1,5m",
        "0.3k", "000k5", "1234567890123b123", "99999999999999999999b", "1e-23", "1e22", "1e-22", "123456789012345678e-25",
    ]  # fmt: skip
    yield from rows_of(feed, cells)


def random_numbers(feed: str, seed: int, records: int) -> Iterable[str]:
    """Returns random texts of the characters of numbers, a different one for each cell."""
    random_ = random.Random(f"{feed} {seed}")

    def some(alphabet: str, most: int) -> str:
        return "".join(random_.choice(alphabet) for _ in range(random_.randrange(0, most + 1)))

    def cell() -> str:
        kind = random_.random()
        if kind < 0.3:
            return some("+-", 1) + some("0123456789.,", 9) + some("kmbKMBeE", 1) + some("+-", 1) + some("0123456789", 4)
        if kind < 0.5:
            groups = [
                some("0123456789", 3),
                *(f"{random_.randrange(1000):03d}" for _ in range(random_.randrange(0, 5))),
            ]
            mark = random_.choice(".,")
            other = random_.choice([".", ",", ",,", ".,", "k", "e"])
            return some("-", 1) + mark.join(groups) + random_.choice(["", other + some("0123456789", 4)])
        if kind < 0.7:
            bits = struct.unpack(">d", random_.randbytes(8))[0]
            return repr(bits).replace(".", random_.choice(".,"))
        if kind < 0.85:
            number = str(random_.randrange(0, 10 ** random_.randrange(1, 22)))
            return number + random_.choice(["", ".0", ",000", "e3", "e-3", "E+2", "k", "m5", "b25"])
        return some(" \t\u00a0", 2) + some("0123456789.,kmbe+-", 6) + some(" \t\u00a0", 2)

    for number in range(records):
        cells = {name: cell() for name in NUMBERS[feed]}
        yield join(BUILD[feed](f"R{number}", **cells), FEEDS[feed].separator)
