"""A sample of `python3 tests/faults`, and tests of its cases, its invariants and the log of a fault."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from faults import small_lake
from faults.cases import READ_KINDS, WRITE_KINDS, Case, Fault, calls
from faults.search import CaseResult, Search
from lake import Lake

# A sample of the cases with one fault, and of those with two.
SINGLES, PAIRS = 72, 8


@pytest.fixture(scope="module")
def search(tmp_path_factory: pytest.TempPathFactory) -> Search:
    return Search(tmp_path_factory.mktemp("faults"), seed=20200401, jobs=2 * (os.cpu_count() or 1))


def test_every_kind_of_fault_keeps_the_invariants(search: Search):
    cases = search.sample(SINGLES) + search.pairs(PAIRS)
    kinds = {fault.kind for case in cases for fault in case.faults}
    assert kinds == {*READ_KINDS, *WRITE_KINDS}, "the sample lacks a kind of fault"
    search.run(cases)
    assert not search.violations, "\n".join(f"{case}: {violation}" for case, violation in search.violations)
    assert sum(result.met for result in search.results) > len(cases) // 2, "most cases met no call"


def test_the_name_of_a_case_is_parsed_to_the_case(search: Search):
    for case in search.sample(20) + search.pairs(20):
        assert Case.parse(str(case)) == case


def test_a_fault_is_injected_and_logged(search: Search, tmp_path: Path):
    lake = small_lake.copy(search.lake.published, tmp_path / "home")
    fault = Fault("upload", "lambda", "Invoke", "ingest", 1, "abort")
    result = small_lake.command(lake, fault.rule, "upload", search.lake.newer)
    assert result.code == -6, str(result)
    assert "a fault call=" in result.err and "kind=Abort" in result.err, str(result)
    # The log has only the call of the client, because the function was not executed.
    operations = {operation for _, operation, _ in calls(result.err)}
    assert operations == {"Invoke"}, operations


def test_a_violation_is_detected(search: Search, tmp_path: Path):
    """The test violates an invariant on purpose."""
    from faults.search import Attempt

    def judged(template: Path, harm) -> list[str]:
        lake = small_lake.copy(template, tmp_path / f"home-{len(list(tmp_path.iterdir()))}")
        result = CaseResult(Case(()))
        attempt = Attempt(search.lake, lake, result)
        harm(lake)
        attempt.go()
        return result.violations

    def lose_a_raw_file(lake: Lake) -> None:
        next((lake.home / "s3" / "pregao-raw" / "quotes").rglob("202004011000_flashpanel.csv.gz")).unlink()

    assert not judged(search.lake.accepted, lambda lake: None)
    assert judged(search.lake.accepted, lose_a_raw_file)
