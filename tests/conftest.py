"""Lakes that tests share: an empty one, and one with a published market."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

import oracle
import rawfiles
from lake import Endpoint, Lake


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--flips", type=int, default=12, help="bits that test_verify.py flips, one after the other")
    parser.addoption("--landed", type=int, default=300, help="objects that test_landing.py puts at once")


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    """An empty home for one test."""
    return Lake(tmp_path / "home")


class Published(NamedTuple):
    lake: Lake
    raw: Path
    expected: oracle.Expected


@pytest.fixture(scope="session")
def published(tmp_path_factory: pytest.TempPathFactory) -> Published:
    """A lake with six published days of a market. Tests must not change it."""
    folder = tmp_path_factory.mktemp("published")
    rawfiles.write_market(folder / "raw", seed=20200401)
    lake = Lake(folder / "home")
    lake.upload(folder / "raw")
    lake.publish("2020-04-01", "2020-04-09")
    return Published(lake, folder / "raw", oracle.read_folder(folder / "raw"))


@pytest.fixture(scope="session")
def endpoint(published: Published) -> Iterator[Endpoint]:
    """The running endpoint of the published market."""
    with published.lake.endpoint() as running:
        yield running
