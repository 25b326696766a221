"""Rounds of the search in several processes, each with an endpoint of its own."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from lake import Lake
from query_fuzz.search import Search


class Job(NamedTuple):
    folder: Path
    seeds: Sequence[int]
    queries: int


class Found(NamedTuple):
    """What the rounds of a job found."""

    # The seeds and what differs.
    differences: list[tuple[int, str]]
    asked: int
    answered: int
    failed: int
    refused: int


def search(folder: Path, seeds: Sequence[int], queries: int, jobs: int, say: Callable[[str], None]) -> int:
    """Asks `queries` queries for each seed. Returns the number of rounds with a difference."""
    # One job a process, so that an endpoint serves many rounds; in portions, so that there is progress to tell.
    portion = 20
    all_jobs = [
        Job(folder / f"job-{place}", seeds[place : place + portion], queries) for place in range(0, len(seeds), portion)
    ]
    total = Found([], 0, 0, 0, 0)
    with multiprocessing.get_context("spawn").Pool(jobs) as pool:
        for found in pool.imap_unordered(rounds, all_jobs):
            for seed, difference in found.differences:
                say(f"seed {seed}: {difference}")
            total = Found(
                total.differences + found.differences,
                total.asked + found.asked,
                total.answered + found.answered,
                total.failed + found.failed,
                total.refused + found.refused,
            )
            say(summary(total))
    return len(total.differences)


def rounds(job: Job) -> Found:
    """Runs the rounds of a job on an endpoint of its own."""
    job.folder.mkdir(parents=True)
    differences = []
    with Lake(job.folder / "home").endpoint() as endpoint:
        search = Search(endpoint)
        for seed in job.seeds:
            difference = search.run(seed, job.queries)
            if difference is not None:
                differences.append((seed, difference))
        return Found(differences, search.asked, search.answered, search.failed, search.refused)


def summary(found: Found) -> str:
    return (
        f"{found.asked} queries, {found.answered} with rows, {found.failed} refused by both, "
        f"{found.refused} not supported, {len(found.differences)} answered differently"
    )
