"""A sample of `python3 tests/soak`: short runs against one endpoint, none of which may fail."""

from __future__ import annotations

from pathlib import Path

from soak.short_runs import soak

RUNS = 40


def test_short_runs_do_not_fail(tmp_path: Path):
    summary = soak(tmp_path, RUNS)
    assert not summary.failures, "\n".join(summary.lines())
    assert summary.runs == RUNS
    assert summary.histories > 0, "no history was read while its run was in progress"
    assert summary.uploads == RUNS // 5 and summary.with_own_endpoint == RUNS // 2 and summary.documents == RUNS // 3
