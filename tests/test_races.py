"""A sample of `python3 tests/races`: concurrent runs of one day while its raw files change."""

from __future__ import annotations

import os
from pathlib import Path

from races.rounds import Outcome, Round, is_older
from races.search import Search

# Two, three and eight concurrent runs, with and without kills and faults.
ROUNDS, SEED = 6, 20200406


def test_concurrent_runs_never_publish_an_older_view(tmp_path: Path):
    search = Search(tmp_path, jobs=os.cpu_count() or 1)
    search.run(range(SEED, SEED + ROUNDS))
    assert not search.violations, "\n".join(
        f"{one.name}: {violation}" for one in search.violations for violation in one.violations
    )
    assert len(search.rounds) == ROUNDS
    assert {outcome.runs for outcome in search.rounds} == {2, 3, 8}
    assert sum(outcome.kills for outcome in search.rounds) > 0, "no round had a kill"
    assert sum(outcome.polls for outcome in search.rounds) > ROUNDS, "the reader read nothing"


def test_violations_are_detected(tmp_path: Path):
    """The test violates invariants on purpose."""
    newer, older = {("quotes", "1"): 2}, {("quotes", "1"): 1}
    assert is_older(older, newer) and is_older({}, older)
    assert not is_older(newer, older) and not is_older(newer, newer)
    round_ = Round(tmp_path, seed=1)
    assert round_.outcome == Outcome(round_.outcome.name, round_.runs)
    # Two versions of a snapshot at the same time, and missing rows.
    round_.views([["quotes", "202004011000", "1", "2", "9"]])
    round_.views([["quotes", "202004011000", "2", "2", "4"]])
    assert len(round_.outcome.violations) == 2
