"""The comparison of tables, which the other tests use, detects and locates every difference."""

from __future__ import annotations

import math

import pytest

import oracle
import rawfiles
from lake import assert_same_rows, read_json


@pytest.fixture
def rows() -> list[dict]:
    expected = oracle.Expected()
    data = rawfiles.encode("quotes", "202004011320", [rawfiles.quote("PETR4"), rawfiles.quote("VALE3", Abe="-")])
    oracle.read_file("202004011320_flashpanel.csv", data, expected)
    return expected.rows["quotes"]


def changed(rows: list[dict], **cells: object) -> list[dict]:
    return [{**rows[0], **cells}, *rows[1:]]


def test_the_same_rows_in_another_order_are_the_same(rows):
    assert_same_rows("quotes", rows[::-1], rows)


def test_one_bit_of_a_double_is_a_difference(rows):
    almost = math.nextafter(15.25, 16)
    with pytest.raises(AssertionError, match=r"ticker='PETR4': last: expected 15.25 .* found 15.250000000000002"):
        assert_same_rows("quotes", changed(rows, last=almost), rows)
    with pytest.raises(AssertionError, match=r"last: expected 0.0 .* found -0.0"):
        assert_same_rows("quotes", changed(rows, last=-0.0), changed(rows, last=0.0))


def test_a_row_missing_doubled_or_with_a_null_is_a_difference(rows):
    with pytest.raises(AssertionError, match=r"1 are missing, 0 should not be there\n  is missing: .*'PETR4'"):
        assert_same_rows("quotes", rows[1:], rows)
    with pytest.raises(AssertionError, match=r"0 are missing, 1 should not be there\n  should not be there: .*'PETR4'"):
        assert_same_rows("quotes", [rows[0], *rows], rows)
    with pytest.raises(AssertionError, match=r"open: expected 15.0 .* found None"):
        assert_same_rows("quotes", changed(rows, open=None), rows)


def test_another_column_or_type_is_a_difference(rows):
    with pytest.raises(AssertionError, match="surplus"):
        assert_same_rows("quotes", changed(rows, surplus=1), rows)
    with pytest.raises(AssertionError, match="'1000' is not of type bigint"):
        assert_same_rows("quotes", changed(rows, qty_bid="1000"), rows)


def test_json_keeps_the_sign_of_zero():
    assert math.copysign(1, read_json('[{"x": -0}]')[0]["x"]) == -1
    assert read_json('[{"x": 0}, {"x": -7}]') == [{"x": 0}, {"x": -7}]
