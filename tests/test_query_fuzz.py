"""A sample of `python3 tests/query_fuzz`: generated queries, answered as by DuckDB."""

from __future__ import annotations

from pathlib import Path

import pytest

from lake import Lake
from query_fuzz.compare import difference
from query_fuzz.grammar import Query
from query_fuzz.search import Different, Search

SEED, QUERIES = 20200407, 800


def test_generated_queries_are_answered_as_by_duckdb(tmp_path: Path):
    with Lake(tmp_path / "home").endpoint() as endpoint:
        search = Search(endpoint)
        assert search.run(SEED, QUERIES) is None
        assert search.asked >= QUERIES
        # Most queries have rows, and nearly none is wrong for both, or not supported.
        assert search.answered > QUERIES / 2
        assert search.failed < QUERIES / 100
        assert search.refused < QUERIES / 100

        # Queries that differ on purpose: in a value, in the rows, and in that one is refused.
        for athena, duckdb in [
            ("SELECT 1 AS c0", "SELECT 2 AS c0"),
            ("SELECT id AS c0 FROM t", "SELECT id AS c0 FROM u"),
            ("SELECT nothing AS c0 FROM t", "SELECT id AS c0 FROM t"),
        ]:
            with pytest.raises(Different):
                search.check(Query(athena, duckdb))


@pytest.mark.parametrize(
    ("ours", "theirs", "ordered", "same"),
    [
        ([(1,), (2,)], [(2,), (1,)], False, True),
        ([(1,), (2,)], [(2,), (1,)], True, False),
        ([(float("nan"),)], [(float("nan"),)], True, True),
        ([(float("nan"),)], [(None,)], True, False),
        ([(0.1 + 0.2,)], [(0.3,)], True, True),
        ([(4e-9,)], [(0.0,)], True, False),
        ([(1,)], [(True,)], True, False),
        ([(1,), (1,)], [(1,)], False, False),
    ],
)
def test_differences_are_told(ours: list, theirs: list, ordered: bool, same: bool):
    assert (difference(Query("", "", ordered), ours, theirs) is None) == same
