"""Reads the published tables of a pregao lake, on a machine or on AWS.

    import pregao

    lake = pregao.connect()
    lake.quotes("PETR4", "2020-01", "2020-03")

docs/python.md describes it. The program `pregao` is in the same package.
"""

from __future__ import annotations

from ._errors import (
    MissingDaysError,
    MissingDaysWarning,
    NoLakeError,
    NoRowsWarning,
    NotPublishedError,
    PregaoError,
    PregaoWarning,
    PublishedFileError,
    RecentMomentWarning,
    RecordError,
    UnmatchedWarning,
)
from ._lake import Lake, connect
from ._records import PublishedFile

__all__ = [
    "Lake",
    "MissingDaysError",
    "MissingDaysWarning",
    "NoLakeError",
    "NoRowsWarning",
    "NotPublishedError",
    "PregaoError",
    "PregaoWarning",
    "PublishedFile",
    "PublishedFileError",
    "RecentMomentWarning",
    "RecordError",
    "UnmatchedWarning",
    "connect",
]
