"""The oracle agrees with the cases of the number contract, and the generator agrees with the oracle."""

from __future__ import annotations

import csv
import random
from decimal import Decimal

import pytest

import oracle
import rawfiles
from rawfiles import Form, encode, encode_lines, option, quote

TYPES = {"decimal": "double", "quantity": "bigint", "amount": "double"}


def vector_rows() -> list[dict]:
    with open(rawfiles.VECTORS, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize("row", vector_rows(), ids=lambda row: f"{row['kind']}:{row['text']!r}")
def test_reads_every_vector_of_the_contract(row):
    try:
        value = oracle.parse_number(row["text"], row["kind"], TYPES[row["kind"]])
        outcome = "null" if value is None else "value"
    except oracle.Rejected:
        value, outcome = None, "reject"
    assert outcome == row["outcome"]
    assert value == (float(row["expected"]) if row["expected"] else None)


def test_the_cells_of_real_rows_are_parsed_to_their_values():
    """Each average price is also within the day's range."""
    for trades, quantity, volume, numbers, low, high in [
        ("1391.0", "379k1", "3m603", (1391, 379100, 3603000), 9.23, 9.77),
        ("195.0", "6.050", "57.646", (195, 6050, 57646), 8.94, 9.75),
        ("10039.0", "2m84", "75m24", (10039, 2840000, 75240000), 25.19, 29.79),
        ("6535.0", "916k", "51m75", (6535, 916000, 51750000), 54.91, 58.30),
        ("197761.0", "213m707", "3b375", (197761, 213707000, 3375000000), 15.01, 16.55),
        ("108295.0", "81m357", "1b13", (108295, 81357000, 1130000000), 13.32, 14.37),
    ]:
        read = (
            oracle.parse_number(trades, "quantity", "double"),
            oracle.parse_number(quantity, "quantity", "double"),
            oracle.parse_number(volume, "amount", "double"),
        )
        assert read == numbers
        assert low <= read[2] / read[1] <= high


def test_every_style_of_the_generator_reads_back_as_the_number_it_was_made_from():
    random_ = random.Random(1)
    for _ in range(3000):
        number = random_.randrange(0, 10 ** random_.randrange(1, 16))
        price = Decimal(random_.randrange(0, 10**8)).scaleb(-random_.choice([2, 4]))
        cents = Decimal(random_.randrange(0, 10 ** random_.randrange(3, 14))).scaleb(-2)
        for text in rawfiles.quantity_styles(number):
            assert oracle.parse_number(text, "quantity", "bigint") == number, text
            assert oracle.parse_number(text, "amount", "double") == float(number), text
        for text in [*rawfiles.decimal_styles(price), *rawfiles.decimal_styles(-price)]:
            sign = -1 if text.startswith("-") else 1
            assert oracle.parse_number(text, "decimal", "double") == sign * float(price), text
        for text in rawfiles.amount_styles(cents):
            assert oracle.parse_number(text, "amount", "double") == float(cents), text


@pytest.mark.parametrize(
    "line, cells, closed",
    [
        ("a,b", ["a", "b"], True),
        ("a,", ["a", ""], True),
        ('"15,73",b', ["15,73", "b"], True),
        ('"a ""b""",c', ['a "b"', "c"], True),
        ('"a"x,b', ["ax", "b"], True),
        ('a"b,c', ['a"b', "c"], True),
        (' "a,b"', [' "a', 'b"'], True),
        ('"",b', ["", "b"], True),
        ('a,"b,c', ["a", "b,c"], False),
        ('a,"b""', ["a", 'b"'], False),
        ('"', [""], False),
    ],
)
def test_splits_a_line_into_cells(line, cells, closed):
    assert oracle.fields(line, ",") == (cells, closed)


def read(feed: str, data: bytes, name: str = "") -> oracle.Expected:
    expected = oracle.Expected()
    oracle.read_file(name or rawfiles.file_name(feed, "202004011320"), data, expected)
    return expected


def test_every_form_of_a_file_gives_the_same_rows():
    rows = [quote("PETR4", Nome='PETRÓLEO, "PN"', Max="16,00"), quote("VALE3")]
    plain = read("quotes", encode("quotes", "202004011320", rows))
    assert [row["ticker"] for row in plain.rows["quotes"]] == ["PETR4", "VALE3"]
    assert plain.rows["quotes"][0]["intdate"] == 202004011320
    for form in [
        Form(newline="\r\n"),
        Form(last_newline=False),
        Form(mark=True),
        Form(encoding="cp1252"),
        Form(encoding="cp1252", newline="\r\n", last_newline=False, compressed=True),
    ]:
        data = encode("quotes", "202004011320", rows, form)
        other = read("quotes", data, rawfiles.file_name("quotes", "202004011320", form))
        assert other.rows == plain.rows, form


def test_accounts_for_every_record():
    lines = [
        rawfiles.join(option("PETRF152", Du="12.5"), ";"),
        ";;;",
        " \u00a0;1",
        rawfiles.join(rawfiles.header("options", "202004011320"), ";"),
        "PETRF153;50",
        "",
        'PETRF154;"50;1',
    ]
    expected = read("options", encode_lines("options", "202004011320", lines))
    name = "202004011320_options.csv"
    assert expected.files[name].counts == {
        "records": 6, "published": 1, "blank_ticker": 2, "header_repeat": 1, "ragged": 2,
    }  # fmt: skip
    assert [(r["ticker"], r["column_name"], r["text"], r["reason"]) for r in expected.rows["rejects"]] == [
        ("PETRF152", "Du", "12.5", "not_whole"),
        ("PETRF153", "", "PETRF153;50", "field_count"),
        ("PETRF154", "", 'PETRF154;"50;1', "unclosed_quote"),
    ]


def test_a_whole_number_outside_the_range_of_its_column_is_rejected():
    assert oracle.parse_number("9223372036854775807", "quantity", "bigint") == 2**63 - 1
    assert oracle.parse_number("2147483647", "quantity", "int") == 2**31 - 1
    for text, type in [("9223372036854775808", "bigint"), ("2147483648", "int"), ("1e400", "bigint")]:
        with pytest.raises(oracle.Rejected, match="out_of_range"):
            oracle.parse_number(text, "quantity", type)


def test_the_generated_market_is_plausible_and_messy(tmp_path):
    rawfiles.write_market(tmp_path, seed=7)
    expected = oracle.read_folder(tmp_path)

    totals: dict = {}
    for row in sorted(expected.rows["quotes"], key=lambda row: row["intdate"]):
        at = (row["ticker"], row["day"])
        if None not in (row["bid"], row["ask"]):
            assert row["bid"] <= row["ask"], row
        if None not in (row["min"], row["last"], row["max"]):
            assert row["min"] <= row["last"] <= row["max"], row
        if row["qty_total"] and None not in (row["total_volume"], row["min"], row["max"]):
            average = Decimal(repr(row["total_volume"])) / int(row["qty_total"])
            assert Decimal(repr(row["min"])) <= average <= Decimal(repr(row["max"])), row
        for column in ("num_trades", "qty_total", "total_volume"):
            if row[column] is not None:
                assert row[column] >= totals.get((at, column), 0), (row, column)
                totals[at, column] = row[column]

    for feed in ("quotes", "options"):
        for outcome in ("published", "blank_ticker", "header_repeat", "ragged"):
            assert expected.total(feed, outcome) > 0, f"{feed} has no record with outcome {outcome}"
        assert expected.rejected_cells(feed) > 0


def test_the_adversarial_files_reach_every_outcome(tmp_path):
    rawfiles.write_adversarial(tmp_path, seed=1)
    expected = oracle.read_folder(tmp_path)
    assert {row["reason"] for row in expected.rows["rejects"]} == {
        "not_a_number", "negative", "not_whole", "out_of_range", "field_count", "unclosed_quote",
    }  # fmt: skip
    for file in expected.files.values():
        counts = file.counts
        dropped = counts["blank_ticker"] + counts["header_repeat"] + counts["ragged"]
        assert counts["records"] == counts["published"] + dropped, file.name
    assert any(file.counts["records"] == 0 for file in expected.files.values()), "no file with a header alone"


def test_the_same_seed_gives_the_same_bytes(tmp_path):
    for name in ("first", "second"):
        rawfiles.write_market(tmp_path / name / "market", seed=3, days=["20200401"])
        rawfiles.write_adversarial(tmp_path / name / "adversarial", seed=3, days=["20200401"], records=40)
    first, second = (
        {path.relative_to(tmp_path / name): path.read_bytes() for path in (tmp_path / name).rglob("*.csv*")}
        for name in ("first", "second")
    )
    assert first == second and first


@pytest.mark.parametrize(
    "added, reason",
    [
        (["Vwap"], ""),
        (["Vwap", "Lote"], ""),
        ([""], "no name"),
        (["\u00a0"], "no name"),
        (["Ult"], "the name of another"),
        (["Vwap", " Vwap "], "the name of another"),
    ],
)
def test_columns_behind_those_of_the_feed_are_ignored_if_they_were_surely_added(added, reason):
    rows = [[*quote("PETR4", VolTot="5m762"), *added], quote("VALE3")]
    data = encode("quotes", "202004011320", rows, added=added)
    if reason:
        with pytest.raises(ValueError, match=reason):
            read("quotes", data)
        return
    expected = read("quotes", data)
    assert [(row["ticker"], row["total_volume"]) for row in expected.rows["quotes"]] == [("PETR4", 5762000.0)]
    assert [(row["ticker"], row["reason"]) for row in expected.rows["rejects"]] == [("VALE3", "field_count")]


def test_the_drifted_files_reach_every_outcome(tmp_path):
    rawfiles.write_drifted(tmp_path, seed=1)
    expected = oracle.read_folder(tmp_path)
    for feed in oracle.FEEDS:
        for outcome in ("published", "blank_ticker", "header_repeat", "ragged"):
            assert expected.total(feed, outcome) > 0, (feed, outcome)
        assert expected.rejected_cells(feed) > 0
