"""Runs rounds concurrently, one per seed, and collects their outcomes."""

from __future__ import annotations

import shutil
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from races.rounds import Outcome, one_round


class Search:
    """Rounds in homes below a folder."""

    def __init__(self, folder: Path, jobs: int, say: Callable[[str], None] = lambda line: None):
        self.folder = folder
        self.jobs = jobs
        self.say = say
        self.rounds: list[Outcome] = []
        self.seconds = 0.0

    def run(self, seeds: Iterable[int], stop: bool = False) -> None:
        """Runs a round for each seed; with `stop`, starts none after a violation."""
        begun = time.monotonic()
        with ThreadPoolExecutor(self.jobs) as pool:
            for outcome in pool.map(lambda seed: None if stop and self.violations else self._one(seed), seeds):
                if outcome and len(self.rounds) % 20 == 0:
                    self.say(f"{len(self.rounds)} rounds, {len(self.violations)} with a violation")
        self.seconds += time.monotonic() - begun

    def _one(self, seed: int) -> Outcome:
        folder = self.folder / f"round-{seed}"
        try:
            outcome = one_round(folder, seed)
        finally:
            shutil.rmtree(folder, ignore_errors=True)
        self.rounds.append(outcome)
        for violation in outcome.violations:
            self.say(
                f"VIOLATION in {outcome.name}: {violation}\n  repeat: python3 tests/races --rounds 1 --seed {seed}"
            )
        return outcome

    @property
    def violations(self) -> list[Outcome]:
        return [outcome for outcome in self.rounds if outcome.violations]

    def summary(self) -> Iterator[str]:
        rounds = self.rounds
        total = lambda name: sum(getattr(outcome, name) for outcome in rounds)  # noqa: E731
        by_runs = Counter(outcome.runs for outcome in rounds)
        mix = ", ".join(f"{count} with {runs} concurrent runs" for runs, count in sorted(by_runs.items()))
        yield f"{len(rounds)} rounds in {self.seconds:.0f} s ({mix}): {len(self.violations)} with a violation"
        yield f"{total('arrivals')} files arrived, {total('kills')} kills, {total('polls')} polls of all three tables"
        yield f"{total('records')} records, {total('attempts')} further attempts, {total('superseded')} runs superseded"
        ends: Counter[str] = Counter()
        for outcome in rounds:
            ends.update(outcome.ends)
        yield "executions: " + ", ".join(f"{count} {end}" for end, count in ends.most_common())
